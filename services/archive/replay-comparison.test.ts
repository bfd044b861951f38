/** A day and its replay compare as the same exactly when they are, whatever repeats and however keys interleave. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { isSame, TopicComparison } from "./replay-comparison.ts";
import { identify, type OutputRecord } from "./replay-record.ts";

interface Made {
  key: string;
  id: number;
  text: string;
}

const idOf = (id: number): string => `00000000-0000-5000-8000-${String(id).padStart(12, "0")}`;

const recordOf = ({ key, id, text }: Made, offset: number): OutputRecord => ({
  topic: "norm.swap_demand",
  partition: 0,
  offset: String(offset),
  key: Buffer.from(key),
  value: Buffer.from(
    JSON.stringify({ event_id: idOf(id), event_type: "norm.swap_demand", venue: "v", payload: { text } }),
  ),
  headers: [],
});

/** Takes both sides in as a replay does: side by side, the rest of the longer one last; then the second look. */
function compare(
  archived: readonly OutputRecord[],
  replayed: readonly OutputRecord[],
  { limit = 100, remembered = 1_000 } = {},
) {
  const comparison = new TopicComparison({ identify, limit, remembered });
  for (let index = 0; index < Math.max(archived.length, replayed.length); index++) {
    const [a, b] = [archived[index], replayed[index]];
    if (b !== undefined) comparison.take("replayed", b);
    if (a !== undefined) comparison.take("archived", a);
  }
  if (comparison.hasLeft("archived")) for (const record of archived) comparison.again("archived", record);
  if (comparison.hasLeft("replayed")) for (const record of replayed) comparison.again("replayed", record);
  return { differences: comparison.end(), counts: comparison.counts };
}

/** One order of all keys' events in which each key keeps its own; `picks` decides whose turn it is. */
function interleave(events: readonly Made[], picks: readonly number[]): Made[] {
  const keys = [...new Set(events.map(({ key }) => key))];
  const queues = keys.map((key) => events.filter((event) => event.key === key));
  const merged: Made[] = [];
  for (let turn = 0; queues.some((queue) => queue.length > 0); turn++) {
    const open = queues.filter((queue) => queue.length > 0);
    const queue = open[(picks[turn % picks.length] ?? 0) % open.length];
    const next = queue?.shift();
    if (next !== undefined) merged.push(next);
  }
  return merged;
}

/** As after restarts: from some places on, the last records come once more before it goes on. */
function withRepeats(events: readonly Made[], restarts: readonly { at: number; back: number }[]): Made[] {
  return events.flatMap((event, index) => {
    const restart = restarts.find(({ at }) => at === index);
    return restart === undefined
      ? [event]
      : [event, ...events.slice(Math.max(0, index - restart.back), index + 1)];
  });
}

const events = fc
  .array(fc.constantFrom("a", "b", "c"), { minLength: 1, maxLength: 40 })
  .map((keys) => keys.map((key, id): Made => ({ key, id, text: `${key}${id}` })));
const picks = fc.array(fc.nat(2), { minLength: 1, maxLength: 20 });
const restarts = fc.array(fc.record({ at: fc.nat(40), back: fc.nat(8) }), { maxLength: 3 });
const print = (made: readonly Made[]): OutputRecord[] => made.map(recordOf);

test("other interleavings of keys and repeated deliveries are the same", () => {
  fc.assert(
    fc.property(events, picks, picks, restarts, restarts, (made, one, other, again, anew) => {
      const archived = withRepeats(interleave(made, one), again);
      const replayed = withRepeats(interleave(made, other), anew);
      const { counts, differences } = compare(print(archived), print(replayed));
      assert.deepEqual(differences, []);
      assert.ok(isSame(counts));
      assert.equal(counts.same, made.length);
      assert.equal(counts.repeatedInArchive, archived.length - made.length);
      assert.equal(counts.repeatedInReplay, replayed.length - made.length);
    }),
  );
});

test("each event that is missing, additional or changed is counted and listed", () => {
  const fate = fc.constantFrom("same", "same", "missing", "additional", "different");
  fc.assert(
    fc.property(
      events,
      fc.array(fate, { minLength: 40, maxLength: 40 }),
      picks,
      restarts,
      (made, fates, order, again) => {
        const of = (wanted: string): Made[] => made.filter(({ id }) => fates[id] === wanted);
        const archived = withRepeats(
          interleave(
            made.filter(({ id }) => fates[id] !== "additional"),
            order,
          ),
          again,
        );
        const replayed = made
          .filter(({ id }) => fates[id] !== "missing")
          .map((event) => (fates[event.id] === "different" ? { ...event, text: "another" } : event));
        const { counts, differences } = compare(print(archived), print(replayed));
        for (const kind of ["missing", "additional", "different"] as const) {
          const expected = of(kind).map(({ id }) => idOf(id));
          assert.equal(counts[kind], expected.length);
          const listed = differences.filter((difference) => difference.kind === kind);
          assert.deepEqual(listed.map(({ id }) => id).sort(), expected.sort());
        }
        assert.equal(counts.outOfOrder, 0);
        assert.equal(
          isSame(counts),
          fates.slice(0, made.length).every((each) => each === "same"),
        );
      },
    ),
  );
});

test("the order within a key counts, wherever it changes", () => {
  fc.assert(
    fc.property(events, fc.nat(), fc.nat(), picks, (made, from, to, order) => {
      const moved = [...made];
      const [event] = moved.splice(from % made.length, 1);
      if (event !== undefined) moved.splice(to % made.length, 0, event);
      const keyed = (all: readonly Made[]): string =>
        JSON.stringify(["a", "b", "c"].map((key) => all.filter((each) => each.key === key)));
      const { counts, differences } = compare(print(interleave(made, order)), print(moved));
      assert.equal(counts.same, made.length);
      assert.equal(isSame(counts), keyed(moved) === keyed(made));
      assert.equal(differences.length, counts.outOfOrder === 0 ? 0 : 1);
    }),
  );
});

test("an event that comes again long after it has met is a repetition; with other bytes, a difference", () => {
  const many = Array.from({ length: 100 }, (_, id): Made => ({ key: "a", id, text: "x" }));
  const [first] = many;
  assert.ok(first);
  const replayed = print(many);
  const again = compare(print([...many, first]), replayed, { remembered: 10 });
  assert.deepEqual([again.differences, again.counts.repeatedInArchive], [[], 1]);
  const changed = compare(print([...many, { ...first, text: "y" }]), replayed, { remembered: 10 });
  assert.deepEqual(
    changed.differences.map(({ kind }) => kind),
    ["repeated"],
  );
  assert.equal(changed.counts.missing, 0);
});

test("another key is other bytes, also in another partition, and no missing event", () => {
  const record = recordOf({ key: "a", id: 1, text: "x" }, 0);
  const moved = { ...record, key: Buffer.from("b"), partition: 2 };
  const { differences, counts } = compare([record], [moved]);
  assert.deepEqual(
    differences.map(({ kind }) => kind),
    ["different"],
  );
  assert.deepEqual([counts.missing, counts.additional], [0, 0]);
  assert.equal(compare([record], [{ ...record, partition: 1 }]).counts.different, 1);
});

test("only so many differences of a kind are listed, all are counted", () => {
  const made = Array.from({ length: 10 }, (_, id): Made => ({ key: "a", id, text: "x" }));
  const { differences, counts } = compare(print(made), [], { limit: 3 });
  assert.deepEqual([differences.length, counts.missing], [3, 10]);
});
