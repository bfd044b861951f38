import assert from "node:assert/strict";
import { test } from "node:test";
import { deadLetterHeaders, deadLetterOf } from "./dead-letters.ts";

const record = {
  topic: "raw.near-intents.quote",
  partition: 2,
  offset: "9007199254740993",
  timestamp: 1_760_448_600_000,
  key: Buffer.from([0xff]),
  value: Buffer.from([0, 1, 2, 0xff]),
  headers: { trace: Buffer.from("abc") },
};

test("a dead letter keeps bytes, key and headers, and says where it came from and why", () => {
  const letter = deadLetterOf(record, new TypeError("bad".repeat(10_000)), "normalize-near-intents");
  assert.equal(letter.topic, "dead-letter");
  assert.deepEqual(letter.value, record.value);
  assert.equal(letter.key, record.key);
  const headers = letter.headers ?? {};
  assert.equal(headers[deadLetterHeaders.topic], record.topic);
  assert.equal(headers[deadLetterHeaders.partition], "2");
  assert.equal(headers[deadLetterHeaders.offset], "9007199254740993");
  assert.equal(headers[deadLetterHeaders.service], "normalize-near-intents");
  assert.equal(headers[deadLetterHeaders.errorType], "TypeError");
  assert.ok(String(headers[deadLetterHeaders.error]).length <= 2_000);
  assert.deepEqual(headers["original-trace"], record.headers.trace);
});

test("a record without key or value becomes a letter all the same", () => {
  const letter = deadLetterOf({ ...record, key: null, value: null }, new Error("empty"), "s");
  assert.equal(letter.key, "raw.near-intents.quote-2");
  assert.equal(letter.value.length, 0);
});

test("a record that is larger than a producer takes becomes a letter that says what was cut", () => {
  const value = Buffer.alloc(2 * 1024 * 1024, 1);
  const key = Buffer.alloc(1024 * 1024, 2);
  const huge = { ...record, key, value, headers: { trace: Buffer.alloc(1024 * 1024, 3) } };
  const letter = deadLetterOf(huge, new Error("too large"), "s");
  const headers = letter.headers ?? {};
  const bytes =
    letter.value.length +
    Buffer.byteLength(letter.key) +
    Object.entries(headers).reduce((sum, [name, held]) => sum + name.length + String(held).length + 10, 0);
  assert.ok(bytes < 900_000, `${bytes} bytes`);
  assert.deepEqual(letter.value, value.subarray(0, letter.value.length));
  assert.equal(
    headers[deadLetterHeaders.cut],
    "value of 2097152 bytes, key of 1048576 bytes, headers of 1048581 bytes",
  );
  assert.equal(headers[deadLetterHeaders.offset], huge.offset);
  assert.equal(deadLetterOf(record, new Error("small"), "s").headers?.[deadLetterHeaders.cut], undefined);
});
