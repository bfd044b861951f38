import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ArchiveLineError, type ArchivedRecord, decodeLine, encodeLine } from "./line.ts";

const base: ArchivedRecord = {
  topic: "norm.swap_demand",
  partition: 2,
  offset: "123",
  timestamp: "1760448600000",
  key: Buffer.from("k"),
  headers: [],
  value: null,
};
const withValue = (value: string | Buffer) => ({ ...base, value: Buffer.from(value) });
const encodingOf = (record: ArchivedRecord) =>
  (JSON.parse(encodeLine(record)) as { value_encoding: string }).value_encoding;

test("the line has the documented fields in the documented order", () => {
  const record = { ...withValue('{"a":[1.5,null]}'), headers: [["h", Buffer.from([255])]] } as ArchivedRecord;
  assert.equal(
    encodeLine(record),
    '{"topic":"norm.swap_demand","partition":2,"offset":"123","timestamp":"1760448600000","key":"k",' +
      '"key_encoding":"utf8","headers":[["h","/w==","base64"]],"value":{"a":[1.5,null]},"value_encoding":"json"}',
  );
});

test("a value stands as JSON only if printing it gives the same bytes back", () => {
  for (const json of [
    '{"a":1}',
    "null",
    "true",
    '"x"',
    "[]",
    "0.1",
    "1e+21",
    '{"__proto__":1}',
    '"\u2028"',
  ]) {
    assert.equal(encodingOf(withValue(json)), "json", json);
  }
  const texts = [
    '{"a": 1}', // a blank
    "1.0",
    "1e400", // would become null
    "-0",
    "12345678901234567890", // would lose digits
    '{"a":1,"a":2}', // would lose a field
    '{"b":1,"1":2}', // would change their order
    '"\\u0041"',
    "[1]\n",
    "\ufeff[1]", // a byte order mark
    "{",
    "",
    "[".repeat(201) + "]".repeat(201), // deeper than other parsers go
    "[".repeat(100_000), // would overflow the stack
  ];
  for (const text of texts) assert.equal(encodingOf(withValue(text)), "utf8", text.slice(0, 30));
  assert.equal(encodingOf(withValue(Buffer.from([0xc3, 0x28]))), "base64");
  assert.equal(encodingOf(base), "null");
});

const bytes = fc.oneof(
  fc.constant(null),
  fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array)),
  fc.string({ unit: "binary", maxLength: 40 }).map((text) => Buffer.from(text)),
  fc.json().map((text) => Buffer.from(text)),
  fc.json().map((text) => Buffer.from(JSON.stringify(JSON.parse(text)))),
);
const fields = {
  topic: fc.stringMatching(/^[a-zA-Z0-9._-]{1,40}$/),
  partition: fc.nat(1_000),
  offset: fc.bigInt(0n, 2n ** 63n - 1n).map(String),
  timestamp: fc.bigInt(-1n, 2n ** 63n - 1n).map(String),
  key: bytes,
  headers: fc.array(fc.tuple(fc.string({ unit: "binary" }), bytes), { maxLength: 4 }),
  value: bytes,
};
const records: fc.Arbitrary<ArchivedRecord> = fc.record(fields, { noNullPrototype: true });

test("any record comes back as it was, and its line is one line", () => {
  fc.assert(
    fc.property(records, (record) => {
      const line = encodeLine(record);
      assert.ok(!line.includes("\n"));
      assert.deepEqual(decodeLine(line), record);
    }),
    { numRuns: 2_000 },
  );
});

test("what is no line is refused with the reason", () => {
  const line = JSON.parse(encodeLine(withValue("[1]"))) as Record<string, unknown>;
  const cases: [unknown, RegExp][] = [
    [{ ...line, partition: -1 }, /partition/],
    [{ ...line, offset: 123 }, /offset/],
    [{ ...line, extra: 1 }, /extra/],
    [{ ...line, value: "a!", value_encoding: "base64" }, /value: not base64/],
    [{ ...line, value: "a", value_encoding: "null" }, /value: encoding null, but there is a value/],
    [{ ...line, key: null }, /key: encoding utf8 needs a text/],
    [[], /line/],
  ];
  for (const [wrong, message] of cases) {
    assert.throws(
      () => decodeLine(JSON.stringify(wrong)),
      (error: Error) => {
        assert.ok(error instanceof ArchiveLineError);
        assert.match(error.message, message);
        return true;
      },
    );
  }
  assert.throws(() => decodeLine("{"), /not JSON/);
});
