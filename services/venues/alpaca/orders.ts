/** Orders as Alpaca's trading API takes and shows them, and what their states mean to a command. */
import { z } from "zod";
import { compare, multiply } from "../../core/decimal.ts";
import { RefusedCommandError, type Settlement } from "../../core/execution-venue.ts";
import type { ExecuteTrade, FilledAmounts, PlaceOrder, Reason } from "../../core/trading.ts";
import { ExactNumber, plainDecimal } from "./exact-json.ts";

/** A number of the trading API, which writes them as text; may be negative (short positions, cash that is owed). */
export const venueDecimal = z.unknown().transform((value, context): string => {
  const text = value instanceof ExactNumber ? value.text : value;
  const isNegative = typeof text === "string" && text.startsWith("-");
  const plain = typeof text === "string" ? plainDecimal(isNegative ? text.slice(1) : text) : undefined;
  if (plain !== undefined) return isNegative && /[1-9]/.test(plain) ? `-${plain}` : plain;
  context.addIssue("expected a decimal number");
  return z.NEVER;
});

/** An order, as far as it matters here; other fields are passed over. */
export const venueOrder = z.object({
  /** Alpaca's own id. */
  id: z.string().min(1),
  client_order_id: z.string(),
  symbol: z.string(),
  side: z.string(),
  /** One of the documented states, or one that is not known yet. */
  status: z.string(),
  time_in_force: z.string().nullish(),
  qty: venueDecimal.nullish(),
  filled_qty: venueDecimal,
  filled_avg_price: venueDecimal.nullish(),
  submitted_at: z.string().nullish(),
  replaced_by: z.string().nullish(),
});
export type VenueOrder = z.infer<typeof venueOrder>;

/** The body of `POST /v2/orders`. */
export interface OrderBody {
  symbol: string;
  qty?: string;
  notional?: string;
  side: "buy" | "sell";
  type: PlaceOrder["order_type"];
  time_in_force: PlaceOrder["time_in_force"];
  limit_price?: string;
  stop_price?: string;
  extended_hours?: boolean;
  /** Alpaca takes up to 128 characters, 48 are safe; a command's id has 36. */
  client_order_id: string;
}

/** The order of a command. @throws RefusedCommandError for other instructions. */
export function orderOf({ instruction }: Pick<ExecuteTrade, "instruction">): PlaceOrder {
  if (instruction.kind === "place_order") return instruction;
  throw new RefusedCommandError("unsupported_instruction", `Alpaca has no ${instruction.kind}`);
}

/** Makes the body of a command's order: the same for the same command. @throws RefusedCommandError */
export function orderBody(command: ExecuteTrade): OrderBody {
  const order = orderOf(command);
  return {
    symbol: order.symbol,
    ...(order.quantity === undefined ? {} : { qty: order.quantity }),
    ...(order.notional === undefined ? {} : { notional: order.notional }),
    side: order.side,
    type: order.order_type,
    time_in_force: order.time_in_force,
    ...(order.limit_price === undefined ? {} : { limit_price: order.limit_price }),
    ...(order.stop_price === undefined ? {} : { stop_price: order.stop_price }),
    ...(order.extended_hours === undefined ? {} : { extended_hours: order.extended_hours }),
    client_order_id: command.command_id,
  };
}

/**
 * Money at stake: the notional itself, or quantity × the worst price that is known: the limit, otherwise the higher of
 * stop and reference price.
 * @returns undefined when no price is known.
 */
export function notionalOf(order: PlaceOrder): string | undefined {
  if (order.notional !== undefined) return order.notional;
  const { stop_price: stop, reference_price: reference } = order;
  const higher =
    stop !== undefined && reference !== undefined && compare(stop, reference) < 0 ? reference : stop;
  const price = order.limit_price ?? higher ?? reference;
  return price === undefined || order.quantity === undefined ? undefined : multiply(order.quantity, price);
}

/** What of an order has been filled so far. */
export function filledOf(order: VenueOrder): FilledAmounts {
  const price = order.filled_avg_price ?? "0";
  const isFilled = compare(order.filled_qty, "0") > 0;
  return {
    kind: "order",
    quantity: order.filled_qty,
    ...(isFilled && compare(price, "0") > 0 ? { average_price: price } : {}),
  };
}

/** How an order ended, without its reason. */
type End = { status: Settlement["status"]; reason?: Reason };

/**
 * The end that an order's state means; undefined while it may still be filled. States: Alpaca's "Orders" documentation.
 * Those that are not named (`new`, `accepted`, `pending_*`, `stopped`, `suspended`, `calculated`, ...) are open.
 */
function endOf(order: VenueOrder): End | undefined {
  switch (order.status) {
    case "filled":
      return { status: "FILLED" };
    case "canceled":
      return {
        status: "CANCELED",
        reason: { code: "canceled", message: "the venue ended the order as canceled" },
      };
    case "expired":
      return {
        status: "EXPIRED",
        reason: { code: "expired", message: "the order reached the end of its time in force" },
      };
    case "rejected":
      return {
        status: "REJECTED",
        reason: { code: "rejected_later", message: "the venue took the order and rejected it afterwards" },
      };
    case "replaced":
      // Somebody else did that (or a corporate action): what follows is another order, of another id.
      return {
        status: "CANCELED",
        reason: {
          code: "replaced",
          message: `another order took its place: ${order.replaced_by ?? "unknown"}`,
        },
      };
    case "done_for_day":
      // Tomorrow's trading is none of a day order's.
      if (order.time_in_force !== "day") return undefined;
      return order.qty != null && compare(order.filled_qty, order.qty) === 0
        ? { status: "FILLED" }
        : { status: "EXPIRED", reason: { code: "done_for_day", message: "the order is done for the day" } };
    default:
      return undefined;
  }
}

/** Whether the order can no longer be filled. */
export function isEnded(order: VenueOrder): boolean {
  return endOf(order) !== undefined;
}

/**
 * How an order ended; undefined while it is open.
 * @param cause why we asked for its cancellation, if we did: the reason of a CANCELED order then.
 */
export function settlementOf(order: VenueOrder, cause: Reason | undefined): Settlement | undefined {
  const end = endOf(order);
  if (end === undefined) return undefined;
  const { status } = end;
  const reason = status === "CANCELED" && order.status === "canceled" ? (cause ?? end.reason) : end.reason;
  return {
    status,
    ...(reason === undefined ? {} : { reason }),
    filled: filledOf(order),
    reference: {
      order_id: order.id,
      ...(order.replaced_by == null ? {} : { replaced_by: order.replaced_by }),
    },
  };
}

/** Refusals that are known, by the words of the venue; codes alone do not tell them apart. */
const refusals: readonly (readonly [RegExp, string])[] = [
  [/buying power/i, "insufficient_buying_power"],
  [/insufficient qty|insufficient quantity/i, "insufficient_quantity"],
  [/wash trade/i, "wash_trade"],
  [/day trad/i, "pattern_day_trader"],
  [/short/i, "not_shortable"],
  [/asset .*not found|could not find asset|invalid symbol/i, "unknown_symbol"],
  [/not (?:active|tradable)|halted/i, "not_tradable"],
  [/market is closed|market hours/i, "market_closed"],
];

/** A fixed word for a refusal. @param status of HTTP. @param message the venue's words. */
export function refusalCode(status: number, message: string): string {
  const known = refusals.find(([pattern]) => pattern.test(message))?.[1];
  if (known !== undefined) return known;
  switch (status) {
    case 401:
      return "unauthorized";
    case 403:
      return "forbidden";
    case 422:
      return "invalid_order";
    default:
      return "refused";
  }
}
