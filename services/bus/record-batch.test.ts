import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decompressFrameSync } from "lz4-napi";
import { crc32c } from "./crc32c.ts";
import { type BatchRecord, RecordBatchBuilder } from "./record-batch.ts";

test("CRC-32C as RFC 3720 (appendix B.4) and the usual check value have it", () => {
  assert.equal(crc32c(Buffer.from("123456789")), 0xe3069283);
  assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa);
  assert.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43);
  assert.equal(crc32c(Buffer.from(Array.from({ length: 32 }, (_, index) => index))), 0x46dd794e);
});

/** A batch read back after the description of the format in Kafka's documentation (Messages, Record Batch). */
function read(batch: Buffer) {
  assert.equal(batch.readInt32BE(8), batch.length - 12);
  assert.equal(batch.readInt8(16), 2);
  assert.equal(batch.readUInt32BE(17), crc32c(batch.subarray(21)));
  assert.equal(batch.readInt16BE(21), 3);
  const first = batch.readBigInt64BE(27);
  const records = decompressFrameSync(batch.subarray(61));
  let at = 0;
  const number = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = records.readUInt8(at++);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    return BigInt.asIntN(64, (value >> 1n) ^ -(value & 1n));
  };
  const bytes = (): Buffer | null => {
    const length = Number(number());
    return length < 0 ? null : records.subarray(at, (at += length));
  };
  const found: BatchRecord[] = [];
  for (let index = 0; index < batch.readInt32BE(57); index++) {
    const end = Number(number()) + at;
    assert.equal(records.readUInt8(at++), 0);
    const timestamp = String(first + number());
    assert.equal(number(), BigInt(index));
    const [key, value] = [bytes(), bytes()];
    const headers = Array.from(
      { length: Number(number()) },
      () => [String(bytes()), bytes()] as [string, Buffer | null],
    );
    assert.equal(at, end);
    found.push({ timestamp, key, value, headers });
  }
  assert.equal(at, records.length);
  const producer = {
    producerId: batch.readBigInt64BE(43),
    producerEpoch: batch.readInt16BE(51),
    baseSequence: batch.readInt32BE(53),
  };
  return { found, producer, maximum: batch.readBigInt64BE(35), lastDelta: batch.readInt32BE(23) };
}

const content = fc.option(
  fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
  { nil: null },
);
const record = fc.record(
  {
    timestamp: fc
      .oneof(
        fc.bigInt({ min: -1n, max: 2n ** 62n }),
        fc.bigInt({ min: 1_700_000_000_000n, max: 1_700_000_100_000n }),
      )
      .map(String),
    key: content,
    value: content,
    headers: fc.array(fc.tuple(fc.string({ unit: "grapheme", maxLength: 5 }), content), { maxLength: 4 }),
  },
  { noNullPrototype: true },
);

test("every record is in the batch as it was given: nulls, headers in their order, any timestamp", () => {
  const builder = new RecordBatchBuilder(16);
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 70 }), (records) => {
      for (const each of records) builder.add(each);
      assert.equal(builder.records, records.length);
      const producer = { producerId: 2n ** 40n, producerEpoch: 3, baseSequence: 77 };
      const batch = read(builder.build(producer));
      assert.deepEqual(batch.found, records);
      assert.deepEqual(batch.producer, producer);
      assert.equal(batch.lastDelta, records.length - 1);
      const timestamps = records.map(({ timestamp }) => BigInt(timestamp));
      assert.equal(
        batch.maximum,
        timestamps.reduce((a, b) => (a > b ? a : b)),
      );
      assert.equal(builder.records, 0);
    }),
  );
});
