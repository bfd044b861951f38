import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { derivedFrom, encodeEvent, type Event } from "./envelope.ts";
import { decodeEvent, eventTypes, InvalidEventError, newEvent } from "./events.ts";
import { type RawMessage } from "./market-data.ts";

const instant = fc
  .date({ min: new Date("1970-01-01"), max: new Date("2100-01-01"), noInvalidDate: true })
  .map((date) => date.toISOString());

const rawEvent: fc.Arbitrary<Event<RawMessage>> = fc
  .record({
    event_id: fc.uuid(),
    observed_at: instant,
    ingested_at: instant,
    // Every text, lone surrogates included: raw must survive exactly.
    raw: fc.string({ unit: "binary" }).map((text) => `${text}\ud800"\\ \u2028`),
    session_id: fc.uuid(),
    sequence: fc.nat(),
    message_type: fc.option(fc.string()),
  })
  .map(({ session_id, sequence, message_type, ...rest }) =>
    newEvent("raw.alpaca.stock", {
      ...rest,
      venue: "alpaca",
      payload: { session_id, sequence, message_type },
      correlation_id: rest.event_id,
    }),
  );

test("an event survives being written and read, to the letter of its raw text", () => {
  fc.assert(
    fc.property(rawEvent, (event) => {
      const bytes = encodeEvent(event);
      const read = decodeEvent("raw.alpaca.stock", bytes);
      assert.deepEqual(read, event);
      assert.deepEqual(encodeEvent(read), bytes);
    }),
  );
});

test("any bytes are either an event or a named mistake", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array(),
        fc.json().map((text) => Buffer.from(text)),
      ),
      (bytes) => {
        assert.throws(() => decodeEvent("norm.swap_demand", Buffer.from(bytes)), InvalidEventError);
      },
    ),
  );
  assert.throws(() => decodeEvent("norm.swap_demand", null), /no value/);
});

const demand = newEvent("norm.swap_demand", {
  event_id: "2ed6657d-e927-568b-95e1-2665a8aea6a2",
  venue: "near-intents",
  observed_at: "2025-10-14T13:30:00.000Z",
  ingested_at: "2025-10-14T13:30:00.000Z",
  payload: {
    quote_id: "q",
    asset_in: "a",
    asset_out: "b",
    exact_amount_in: "340282366920938463463374607431768211456",
    min_deadline_ms: 60_000,
  },
});

test("all mistakes of an event are named together", () => {
  const wrong = {
    ...demand,
    observed_at: "today",
    payload: { ...demand.payload, exact_amount_in: 5, extra: 1 },
  };
  assert.throws(
    () => decodeEvent("norm.swap_demand", Buffer.from(JSON.stringify(wrong))),
    (error) =>
      error instanceof InvalidEventError &&
      ["observed_at", "payload.exact_amount_in", "extra"].every((part) => error.message.includes(part)),
  );
});

test("exactly one amount is given", () => {
  const with_ = (payload: object) =>
    Buffer.from(JSON.stringify({ ...demand, payload: { ...demand.payload, ...payload } }));
  assert.throws(() => decodeEvent("norm.swap_demand", with_({ exact_amount_out: "1" })), /exactly one/);
  assert.throws(() => decodeEvent("norm.swap_demand", with_({ exact_amount_in: undefined })), /exactly one/);
});

test("another type and a version from the future are refused", () => {
  const encode = (fields: object) => Buffer.from(JSON.stringify({ ...demand, ...fields }));
  assert.throws(() => decodeEvent("norm.swap_demand", encode({ event_type: "norm.other" })), /event_type is/);
  const next = eventTypes["norm.swap_demand"].version + 1;
  assert.throws(() => decodeEvent("norm.swap_demand", encode({ schema_version: next })), /knows up to/);
});

test("a derived event carries its source's times and the chain's id", () => {
  const derived = derivedFrom({ ...demand, correlation_id: "886313e1-3b8a-5372-9b90-0c9aee199e5d" });
  assert.deepEqual(derived, {
    observed_at: demand.observed_at,
    ingested_at: demand.ingested_at,
    causation_id: demand.event_id,
    correlation_id: "886313e1-3b8a-5372-9b90-0c9aee199e5d",
  });
  assert.equal(derivedFrom(demand).correlation_id, demand.event_id);
});
