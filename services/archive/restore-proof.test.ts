import assert from "node:assert/strict";
import { test } from "node:test";
import type { LogRecord } from "../bus/kafka-log.ts";
import { RecordHash } from "./record-hash.ts";
import { RestoredReceiver } from "./restore-proof.ts";

const record = (offset: number): LogRecord => ({
  topic: "copy",
  partition: 0,
  offset: String(offset),
  timestamp: "1760448600000",
  key: null,
  headers: [],
  value: Buffer.from(`value ${offset}`),
});

test("each restored record is hashed once, also when a batch comes again because it could not be read to its end", async () => {
  const receiver = new RestoredReceiver(
    { topic: "original", target: "copy", partition: 0, start: 5n, records: 3 },
    () => undefined,
  );
  const broken = new Error("no list of records");
  const unreadable = function* (): Generator<LogRecord> {
    yield record(4);
    yield record(5);
    yield record(6);
    throw broken;
  };
  for (let attempt = 0; attempt < 2; attempt++)
    await assert.rejects(receiver.take(4n, unreadable(), 9n), broken);
  assert.equal(receiver.isComplete, false);
  await receiver.take(4n, [4, 5, 6, 7, 8].map(record), 9n);
  assert.equal(receiver.isComplete, true);
  const expected = new RecordHash();
  for (const offset of [5, 6, 7]) expected.add({ ...record(offset), topic: "original" });
  assert.deepEqual(receiver.point, expected.point);
});
