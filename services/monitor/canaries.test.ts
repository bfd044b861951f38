import assert from "node:assert/strict";
import { test } from "node:test";
import { type AccountComparison, readControl } from "../bus/control.ts";
import type { OutgoingRecord } from "../bus/record.ts";
import { normalizeCanary, canaryRoutes } from "../bus/stage-canary.ts";
import { decodeEvent, newEvent } from "../core/events.ts";
import { canaryMessageType } from "../core/market-data.ts";
import { testContext, until } from "../core/testing.ts";
import type { Event } from "../core/envelope.ts";
import type { TradeResult } from "../core/trading.ts";
import { Canaries } from "./canaries.ts";
import { answeringStrategies, canaryVenueList } from "./service.ts";

/** The result that an executor gives for a raw canary, once normalizer and strategy have passed it on. */
function resultOf(record: OutgoingRecord): Event<TradeResult> {
  const raw = decodeEvent(canaryRoutes["near-intents"].rawType, record.value);
  assert.equal(raw.payload.message_type, canaryMessageType);
  const canary = decodeEvent("norm.canary", normalizeCanary(raw, record.partition ?? -1).value);
  return newEvent("exec.trade_result", {
    ...canary,
    payload: {
      command_id: canary.event_id,
      idempotency_key: `canary:dummy:${canary.event_id}`,
      strategy: "dummy",
      status: "DENIED",
      reason: { code: "canary", message: "a probe" },
      filled: { kind: "swap", amount_in: "0", amount_out: "0" },
      reference: {},
      completed_at: canary.observed_at,
    },
  });
}

const matched: AccountComparison = {
  venue: "alpaca",
  outcome: "matched",
  at: "2025-10-14T12:30:00.000Z",
  differences: [],
};

function start(accounts: () => Promise<AccountComparison[]> = () => Promise.resolve([matched])) {
  const context = testContext({ SERVICE_NAME: "result-monitor" });
  const sent: OutgoingRecord[] = [];
  const canaries = new Canaries({
    context,
    producer: {
      send: (record) => {
        sent.push(record);
        return Promise.resolve();
      },
    },
    venues: ["near-intents"],
    strategies: () => ["dummy"],
    everyMs: 300_000,
    accounts,
  });
  canaries.start();
  const ready = async () =>
    /trading_ready{service="test"} (\d)/.exec(await context.metrics.registry.metrics())?.[1];
  return { context, sent, canaries, ready };
}

test("a canary to each partition; when all results are in, trading is ready and everyone is told", async () => {
  const { context, sent, canaries, ready } = start();
  assert.deepEqual(
    sent.map(({ topic, partition }) => [topic, partition]),
    [0, 1, 2].map((partition) => ["raw.near-intents.quote", partition]),
  );
  const [first, ...others] = sent.slice();
  canaries.take(resultOf(first as OutgoingRecord), Date.now() + 3_000);
  assert.equal(await ready(), "0");
  for (const record of others) canaries.take(resultOf(record), Date.now());
  assert.equal(await ready(), "1");
  await until("everyone is told", () => sent.length > 3);
  const said = sent.slice(3).map(readControl);
  assert.equal(said.length, 1);
  assert.ok(said[0]?.type === "trading_ready" && said[0].canaries.length === 3);
  assert.deepEqual(said[0].accounts, [matched], "and what became of the accounts");
  const metrics = await context.metrics.registry.metrics();
  assert.match(metrics, /trading_canary_latency_seconds_bucket{le="2.5"[^}]*} 2/);
  assert.match(metrics, /trading_canary_latency_seconds_count{[^}]*} 3/);
  canaries.stop();
  assert.equal(await ready(), "0");
  canaries.start();
  assert.equal(sent.length, 4, "a drain that came before the start is not overlooked");
});

test("accounts that cannot be read keep nobody from hearing that trading is ready", async () => {
  const { sent, canaries } = start(() => Promise.reject(new Error("no broker")));
  for (const record of sent.slice()) canaries.take(resultOf(record), Date.now());
  await until("everyone is told", () => sent.length > 3);
  const said = readControl(sent[3] as OutgoingRecord);
  assert.ok(said.type === "trading_ready" && said.accounts === undefined);
});

test("what is missing is told once, in the order of what is told", async () => {
  const { sent, canaries } = start();
  canaries.notReady(["nobody answers"]);
  canaries.notReady(["nobody answers"]);
  for (const record of sent.slice()) canaries.take(resultOf(record), Date.now());
  canaries.notReady(["nobody answers"]);
  await until("everyone is told", () => sent.length >= 6);
  assert.deepEqual(
    sent.slice(3).map((record) => readControl(record).type),
    ["trading_not_ready", "trading_ready", "trading_not_ready"],
  );
});

test("the drain waits for canaries on their way", async () => {
  const { context, sent, canaries } = start();
  canaries.stop();
  let settled = false;
  const waiting = canaries.settled(context.signal).then(() => {
    settled = true;
  });
  for (const record of sent) {
    assert.equal(settled, false);
    canaries.take(resultOf(record), Date.now());
  }
  await waiting;
});

test("the strategies that answer are those whose groups read where the canaries arrive", () => {
  const groups = [
    { group: "strategy-dummy", topics: ["norm.swap_demand", "norm.stock_trade"] },
    { group: "strategy-bars", topics: ["norm.stock_bar"] },
    { group: "executor-alpaca", topics: ["norm.stock_trade"] },
  ];
  assert.deepEqual(answeringStrategies(groups, "alpaca"), ["dummy"]);
  assert.deepEqual(answeringStrategies(groups.slice(1), "near-intents"), []);
});

test("venues to probe: those that have a route, or none", () => {
  assert.deepEqual(canaryVenueList.parse("alpaca, near-intents"), ["alpaca", "near-intents"]);
  assert.deepEqual(canaryVenueList.parse("none"), []);
  for (const wrong of ["alpaca,none", "toString"]) {
    assert.match(
      canaryVenueList.safeParse(wrong).error?.message ?? "",
      /expected a list of near-intents, alpaca, or none/,
    );
  }
});
