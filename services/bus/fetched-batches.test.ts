import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeFetch, encodeFetch, type FetchedLog } from "./fetch.ts";
import { committedBatches, endOfBatches, FetchedDataError } from "./fetched-batches.ts";
import type { LogRecord } from "./kafka-log.ts";
import { type BatchRecord, RecordBatchBuilder } from "./record-batch.ts";

/** A batch as a broker stores it. @param attributes beside the compression: 16 transactional, 32 control, 8 append time. */
function batch(
  baseOffset: bigint,
  records: readonly BatchRecord[],
  attributes = 0,
  producerId = -1n,
): Buffer {
  const builder = new RecordBatchBuilder();
  for (const record of records) builder.add(record);
  const bytes = builder.build({ producerId, producerEpoch: 0, baseSequence: 0 });
  bytes.writeBigInt64BE(baseOffset, 0);
  if (attributes === 0) return bytes;
  return withChecksum(bytes, (copy) => copy.writeInt16BE(copy.readInt16BE(21) | attributes, 21));
}

/** A copy that was changed, with the checksum that it then has. */
function withChecksum(bytes: Buffer, change: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(bytes);
  change(copy);
  copy.writeUInt32BE(castagnoli(copy.subarray(21)), 17);
  return copy;
}

/** Bit by bit, as RFC 3720 defines it. */
function castagnoli(bytes: Buffer): number {
  let rest = 0xffffffff;
  for (const byte of bytes) {
    rest ^= byte;
    for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ 0x82f63b78 : rest >>> 1;
  }
  return ~rest >>> 0;
}

const log = (batches: Buffer, more: Partial<FetchedLog> = {}): FetchedLog => ({
  topic: "t",
  partition: 3,
  errorCode: 0,
  highWatermark: 99n,
  abortedTransactions: [],
  batches,
  ...more,
});
const plain = (value: string): BatchRecord => ({
  timestamp: "1760448600000",
  key: null,
  headers: [],
  value: Buffer.from(value),
});
const marker = (offset: bigint, producerId: bigint, type: "abort" | "commit") =>
  batch(
    offset,
    [{ ...plain(""), key: Buffer.from([0, 0, 0, type === "abort" ? 0 : 1]) }],
    16 | 32,
    producerId,
  );
const values = (fetched: FetchedLog): string[] =>
  [...committedBatches(fetched)].flatMap(({ records }) => [...records].map(({ value }) => String(value)));

test("records come back as they were written, headers in their order, timestamps to the last digit", () => {
  const bytes = fc.option(fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array)));
  const record = fc.record({
    timestamp: fc.oneof(
      fc.bigInt(-1n, 2n ** 63n - 1n).map(String),
      fc.integer({ min: 0, max: 2e12 }).map(String),
    ),
    key: bytes,
    headers: fc.array(fc.tuple(fc.string({ unit: "binary", maxLength: 9 }), bytes), { maxLength: 3 }),
    value: bytes,
  });
  fc.assert(
    fc.property(
      fc.array(record, { minLength: 1, maxLength: 20 }),
      fc.bigInt(0n, 2n ** 50n),
      (records, base) => {
        const expected = records.map((one, index): LogRecord => {
          return { topic: "t", partition: 3, offset: String(base + BigInt(index)), ...one };
        });
        const batches = batch(base, records);
        const [found, ...more] = committedBatches(log(batches));
        assert.equal(more.length, 0);
        assert.ok(found !== undefined);
        assert.deepEqual([...found.records], expected);
        assert.equal(found.end, base + BigInt(records.length));
        assert.equal(endOfBatches(batches), found.end);
      },
    ),
  );
});

