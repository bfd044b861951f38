import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { readConfig } from "../core/config.ts";
import type { Event } from "../core/envelope.ts";
import { newEvent } from "../core/events.ts";
import { derivedEventId } from "../core/ids.ts";
import { toInstant } from "../core/time.ts";
import type { ExecuteTrade } from "../core/trading.ts";
import { TradingGates } from "./gates.ts";
import { OrderRate, refuseCommand, refuseOrder, riskVariables, type TradingConditions } from "./risk.ts";
import { readClock } from "./venue-clock.ts";

const now = Date.parse("2025-10-14T13:30:00.000Z");
const id = derivedEventId("cmd.execute_trade", "1");
const swap = {
  kind: "answer_swap",
  quote_id: "q",
  asset_in: "nep141:a=b.near",
  asset_out: "b",
  amount_in: "11",
  amount_out: "10",
  exact: "in",
} as const;
const shares = {
  kind: "place_order",
  symbol: "AAPL",
  side: "buy",
  quantity: "1",
  order_type: "market",
  time_in_force: "day",
} as const;

function command(more: Partial<ExecuteTrade> = {}, ageMs = 0): Event<ExecuteTrade> {
  return newEvent("cmd.execute_trade", {
    event_id: id,
    venue: "v",
    observed_at: toInstant(now),
    ingested_at: toInstant(now - ageMs),
    payload: {
      command_id: id,
      idempotency_key: "k",
      strategy: "s",
      venue: "v",
      deadline: toInstant(now + 1_000),
      limits: { max_amount_out: "10", max_notional: "500" },
      instruction: swap,
      ...more,
    },
  });
}

const limits = (environment: Record<string, string> = {}) => readConfig(riskVariables, environment);
const good: TradingConditions = { now, blocked: undefined, clock: { isOpen: true, skewMs: 0 } };

test("each gate that needs no order refuses with its own word", () => {
  const cases: [Partial<TradingConditions>, Event<ExecuteTrade>, string | undefined][] = [
    [{}, command(), undefined],
    [{ blocked: { code: "kill_switch", message: "" } }, command(), "kill_switch"],
    [{}, command({}, 60_000), undefined],
    [{}, command({}, 60_001), "stale_command"],
    [{ clock: "unknown" }, command(), "clock_skew"],
    [{ clock: undefined }, command(), undefined],
    [{ clock: { isOpen: true, skewMs: 1_000 } }, command(), undefined],
    [{ clock: { isOpen: true, skewMs: -1_001 } }, command(), "clock_skew"],
    [{ clock: { isOpen: false, skewMs: 0 } }, command(), "market_closed"],
    [
      { clock: { isOpen: false, skewMs: 0 } },
      command({ instruction: { ...shares, extended_hours: true } }),
      undefined,
    ],
    [{}, command({ limits: { max_amount_out: "9" } }), "limit_exceeded"],
  ];
  for (const [conditions, event, code] of cases) {
    assert.equal(refuseCommand(event, { ...good, ...conditions }, limits())?.code, code);
  }
});

test("each gate that needs the order refuses with its own word", () => {
  const none = { symbols: ["a", "b"], notional: undefined };
  const order = (notional: string | undefined) => ({ symbols: ["AAPL"], notional });
  const buy = command({ instruction: shares }).payload;
  assert.equal(refuseOrder(command().payload, none, limits()), undefined);
  assert.equal(refuseOrder(buy, order("500"), limits()), undefined);
  assert.equal(refuseOrder(buy, order("500.01"), limits())?.code, "limit_exceeded");
  assert.equal(refuseOrder(buy, order("400"), limits({ RISK_MAX_NOTIONAL: "399.99" }))?.code, "max_notional");
  assert.equal(refuseOrder(buy, order(undefined), limits())?.code, "max_notional");
  assert.equal(refuseOrder(buy, order("1"), limits({ RISK_SYMBOLS: "MSFT" }))?.code, "symbol_not_allowed");
  assert.equal(refuseOrder(buy, order("1"), limits({ RISK_SYMBOLS: "MSFT, AAPL" })), undefined);
  const amounts = (text: string) =>
    refuseOrder(command().payload, none, limits({ RISK_MAX_AMOUNTS: text }))?.code;
  assert.equal(amounts("b=10, nep141:a=b.near=11"), undefined);
  assert.equal(amounts("b=9"), "max_amount");
  assert.equal(amounts("nep141:a=b.near=10"), "max_amount");
});

test("all mistakes of the limits are told by name, without defaults that hide them", () => {
  assert.throws(
    () => limits({ RISK_MAX_NOTIONAL: "-1", RISK_MAX_AMOUNTS: "b=1.5,c", RISK_MAX_CLOCK_SKEW_MS: "0" }),
    /RISK_MAX_NOTIONAL.*\n.*RISK_MAX_AMOUNTS.*b=1\.5(.|\n)*found c(.|\n)*RISK_MAX_CLOCK_SKEW_MS/,
  );
});

test("in no window of a minute are there more orders than allowed, and none is refused needlessly", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 5 }),
      fc.array(fc.integer({ min: 0, max: 40_000 })),
      (most, pauses) => {
        let time = 0;
        const rate = new OrderRate(most, () => time);
        const allowed: number[] = [];
        for (const pause of pauses) {
          time += pause;
          const inWindow = allowed.filter((then) => time - then < 60_000).length;
          const refused = rate.take();
          assert.equal(refused?.code, inWindow < most ? undefined : "max_orders_per_minute");
          if (refused === undefined) allowed.push(time);
        }
      },
    ),
  );
});

test("the clocks' difference is certain only as far as the way of the question cannot explain it", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -5_000, max: 5_000 }),
      fc.nat(2_000),
      fc.nat(2_000),
      (difference, there, back) => {
        const asked = 1_000_000;
        const venueNow = asked + there + difference;
        const { skewMs } = readClock({ now: venueNow, isOpen: true }, asked, asked + there + back);
        assert.ok(Math.abs(skewMs) <= Math.abs(difference), "never more than it is");
        assert.ok(Math.abs(skewMs) >= Math.abs(difference) - (there + back), "and all but the way");
        assert.ok(skewMs === 0 || Math.sign(skewMs) === Math.sign(difference));
      },
    ),
  );
});

test("a kill switch stops its venue until it is released; a mismatch is told apart", () => {
  const gates = new TradingGates({
    venue: "v",
    limits: limits(),
    clock: { reading: undefined },
    now: () => now,
  });
  const at = toInstant(now);
  const say = (state: "engaged" | "released", scope: string, reason = "r") =>
    gates.apply({ type: "kill_switch", state, scope, reason, by: "test", at });
  const code = () => gates.command(command())?.code;
  assert.equal(code(), undefined);
  say("engaged", "w");
  assert.equal(code(), undefined);
  say("engaged", "v", "account_mismatch: position AAPL");
  assert.equal(code(), "account_mismatch");
  say("engaged", "*");
  assert.equal(code(), "kill_switch");
  say("released", "*");
  assert.equal(code(), undefined);
  say("engaged", "v");
  assert.equal(code(), "kill_switch");
  say("released", "v");
  assert.equal(code(), undefined);
});
