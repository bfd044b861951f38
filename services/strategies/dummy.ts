/**
 * The dummy strategy. It exercises the pipeline; it is no way to make money.
 *
 * Swaps: answers a fixed share of the demands, picked by a hash of their content, at a made-up price (one base unit for
 * one base unit, less a spread).
 *
 * Stocks: follows each symbol's trades. When the price has moved far enough from the reference (the first price, then
 * the price at the last such move), the new price becomes the reference; when it fell, one share is bought with an
 * order that fills at once or not at all. It never sells: what it holds follows from fills, which it does not see,
 * and a sale of what was never bought would be a short sale.
 */
import { createHash } from "node:crypto";
import { integer } from "../core/config.ts";
import { ceil, compare, floor, multiply } from "../core/decimal.ts";
import type { Event } from "../core/envelope.ts";
import type { StockTrade, SwapDemand } from "../core/market-data.ts";
import type { ServiceDefinition } from "../core/service.ts";
import { fromInstant, toInstant } from "../core/time.ts";
import { startStrategy } from "./service.ts";
import type { Decision, Strategy } from "./strategy.ts";

/** Options of the dummy. */
export interface DummyOptions {
  /** Percentage of demands that are answered, 0 to 100. */
  percent: number;
  /** How far a price moves from the reference before it counts, in hundredths of a percent, 1 to 10,000. */
  moveBasisPoints: number;
}

/** A symbol's reference price; undefined where there is none yet, and always for pairs of assets. */
export type DummyState = string | undefined;

/** Makes the dummy. */
export function dummyStrategy(
  options: DummyOptions,
): Strategy<"norm.swap_demand" | "norm.stock_trade", DummyState> {
  return {
    name: "dummy",
    inputs: ["norm.swap_demand", "norm.stock_trade"],
    initial: undefined,
    react: (reference, event) => {
      switch (event.event_type) {
        case "norm.swap_demand":
          return {
            state: reference,
            decisions: lot(event.payload) < options.percent ? answers(event) : [],
          };
        case "norm.stock_trade": {
          const { price } = event.payload;
          const move = moveOf(reference, price, options.moveBasisPoints);
          return {
            state: move === "none" ? reference : price,
            decisions: move === "down" ? [buy(event)] : [],
          };
        }
      }
    },
  };
}

/** We give this much of what we receive; what we ask for is its inverse. */
const given = "0.997";
const asked = "1.003009027081244";

/**
 * A relay wants an answer to be valid for at least `min_deadline_ms` from when it takes it in; the answer
 * window is 300 ms plus about 300 ms grace, the rest is for clocks that differ.
 */
const answerWindowMs = 2_000;

/** A number from 0 to 99 that follows from the demand's content alone. */
export function lot(demand: SwapDemand): number {
  const content = [
    demand.quote_id,
    demand.asset_in,
    demand.asset_out,
    demand.exact_amount_in ?? "",
    demand.exact_amount_out ?? "",
  ];
  return createHash("sha256").update(JSON.stringify(content)).digest().readUInt32BE(0) % 100;
}

function answers(event: Event<SwapDemand>): Decision[] {
  const { payload, venue, ingested_at } = event;
  const { quote_id, asset_in, asset_out, exact_amount_in, exact_amount_out } = payload;
  const [amount_in, amount_out, exact] =
    exact_amount_in === undefined
      ? [ceil(multiply(exact_amount_out ?? "0", asked)), exact_amount_out ?? "0", "out" as const]
      : [exact_amount_in, floor(multiply(exact_amount_in, given)), "in" as const];
  // Nothing to give or to receive, or more than 256 bits: no trade.
  if (amount_in === "0" || amount_out === "0" || amount_in.length > 78) return [];
  return [
    {
      // An answer a quote, however often the quote comes; a longer id cannot be named in a key.
      ...(quote_id.length <= 150 ? { action: quote_id } : {}),
      venue,
      deadline: toInstant(fromInstant(ingested_at) + payload.min_deadline_ms + answerWindowMs),
      limits: { max_amount_out: amount_out },
      instruction: { kind: "answer_swap", quote_id, asset_in, asset_out, amount_in, amount_out, exact },
    },
  ];
}

/** Where the price went. A price of nothing is no price. */
function moveOf(reference: DummyState, price: string, basisPoints: number): "none" | "first" | "up" | "down" {
  if (compare(price, "0") === 0) return "none";
  if (reference === undefined) return "first";
  const scaled = multiply(price, "10000");
  if (compare(scaled, multiply(reference, String(10_000 - basisPoints))) <= 0) return "down";
  return compare(scaled, multiply(reference, String(10_000 + basisPoints))) >= 0 ? "up" : "none";
}

/** An order is worth placing for so long after the trade was received. */
const orderLifeMs = 5_000;
/** What we pay at most, as a multiple of the trade's price. */
const allowance = "1.0005";

function buy(event: Event<StockTrade>): Decision {
  const { symbol, price } = event.payload;
  const limit = toTick(multiply(price, allowance));
  return {
    venue: event.venue,
    deadline: toInstant(fromInstant(event.ingested_at) + orderLifeMs),
    limits: { max_notional: limit },
    instruction: {
      kind: "place_order",
      symbol,
      side: "buy",
      quantity: "1",
      order_type: "limit",
      limit_price: limit,
      time_in_force: "ioc",
      reference_price: price,
    },
  };
}

/** Rounds a price up to what exchanges take: whole cents from one dollar, hundredths of a cent below (SEC rule 612). */
function toTick(price: string): string {
  return compare(price, "1") >= 0
    ? multiply(ceil(multiply(price, "100")), "0.01")
    : multiply(ceil(multiply(price, "10000")), "0.0001");
}

const variables = {
  /** Percentage of swap demands that the dummy answers. */
  DUMMY_PERCENT: integer(0, 100).default(10),
  /** How far a stock's price moves before the dummy takes note, in hundredths of a percent. */
  DUMMY_MOVE_BASIS_POINTS: integer(1, 10_000).default(20),
};

/** The service `strategy-dummy`. */
export const strategyDummy: ServiceDefinition<typeof variables> = {
  variables,
  start: (context, config) =>
    startStrategy(
      context,
      dummyStrategy({ percent: config.DUMMY_PERCENT, moveBasisPoints: config.DUMMY_MOVE_BASIS_POINTS }),
    ),
};
