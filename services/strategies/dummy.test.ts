import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeEvent } from "../core/envelope.ts";
import type { EventOf } from "../core/events.ts";
import { dummyStrategy, lot } from "./dummy.ts";
import { commandsFor, inputEvent } from "./testing.ts";

const options = { percent: 100, moveBasisPoints: 20 };

const amount = fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }).map(String);
const demand: fc.Arbitrary<EventOf<"norm.swap_demand">> = fc
  .record({
    quote_id: fc.string({ minLength: 1, maxLength: 300 }),
    asset_in: fc.constantFrom("a", "b"),
    asset_out: fc.constantFrom("c", "d"),
    amount,
    side: fc.constantFrom("exact_amount_in" as const, "exact_amount_out" as const),
    min_deadline_ms: fc.nat(),
  })
  .map(({ amount: value, side, ...rest }) =>
    inputEvent("norm.swap_demand", JSON.stringify([rest, value, side]), { ...rest, [side]: value }),
  );

test("the same demands give the same commands, byte by byte", () => {
  fc.assert(
    fc.property(fc.array(demand), (demands) => {
      const run = () =>
        commandsFor(dummyStrategy({ ...options, percent: 50 }), demands).map((command) =>
          encodeEvent(command).toString(),
        );
      assert.deepEqual(run(), run());
    }),
  );
});

test("an answer is valid, never better for the taker than the spread, inside its limits", () => {
  fc.assert(
    fc.property(demand, (event) => {
      const { payload } = event;
      for (const command of commandsFor(dummyStrategy(options), [event])) {
        const { payload: trade, causation_id, correlation_id } = command;
        assert.ok(trade.instruction.kind === "answer_swap");
        const { amount_in, amount_out, exact } = trade.instruction;
        assert.equal(
          exact === "in" ? amount_in : amount_out,
          payload.exact_amount_in ?? payload.exact_amount_out,
        );
        assert.ok(BigInt(amount_out) * 1_000n <= BigInt(amount_in) * 997n);
        assert.equal(trade.limits.max_amount_out, amount_out);
        assert.equal(trade.command_id, command.event_id);
        assert.equal(causation_id, event.event_id);
        assert.equal(correlation_id, event.correlation_id);
        assert.equal(
          Date.parse(trade.deadline) - Date.parse(event.ingested_at),
          payload.min_deadline_ms + 2_000,
          "still valid for min_deadline_ms when the relay takes it in",
        );
      }
    }),
  );
});

test("the share of answered demands follows from their content", () => {
  const demands = Array.from({ length: 5_000 }, (_, index) => ({
    quote_id: `quote-${index}`,
    asset_in: "a",
    asset_out: "b",
    exact_amount_in: "5",
    min_deadline_ms: 1,
  }));
  const chosen = demands.filter((each) => lot(each) < 10).length;
  assert.ok(chosen > 400 && chosen < 600, String(chosen));
  assert.ok(demands.every((each) => lot({ ...each, min_deadline_ms: 2 }) === lot(each)));
  assert.ok(demands.every((each) => lot(each) >= 0 && lot(each) < 100));
});

test("nothing is answered at zero percent, and no trade of nothing at a hundred", () => {
  const event = (exact_amount_in: string) =>
    inputEvent("norm.swap_demand", exact_amount_in, {
      quote_id: "q",
      asset_in: "a",
      asset_out: "b",
      exact_amount_in,
      min_deadline_ms: 1,
    });
  assert.equal(commandsFor(dummyStrategy({ ...options, percent: 0 }), [event("1000")]).length, 0);
  assert.equal(commandsFor(dummyStrategy(options), [event("1000")]).length, 1);
  assert.equal(commandsFor(dummyStrategy(options), [event("1")]).length, 0, "0.997 rounds to nothing");
});

function trades(prices: readonly string[], symbol = "AAPL"): EventOf<"norm.stock_trade">[] {
  return prices.map((price, index) =>
    inputEvent("norm.stock_trade", `${symbol} ${index}`, {
      symbol,
      trade_id: String(index),
      price,
      size: "1",
      conditions: [],
    }),
  );
}

/** The trades, by position, that a share is bought after, and the limits. */
function bought(prices: readonly string[]): [position: number, limit: string | undefined][] {
  const events = trades(prices);
  return commandsFor(dummyStrategy(options), events).map(({ payload, causation_id }) => {
    assert.ok(payload.instruction.kind === "place_order");
    const { side, quantity, limit_price, time_in_force } = payload.instruction;
    assert.deepEqual([side, quantity, time_in_force], ["buy", "1", "ioc"]);
    assert.equal(payload.limits.max_notional, limit_price);
    return [events.findIndex(({ event_id }) => event_id === causation_id), limit_price];
  });
}

test("a share is bought when the price has fallen by the threshold, to the last digit", () => {
  assert.deepEqual(bought(["100", "99.81", "99.8000000000000000001"]), []);
  assert.deepEqual(bought(["100", "99.8"]), [[1, "99.85"]]);
  assert.deepEqual(bought(["100", "99.8", "99.7", "99.61", "99.6"]), [
    [1, "99.85"],
    [4, "99.65"],
  ]);
});

test("a rise moves the reference and sells nothing", () => {
  assert.deepEqual(bought(["100", "110", "109.78"]), [[2, "109.84"]]);
  assert.deepEqual(bought(["100", "100.19", "99.9"]), [], "a small rise moves nothing");
});

test("each symbol has its own reference, and prices of nothing count for nothing", () => {
  const [a, b] = [trades(["100", "99"], "A"), trades(["50", "49.99"], "B")] as const;
  const commands = commandsFor(
    dummyStrategy(options),
    [a[0], b[0], b[1], a[1]].flatMap((event) => event ?? []),
  );
  assert.deepEqual(
    commands.map(({ causation_id }) => causation_id),
    [a[1]?.event_id],
  );
  assert.deepEqual(bought(["0", "100", "0", "0.00"]), []);
});

test("a limit is one that exchanges take: cents from a dollar, hundredths of a cent below", () => {
  assert.deepEqual(bought(["2", "0.99994"]), [[1, "1.01"]]);
  assert.deepEqual(bought(["2", "0.5"]), [[1, "0.5003"]]);
  assert.deepEqual(bought(["2", "0.00000001"]), [[1, "0.0001"]]);
});

test("whatever the prices are, no trade is refused", () => {
  const price = fc
    .tuple(fc.nat(), fc.nat())
    .map(([whole, fraction]) => `${whole}.${String(fraction).padStart(10, "0")}`);
  fc.assert(fc.property(fc.array(price), (prices) => void bought(prices)));
});