test("transactions: markers and aborted records are left out, and count for the end", () => {
  const batches = Buffer.concat([
    batch(10n, [plain("1, aborted")], 16, 1n),
    batch(11n, [plain("2, aborted")], 16, 2n),
    marker(12n, 2n, "abort"),
    batch(13n, [plain("2, committed")], 16, 2n),
    marker(14n, 1n, "abort"),
    marker(15n, 2n, "commit"),
    batch(16n, [plain("1, committed"), plain("1, too")], 16, 1n),
    marker(18n, 1n, "commit"),
  ]);
  const abortedTransactions = [
    { producerId: 2n, firstOffset: 11n },
    { producerId: 1n, firstOffset: 10n },
  ];
  assert.deepEqual(values(log(batches, { abortedTransactions })), ["2, committed", "1, committed", "1, too"]);
  assert.equal(endOfBatches(batches), 19n);
  assert.deepEqual([...committedBatches(log(batches, { abortedTransactions }))].at(-1)?.end, 19n);
});

test("what is cut off at the end comes later; damaged bytes are never taken for records", () => {
  const first = batch(0n, [plain("a")]);
  const both = Buffer.concat([first, batch(1n, [plain("b")])]);
  for (let length = first.length; length < both.length; length++) {
    assert.deepEqual(values(log(both.subarray(0, length))), ["a"]);
    assert.equal(endOfBatches(both.subarray(0, length)), 1n);
  }
  assert.equal(endOfBatches(Buffer.alloc(0)), undefined);
  // Behind the checksum; offset and length in front of it are the broker's word.
  for (let at = 16; at < first.length; at++) {
    const damaged = Buffer.from(first);
    damaged.writeUInt8(damaged.readUInt8(at) ^ 1, at);
    assert.throws(() => values(log(damaged)), FetchedDataError, `byte ${at}`);
  }
  for (const count of [-1, 0, 2]) {
    const miscounted = withChecksum(first, (copy) => copy.writeInt32BE(count, 57));
    assert.throws(() => values(log(miscounted)), FetchedDataError, `${count} records`);
  }
  const snappy = withChecksum(first, (copy) => copy.writeInt16BE(2, 21));
  assert.throws(() => values(log(snappy)), /t\/3 at offset 0: records are compressed with snappy/);
});

test("with the broker's time, that of the batch counts", () => {
  const [found] = committedBatches(
    log(batch(0n, [plain("a"), { ...plain("b"), timestamp: "1760448600009" }], 8)),
  );
  assert.deepEqual(
    [...(found?.records ?? [])].map(({ timestamp }) => timestamp),
    ["1760448600009", "1760448600009"],
  );
});

test("a request names each topic once for partitions side by side; an answer is read to its end", () => {
  const targets = [
    { topic: "a", partition: 0, offset: 5n },
    { topic: "a", partition: 2, offset: 6n },
    { topic: "b", partition: 1, offset: 7n },
  ];
  const request = encodeFetch({ targets, minBytes: 1, maxWaitMs: 20, maxBytes: 4, partitionBytes: 3 });
  assert.equal(request.toString("latin1").split("\u0001a").length, 2);
  // Two topics.
  assert.equal(request.readInt32BE(25), 2);
  const batches = batch(0n, [plain("x")]);
  const answer = Buffer.alloc(200 + batches.length);
  let at = answer.writeInt32BE(7, 0);
  at = answer.writeInt16BE(0, at);
  at = answer.writeInt32BE(0, at);
  at = answer.writeInt32BE(1, at);
  at = answer.writeInt16BE(1, at);
  at += answer.write("t", at);
  at = answer.writeInt32BE(1, at);
  at = answer.writeInt32BE(3, at);
  at = answer.writeInt16BE(0, at);
  at = answer.writeBigInt64BE(99n, at);
  at = answer.writeBigInt64BE(99n, at);
  at = answer.writeBigInt64BE(0n, at);
  at = answer.writeInt32BE(1, at);
  at = answer.writeBigInt64BE(4n, at);
  at = answer.writeBigInt64BE(5n, at);
  at = answer.writeInt32BE(-1, at);
  at = answer.writeInt32BE(batches.length, at);
  at += batches.copy(answer, at);
  const { clientSideThrottleTime, logs } = decodeFetch(answer.subarray(0, at));
  assert.equal(clientSideThrottleTime, 7);
  const abortedTransactions = [{ producerId: 4n, firstOffset: 5n }];
  assert.deepEqual(logs, [log(batches, { abortedTransactions })]);
});
