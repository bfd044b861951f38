import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeEvent, type Event } from "../core/envelope.ts";
import { decodeEvent, newEvent } from "../core/events.ts";
import { rawEventId } from "../core/ids.ts";
import { canaryMessageType, type RawMessage } from "../core/market-data.ts";
import { testContext } from "../core/testing.ts";
import { deadLetterHeaders } from "./dead-letters.ts";
import { RecordTooLargeError } from "./producer.ts";
import type { OutgoingRecord, ReceivedRecord } from "./record.ts";
import { RefusedEventError, stageHandler } from "./stage.ts";
import { canaryRoutes, canaryVenues } from "./stage-canary.ts";

const session = "2ed6657d-e927-568b-95e1-2665a8aea6a2";
const canary = { canary_id: "7d4f2a76-5be4-4c9f-9d8f-0f4f6b0b8a11", sent_at: "2025-10-14T13:30:00.000Z" };

function rawEvent(text: string, messageType: string, venue = "near-intents"): Event<RawMessage> {
  const id = rawEventId(session, 0);
  const type = venue === "alpaca" ? "raw.alpaca.stock" : "raw.near-intents.quote";
  return newEvent(type, {
    event_id: id,
    venue,
    observed_at: "2025-10-14T13:30:00.000Z",
    ingested_at: "2025-10-14T13:30:00.000Z",
    payload: { session_id: session, sequence: 0, message_type: messageType },
    raw: text,
    correlation_id: id,
  });
}

function recordOf(value: Buffer | null, more: Partial<ReceivedRecord> = {}): ReceivedRecord {
  return {
    topic: "raw",
    partition: 2,
    offset: "7",
    timestamp: 0,
    key: Buffer.from("k"),
    value,
    headers: {},
    ...more,
  };
}

/** A stage whose output is the text of the event; "refused" is refused and "huge" is too large for Kafka. */
function stage(type: "raw.near-intents.quote" | "raw.alpaca.stock" = "raw.near-intents.quote") {
  const written: OutgoingRecord[] = [];
  const context = testContext({ SERVICE_NAME: "normalize" });
  const send = (record: OutgoingRecord): Promise<void> => {
    if (record.value.toString() === "huge") return Promise.reject(new RecordTooLargeError("out", 2, 1));
    written.push(record);
    return Promise.resolve();
  };
  const handle = stageHandler(
    {
      type,
      transform: ({ raw }) => {
        if (raw === "refused") throw new RefusedEventError("refused by the test");
        if (raw === "bug") throw new TypeError("a bug");
        return [{ topic: "out", key: "k", value: Buffer.from(raw ?? "") }];
      },
      context,
    },
    { send, sendAll: async (records) => void (await Promise.all(records.map(send))) },
  );
  return { handle, written, context };
}

for (const venue of canaryVenues) {
  test(`a canary of ${venue} passes to the topic of the strategies, in its partition, the same bytes each time`, async () => {
    const { raw, rawType, norm } = canaryRoutes[venue];
    assert.ok((raw.schemas as readonly string[]).includes(rawType));
    assert.ok((norm.schemas as readonly string[]).includes("norm.canary"));
    const { handle, written } = stage(rawType);
    const cause = rawEvent(JSON.stringify(canary), canaryMessageType, venue);
    await handle(recordOf(encodeEvent(cause)));
    await handle(recordOf(encodeEvent(cause)));
    const [first, second] = written as [OutgoingRecord, OutgoingRecord];
    assert.deepEqual(first, second);
    assert.equal(first.topic, norm.name);
    assert.equal(first.partition, 2);
    const event = decodeEvent("norm.canary", first.value);
    assert.deepEqual(event.payload, canary);
    assert.equal(event.correlation_id, cause.event_id);
    assert.equal(event.causation_id, cause.event_id);
  });
}

test("what cannot be used is put aside with its origin, and the next record is handled", async () => {
  const { handle, written } = stage();
  const poison: [ReceivedRecord, RegExp][] = [
    [recordOf(Buffer.from("{broken")), /not JSON/],
    [recordOf(null), /no value/],
    [recordOf(encodeEvent(rawEvent("text", "quote")), { key: null }), /no key/],
    [recordOf(encodeEvent({ ...rawEvent("text", "quote"), schema_version: 99 })), /schema_version is 99/],
    [recordOf(encodeEvent({ ...rawEvent("x", "quote"), observed_at: "2035-10-14T13:30:00Z" })), /days after/],
    [recordOf(encodeEvent(rawEvent("refused", "quote"))), /refused by the test/],
    [recordOf(encodeEvent(rawEvent("huge", "quote"))), /has 2 bytes/],
    [recordOf(encodeEvent(rawEvent("{}", canaryMessageType))), /not a canary: canary_id.*sent_at/],
    [recordOf(encodeEvent(rawEvent("{broken", canaryMessageType))), /not a canary/],
    [recordOf(encodeEvent(rawEvent(JSON.stringify(canary), canaryMessageType, "elsewhere"))), /no route/],
  ];
  for (const [record, why] of poison) {
    await handle(record);
    const letter = written.at(-1) as OutgoingRecord;
    assert.equal(letter.topic, "dead-letter");
    assert.deepEqual(letter.value, record.value ?? Buffer.alloc(0));
    assert.match(String(letter.headers?.[deadLetterHeaders.error]), why);
    assert.equal(letter.headers?.[deadLetterHeaders.partition], "2");
    assert.equal(letter.headers[deadLetterHeaders.offset], "7");
  }
  await handle(recordOf(encodeEvent(rawEvent("good", "quote"))));
  assert.equal(written.at(-1)?.value.toString(), "good");
});

test("a mistake in the program is no bad input: it is not put aside", async () => {
  const { handle, written } = stage();
  await assert.rejects(async () => handle(recordOf(encodeEvent(rawEvent("bug", "quote")))), TypeError);
  assert.equal(written.length, 0);
});

test("the latency of the stage runs from the receipt to the acknowledgement", async () => {
  const { handle, context } = stage();
  const at = new Date(Date.now() - 3_000).toISOString();
  const event = { ...rawEvent("good", "quote"), observed_at: at, ingested_at: at };
  await handle(recordOf(encodeEvent(event)));
  const metrics = await context.metrics.registry.metrics();
  assert.match(metrics, /trading_stage_latency_seconds_bucket{le="2.5"[^}]*stage="norm"} 0/);
  assert.match(metrics, /trading_stage_latency_seconds_count{[^}]*stage="norm"} 1/);
});
