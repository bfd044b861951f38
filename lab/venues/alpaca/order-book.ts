/**
 * The venue's book: every order of the account, and what becomes of it. Fills are simulated, at the current price: whole,
 * or no more than was on offer at it.
 */
import { randomUUID } from "node:crypto";
import { Decimal } from "decimal.js";
import { Timers } from "../timers.ts";
import type { MarketHours } from "./market-hours.ts";
import {
  isMarketable,
  isOpen,
  isTriggered,
  newOrder,
  type Order,
  type OrderRequest,
  type OrderStatus,
  type Replacement,
} from "./order.ts";
import type { Portfolio } from "./portfolio.ts";
import type { Prices } from "./prices.ts";
import { VenueError } from "./venue-error.ts";

/** When a `client_order_id` may be used again: never, or once its order is filled. */
export type ClientOrderIds = "strict" | "documented";

/** A trade update, as `/stream` carries it in `data`. */
export interface TradeUpdate {
  event: "accepted" | "new" | "partial_fill" | "fill" | "canceled" | "expired" | "replaced";
  execution_id: string;
  timestamp: string;
  /** Of a fill: its price and quantity, and the shares held after it. */
  price?: string;
  qty?: string;
  position_qty?: string;
  order: Order;
}

export interface OrderBookArguments {
  prices: Prices;
  portfolio: Portfolio;
  hours: MarketHours;
  /** From acceptance to the first attempt to fill, in milliseconds. */
  fillMs: number;
  /** Whether a fill takes no more than what is left at the price; otherwise every fill is whole. */
  partialFills: boolean;
  /** Whether the venue knows the symbol. */
  isTradable: (symbol: string) => boolean;
  clientOrderIds: ClientOrderIds;
  onUpdate: (update: TradeUpdate) => void;
}

/** An order and what the book remembers of it. */
interface Entry {
  order: Order;
  /** Shares wanted; of an order in dollars it is known from its first fill on. */
  target: Decimal | undefined;
  filled: Decimal;
  /** What all fills together cost or brought. */
  value: Decimal;
  triggered: boolean;
}

const zero = new Decimal(0);

const eventOf: Readonly<Record<Exclude<OrderStatus, "pending_new">, TradeUpdate["event"]>> = {
  accepted: "accepted",
  new: "new",
  partially_filled: "partial_fill",
  filled: "fill",
  canceled: "canceled",
  expired: "expired",
  replaced: "replaced",
};

/** The account's orders. */
export class OrderBook {
  readonly #args: OrderBookArguments;
  readonly #entries = new Map<string, Entry>();
  readonly #byClientId = new Map<string, Entry>();
  readonly #unfinished = new Set<Entry>();
  /** Those of them that may be filled, by symbol. */
  readonly #working = new Map<string, Set<Entry>>();
  readonly #timers = new Timers();
  #duplicates = 0;

  constructor(args: OrderBookArguments) {
    this.#args = args;
  }

