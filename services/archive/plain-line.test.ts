import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ArchiveLineError, type ArchivedRecord, decodeLine, encodeLine } from "./line.ts";
import { PlainLineReader } from "./plain-line.ts";

const base: ArchivedRecord = {
  topic: "raw.stock_trade",
  partition: 1,
  offset: "123",
  timestamp: "1760448600000",
  key: Buffer.from("AAPL"),
  headers: [],
  value: Buffer.from('{"price":254.12,"deep":[{"a":null}]}'),
};
const reader = new PlainLineReader(base.topic, base.partition);
const read = (line: string): ArchivedRecord | undefined => reader.read(Buffer.from(line));

/** Reads as `decodeLine` does, or leaves the line to it. @returns whether it was read. */
function readsAlike(line: Buffer): boolean {
  const record = reader.read(line);
  if (record === undefined) return false;
  assert.deepEqual(record, decodeLine(line.toString()), line.toString());
  return true;
}

test("lines of events are read, with and without a key", () => {
  for (const key of [base.key, null, Buffer.alloc(0), Buffer.from("Škoda €")]) {
    assert.ok(readsAlike(Buffer.from(encodeLine({ ...base, key }))));
  }
  for (const value of ["0", '"x"', "{}", '{"value":1,"value_encoding":"json"}', '"€"']) {
    assert.ok(readsAlike(Buffer.from(encodeLine({ ...base, value: Buffer.from(value) }))), value);
  }
});

test("what is not such a line is left to the decoder", () => {
  const line = encodeLine(base);
  for (const other of [
    encodeLine({ ...base, topic: "raw.stock_quote" }),
    encodeLine({ ...base, partition: 11 }),
    encodeLine({ ...base, key: Buffer.from([0xff]) }),
    encodeLine({ ...base, key: Buffer.from('"') }),
    encodeLine({ ...base, headers: [["h", null]] }),
    encodeLine({ ...base, value: null }),
    encodeLine({ ...base, value: Buffer.from("text") }),
    encodeLine({ ...base, value: Buffer.from([0xff]) }),
    line.replace('"123"', '"12345678901234567890"'),
    line.replace('"123"', '""'),
    line.replace("254.12", "254.120"),
    line.replace('{"price"', '{ "price"'),
    line.replace('"deep":', '"price":'),
    line.slice(0, -1),
    `${line} `,
    "",
  ]) {
    assert.equal(read(other), undefined, other);
  }
});

test("a line cut off anywhere is not read", () => {
  const line = Buffer.from(encodeLine(base));
  for (let end = 0; end < line.length; end++) assert.equal(reader.read(line.subarray(0, end)), undefined);
});

test("any record is read as the decoder reads it", () => {
  const bytes = fc
    .oneof(fc.json(), fc.string({ unit: "binary" }), fc.uint8Array())
    .map((content) => Buffer.from(content as string));
  const record = fc.record({
    key: fc.option(bytes),
    value: fc.option(bytes),
    offset: fc.bigInt({ min: 0n, max: 2n ** 52n }).map(String),
    timestamp: fc.bigInt({ min: -1n, max: 2n ** 62n }).map(String),
  });
  fc.assert(
    fc.property(record, (some) => {
      readsAlike(Buffer.from(encodeLine({ ...base, ...some })));
    }),
  );
});

test("never a record where the decoder finds a mistake, whatever happens to the bytes", () => {
  const line = Buffer.from(encodeLine({ ...base, key: Buffer.from("Škoda") }));
  const change = fc.tuple(fc.nat({ max: line.length - 1 }), fc.nat({ max: 255 }));
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
      const changed = Buffer.from(line);
      for (const [at, byte] of changes) changed[at] = byte;
      try {
        readsAlike(changed);
      } catch (error) {
        assert.ok(!(error instanceof ArchiveLineError), `read, but ${String(error)}`);
        throw error;
      }
    }),
    { numRuns: 3_000 },
  );
});
