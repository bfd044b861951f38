/**
 * Buys one share after three minutes in a row that closed above their opening, if it can be had at the closing price.
 * The example of docs/strategies.md; it is not in the catalog, so it does not run.
 */
import { compare } from "../core/decimal.ts";
import type { ServiceDefinition } from "../core/service.ts";
import { fromInstant, toInstant } from "../core/time.ts";
import { startStrategy } from "./service.ts";
import type { Strategy } from "./strategy.ts";

/** The state is the number of rising minutes in a row. */
export const risingBars: Strategy<"norm.stock_bar", number> = {
  name: "rising-bars",
  inputs: ["norm.stock_bar"],
  initial: 0,
  react: (rising, { venue, ingested_at, payload: { kind, symbol, open, close } }) => {
    if (kind !== "minute") return { state: rising, decisions: [] };
    if (compare(close, open) <= 0) return { state: 0, decisions: [] };
    if (rising < 2) return { state: rising + 1, decisions: [] };
    const buy = {
      venue,
      deadline: toInstant(fromInstant(ingested_at) + 5_000),
      limits: { max_notional: close },
      instruction: {
        kind: "place_order",
        symbol,
        side: "buy",
        quantity: "1",
        order_type: "limit",
        limit_price: close,
        time_in_force: "ioc",
      },
    } as const;
    return { state: 0, decisions: [buy] };
  },
};

/** The service `strategy-rising-bars`. */
export const strategyRisingBars: ServiceDefinition<Record<never, never>> = {
  variables: {},
  start: (context) => startStrategy(context, risingBars),
};
