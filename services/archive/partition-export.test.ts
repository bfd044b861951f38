import assert from "node:assert/strict";
import { test } from "node:test";
import { pino } from "pino";
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
  memory: () => undefined,
  room: () => Promise.resolve(),
  stored: () => undefined,
};

test("a topic that is deleted while its export pauses is a loss", async () => {
  const abort = new AbortController();
  const partition = new PartitionExport({
    topic: "t",
    partition: 0,
    listed: [],
    rotation: { bytes: 1_000_000, ageMs: 60_000 },
    codec: "gzip",
    logger: pino({ level: "silent" }),
    work,
    signal: abort.signal,
  });
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
