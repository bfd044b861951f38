/** What `GET` shows of the account, its positions, assets and the calendar. */
import { Decimal } from "decimal.js";
import type { ExchangeDays } from "./calendar.ts";
import { session } from "./market-hours.ts";
import { assetId, isOpen, type Order } from "./order.ts";
import type { OrderBook } from "./order-book.ts";
import type { Portfolio } from "./portfolio.ts";
import type { Prices } from "./prices.ts";
import { VenueError } from "./venue-error.ts";

const money = (amount: Decimal) => amount.toDecimalPlaces(6).toFixed();

/** What the account's views are made of. */
export interface AccountState {
  book: OrderBook;
  portfolio: Portfolio;
  prices: Prices;
  accountId: string;
  startedAt: Date;
}

/** `GET /v2/account` */
export function accountView({ book, portfolio, prices, accountId, startedAt }: AccountState): object {
  const values = [...portfolio.holdings].map(([symbol, { quantity, cost }]) => {
    const price = prices.get(symbol);
    return price === undefined ? cost : quantity.times(price);
  });
  const long = Decimal.sum(0, ...values);
  const equity = money(portfolio.cash.plus(long));
  const buyingPower = money(book.buyingPower);
  return {
    id: accountId,
    account_number: `PA${accountId.replaceAll("-", "").slice(0, 10).toUpperCase()}`,
    status: "ACTIVE",
    crypto_status: "INACTIVE",
    currency: "USD",
    cash: money(portfolio.cash),
    buying_power: buyingPower,
    regt_buying_power: buyingPower,
    non_marginable_buying_power: buyingPower,
    daytrading_buying_power: "0",
    equity,
    last_equity: equity,
    portfolio_value: equity,
    long_market_value: money(long),
    short_market_value: "0",
    initial_margin: "0",
    maintenance_margin: "0",
    last_maintenance_margin: "0",
    accrued_fees: "0",
    sma: "0",
    multiplier: "1",
    daytrade_count: 0,
    pattern_day_trader: false,
    trading_blocked: false,
    transfers_blocked: false,
    account_blocked: false,
    trade_suspended_by_user: false,
    shorting_enabled: false,
    created_at: startedAt.toISOString(),
  };
}

/** A position as `GET /v2/positions` shows it. @param name symbol or asset id. @throws VenueError 404 */
export function positionView({ book, portfolio, prices }: AccountState, name: string): object {
  const found = [...portfolio.holdings].find(([symbol]) => symbol === name || assetId(symbol) === name);
  if (found === undefined) throw new VenueError(404, 40410000, "position does not exist");
  const [symbol, { quantity, cost }] = found;
  const price = prices.get(symbol) ?? cost.div(quantity);
  const value = quantity.times(price);
  const gain = value.minus(cost);
  const gainShare = cost.isZero() ? cost : gain.div(cost);
  return {
    asset_id: assetId(symbol),
    symbol,
    exchange: "NASDAQ",
    asset_class: "us_equity",
    asset_marginable: false,
    qty: quantity.toFixed(),
    qty_available: book.available(symbol).toFixed(),
    avg_entry_price: money(cost.div(quantity)),
    side: "long",
    market_value: money(value),
    cost_basis: money(cost),
    unrealized_pl: money(gain),
    unrealized_plpc: money(gainShare),
    unrealized_intraday_pl: money(gain),
    unrealized_intraday_plpc: money(gainShare),
    current_price: price.toFixed(),
    lastday_price: price.toFixed(),
    change_today: "0",
  };
}

/** An asset as `GET /v2/assets` shows it: tradable, for cash, in fractions. */
export function assetView(symbol: string): object {
  return {
    id: assetId(symbol),
    class: "us_equity",
    exchange: "NASDAQ",
    symbol,
    name: `${symbol} (simulated)`,
    status: "active",
    tradable: true,
    marginable: false,
    shortable: false,
    easy_to_borrow: false,
    fractionable: true,
    attributes: [],
  };
}

/** `GET /v2/orders`. @throws VenueError 422 for a parameter that the venue would not take. */
export function orderList(orders: readonly Order[], query: URLSearchParams): Order[] {
  const status = query.get("status") ?? "open";
  const limit = Number(query.get("limit") ?? 50);
  if (!["open", "closed", "all"].includes(status))
    throw new VenueError(422, 40010001, `status: found "${status}", expected open, closed or all`);
  if (!Number.isInteger(limit) || limit < 1 || limit > 500)
    throw new VenueError(422, 40010001, `limit: expected 1 to 500`);
  const symbols = query.get("symbols")?.split(",").filter(Boolean) ?? [];
  const side = query.get("side");
  const instant = (name: string, otherwise: number) => {
    const text = query.get(name);
    if (text === null) return otherwise;
    const at = Date.parse(text);
    if (Number.isNaN(at)) throw new VenueError(422, 40010001, `${name}: expected a time`);
    return at;
  };
  const after = instant("after", -Infinity);
  const until = instant("until", Infinity);
  const matching = orders.filter((order) => {
    const submitted = Date.parse(order.submitted_at);
    return (
      (status === "all" || isOpen(order) === (status === "open")) &&
      (symbols.length === 0 || symbols.includes(order.symbol)) &&
      (side === null || side === order.side) &&
      submitted > after &&
      submitted < until
    );
  });
  return (query.get("direction") === "asc" ? matching : matching.reverse()).slice(0, limit);
}

/** `GET /v2/calendar`. @throws VenueError 422 for a parameter that is no date. */
export function calendarView(exchange: ExchangeDays, query: URLSearchParams): object[] {
  const date = (name: string, otherwise: string) => {
    const text = query.get(name);
    if (text !== null && !/^\d{4}-\d{2}-\d{2}/.test(text))
      throw new VenueError(422, 42210000, `${name}: found "${text}", expected a date`);
    return text?.slice(0, 10) ?? otherwise;
  };
  return exchange.between(date("start", "1970-01-01"), date("end", "2029-12-31")).map((day) => {
    const { open, close } = session(day);
    return {
      date: day.date,
      open: day.open,
      close: day.close,
      session_open: open.replace(":", ""),
      session_close: close.replace(":", ""),
    };
  });
}
