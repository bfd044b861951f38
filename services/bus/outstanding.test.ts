import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Outstanding } from "./outstanding.ts";

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("work of a partition finishes in order, whatever is done first; partitions do not wait for each other", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom("a", "b"), { minLength: 1, maxLength: 8 }),
      fc.infiniteStream(fc.nat()),
      async (partitions, dice) => {
        const outstanding = new Outstanding();
        const finished: number[] = [];
        const done: (() => void)[] = [];
        partitions.forEach((partition, index) => {
          const work = new Promise<void>((resolve) => done.push(resolve));
          void outstanding.add(partition, 2, work, () => finished.push(index));
        });
        const open = new Set(partitions.keys());
        while (open.size > 0) {
          const index = [...open][(dice.next().value as number) % open.size] as number;
          open.delete(index);
          done[index]?.();
          await turn();
          const expected = [...partitions.keys()].filter((each) =>
            [...open].every((other) => other > each || partitions[other] !== partitions[each]),
          );
          assert.deepEqual([...finished].sort(), expected.sort());
          assert.equal(outstanding.records, 2 * (partitions.length - expected.length));
        }
        for (const partition of ["a", "b"]) {
          const own = finished.filter((index) => partitions[index] === partition);
          assert.deepEqual(
            own,
            [...own].sort((x, y) => x - y),
          );
        }
        await outstanding.none();
      },
    ),
  );
});

test("after a failure nothing later of the partition counts as finished", async () => {
  const outstanding = new Outstanding();
  let finished = 0;
  const first = outstanding.add("a", 1, Promise.reject(new Error("failed")), () => (finished += 1));
  const second = outstanding.add("a", 1, Promise.resolve(), () => (finished += 1));
  await assert.rejects(first, /failed/);
  await assert.rejects(second, /failed/);
  await outstanding.none();
  assert.equal(finished, 0);
  assert.equal(outstanding.records, 0);
});

test("a change wakes who waits; without one the time does", async () => {
  const outstanding = new Outstanding();
  await outstanding.change(1);
  let resolve: () => void = () => undefined;
  const work = new Promise<void>((done) => (resolve = done));
  const added = outstanding.add("a", 1, work, () => undefined);
  const change = outstanding.change(60_000);
  resolve();
  await change;
  await added;
});
