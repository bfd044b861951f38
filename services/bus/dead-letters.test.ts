import assert from "node:assert/strict";
import { test } from "node:test";
import {
  deadLetterHeaders,
  deadLetterOf,
  deadLetterOfMessage,
  largestDeadLetterValue,
} from "./dead-letters.ts";
import { largeRecordBytes } from "./topics.ts";

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
  assert.equal(letter.headers?.[deadLetterHeaders.absent], "key, value");
  const empty = deadLetterOf({ ...record, value: Buffer.alloc(0) }, new Error("empty"), "s");
  assert.equal(empty.headers?.[deadLetterHeaders.absent], undefined);
});

test("a large record is kept whole", () => {
  const value = Buffer.alloc(2 * 1024 * 1024, 1);
  const letter = deadLetterOf({ ...record, value }, new Error("too large"), "s");
  assert.ok(value.equals(letter.value));
  assert.equal(letter.headers?.[deadLetterHeaders.cut], undefined);
});

test("a venue's message becomes a letter with its text and where in the feed it came", () => {
  const message = {
    topic: "stock-stream-2025-10-14",
    key: "AAPL",
    eventId: "2ed6657d-e927-568b-95e1-2665a8aea6a2",
    venue: "alpaca",
    sessionId: "886313e1-3b8a-5372-9b90-0c9aee199e5d",
    sequence: 7,
    receivedAt: 1_760_448_600_000,
    text: `"\u2028ü${"x".repeat(2 * 1024 * 1024)}`,
  };
  const letter = deadLetterOfMessage(message, new RangeError("too large"), "ingest");
  assert.equal(letter.value.toString("utf8"), message.text);
  assert.equal(letter.key, "AAPL");
  assert.deepEqual(letter.headers, {
    [deadLetterHeaders.topic]: message.topic,
    [deadLetterHeaders.timestamp]: "1760448600000",
    [deadLetterHeaders.venue]: "alpaca",
    [deadLetterHeaders.session]: message.sessionId,
    [deadLetterHeaders.sequence]: "7",
    [deadLetterHeaders.eventId]: message.eventId,
    [deadLetterHeaders.service]: "ingest",
    [deadLetterHeaders.errorType]: "RangeError",
    [deadLetterHeaders.error]: "too large",
  });
});

test("a record that is larger than the topic takes becomes a letter that says what was cut", () => {
  const value = Buffer.alloc(24 * 1024 * 1024, 1);
  const key = Buffer.alloc(1024 * 1024, 2);
  const huge = { ...record, key, value, headers: { trace: Buffer.alloc(1024 * 1024, 3) } };
  const letter = deadLetterOf(huge, new Error("too large"), "s");
  const headers = letter.headers ?? {};
  const bytes =
    letter.value.length +
    Buffer.byteLength(letter.key) +
    Object.entries(headers).reduce((sum, [name, held]) => sum + name.length + String(held).length + 10, 0);
  assert.ok(bytes < (largeRecordBytes.get("dead-letter") ?? 0), `${bytes} bytes`);
  assert.ok(letter.value.equals(value.subarray(0, largestDeadLetterValue)));
  assert.equal(
    headers[deadLetterHeaders.cut],
    "value of 25165824 bytes, key of 1048576 bytes, headers of 1048581 bytes",
  );
  assert.equal(headers[deadLetterHeaders.offset], huge.offset);
  assert.equal(deadLetterOf(record, new Error("small"), "s").headers?.[deadLetterHeaders.cut], undefined);
});
