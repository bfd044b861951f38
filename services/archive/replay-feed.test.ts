/** Feeding a day: everything once, in order of each partition, and not before its time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ClusterArchive } from "./cluster-archive.ts";
import type { Manifest } from "./documents.ts";
import { parseObjectName } from "./layout.ts";
import type { ArchivedRecord } from "./line.ts";
import { ObjectBuilder } from "./object.ts";
import { chainStart } from "./record-hash.ts";
import { feed, type Speed } from "./replay-feed.ts";

/** An archive of one topic in memory: the records' times by partition. */
async function archiveOf(times: readonly (readonly number[])[]) {
  const bodies = new Map<string, Buffer>();
  const partitions = await Promise.all(
    times.map(async (ofPartition, partition) => {
      const builder = new ObjectBuilder(chainStart);
      ofPartition.forEach((time, index) =>
        builder.add({
          topic: "raw",
          partition,
          offset: String(index),
          timestamp: String(time),
          key: null,
          headers: [],
          value: Buffer.from(String(time)),
        }),
      );
      const last = BigInt(ofPartition.length) - 1n;
      const { name, body, expected } = await builder.build(
        { topic: "raw", partition, first: 0n, last },
        "gzip",
      );
      assert.ok(parseObjectName(name));
      bodies.set(name, body);
      const { sha256, records, recordsSha256 } = expected;
      return { partition, records, objects: [{ name, bytes: body.length, sha256, records, recordsSha256 }] };
    }),
  );
  const get = (name: string) => Promise.resolve({ body: bodies.get(name), metadata: {} });
  return {
    archive: { get, prefix: "dev/" } as unknown as ClusterArchive,
    manifest: { topics: [{ topic: "raw", partitions }] } as unknown as Manifest,
  };
}

async function fed(
  times: readonly (readonly number[])[],
  speed: Speed,
  signal = AbortSignal.timeout(30_000),
) {
  const added: { record: ArchivedRecord; at: number }[] = [];
  const flushed = new Map<number, number>();
  let told = 0;
  const started = performance.now();
  await feed({
    ...(await archiveOf(times)),
    topics: ["raw"],
    speed,
    output: (_topic, partition) => ({
      add: (record) => {
        added.push({ record, at: performance.now() - started });
        return undefined;
      },
      flush: async () =>
        void flushed.set(partition, added.filter(({ record }) => record.partition === partition).length),
    }),
    onFed: (records) => (told += records),
    signal,
  });
  return { added, flushed, told };
}

test("flat out: everything once, in order of each partition, all of it written", async () => {
  const times = [[5, 3, 9], [1], [2, 2]];
  const { added, flushed, told } = await fed(times, "max");
  times.forEach((ofPartition, partition) => {
    const found = added.filter(({ record }) => record.partition === partition);
    assert.deepEqual(
      found.map(({ record }) => Number(record.timestamp)),
      ofPartition,
    );
    assert.equal(flushed.get(partition), ofPartition.length);
  });
  assert.equal(told, 6);
});

test("at a speed: no record before its time, in any partition, and order before time", async () => {
  const day = Date.parse("2025-10-14T13:30:00Z");
  const { added, told } = await fed([[0, 2_000, 1_000, 3_000].map((ms) => day + ms), [day + 1_500]], 10);
  for (const { record, at } of added) {
    const due = (Number(record.timestamp) - day) / 10;
    assert.ok(at >= due - 2, `${record.partition}@${record.offset} came after ${at} ms, due after ${due}`);
  }
  assert.deepEqual(
    added.filter(({ record }) => record.partition === 0).map(({ record }) => record.offset),
    ["0", "1", "2", "3"],
  );
  assert.equal(told, 5);
});

test("a wait of days ends with the signal", async () => {
  const abort = new AbortController();
  const waiting = fed([[0, 30 * 24 * 3_600_000]], 1, abort.signal);
  abort.abort(new Error("enough"));
  await assert.rejects(waiting, /enough|aborted/);
});
