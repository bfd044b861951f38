/**
 * The risk gates: everything that an executor refuses before an INTENT is written. Pure: the same command, conditions
 * and limits give the same answer. Each refusal has a fixed word.
 */
import type { z } from "zod";
import { integer, list } from "../core/config.ts";
import { baseUnits, compare, decimalString } from "../core/decimal.ts";
import type { Event } from "../core/envelope.ts";
import type { PreparedOrder } from "../core/execution-venue.ts";
import { fromInstant } from "../core/time.ts";
import type { ExecuteTrade, Reason } from "../core/trading.ts";

/** Words of the refusals that are made here. */
export type DenialCode =
  | "kill_switch"
  | "account_mismatch"
  | "stale_command"
  | "clock_skew"
  | "market_closed"
  | "symbol_not_allowed"
  | "limit_exceeded"
  | "max_notional"
  | "max_amount"
  | "max_orders_per_minute";

/** Environment of every executor. */
export const riskVariables = {
  /** Money per order, in the account's currency. */
  RISK_MAX_NOTIONAL: decimalString
    .refine((text) => !text.startsWith("-"), "expected a number that is not negative")
    .default("10000"),
  /** Most of an asset that one swap may give or take: `asset=amount` in base units, comma separated; empty: no limit. */
  RISK_MAX_AMOUNTS: list
    .transform((items, context) => {
      const amounts = new Map<string, string>();
      for (const item of items) {
        const at = item.lastIndexOf("=");
        const amount = item.slice(at + 1);
        if (at < 1 || !baseUnits.safeParse(amount).success) {
          context.addIssue(`expected asset=amount with a whole number of base units, found ${item}`);
        }
        amounts.set(item.slice(0, at), amount);
      }
      return amounts;
    })
    .default(new Map<string, string>()),
  /** Orders that this process sends in any 60 seconds. */
  RISK_MAX_ORDERS_PER_MINUTE: integer(0, 10_000_000).default(6_000),
  /** Symbols or assets that may be traded, comma separated; `*`: all. */
  RISK_SYMBOLS: list.default(["*"]),
  /** Seconds from the receipt of what began the chain to the gate. */
  RISK_MAX_COMMAND_AGE_SECONDS: integer(1, 86_400).default(60),
  /** Milliseconds between our clock and the venue's. */
  RISK_MAX_CLOCK_SKEW_MS: integer(1, 3_600_000).default(1_000),
};

/** What {@link riskVariables} parse to. */
export type RiskLimits = z.output<z.ZodObject<typeof riskVariables>>;

/** What the venue's clock said last, in our own terms. */
export interface ClockReading {
  isOpen: boolean;
  /** Milliseconds that the venue is ahead of us at least (negative: behind), the way of the question taken into account. */
  skewMs: number;
}

/** What holds at the moment of the decision. */
export interface TradingConditions {
  /** Wall clock, milliseconds since the epoch. */
  now: number;
  /** Why nothing may be traded at all. */
  blocked: Reason | undefined;
  /** The venue's clock; undefined where the venue has none, `unknown` while it could not be learnt. */
  clock: ClockReading | "unknown" | undefined;
}

/** Refuses what needs no prepared order to be refused. */
export function refuseCommand(
  { payload, ingested_at }: Pick<Event<ExecuteTrade>, "payload" | "ingested_at">,
  { now, blocked, clock }: TradingConditions,
  limits: RiskLimits,
): Reason | undefined {
  if (blocked !== undefined) return blocked;
  const ageMs = now - fromInstant(ingested_at);
  const highestMs = limits.RISK_MAX_COMMAND_AGE_SECONDS * 1_000;
  if (ageMs > highestMs) {
    return denial("stale_command", `what caused it is ${ageMs} ms old, allowed are ${highestMs} ms`);
  }
  if (clock === "unknown") return denial("clock_skew", "the venue's clock could not be read");
  if (clock !== undefined) {
    if (Math.abs(clock.skewMs) > limits.RISK_MAX_CLOCK_SKEW_MS) {
      const allowed = limits.RISK_MAX_CLOCK_SKEW_MS;
      return denial(
        "clock_skew",
        `the venue's clock differs by ${clock.skewMs} ms or more, allowed are ${allowed} ms`,
      );
    }
    const { instruction } = payload;
    // Extended hours have no clock at the venue: its own answer decides.
    const isExtended = instruction.kind === "place_order" && instruction.extended_hours === true;
    if (!clock.isOpen && !isExtended) return denial("market_closed", "the venue's market is closed");
  }
  const { instruction, limits: own } = payload;
  if (instruction.kind === "answer_swap") {
    const highest = own.max_amount_out ?? "0";
    if (compare(instruction.amount_out, highest) > 0) {
      return denial("limit_exceeded", `amount_out ${instruction.amount_out} is above ${highest}`);
    }
  }
  return undefined;
}

/** Refuses what only the prepared order shows. */
export function refuseOrder(
  { instruction, limits: own }: ExecuteTrade,
  { symbols, notional }: Pick<PreparedOrder, "symbols" | "notional">,
  limits: RiskLimits,
): Reason | undefined {
  const { RISK_SYMBOLS: allowed, RISK_MAX_AMOUNTS: amounts, RISK_MAX_NOTIONAL: highest } = limits;
  const foreign = allowed.includes("*") ? [] : symbols.filter((symbol) => !allowed.includes(symbol));
  if (foreign.length > 0) {
    return denial("symbol_not_allowed", `${foreign.join(", ")} may not be traded here`);
  }
  if (instruction.kind === "answer_swap") {
    const sides = [
      [instruction.asset_out, instruction.amount_out],
      [instruction.asset_in, instruction.amount_in],
    ] as const;
    for (const [asset, amount] of sides) {
      const most = amounts.get(asset);
      if (most !== undefined && compare(amount, most) > 0) {
        return denial("max_amount", `${amount} of ${asset} is above ${most}`);
      }
    }
  }
  if (notional === undefined) {
    return instruction.kind === "place_order"
      ? denial("max_notional", "the money at stake cannot be computed: a reference price is missing")
      : undefined;
  }
  if (own.max_notional !== undefined && compare(notional, own.max_notional) > 0) {
    return denial("limit_exceeded", `a notional of ${notional} is above the command's ${own.max_notional}`);
  }
  if (compare(notional, highest) > 0) {
    return denial("max_notional", `a notional of ${notional} is above ${highest}`);
  }
  return undefined;
}

/** Makes a refusal's reason. */
export function denial(code: DenialCode, message: string): Reason {
  return { code, message };
}

/** Counts orders in a window that slides with our own monotonic clock. */
export class OrderRate {
  readonly #most: number;
  readonly #now: () => number;
  /** When the orders of the last minute were allowed, oldest first, from `#first` on. */
  #times: number[] = [];
  #first = 0;

  /** @param most orders in any 60 seconds. @param now milliseconds; only differences count. */
  constructor(most: number, now: () => number = () => performance.now()) {
    this.#most = most;
    this.#now = now;
  }

  /** Counts one order in. @returns why it is refused; it is not counted then. */
  take(): Reason | undefined {
    const now = this.#now();
    while (this.#first < this.#times.length && now - (this.#times[this.#first] as number) >= 60_000) {
      this.#first += 1;
    }
    if (this.#first > 1_000 && this.#first * 2 > this.#times.length) {
      this.#times = this.#times.slice(this.#first);
      this.#first = 0;
    }
    if (this.#times.length - this.#first >= this.#most) {
      return denial("max_orders_per_minute", `${this.#most} orders were sent within the last minute`);
    }
    this.#times.push(now);
    return undefined;
  }
}