  /** All orders, oldest first. */
  get orders(): Order[] {
    return [...this.#entries.values()].map(({ order }) => ({ ...order }));
  }

  /** How many orders came with a `client_order_id` of an order taken before, refused or not. */
  get duplicates(): number {
    return this.#duplicates;
  }

  /** Cash that no open order claims. */
  get buyingPower(): Decimal {
    return this.#buyingPower(undefined);
  }

  byId(id: string): Order | undefined {
    return this.#entries.get(id)?.order;
  }

  /** The newest order with that id. */
  byClientId(clientOrderId: string): Order | undefined {
    return this.#byClientId.get(clientOrderId)?.order;
  }

  /**
   * Takes an order. It is shown as `pending_new`, becomes `new` (`accepted`, while the market is closed) and is filled
   * when the market allows.
   * @throws VenueError as the venue would refuse it.
   */
  submit(request: OrderRequest): Order {
    this.#check(request, undefined);
    return { ...this.#enter(newOrder(request, this.#args.hours.now.toISOString())).order };
  }

  /** @throws VenueError 404 or 422. */
  cancel(id: string): void {
    const entry = this.#open(id);
    this.#change(entry, "canceled", { canceled_at: this.#args.hours.now.toISOString() });
  }

  /**
   * Replaces an order by one that differs in some fields. Orders that are partially filled are not replaced in the lab,
   * for what the real venue then makes of the quantity is not documented.
   * @returns the new order.
   * @throws VenueError as the venue would refuse it.
   */
  replace(id: string, { qty, time_in_force, limit_price, stop_price, client_order_id }: Replacement): Order {
    const entry = this.#open(id);
    const { order } = entry;
    if (order.status !== "new")
      throw new VenueError(422, 42210000, `an order in "${order.status}" state cannot be replaced`);
    if (order.notional !== null) throw new VenueError(422, 42210000, "notional orders cannot be replaced");
    if (
      (limit_price != null && order.limit_price === null) ||
      (stop_price != null && order.stop_price === null)
    )
      throw new VenueError(422, 42210000, `${order.type} orders don't have that price`);
    const request: OrderRequest = {
      symbol: order.symbol,
      side: order.side,
      type: order.type,
      extended_hours: order.extended_hours,
      qty: qty ?? order.qty,
      time_in_force: time_in_force ?? order.time_in_force,
      limit_price: limit_price ?? order.limit_price,
      stop_price: stop_price ?? order.stop_price,
      client_order_id,
    };
    this.#check(request, entry);
    const now = this.#args.hours.now.toISOString();
    const successor = this.#enter({ ...newOrder(request, now), replaces: order.id });
    this.#change(entry, "replaced", { replaced_at: now, replaced_by: successor.order.id });
    return { ...successor.order };
  }

  /** Fills what a new price of the symbol allows. */
  onPrice(symbol: string): void {
    for (const entry of this.#working.get(symbol) ?? []) this.#tryFill(entry);
  }

  /** Does what is due by the clock: expiry at the close, orders that wait for the opening. */
  onTime(): void {
    const { now } = this.#args.hours;
    for (const entry of [...this.#unfinished]) {
      const { order } = entry;
      if (order.expires_at !== null && Date.parse(order.expires_at) <= now.getTime())
        this.#change(entry, "expired", { expired_at: now.toISOString() });
      else if (order.status === "accepted" && this.#args.hours.isOpen(order.extended_hours))
        this.#work(entry);
    }
  }

  /** What of a symbol is held and not offered by an open order. */
  available(symbol: string): Decimal {
    return this.#available(symbol, undefined);
  }

  close(): void {
    this.#timers.close();
  }

  /** @throws VenueError unless the order is there and open. */
  #open(id: string): Entry {
    const entry = this.#entries.get(id);
    if (entry === undefined) throw new VenueError(404, 40410000, `order not found for ${id}`);
    if (!isOpen(entry.order))
      throw new VenueError(422, 42210000, `order is already in "${entry.order.status}" state`);
    return entry;
  }

  /** @param replaced the order in whose place this one is to be. @throws VenueError */
  #check(request: OrderRequest, replaced: Entry | undefined): void {
    if (!this.#args.isTradable(request.symbol))
      throw new VenueError(422, 42210000, `asset "${request.symbol}" not found`);
    const namesake = this.#byClientId.get(request.client_order_id ?? "");
    if (namesake !== undefined) {
      this.#duplicates++;
      if (this.#args.clientOrderIds === "strict" || namesake.order.status !== "filled")
        throw new VenueError(422, 40010001, "client_order_id must be unique");
    }
    if (request.notional != null && new Decimal(request.notional).lt(1))
      throw new VenueError(403, 40310000, "cost basis must be >= minimal amount of order 1");
    const wanted = newEntry(newOrder(request, ""));
    if (request.side === "buy" && this.#claim(wanted).gt(this.#buyingPower(replaced)))
      throw new VenueError(403, 40310000, "insufficient buying power");
    const available = this.#available(request.symbol, replaced);
    if (request.side === "sell" && this.#remaining(wanted, undefined).gt(available)) {
      const requested = request.qty ?? request.notional ?? "";
      throw new VenueError(
        403,
        40310000,
        `insufficient qty available for order (requested: ${requested}, available: ${available.toString()})`,
      );
    }
  }

  #enter(order: Order): Entry {
    const entry = newEntry(order);
    if (order.time_in_force === "day")
      order.expires_at = this.#args.hours.dayEnd(order.extended_hours)?.toISOString() ?? null;
    this.#entries.set(order.id, entry);
    this.#byClientId.set(order.client_order_id, entry);
    this.#unfinished.add(entry);
    this.#timers.after(this.#args.fillMs, () => {
      if (order.status === "pending_new") this.#route(entry);
    });
    return entry;
  }

  #route(entry: Entry): void {
    const { order } = entry;
    if (this.#args.hours.isOpen(order.extended_hours)) this.#work(entry);
    else if (isImmediate(order)) this.cancel(order.id);
    else this.#change(entry, "accepted", {});
  }

  #work(entry: Entry): void {
    const { order } = entry;
    this.#change(entry, "new", {});
    const working = this.#working.get(order.symbol) ?? new Set();
    this.#working.set(order.symbol, working.add(entry));
    this.#tryFill(entry);
    if (isOpen(order) && isImmediate(order)) this.cancel(order.id);
  }

  #tryFill(entry: Entry): void {
    const { order } = entry;
    const { prices, portfolio, hours, partialFills } = this.#args;
    const price = prices.get(order.symbol);
    if (price === undefined) return; // without a price the order waits for one
    if (!hours.isOpen(order.extended_hours)) return;
    entry.triggered ||= isTriggered(order, price);
    if (!isMarketable(order, price, entry.triggered)) return;
    const remaining = this.#remaining(entry, price);
    const quantity = partialFills ? Decimal.min(remaining, prices.left(order.symbol, order.side)) : remaining;
    if (quantity.isZero() || (order.time_in_force === "fok" && quantity.lt(remaining))) return;
    if (partialFills) prices.take(order.symbol, order.side, quantity);
    const held = portfolio.book(order.symbol, order.side, quantity, price);
    entry.target = entry.filled.plus(remaining);
    entry.filled = entry.filled.plus(quantity);
    entry.value = entry.value.plus(quantity.times(price));
    const isWhole = quantity.eq(remaining);
    this.#change(
      entry,
      isWhole ? "filled" : "partially_filled",
      {
        ...(isWhole ? { filled_at: hours.now.toISOString() } : {}),
        filled_qty: entry.filled.toFixed(),
        filled_avg_price: entry.value.div(entry.filled).toDecimalPlaces(9).toFixed(),
      },
      { price: price.toFixed(), qty: quantity.toFixed(), position_qty: held.toFixed() },
    );
  }

