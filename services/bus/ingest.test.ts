import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeEvent } from "../core/events.ts";
import type { FeedSession } from "../core/feed-connection.ts";
import { newSessionId } from "../core/ids.ts";
import { testContext } from "../core/testing.ts";
import { deadLetterHeaders } from "./dead-letters.ts";
import { makeIntake } from "./ingest.ts";
import { RecordTooLargeError } from "./producer.ts";
import type { OutgoingRecord } from "./record.ts";

function session(): FeedSession & { log: string[] } {
  const log: string[] = [];
  return {
    id: newSessionId(),
    log,
    send: () => undefined,
    established: () => undefined,
    pause: () => log.push("pause"),
    resume: () => log.push("resume"),
    fail: () => undefined,
  };
}

function make(fail?: Error) {
  const context = testContext();
  const sent: OutgoingRecord[] = [];
  let makeRoom: () => void = () => undefined;
  const producer = {
    hasRoom: true,
    send: (record: OutgoingRecord) => {
      sent.push(record);
      return fail === undefined || record.topic === "dead-letter" ? Promise.resolve() : Promise.reject(fail);
    },
    room: () => new Promise<void>((resolve) => (makeRoom = resolve)),
  };
  const take = makeIntake({ context, topic: "raw", type: "raw.alpaca.stock", venue: "alpaca" }, producer);
  return { context, sent, producer, take, room: () => makeRoom() };
}

test("messages are numbered per session; equal messages are two events", () => {
  const { take, sent } = make();
  const [first, second] = [session(), session()];
  const message = { text: '{"T":"t"}', messageType: "t", key: "AAPL" };
  take(first, message);
  take(first, message);
  take(second, { ...message, observedAt: "2025-10-14T13:30:00.123456789Z" });
  const events = sent.map(({ value }) => decodeEvent("raw.alpaca.stock", value));
  assert.deepEqual(
    events.map(({ payload }) => [payload.session_id, payload.sequence]),
    [
      [first.id, 0],
      [first.id, 1],
      [second.id, 0],
    ],
  );
  assert.equal(new Set(events.map(({ event_id }) => event_id)).size, 3);
  assert.ok(events.every(({ event_id, correlation_id }) => correlation_id === event_id));
  assert.ok(events.every(({ raw }) => raw === message.text));
  assert.equal(events[0]?.observed_at, events[0]?.ingested_at);
  assert.equal(events[2]?.observed_at, "2025-10-14T13:30:00.123456789Z");
  assert.ok(sent.every(({ key }) => key === "AAPL"));
});

test("the venue is held back while Kafka does not keep up", async () => {
  const { take, producer, room } = make();
  const current = session();
  const message = { text: "{}", messageType: null, key: "k" };
  producer.hasRoom = false;
  take(current, message);
  take(current, message);
  assert.deepEqual(current.log, ["pause"]);
  producer.hasRoom = true;
  room();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(current.log, ["pause", "resume"]);
});

test("a message that no broker takes is put aside with its origin, a failed send is fatal", async () => {
  const large = make(new RecordTooLargeError("raw", 2, 1));
  const current = session();
  large.take(current, { text: "too much", messageType: null, key: "k" });
  const failed = make(new Error("fenced"));
  failed.take(session(), { text: "{}", messageType: null, key: "k" });
  await new Promise((resolve) => setImmediate(resolve));
  const [, letter, ...others] = large.sent;
  assert.equal(others.length, 0);
  assert.equal(letter?.topic, "dead-letter");
  assert.equal(letter.value.toString(), "too much");
  assert.equal(letter.headers?.[deadLetterHeaders.topic], "raw");
  assert.equal(letter.headers[deadLetterHeaders.session], current.id);
  assert.equal(letter.headers[deadLetterHeaders.sequence], "0");
  assert.equal(letter.headers[deadLetterHeaders.venue], "alpaca");
  assert.deepEqual(large.context.fatals, []);
  assert.equal(failed.context.fatals.length, 1);
});
