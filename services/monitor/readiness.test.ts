import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Readiness, type Path, type Verdict } from "./readiness.ts";

const paths: readonly Path[] = [
  { venue: "a", partition: 0 },
  { venue: "a", partition: 1 },
  { venue: "b", partition: 0 },
];
const strategies = (venue: string): string[] => (venue === "a" ? ["one", "two"] : []);
const timing = { everyMs: 100_000, repeatMs: 5_000, answerMs: 30_000 };

/** A monitor that sends what is due; every canary's ids are `<venue><partition>@<time>`. */
class World {
  readonly readiness = new Readiness(paths, strategies, timing, 0);

  tick(now: number): { sent: string[]; verdict: Verdict | undefined } {
    const { send, verdict } = this.readiness.tick(now);
    const sent = send.map((path) => {
      const id = `${path.venue}${path.partition}@${now}`;
      this.readiness.sent(path, id, `canary ${id}`, now);
      return id;
    });
    return { sent, verdict };
  }

  /** Answers by everyone. @returns what was said to the last answer. */
  answerAll(ids: readonly string[]): Verdict | undefined {
    let verdict: Verdict | undefined;
    for (const id of ids) {
      for (const strategy of id.startsWith("a") ? ["one", "two"] : ["whoever"]) {
        verdict = this.readiness.answered(id, strategy)?.verdict ?? verdict;
      }
    }
    return verdict;
  }
}

test("ready when every path has been answered by every strategy that is known there", () => {
  const world = new World();
  const { sent } = world.tick(0);
  assert.deepEqual(sent, ["a0@0", "a1@0", "b0@0"]);
  assert.equal(world.answerAll(["a0@0", "b0@0"]), undefined);
  assert.deepEqual(world.readiness.answered("a1@0", "two"), { venue: "a", sentAt: 0, verdict: undefined });
  assert.equal(world.readiness.answered("a1@0", "two"), undefined, "the same answer again");
  assert.equal(world.readiness.answered("a1@0", "three"), undefined, "a strategy that was not expected");
  assert.equal(world.readiness.isReady, false);
  assert.deepEqual(world.readiness.answered("a1@0", "one")?.verdict, {
    kind: "ready",
    canaries: ["canary a0@0", "canary b0@0", "canary a1@0"],
  });
  assert.equal(world.readiness.isReady, true);
  assert.equal(world.readiness.open, 0);
  assert.equal(world.readiness.answered("a1@7", "one"), undefined, "a canary of somebody else");
});

test("what is not answered is sent again, and an answer to an earlier canary counts", () => {
  const world = new World();
  world.tick(0);
  world.answerAll(["a0@0"]);
  assert.deepEqual(world.tick(4_999).sent, []);
  assert.deepEqual(world.tick(5_000).sent, ["a1@5000", "b0@5000"]);
  assert.equal(world.answerAll(["a1@0", "b0@5000"])?.kind, "ready");
  assert.equal(world.readiness.open, 2, "the others may still arrive");
});

test("nothing is due between rounds; a round that is not answered in time ends the readiness, once", () => {
  const world = new World();
  world.answerAll(world.tick(0).sent);
  assert.deepEqual(world.tick(99_999), { sent: [], verdict: undefined });
  const { sent } = world.tick(100_000);
  assert.equal(sent.length, 3);
  assert.equal(world.readiness.isReady, true, "until proved otherwise");
  world.answerAll(["b0@100000"]);
  assert.equal(world.tick(129_999).verdict, undefined);
  assert.deepEqual(world.tick(130_000).verdict, {
    kind: "late",
    missing: ["a partition 0: one, two", "a partition 1: one, two"],
    was: true,
  });
  assert.equal(world.readiness.isReady, false);
  assert.equal(world.tick(131_000).verdict, undefined);
  assert.deepEqual(world.tick(160_000).verdict?.kind, "late");
  assert.equal(world.answerAll(["a0@100000", "a1@129999"])?.kind, "ready", "it has recovered");
  assert.equal(world.tick(200_000).sent.length, 3, "rounds keep their rhythm");
});

test("after the end nothing is sent or judged", () => {
  const world = new World();
  const { sent } = world.tick(0);
  world.readiness.end();
  assert.deepEqual(world.tick(1_000_000), { sent: [], verdict: undefined });
  assert.equal(world.readiness.open, 3);
  assert.equal(world.answerAll(sent), undefined);
  assert.equal(world.readiness.open, 0);
  assert.equal(world.readiness.isReady, false);
});

test("whatever the order of answers and repeats, ready is said exactly when everyone has answered", () => {
  const wanted = paths.flatMap(({ venue, partition }) =>
    (venue === "a" ? ["one", "two"] : ["whoever"]).map((strategy) => ({
      path: `${venue}${partition}`,
      strategy,
    })),
  );
  const answers = fc.array(fc.record({ who: fc.constantFrom(...wanted), round: fc.constantFrom(0, 5_000) }));
  fc.assert(
    fc.property(answers, (given) => {
      const world = new World();
      world.tick(0);
      world.tick(5_000);
      const seen = new Set<string>();
      let said = 0;
      for (const { who, round } of given) {
        const verdict = world.readiness.answered(`${who.path}@${round}`, who.strategy)?.verdict;
        seen.add(`${who.path} ${who.strategy}`);
        if (verdict?.kind === "ready") said += 1;
        assert.equal(world.readiness.isReady, seen.size === wanted.length);
        assert.equal(said, world.readiness.isReady ? 1 : 0);
      }
    }),
  );
});
