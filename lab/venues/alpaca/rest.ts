/** Alpaca's trading REST API, as far as the lab has it. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Decimal } from "decimal.js";
import { type Faults, type NewsFault, Obstruction } from "../faults.ts";
import { obstructHttp } from "../http-faults.ts";
import { type Credentials, headerCredentials, isSame } from "./account.ts";
import { newYorkInstant, newYorkTime, tradingDays } from "./calendar.ts";
import { assetId, type Order, orderRequestSchema } from "./order.ts";
import { type OrderBook, VenueError } from "./order-book.ts";
import type { Prices } from "./prices.ts";
import { RateLimit } from "./rate-limit.ts";

export interface RestArguments {
  credentials: Credentials;
  book: OrderBook;
  prices: Prices;
  faults: Faults;
  /** Told of every order that was taken, before anything is answered. */
  onTaken: (order: Order, news: NewsFault | undefined) => void;
  /** Requests a minute. */
  requestsPerMinute: number;
  accountId: string;
  startedAt: Date;
}

interface Answer {
  status: number;
  body?: unknown;
}
type Route = (context: {
  request: IncomingMessage;
  query: URLSearchParams;
  id: string;
}) => Promise<Answer | Obstruction> | Answer | Obstruction;

const ok = (body: unknown): Answer => ({ status: 200, body });

/** What a client gets for a fault that is answered. */
const faultBodies = {
  serverError: JSON.stringify({ code: 50010000, message: "internal server error occurred" }),
  rateLimited: JSON.stringify({ code: 42910000, message: "rate limit exceeded" }),
};

/** The API's request handler. */
export function createRest(
  args: RestArguments,
): (request: IncomingMessage, response: ServerResponse) => void {
  const limit = new RateLimit(args.requestsPerMinute);
  const routes = createRoutes(args);
  return (request, response) => {
    const respond = ({ status, body }: Answer) => {
      response.writeHead(status, {
        ...limit.headers(),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      });
      response.end(body === undefined ? undefined : JSON.stringify(body));
    };
    const given = headerCredentials(request.headers);
    if (given === undefined || !isSame(args.credentials, given)) {
      return respond({ status: 401, body: { code: 40110000, message: "request is not authorized" } });
    }
    if (!limit.take())
      return respond({ status: 429, body: { code: 42910000, message: "rate limit exceeded" } });
    const { pathname, searchParams: query } = new URL(request.url ?? "/", "http://lab");
    const match = routes.find(({ method, path }) => method === request.method && path.test(pathname));
    if (match === undefined) {
      const known = routes.some(({ path }) => path.test(pathname));
      return respond({
        status: known ? 405 : 404,
        body: { message: known ? "Method Not Allowed" : "Not Found" },
      });
    }
    const id = decodeURIComponent(match.path.exec(pathname)?.[1] ?? "");
    Promise.resolve()
      .then(() => match.route({ request, query, id }))
      .catch((error: unknown): Answer => {
        const known = error instanceof VenueError ? error : new VenueError(500, 50010000, String(error));
        return { status: known.status, body: { code: known.code, message: known.message } };
      })
      .then((answer) => {
        if (answer instanceof Obstruction) obstructHttp(answer, request, response, faultBodies);
        else respond(answer);
      })
      .catch(() => response.destroy());
  };
}

function createRoutes({ book, prices, faults, onTaken, accountId, startedAt }: RestArguments) {
  const found = (order: Order | undefined, id: string): Answer => {
    if (order === undefined) throw new VenueError(404, 40410000, `order not found for ${id}`);
    return ok(order);
  };
  const position = (symbol: string) => {
    const holding = book.holdings.get(symbol);
    if (holding === undefined) throw new VenueError(404, 40410000, "position does not exist");
    const price = prices.get(symbol) ?? holding.cost.div(holding.quantity);
    const value = holding.quantity.times(price);
    const gain = value.minus(holding.cost);
    const gainShare = holding.cost.isZero() ? new Decimal(0) : gain.div(holding.cost);
    return {
      asset_id: assetId(symbol),
      symbol,
      exchange: "NASDAQ",
      asset_class: "us_equity",
      asset_marginable: false,
      qty: holding.quantity.toString(),
      qty_available: book.available(symbol).toString(),
      avg_entry_price: holding.cost.div(holding.quantity).toDecimalPlaces(6).toString(),
      side: "long",
      market_value: value.toDecimalPlaces(6).toString(),
      cost_basis: holding.cost.toDecimalPlaces(6).toString(),
      unrealized_pl: gain.toDecimalPlaces(6).toString(),
      unrealized_plpc: gainShare.toDecimalPlaces(6).toString(),
      unrealized_intraday_pl: gain.toDecimalPlaces(6).toString(),
      unrealized_intraday_plpc: gainShare.toDecimalPlaces(6).toString(),
      current_price: price.toString(),
      lastday_price: price.toString(),
      change_today: "0",
    };
  };

  const routes: { method: string; path: RegExp; route: Route }[] = [
    {
      method: "POST",
      path: /^\/v2\/orders$/,
      route: async ({ request }) => {
        const order = await readOrder(request);
        return faults.order(order.client_order_id ?? "", (news) => {
          const taken = book.submit(order);
          onTaken(taken, news);
          return ok(taken);
        });
      },
    },
    {
      method: "GET",
      path: /^\/v2\/orders$/,
      route: ({ query }) => faults.ask("list") ?? ok(listOrders(book.orders, query)),
    },
    {
      method: "DELETE",
      path: /^\/v2\/orders$/,
      route: () => {
        const open = book.orders.filter((order) => order.status === "new" || order.status === "pending_new");
        for (const order of open) book.cancel(order.id);
        return { status: 207, body: open.map(({ id }) => ({ id, status: 200 })) };
      },
    },
    {
      method: "GET",
      path: /^\/v2\/orders:by_client_order_id$/,
      route: ({ query }) => {
        const id = query.get("client_order_id") ?? "";
        return faults.ask(id) ?? found(book.byClientId(id), id);
      },
    },
    {
      method: "GET",
      path: /^\/v2\/orders\/([^/]+)$/,
      route: ({ id }) => faults.ask(book.byId(id)?.client_order_id ?? id) ?? found(book.byId(id), id),
    },
    {
      method: "DELETE",
      path: /^\/v2\/orders\/([^/]+)$/,
      route: ({ id }) =>
        faults.change(`cancel ${book.byId(id)?.client_order_id ?? id}`, () => {
          book.cancel(id);
          return { status: 204 };
        }),
    },
    {
      method: "GET",
      path: /^\/v2\/positions$/,
      route: () => ok([...book.holdings.keys()].map(position)),
    },
    { method: "GET", path: /^\/v2\/positions\/([^/]+)$/, route: ({ id }) => ok(position(id)) },
    {
      method: "GET",
      path: /^\/v2\/account$/,
      route: () => ok(account(book, prices, accountId, startedAt)),
    },
    { method: "GET", path: /^\/v2\/clock$/, route: () => ok(clock(new Date())) },
    { method: "GET", path: /^\/v2\/calendar$/, route: ({ query }) => ok(calendar(query)) },
  ];
  return routes;
}

