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
  assert.equal(letter.value, record.value);
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
