import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
import { until } from "../core/testing.ts";
import type { ListedRange } from "./cluster-archive.ts";
import type { ArchivedRecord } from "./line.ts";
import { PartitionExport, type PartitionWork } from "./partition-export.ts";

const record = (offset: number): ArchivedRecord => ({
  topic: "t",
  partition: 0,
  offset: String(offset),
  timestamp: "1760448600000",
  key: null,
  headers: [],
  value: Buffer.from(`{"n":${offset}}`),
});

/** A bucket that takes everything. */
const work: PartitionWork = {
  build: (build) => build(),
  store: () => Promise.resolve(),
  look: () => Promise.resolve(undefined),
  collected: () => undefined,
  underWay: () => undefined,
  room: () => Promise.resolve(),
  stored: () => undefined,
};

const abort = new AbortController();

function make(listed: readonly ListedRange[] = [], more: Partial<PartitionWork> = {}): PartitionExport {
  return new PartitionExport({
    topic: "t",
    partition: 0,
    listed,
    rotation: { bytes: 1_000_000, ageMs: 60_000 },
    codec: "gzip",
    logger: pino({ level: "silent" }),
    work: { ...work, ...more },
    signal: abort.signal,
  });
}

test("a topic of the same name with another id is not read on, whenever that shows", async () => {
  const partition = make();
  partition.identified("a");
  partition.identified("b");
  assert.equal(partition.broken, undefined, "nothing was archived of the first one");
  await partition.take(0n, [record(0)], 1n);
  partition.identified("b");
  assert.equal(partition.broken, undefined);
  partition.identified("c");
  assert.match(partition.broken ?? "", /^t\/0: the topic was deleted and created again/);

  const object = { topic: "t", partition: 0, first: 0n, last: 4n, name: "n", bytes: 1, etag: "e" };
  const before = { records: 0, sha256: "0".repeat(64) };
  const expected = { sha256: "", records: 5, before, recordsSha256: "1".repeat(64), topicId: "a" };
  for (const [live, isSame] of [
    ["a", true],
    ["b", false],
  ] as const) {
    const looked = Promise.resolve(expected);
    const resumed = make([object], { look: () => looked });
    resumed.identified(live);
    await resumed.flush();
    assert.equal(resumed.position, 5n);
    assert.equal(resumed.broken === undefined, isSame, live);
  }
});

test("a topic that is deleted while its export pauses is a loss", async () => {
  const partition = make();
  partition.revive();
  await partition.take(0n, [record(0), record(1)], 2n);
  await partition.flush();
  assert.equal(partition.archived.end, 2n);
  // Damaged twice at the same place: the second time it waits before it goes on.
  partition.setBack(0n, "test");
  partition.setBack(0n, "test");
  assert.equal(partition.position, undefined);
  partition.deleted(2n);
  abort.abort();
  assert.deepEqual(partition.allLosses, [
    "t/0: the topic was deleted when offsets 0 to 1 were not archived yet",
  ]);
});

test("what is counted as memory is nothing when nothing is left, whatever happened on the way", async () => {
  const storing: { resolve: () => void; reject: (error: Error) => void }[] = [];
  let collected = 0;
  let underWay = 0;
  let fails = false;
  const partition = make([], {
    collected: (bytes) => void (collected += bytes),
    underWay: (bytes) => void (underWay += bytes),
    build: (build) => (fails ? Promise.reject(new Error("no memory")) : build()),
    store: () => new Promise((resolve, reject) => storing.push({ resolve, reject })),
  });
  const stored = async (count: number): Promise<void> => {
    await until("objects are on their way", () => storing.length === count);
    assert.ok(underWay > 0);
    for (const { resolve } of storing.splice(0)) resolve();
  };
  const large = { ...record(0), value: Buffer.alloc(600_000, "x") };
  await partition.take(0n, [record(0), record(1)], 2n);
  assert.ok(collected > 0 && underWay === 0);
  const flushed = partition.flush();
  await stored(1);
  await flushed;
  assert.deepEqual({ collected, underWay }, { collected: 0, underWay: 0 });
  // Two objects are cut while one batch is taken; the second waits for the first to be stored.
  const two = [2, 3, 4, 5, 6].map((offset) => ({ ...large, offset: String(offset) }));
  await partition.take(2n, two, 7n);
  assert.ok(collected > 600_000 && underWay > 0);
  // Set back while the first is being stored: neither counts any more.
  await until("the first is on its way", () => storing.length === 1);
  partition.setBack(2n, "test");
  assert.equal(collected, 0);
  await stored(1);
  await until("nothing is under way", () => underWay === 0);
  // A batch that cannot be read to its end, then an object that cannot be made.
  const broken = function* (): Generator<ArchivedRecord> {
    yield record(2);
    throw new Error("no list of records");
  };
  await assert.rejects(partition.take(2n, broken(), 9n), /no list of records/);
  assert.equal(partition.position, 3n);
  fails = true;
  await assert.rejects(partition.flush(), /no memory/);
  assert.deepEqual({ collected, underWay }, { collected: 0, underWay: 0 });
});