async function readOrder(request: IncomingMessage) {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > 100_000) throw new VenueError(413, 41310000, "request body too large");
    chunks.push(chunk);
  }
  let value: unknown;
  try {
    value = JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch {
    throw new VenueError(400, 40010000, "request body format is invalid");
  }
  const parsed = orderRequestSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
  throw new VenueError(422, 40010001, faults.join("; "));
}

/** @throws VenueError 422 for a parameter that the venue would not take. */
function listOrders(orders: readonly Order[], query: URLSearchParams): Order[] {
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
    const open = order.status === "new" || order.status === "pending_new";
    const submitted = Date.parse(order.submitted_at);
    return (
      (status === "all" || open === (status === "open")) &&
      (symbols.length === 0 || symbols.includes(order.symbol)) &&
      (side === null || side === order.side) &&
      submitted > after &&
      submitted < until
    );
  });
  return (query.get("direction") === "asc" ? matching : matching.reverse()).slice(0, limit);
}

function account(book: OrderBook, prices: Prices, id: string, startedAt: Date): object {
  const long = [...book.holdings].reduce(
    (sum, [symbol, { quantity, cost }]) => sum.plus(quantity.times(prices.get(symbol) ?? cost.div(quantity))),
    new Decimal(0),
  );
  const equity = book.cash.plus(long).toDecimalPlaces(6).toString();
  const cash = book.cash.toDecimalPlaces(6).toString();
  const buyingPower = book.buyingPower.toDecimalPlaces(6).toString();
  return {
    id,
    account_number: `PA${id.replaceAll("-", "").slice(0, 10).toUpperCase()}`,
    status: "ACTIVE",
    crypto_status: "INACTIVE",
    currency: "USD",
    cash,
    buying_power: buyingPower,
    regt_buying_power: buyingPower,
    non_marginable_buying_power: buyingPower,
    daytrading_buying_power: "0",
    equity,
    last_equity: equity,
    portfolio_value: equity,
    long_market_value: long.toDecimalPlaces(6).toString(),
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

/** The lab's market never closes; the next close and open are the exchange's real ones. */
function clock(now: Date): object {
  const year = now.getUTCFullYear();
  const days = tradingDays(now.toISOString().slice(0, 10), `${year + 1}-12-31`).slice(0, 10);
  const closes = days.map(({ date, close }) => newYorkInstant(date, close)).filter((at) => at > now);
  const [close = now] = closes;
  const opens = days.map(({ date, open }) => newYorkInstant(date, open)).filter((at) => at > close);
  const [open = now] = opens;
  return {
    timestamp: newYorkTime(now),
    is_open: true,
    next_open: newYorkTime(open),
    next_close: newYorkTime(close),
  };
}

function calendar(query: URLSearchParams): object[] {
  const [start = "1970-01-01", end = "2029-12-31"] = ["start", "end"].map((name) => {
    const text = query.get(name);
    if (text !== null && !/^\d{4}-\d{2}-\d{2}/.test(text))
      throw new VenueError(422, 42210000, `${name}: found "${text}", expected a date`);
    return text?.slice(0, 10);
  });
  return tradingDays(start, end).map(({ date, open, close }) => ({
    date,
    open,
    close,
    session_open: "0400",
    session_close: close === "13:00" ? "1700" : "2000",
  }));
}
