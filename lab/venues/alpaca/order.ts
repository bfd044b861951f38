/** What an order is: the request as the venue checks it, and the order as the venue shows it. */
import { randomUUID } from "node:crypto";
import type { Decimal } from "decimal.js";
import { z } from "zod";
import { createRandom } from "../../session/index.ts";

const decimal = z
  .union([z.string(), z.number()])
  .transform(String)
  .refine((text) => /^\d+(\.\d{1,9})?$/.test(text) && Number(text) > 0, {
    message: "expected a decimal greater than 0",
  });

/** The body of `POST /v2/orders`. */
export const orderRequestSchema = z
  .object({
    symbol: z.string().min(1),
    qty: decimal.nullish(),
    notional: decimal.nullish(),
    side: z.enum(["buy", "sell"]),
    type: z.enum(["market", "limit", "stop", "stop_limit", "trailing_stop"]),
    time_in_force: z.enum(["day", "gtc", "opg", "cls", "ioc", "fok"]),
    limit_price: decimal.nullish(),
    stop_price: decimal.nullish(),
    extended_hours: z.boolean().nullish(),
    client_order_id: z.string().min(1).max(128).nullish(),
    order_class: z.enum(["", "simple", "bracket", "oco", "oto"]).nullish(),
  })
  .check((context) => {
    const order = context.value;
    const fault = (path: string, message: string) =>
      context.issues.push({ code: "custom", input: order, path: [path], message });
    if ((order.qty == null) === (order.notional == null))
      fault("qty", "exactly one of qty and notional is required");
    if (order.notional != null && order.type !== "market")
      fault("notional", "notional is for market orders only");
    const needsLimit = order.type === "limit" || order.type === "stop_limit";
    const needsStop = order.type === "stop" || order.type === "stop_limit";
    if (needsLimit !== (order.limit_price != null)) {
      fault("limit_price", `${order.type} orders ${needsLimit ? "require" : "take no"} limit_price`);
    }
    if (needsStop !== (order.stop_price != null)) {
      fault("stop_price", `${order.type} orders ${needsStop ? "require" : "take no"} stop_price`);
    }
    if (order.extended_hours === true && (order.type !== "limit" || order.time_in_force !== "day"))
      fault("extended_hours", "only for limit orders with time_in_force day");
    if (order.type === "trailing_stop") fault("type", "trailing_stop is not simulated in the lab");
    if (order.time_in_force === "opg" || order.time_in_force === "cls") {
      fault("time_in_force", "auctions (opg, cls) are not simulated in the lab");
    }
    if (order.order_class != null && order.order_class !== "" && order.order_class !== "simple") {
      fault("order_class", "only simple orders are simulated in the lab");
    }
  });
export type OrderRequest = z.infer<typeof orderRequestSchema>;

/** The body of `PATCH /v2/orders/{id}`: what is to be different in the order that replaces another one. */
export const replacementSchema = z.object({
  qty: decimal.nullish(),
  time_in_force: z.enum(["day", "gtc", "ioc", "fok"]).nullish(),
  limit_price: decimal.nullish(),
  stop_price: decimal.nullish(),
  client_order_id: z.string().min(1).max(128).nullish(),
});
export type Replacement = z.infer<typeof replacementSchema>;

/** The states of an order that may still be filled. */
export const openStatuses = ["pending_new", "accepted", "new", "partially_filled"] as const;
/** The states that an order of the lab can have; the real venue has more. */
export type OrderStatus = (typeof openStatuses)[number] | "filled" | "canceled" | "expired" | "replaced";

/** Whether an order may still be filled. */
export const isOpen = ({ status }: Pick<Order, "status">): boolean =>
  openStatuses.some((open) => open === status);

/** An order as REST and trade updates show it; decimals are strings. */
export interface Order {
  id: string;
  client_order_id: string;
  created_at: string;
  updated_at: string;
  submitted_at: string;
  filled_at: string | null;
  expired_at: string | null;
  /** When a day order ends by itself; null for other orders and while the lab's market never closes. */
  expires_at: string | null;
  canceled_at: string | null;
  failed_at: null;
  replaced_at: string | null;
  replaced_by: string | null;
  replaces: string | null;
  asset_id: string;
  symbol: string;
  asset_class: "us_equity";
  notional: string | null;
  qty: string | null;
  filled_qty: string;
  filled_avg_price: string | null;
  order_class: "";
  order_type: OrderRequest["type"];
  type: OrderRequest["type"];
  side: OrderRequest["side"];
  time_in_force: OrderRequest["time_in_force"];
  limit_price: string | null;
  stop_price: string | null;
  status: OrderStatus;
  position_intent: "buy_to_open" | "sell_to_close";
  extended_hours: boolean;
  legs: null;
  trail_percent: null;
  trail_price: null;
  hwm: null;
  subtag: null;
  source: null;
}

/** The lab's id of an asset: always the same for the same symbol. */
export const assetId = (symbol: string): string => createRandom(0, `asset ${symbol}`).uuid();

/** A new order of a checked request. */
export function newOrder(request: OrderRequest, now: string): Order {
  return {
    id: randomUUID(),
    client_order_id: request.client_order_id ?? randomUUID(),
    created_at: now,
    updated_at: now,
    submitted_at: now,
    filled_at: null,
    expired_at: null,
    expires_at: null,
    canceled_at: null,
    failed_at: null,
    replaced_at: null,
    replaced_by: null,
    replaces: null,
    asset_id: assetId(request.symbol),
    symbol: request.symbol,
    asset_class: "us_equity",
    notional: request.notional ?? null,
    qty: request.qty ?? null,
    filled_qty: "0",
    filled_avg_price: null,
    order_class: "",
    order_type: request.type,
    type: request.type,
    side: request.side,
    time_in_force: request.time_in_force,
    limit_price: request.limit_price ?? null,
    stop_price: request.stop_price ?? null,
    status: "pending_new",
    position_intent: request.side === "buy" ? "buy_to_open" : "sell_to_close",
    extended_hours: request.extended_hours ?? false,
    legs: null,
    trail_percent: null,
    trail_price: null,
    hwm: null,
    subtag: null,
    source: null,
  };
}

/**
 * Whether an order can be filled at a price. A stop is triggered when the price reaches it; it is remembered by the
 * caller, since the price may go back.
 */
export function isMarketable(order: Order, price: Decimal, triggered: boolean): boolean {
  const buys = order.side === "buy";
  if (order.stop_price !== null && !triggered && !isTriggered(order, price)) return false;
  if (order.limit_price === null) return true;
  return buys ? price.lte(order.limit_price) : price.gte(order.limit_price);
}

/** Whether the price has reached the order's stop. */
export function isTriggered(order: Order, price: Decimal): boolean {
  if (order.stop_price === null) return false;
  return order.side === "buy" ? price.gte(order.stop_price) : price.lte(order.stop_price);
}
