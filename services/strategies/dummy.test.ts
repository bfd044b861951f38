import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { encodeEvent, type Event } from "../core/envelope.ts";
import { decodeEvent, newEvent } from "../core/events.ts";
import { type SwapDemand } from "../core/market-data.ts";
import { derivedEventId } from "../core/ids.ts";
import { dummyStrategy, lot } from "./dummy.ts";
import { commandRecord, Reactor } from "./reactor.ts";

const amount = fc.bigInt({ min: 0n, max: 2n ** 256n - 1n }).map(String);
const demand: fc.Arbitrary<Event<SwapDemand>> = fc
  .record({
    quote_id: fc.string({ minLength: 1 }),
    asset_in: fc.constantFrom("a", "b"),
    asset_out: fc.constantFrom("c", "d"),
    amount,
    side: fc.constantFrom("exact_amount_in" as const, "exact_amount_out" as const),
    min_deadline_ms: fc.nat(),
  })
  .map(({ amount: value, side, ...rest }) => {
    const id = derivedEventId("norm.swap_demand", rest.quote_id, value, side);
    return newEvent("norm.swap_demand", {
      event_id: id,
      venue: "near-intents",
      observed_at: "2025-10-14T13:30:00.000Z",
      ingested_at: "2025-10-14T13:30:00.000Z",
      payload: { ...rest, [side]: value },
      causation_id: id,
      correlation_id: id,
    });
  });

test("the same demands give the same commands, byte by byte", () => {
  fc.assert(
    fc.property(fc.array(demand), (demands) => {
      const run = () => {
        const reactor = new Reactor(dummyStrategy({ percent: 50 }));
        return demands.flatMap((event) =>
          reactor.react(event).map((command) => encodeEvent(command).toString()),
        );
      };
      assert.deepEqual(run(), run());
    }),
  );
});

test("a command answers its demand: valid, never better for the taker than the spread, inside its limits", () => {
  const reactor = new Reactor(dummyStrategy({ percent: 100 }));
  fc.assert(
    fc.property(demand, (event) => {
      const { payload } = event;
      for (const command of reactor.react(event)) {
        const {
          payload: trade,
          causation_id,
          correlation_id,
        } = decodeEvent("cmd.execute_trade", commandRecord(command).value);
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
  const event = newEvent("norm.swap_demand", {
    event_id: "2ed6657d-e927-568b-95e1-2665a8aea6a2",
    venue: "near-intents",
    observed_at: "2025-10-14T13:30:00.000Z",
    ingested_at: "2025-10-14T13:30:00.000Z",
    payload: { quote_id: "q", asset_in: "a", asset_out: "b", exact_amount_in: "1", min_deadline_ms: 1 },
  });
  assert.equal(new Reactor(dummyStrategy({ percent: 0 })).react(event).length, 0);
  assert.equal(
    new Reactor(dummyStrategy({ percent: 100 })).react(event).length,
    0,
    "0.997 rounds to nothing",
  );
});
