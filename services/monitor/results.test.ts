import assert from "node:assert/strict";
import { test } from "node:test";
import type { ReceivedRecord } from "../bus/record.ts";
import { encodeEvent } from "../core/envelope.ts";
import { InvalidEventError, newEvent } from "../core/events.ts";
import { derivedEventId } from "../core/ids.ts";
import { testContext } from "../core/testing.ts";
import type { TradeResult } from "../core/trading.ts";
import { ResultWatch } from "./results.ts";

function resultRecord(index: number, latencyMs: number, reason?: TradeResult["reason"]): ReceivedRecord {
  const id = derivedEventId("cmd.execute_trade", String(index));
  const ingestedAt = "2025-10-14T13:30:00.000Z";
  const event = newEvent("exec.trade_result", {
    event_id: derivedEventId("exec.trade_result", id),
    venue: "near-intents",
    observed_at: ingestedAt,
    ingested_at: ingestedAt,
    payload: {
      command_id: id,
      idempotency_key: `k${index}`,
      strategy: "dummy",
      status: reason === undefined ? "FILLED" : "DENIED",
      ...(reason === undefined ? {} : { reason }),
      filled: { kind: "swap", amount_in: "1", amount_out: "1" },
      reference: {},
      completed_at: ingestedAt,
    },
  });
  return {
    topic: "exec.trade_result",
    partition: 0,
    offset: String(index),
    timestamp: Date.parse(ingestedAt) + latencyMs,
    key: null,
    value: encodeEvent(event),
    headers: {},
  };
}

test("latency runs from the receipt to the record; a second result counts as a duplicate only", async () => {
  const context = testContext();
  const watch = new ResultWatch(context, () => assert.fail("no canary"));
  watch.take(resultRecord(1, 20));
  watch.take(resultRecord(2, 3_000));
  watch.take(resultRecord(2, 3_000));
  const metrics = await context.metrics.registry.metrics();
  const bucket = (bound: string) =>
    Number(
      new RegExp(`trading_trade_latency_seconds_bucket{le="${bound}"[^}]*} (\\d+)`).exec(metrics)?.[1] ?? NaN,
    );
  assert.equal(bucket("0.01"), 0);
  assert.equal(bucket("0.025"), 1);
  assert.equal(bucket("5"), 2);
  assert.match(metrics, /trading_trade_results_total{venue="near-intents",status="FILLED",service="test"} 2/);
  assert.match(metrics, /trading_duplicate_results_total{venue="near-intents",service="test"} 1/);
});

test("what is no result is refused", () => {
  const watch = new ResultWatch(testContext(), () => undefined);
  assert.throws(() => watch.take({ ...resultRecord(1, 1), value: Buffer.from("{}") }), InvalidEventError);
});

test("a canary is no trade: it is handed on and counted nowhere", async () => {
  const context = testContext();
  const canaries: string[] = [];
  const watch = new ResultWatch(context, ({ payload }) => canaries.push(payload.idempotency_key));
  watch.take(resultRecord(1, 5, { code: "canary", message: "a probe" }));
  watch.take(resultRecord(2, 5, { code: "kill_switch", message: "a trade" }));
  assert.deepEqual(canaries, ["k1"]);
  const metrics = await context.metrics.registry.metrics();
  assert.match(metrics, /trading_trade_results_total{venue="near-intents",status="DENIED",service="test"} 1/);
  assert.match(metrics, /trading_trade_latency_seconds_count{[^}]*} 1/);
});