  #change(
    entry: Entry,
    status: Exclude<OrderStatus, "pending_new">,
    fields: Partial<Order>,
    execution: Partial<TradeUpdate> = {},
  ): void {
    const { order } = entry;
    const timestamp = this.#args.hours.now.toISOString();
    Object.assign(order, fields, { status, updated_at: timestamp });
    if (!isOpen(order)) {
      this.#unfinished.delete(entry);
      this.#working.get(order.symbol)?.delete(entry);
    }
    this.#args.onUpdate({
      event: eventOf[status],
      execution_id: randomUUID(),
      timestamp,
      ...execution,
      order: { ...order },
    });
  }

  #openOrders(side: Order["side"], except: Entry | undefined): Entry[] {
    return [...this.#unfinished].filter((entry) => entry !== except && entry.order.side === side);
  }

  #buyingPower(except: Entry | undefined): Decimal {
    const claimed = this.#openOrders("buy", except).map((entry) => this.#claim(entry));
    return Decimal.max(0, this.#args.portfolio.cash.minus(Decimal.sum(0, ...claimed)));
  }

  #available(symbol: string, except: Entry | undefined): Decimal {
    const offered = this.#openOrders("sell", except)
      .filter(({ order }) => order.symbol === symbol)
      .map((entry) => this.#remaining(entry, undefined));
    return this.#args.portfolio.quantity(symbol).minus(Decimal.sum(0, ...offered));
  }

  /** Shares that an order still wants; one in dollars gets its quantity, cut to nine digits, from the price. */
  #remaining({ order, target, filled }: Entry, price: Decimal | undefined): Decimal {
    if (target !== undefined) return target.minus(filled);
    const at = price ?? this.#args.prices.get(order.symbol);
    if (at === undefined) return zero;
    return new Decimal(order.notional ?? 0).div(at).toDecimalPlaces(9, Decimal.ROUND_DOWN);
  }

  /** What a buy may still cost, as far as it is known. */
  #claim(entry: Entry): Decimal {
    const { order, value } = entry;
    if (order.notional !== null) return Decimal.max(0, new Decimal(order.notional).minus(value));
    const price = order.limit_price ?? order.stop_price ?? this.#args.prices.get(order.symbol) ?? zero;
    return this.#remaining(entry, undefined).times(price);
  }
}

function newEntry(order: Order): Entry {
  const target = order.qty === null ? undefined : new Decimal(order.qty);
  return { order, target, filled: zero, value: zero, triggered: false };
}

/** Whether what cannot be filled at once is canceled. */
const isImmediate = ({ time_in_force: time }: Order) => time === "ioc" || time === "fok";
