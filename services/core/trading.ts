/** Commands, their execution and their results. */
import { z } from "zod";
import { baseUnits, decimalString } from "./decimal.ts";
import { instantString } from "./time.ts";

/** A number above zero. */
const positive = decimalString.refine(
  (text) => !text.startsWith("-") && /[1-9]/.test(text),
  "expected a number above zero",
);

/** Answer a swap demand: receive `amount_in` of `asset_in`, give `amount_out` of `asset_out`. */
const answerSwap = z.strictObject({
  kind: z.literal("answer_swap"),
  quote_id: z.string().min(1),
  asset_in: z.string().min(1),
  asset_out: z.string().min(1),
  amount_in: baseUnits,
  amount_out: baseUnits,
  /** Which amount the demand fixed; the other one is our offer. */
  exact: z.enum(["in", "out"]),
});

/** Place an order for shares. Decimals are text, as Alpaca's REST API takes them. */
const placeOrder = z
  .strictObject({
    kind: z.literal("place_order"),
    symbol: z.string().min(1),
    side: z.enum(["buy", "sell"]),
    /** Shares; exactly one of this and `notional` is given. */
    quantity: positive.optional(),
    /** Amount of money to trade for; only with market orders for the day. */
    notional: positive.optional(),
    order_type: z.enum(["market", "limit", "stop", "stop_limit"]),
    /** With `limit` and `stop_limit`. */
    limit_price: positive.optional(),
    /** With `stop` and `stop_limit`. */
    stop_price: positive.optional(),
    time_in_force: z.enum(["day", "gtc", "ioc", "fok"]),
    extended_hours: z.boolean().optional(),
    /**
     * What the strategy took as the price when it decided: what a market order's notional is computed with.
     */
    reference_price: positive.optional(),
  })
  .superRefine((order, context) => {
    const mistake = (path: string, message: string): void =>
      context.addIssue({ code: "custom", path: [path], message });
    if ((order.quantity === undefined) === (order.notional === undefined)) {
      mistake("quantity", "expected exactly one of quantity and notional");
    }
    const hasLimit = order.order_type === "limit" || order.order_type === "stop_limit";
    if (hasLimit !== (order.limit_price !== undefined)) {
      mistake("limit_price", `${hasLimit ? "is missing with" : "does not go with"} ${order.order_type}`);
    }
    const hasStop = order.order_type === "stop" || order.order_type === "stop_limit";
    if (hasStop !== (order.stop_price !== undefined)) {
      mistake("stop_price", `${hasStop ? "is missing with" : "does not go with"} ${order.order_type}`);
    }
    if (order.notional !== undefined && (order.order_type !== "market" || order.time_in_force !== "day")) {
      mistake("notional", "goes only with market orders for the day");
    }
  });
export type PlaceOrder = z.infer<typeof placeOrder>;

/** Nothing to trade: the probe's last stop is the executor, which answers DENIED with reason `canary`. */
const passCanary = z.strictObject({ kind: z.literal("canary"), canary_id: z.uuid() });

/** An instruction to trade. */
export const executeTrade = z
  .strictObject({
    command_id: z.uuid(),
    /** Same for every command that means the same action; at most one of them is ever executed. */
    idempotency_key: z.string().min(1).max(200),
    strategy: z.string().min(1),
    venue: z.string().min(1),
    /** Nothing is sent after this instant, and nothing sent stays valid beyond it. */
    deadline: instantString,
    /** What the executor refuses to exceed, whatever the instruction says. */
    limits: z.strictObject({
      /** With `answer_swap`: what we give at most, base units. */
      max_amount_out: baseUnits.optional(),
      /** With `place_order`: quantity × price (or the notional itself) at most, in the account's currency. */
      max_notional: positive.optional(),
    }),
    instruction: z.discriminatedUnion("kind", [answerSwap, placeOrder, passCanary]),
  })
  .superRefine(({ instruction, limits }, context) => {
    const needed = { answer_swap: "max_amount_out", place_order: "max_notional", canary: undefined } as const;
    const name = needed[instruction.kind];
    if (name !== undefined && limits[name] === undefined) {
      context.addIssue({
        code: "custom",
        path: ["limits", name],
        message: `is missing, ${instruction.kind} needs it`,
      });
    }
  });
export type ExecuteTrade = z.infer<typeof executeTrade>;

