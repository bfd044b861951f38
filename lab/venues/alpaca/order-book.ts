/**
 * The venue's book: every order of the account, its fills, cash and positions. Fills are simulated: whole, at the
 * current simulated price. A cash account: what is bought must be paid, what is sold must be held.
 */
import { randomUUID } from "node:crypto";
import { Decimal } from "decimal.js";
import { isMarketable, isTriggered, newOrder, type Order, type OrderRequest } from "./order.ts";
import type { Prices } from "./prices.ts";

/** What the venue answers when it refuses. */
export class VenueError extends Error {
  readonly status: number;
  readonly code: number;

  /** @param status HTTP status. @param code Alpaca's code in the body. */
  constructor(status: number, code: number, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** A trade update, as `/stream` carries it in `data`. */
export interface TradeUpdate {
  event: "new" | "fill" | "canceled";
  execution_id: string;
  timestamp: string;
  price?: string;
  qty?: string;
  position_qty?: string;
  order: Order;
}

/** What is held of a symbol. */
export interface Holding {
  quantity: Decimal;
  /** What was paid for it. */
  cost: Decimal;
}

/** When a `client_order_id` may be used again: never, or once its order is filled. */
export type ClientOrderIds = "strict" | "documented";

export interface OrderBookArguments {
  prices: Prices;
  /** Cash at the start, in US dollars. */
  cash: string;
  /** From acceptance to the first attempt to fill, in milliseconds. */
  fillMs: number;
  /** Whether the venue knows the symbol. */
  isTradable: (symbol: string) => boolean;
  clientOrderIds: ClientOrderIds;
  onUpdate: (update: TradeUpdate) => void;
}

const zero = new Decimal(0);

/** The account's orders and money. */
export class OrderBook {
  readonly #args: OrderBookArguments;
  readonly #orders = new Map<string, Order>();
  readonly #byClientId = new Map<string, Order>();
  /** Orders that are neither filled nor canceled. */
  readonly #unfinished = new Set<Order>();
  /** Those of them that may be filled, by symbol. */
  readonly #working = new Map<string, Set<Order>>();
  readonly #triggered = new WeakSet<Order>();
  readonly #holdings = new Map<string, Holding>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #duplicates = 0;
  cash: Decimal;

  constructor(args: OrderBookArguments) {
    this.#args = args;
    this.cash = new Decimal(args.cash);
  }

  /** All orders, oldest first. */
  get orders(): readonly Order[] {
    return [...this.#orders.values()].map((order) => ({ ...order }));
  }

  /** How many orders came with a `client_order_id` of an order taken before, refused or not. */
  get duplicates(): number {
    return this.#duplicates;
  }

  get holdings(): ReadonlyMap<string, Holding> {
    return this.#holdings;
  }

  /** Cash that no open order claims. */
  get buyingPower(): Decimal {
    const claimed = this.#openOrders()
      .filter((order) => order.side === "buy")
      .reduce((sum, order) => sum.plus(this.#estimate(order)), zero);
    return Decimal.max(0, this.cash.minus(claimed));
  }

  byId(id: string): Order | undefined {
    return this.#orders.get(id);
  }

  /** The newest order with that id. */
  byClientId(clientOrderId: string): Order | undefined {
    return this.#byClientId.get(clientOrderId);
  }

  /**
   * Takes an order. It is shown as `pending_new`, becomes `new` and, when the market allows, `filled` shortly after.
   * @throws VenueError as the venue would refuse it.
   */
  submit(request: OrderRequest): Order {
    if (!this.#args.isTradable(request.symbol)) {
      throw new VenueError(422, 42210000, `asset "${request.symbol}" not found`);
    }
    const namesake = this.#byClientId.get(request.client_order_id ?? "");
    if (namesake !== undefined) {
      this.#duplicates++;
      if (this.#args.clientOrderIds === "strict" || namesake.status !== "filled")
        throw new VenueError(422, 40010001, "client_order_id must be unique");
    }
    const order = newOrder(request, new Date().toISOString());
    if (order.side === "buy" && this.#estimate(order).gt(this.buyingPower)) {
      throw new VenueError(403, 40310000, "insufficient buying power");
    }
    if (order.side === "sell" && this.#quantity(order, zero).gt(this.available(order.symbol))) {
      throw new VenueError(
        403,
        40310000,
        `insufficient qty available for order (requested: ${order.qty ?? order.notional ?? ""}, available: ${this.available(order.symbol).toString()})`,
      );
    }
    this.#orders.set(order.id, order);
    this.#byClientId.set(order.client_order_id, order);
    this.#unfinished.add(order);
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#open(order);
    }, this.#args.fillMs);
    timer.unref();
    this.#timers.add(timer);
    return { ...order };
  }

  /** @throws VenueError 404 or 422. */
  cancel(id: string): void {
    const order = this.#orders.get(id);
    if (order === undefined) throw new VenueError(404, 40410000, `order not found for ${id}`);
    if (!isOpen(order)) {
      throw new VenueError(422, 42210000, `order is already in "${order.status}" state`);
    }
    this.#working.get(order.symbol)?.delete(order);
    this.#change(order, "canceled", { canceled_at: new Date().toISOString() });
  }

  /** Fills what a new price of the symbol allows. */
  onPrice(symbol: string): void {
    for (const order of this.#working.get(symbol) ?? []) this.#tryFill(order);
  }

  /** What of a symbol is held and not offered by an open order. */
  available(symbol: string): Decimal {
    const offered = this.#openOrders()
      .filter((order) => order.side === "sell" && order.symbol === symbol)
      .reduce((sum, order) => sum.plus(this.#quantity(order, zero)), zero);
    return (this.#holdings.get(symbol)?.quantity ?? zero).minus(offered);
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  #openOrders(): Order[] {
    return [...this.#unfinished];
  }

  #open(order: Order): void {
    if (order.status !== "pending_new") return;
    this.#change(order, "new", {});
    const working = this.#working.get(order.symbol) ?? new Set();
    this.#working.set(order.symbol, working.add(order));
    this.#tryFill(order);
    // Immediate-or-cancel and fill-or-kill are one here: a fill is always whole.
    if (isOpen(order) && (order.time_in_force === "ioc" || order.time_in_force === "fok"))
      this.cancel(order.id);
  }

  #tryFill(order: Order): void {
    const price = this.#args.prices.get(order.symbol);
    if (price === undefined) return; // without a price the order waits for one
    if (isTriggered(order, price)) this.#triggered.add(order);
    if (!isMarketable(order, price, this.#triggered.has(order))) return;
    const quantity = this.#quantity(order, price);
    const holding = this.#holdings.get(order.symbol) ?? { quantity: zero, cost: zero };
    const held = order.side === "buy" ? holding.quantity.plus(quantity) : holding.quantity.minus(quantity);
    // A sale takes its share of what was paid, so that the average price of the rest stays.
    const cost =
      order.side === "buy"
        ? holding.cost.plus(quantity.times(price))
        : holding.cost.times(holding.quantity.isZero() ? 0 : held.div(holding.quantity));
    if (held.isZero()) this.#holdings.delete(order.symbol);
    else this.#holdings.set(order.symbol, { quantity: held, cost });
    const value = quantity.times(price);
    this.cash = order.side === "buy" ? this.cash.minus(value) : this.cash.plus(value);
    this.#working.get(order.symbol)?.delete(order);
    this.#change(
      order,
      "filled",
      {
        filled_at: new Date().toISOString(),
        filled_qty: quantity.toString(),
        filled_avg_price: price.toString(),
      },
      { price: price.toString(), qty: quantity.toString(), position_qty: held.toString() },
    );
  }

  #change(
    order: Order,
    status: "new" | "filled" | "canceled",
    fields: Partial<Order>,
    execution: Partial<TradeUpdate> = {},
  ): void {
    const now = new Date().toISOString();
    Object.assign(order, fields, { status, updated_at: now });
    if (!isOpen(order)) this.#unfinished.delete(order);
    this.#args.onUpdate({
      event: status === "filled" ? "fill" : status,
      execution_id: randomUUID(),
      timestamp: now,
      ...execution,
      order: { ...order },
    });
  }

  /** The order's quantity; one that is given in dollars is cut to nine digits, as the venue does. */
  #quantity(order: Order, price: Decimal): Decimal {
    if (order.qty !== null) return new Decimal(order.qty);
    const at = price.isZero() ? (this.#args.prices.get(order.symbol) ?? zero) : price;
    return at.isZero()
      ? zero
      : new Decimal(order.notional ?? 0).div(at).toDecimalPlaces(9, Decimal.ROUND_DOWN);
  }

  /** What a buy may cost, as far as it is known. */
  #estimate(order: Order): Decimal {
    if (order.notional !== null) return new Decimal(order.notional);
    const price = order.limit_price ?? order.stop_price ?? this.#args.prices.get(order.symbol) ?? zero;
    return new Decimal(order.qty ?? 0).times(price);
  }
}

const isOpen = (order: Order) => order.status === "pending_new" || order.status === "new";
