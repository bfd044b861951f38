import assert from "node:assert/strict";
import { test } from "node:test";
import type { OrderStanding } from "../core/execution-venue.ts";
import { newEvent } from "../core/events.ts";
import { derivedEventId } from "../core/ids.ts";
import { testContext } from "../core/testing.ts";
import { openFills } from "./open-fills.ts";

test("a venue that does not answer is asked again, and the wait counts as progress", async () => {
  const command_id = derivedEventId("cmd.execute_trade", "1");
  const at = "2025-10-14T13:30:00.000Z";
  const event = newEvent("cmd.execute_trade", {
    event_id: command_id,
    venue: "alpaca",
    observed_at: at,
    ingested_at: at,
    payload: {
      command_id,
      idempotency_key: "s:1",
      strategy: "s",
      venue: "alpaca",
      deadline: "2025-10-16T20:00:00.000Z",
      limits: { max_notional: "1000" },
      instruction: {
        kind: "place_order",
        symbol: "AAPL",
        side: "sell",
        quantity: "5",
        order_type: "limit",
        limit_price: "100",
        time_in_force: "gtc",
      },
    },
  });
  let asked = 0;
  let progress = 0;
  // The deadline of a question alone keeps no process alive; a venue's sockets do.
  const alive = setInterval(() => undefined, 1_000);
  const fills = await openFills({
    venue: {
      name: "alpaca",
      standing: (_command, _reference, signal) => {
        if (++asked > 2) {
          return Promise.resolve({ filled: { kind: "order", quantity: "2" }, isResting: true });
        }
        return new Promise<OrderStanding>((_resolve, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason as Error));
        });
      },
    },
    open: [{ event, reference: {} }],
    context: testContext(),
    progress: () => void progress++,
    signal: new AbortController().signal,
    answerMs: 5,
    askAgainMs: 1,
  }).finally(() => clearInterval(alive));
  assert.equal(fills.of("AAPL"), "-2");
  assert.deepEqual([asked, progress], [3, 3]);
});