/** The states a command ends in; a command has exactly one of them. */
export const terminalStatus = z.enum(["FILLED", "REJECTED", "CANCELED", "EXPIRED", "DENIED"]);
export type TerminalStatus = z.infer<typeof terminalStatus>;

/** Why a command did not fill. */
export const reason = z.strictObject({
  /** A fixed word that programs may test, for example `deadline_passed`. */
  code: z.string().min(1),
  /** The venue's or the executor's own words. */
  message: z.string(),
});
export type Reason = z.infer<typeof reason>;

/** What the venue calls it; which fields exist depends on the venue. */
export const venueReference = z.record(z.string(), z.string());
export type VenueReference = z.infer<typeof venueReference>;

/** What was exchanged; zero amounts when nothing was. */
export const filledAmounts = z.discriminatedUnion("kind", [
  /** Base units: we received `amount_in` and gave `amount_out`. */
  z.strictObject({ kind: z.literal("swap"), amount_in: baseUnits, amount_out: baseUnits }),
  z.strictObject({
    kind: z.literal("order"),
    /** Shares. */
    quantity: decimalString,
    /** Per share; absent when nothing was filled. */
    average_price: positive.optional(),
  }),
]);
export type FilledAmounts = z.infer<typeof filledAmounts>;

/** The outcome of a command. */
export const tradeResult = z.strictObject({
  command_id: z.uuid(),
  idempotency_key: z.string().min(1),
  strategy: z.string().min(1),
  status: terminalStatus,
  /** Absent when FILLED. */
  reason: reason.optional(),
  filled: filledAmounts,
  reference: venueReference,
  /** When the executor settled it, by its own clock. */
  completed_at: instantString,
});
export type TradeResult = z.infer<typeof tradeResult>;

/** One step of a command through the executor's state machine. */
export const journalEntry = z.strictObject({
  command_id: z.uuid(),
  idempotency_key: z.string().min(1),
  state: z.enum(["INTENT", "SUBMITTED", "UNKNOWN", "CARRIED_OVER", ...terminalStatus.options]),
  /** The executor that wrote it: grows with each start, so that a later writer is told from an earlier one. */
  epoch: z.int().min(1),
  at: instantString,
  /** With INTENT: the whole command, so that a successor can settle it and report. */
  command: executeTrade.optional(),
  /** With INTENT: what the venue knows the order by, made before the venue is called. */
  reference: venueReference.optional(),
  /** With a terminal state: what is, or will be, on `exec.trade_result`. */
  result: tradeResult.optional(),
  /** With UNKNOWN: what happened. */
  reason: reason.optional(),
  /** With CARRIED_OVER: what the venue had filled of the order when it was left resting. */
  filled: filledAmounts.optional(),
});
export type JournalEntry = z.infer<typeof journalEntry>;

/** A symbol's or asset's holding. */
const position = z.strictObject({ symbol: z.string().min(1), quantity: decimalString });

/** What a venue says an account holds. */
export const accountSnapshot = z.strictObject({
  /** In the account's currency. */
  cash: decimalString,
  positions: z.array(position),
  /** Orders that may still fill, by the id we (or somebody else) gave them. */
  open_orders: z.array(
    z.strictObject({ client_order_id: z.string(), symbol: z.string(), side: z.enum(["buy", "sell"]) }),
  ),
});
export type AccountSnapshot = z.infer<typeof accountSnapshot>;

/** What the executor found when it compared its own books with the venue's. */
export const reconciliation = z.discriminatedUnion("kind", [
  /** The day begins with what the venue says; or a person has accepted it after a mismatch. Less what was filled. */
  z.strictObject({ kind: z.literal("account_baseline"), at: instantString, account: accountSnapshot }),
  z.strictObject({ kind: z.literal("account_matched"), at: instantString, account: accountSnapshot }),
  /** Trading is blocked until it is released by hand. */
  z.strictObject({
    kind: z.literal("account_mismatch"),
    at: instantString,
    account: accountSnapshot,
    /** One sentence each: what, expected, found. */
    differences: z.array(z.string()).min(1),
  }),
  /** The venue filled a command after its terminal result: the result stays, a person has to look. */
  z.strictObject({
    kind: z.literal("late_fill"),
    at: instantString,
    command_id: z.uuid(),
    status: terminalStatus,
    filled: filledAmounts,
    reference: venueReference,
  }),
]);
export type Reconciliation = z.infer<typeof reconciliation>;
