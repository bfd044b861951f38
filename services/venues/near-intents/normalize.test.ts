import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { RefusedEventError } from "../../bus/stage.ts";
import { encodeEvent, type Event } from "../../core/envelope.ts";
import { decodeEvent, newEvent } from "../../core/events.ts";
import { type RawMessage } from "../../core/market-data.ts";
import { rawEventId } from "../../core/ids.ts";
import { demandRecord, normalizeQuote } from "./normalize.ts";

const session = "2ed6657d-e927-568b-95e1-2665a8aea6a2";

function rawOf(text: string, sequence = 0): Event<RawMessage> {
  const id = rawEventId(session, sequence);
  return newEvent("raw.near-intents.quote", {
    event_id: id,
    venue: "near-intents",
    observed_at: "2025-10-14T13:30:00.000Z",
    ingested_at: "2025-10-14T13:30:00.000Z",
    payload: { session_id: session, sequence, message_type: "quote" },
    raw: text,
    correlation_id: id,
  });
}

const quote = fc.record({
  quote_id: fc.uuid(),
  defuse_asset_identifier_in: fc.constantFrom("nep141:wrap.near", "nep245:v2_1.omni.hot.tg:56_11"),
  defuse_asset_identifier_out: fc.constantFrom("nep141:eth.omft.near", "nep141:usdt.tether-token.near"),
  amount: fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }).map(String),
  side: fc.constantFrom("exact_amount_in" as const, "exact_amount_out" as const),
  min_deadline_ms: fc.nat(),
});

/** Both shapes in which the relay's events come. */
function frames(fields: object): string[] {
  return [
    JSON.stringify({ jsonrpc: "2.0", method: "subscribe", params: { subscription: "s", ...fields } }),
    JSON.stringify({
      jsonrpc: "2.0",
      method: "event",
      params: { subscription: "s", data: fields, metadata: {} },
    }),
  ];
}

test("both shapes of a quote give the same demand, amounts to the last digit, and the same bytes each time", () => {
  fc.assert(
    fc.property(quote, ({ amount, side, ...rest }) => {
      const fields = { ...rest, [side]: amount, min_wait_ms: 300, max_wait_ms: 3_000, unknown_field: {} };
      const demands = frames(fields).map((text) => normalizeQuote(rawOf(text)));
      assert.deepEqual(demands[0], demands[1]);
      const record = demandRecord(normalizeQuote(rawOf(frames(fields)[0] ?? "")));
      assert.deepEqual(record.value, encodeEvent(demands[0] as Event));
      const { payload } = decodeEvent("norm.swap_demand", record.value);
      assert.equal(payload[side], amount);
      assert.equal(payload.min_deadline_ms, rest.min_deadline_ms);
      assert.equal(record.key, `${rest.defuse_asset_identifier_in}|${rest.defuse_asset_identifier_out}`);
    }),
  );
});

const good = {
  quote_id: "q",
  defuse_asset_identifier_in: "a",
  defuse_asset_identifier_out: "b",
  exact_amount_in: "1",
  min_deadline_ms: 60_000,
};

test("a demand keeps its source's times and ids; two equal quotes are two demands", () => {
  const [text = ""] = frames(good);
  const [first, second] = [rawOf(text, 0), rawOf(text, 1)];
  const demand = normalizeQuote(first);
  assert.equal(demand.causation_id, first.event_id);
  assert.equal(demand.correlation_id, first.event_id);
  assert.equal(demand.ingested_at, first.ingested_at);
  assert.equal(demand.raw, undefined);
  assert.notEqual(demand.event_id, normalizeQuote(second).event_id);
});

test("a missing deadline is the relay's default, and one written as text is read", () => {
  const deadline = (fields: object) => normalizeQuote(rawOf(frames(fields)[0] ?? "")).payload.min_deadline_ms;
  assert.equal(deadline({ ...good, min_deadline_ms: undefined }), 60_000);
  assert.equal(deadline({ ...good, min_deadline_ms: "120000" }), 120_000);
});

test("what is no usable quote is refused, with what is wrong", () => {
  const refused: [string, RegExp][] = [
    ["not JSON", /not an event/],
    ["[]", /not an event/],
    ['{"jsonrpc":"2.0","id":1,"result":"OK"}', /not an event/],
    ...frames({ ...good, quote_id: undefined }).map((text): [string, RegExp] => [text, /quote_id/]),
    ...frames({ ...good, exact_amount_in: "1.5" }).map((text): [string, RegExp] => [text, /exact_amount_in/]),
    ...frames({ ...good, exact_amount_in: "-1" }).map((text): [string, RegExp] => [text, /exact_amount_in/]),
    ...frames({ ...good, exact_amount_out: "2" }).map((text): [string, RegExp] => [text, /exactly one/]),
    ...frames({ ...good, exact_amount_in: 5 }).map((text): [string, RegExp] => [text, /exact_amount_in/]),
  ];
  for (const [text, why] of refused) {
    assert.throws(
      () => normalizeQuote(rawOf(text)),
      (error) => error instanceof RefusedEventError && why.test(error.message),
      text,
    );
  }
});

test("no text whatever makes the normalizer fail in another way", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      try {
        normalizeQuote(rawOf(text));
      } catch (error) {
        assert.ok(error instanceof RefusedEventError);
      }
    }),
  );
});
