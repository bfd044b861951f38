/** The routes of the trading API. */
import { Decimal } from "decimal.js";
import type { z } from "zod";
import type { Faults, NewsFault, Obstruction } from "../faults.ts";
import type { MarketHours } from "./market-hours.ts";
import { assetId, isOpen, type Order, orderRequestSchema, replacementSchema } from "./order.ts";
import type { Answer } from "./rest.ts";
import { VenueError } from "./venue-error.ts";
import { accountView, type AccountState, assetView, calendarView, orderList, positionView } from "./views.ts";

export interface RouteArguments extends AccountState {
  hours: MarketHours;
  faults: Faults;
  /** The symbols that can be traded. */
  symbols: () => readonly string[];
  /** Told of every order that was taken, before anything is answered. */
  onTaken: (order: Order, news: NewsFault | undefined) => void;
}

/** What a route may look at. */
export interface RouteContext {
  /** Reads the body. @throws VenueError when it is not what the schema says. */
  read: <Schema extends z.ZodType>(schema: Schema) => Promise<z.infer<Schema>>;
  query: URLSearchParams;
  /** The path's variable part. */
  id: string;
}

/** Requests of a method and path, and what is done for them. */
export interface Route {
  method: "GET" | "POST" | "PATCH" | "DELETE";
  path: RegExp;
  /** @throws VenueError */
  answer(context: RouteContext): Promise<Answer | Obstruction> | Answer | Obstruction;
}

const ok = (body: unknown): Answer => ({ status: 200, body });

/** All routes. */
export function createRoutes(args: RouteArguments): readonly Route[] {
  return [...orderRoutes(args), ...accountRoutes(args)];
}

function orderRoutes({ book, faults, onTaken }: RouteArguments): readonly Route[] {
  const found = (order: Order | undefined, id: string): Answer => {
    if (order === undefined) throw new VenueError(404, 40410000, `order not found for ${id}`);
    return ok(order);
  };
  const clientId = (id: string) => book.byId(id)?.client_order_id ?? id;
  return [
    {
      method: "POST",
      path: /^\/v2\/orders$/,
      answer: async ({ read }) => {
        const request = await read(orderRequestSchema);
        return faults.order(request.client_order_id ?? "", (news) => {
          const order = book.submit(request);
          onTaken(order, news);
          return ok(order);
        });
      },
    },
    {
      method: "GET",
      path: /^\/v2\/orders$/,
      answer: ({ query }) => faults.ask("list") ?? ok(orderList(book.orders, query)),
    },
    {
      method: "DELETE",
      path: /^\/v2\/orders$/,
      answer: () =>
        faults.change("cancel all", () => {
          const open = book.orders.filter(isOpen);
          for (const order of open) book.cancel(order.id);
          return { status: 207, body: open.map(({ id }) => ({ id, status: 200 })) };
        }),
    },
    {
      method: "GET",
      path: /^\/v2\/orders:by_client_order_id$/,
      answer: ({ query }) => {
        const id = query.get("client_order_id") ?? "";
        return faults.ask(id) ?? found(book.byClientId(id), id);
      },
    },
    {
      method: "GET",
      path: /^\/v2\/orders\/([^/]+)$/,
      answer: ({ id }) => faults.ask(clientId(id)) ?? found(book.byId(id), id),
    },
    {
      method: "PATCH",
      path: /^\/v2\/orders\/([^/]+)$/,
      answer: async ({ id, read }) => {
        const replacement = await read(replacementSchema);
        return faults.change(`replace ${clientId(id)}`, () => ok(book.replace(id, replacement)));
      },
    },
    {
      method: "DELETE",
      path: /^\/v2\/orders\/([^/]+)$/,
      answer: ({ id }) =>
        faults.change(`cancel ${clientId(id)}`, () => {
          book.cancel(id);
          return { status: 204 };
        }),
    },
  ];
}

function accountRoutes(args: RouteArguments): readonly Route[] {
  const { book, portfolio, hours, faults, symbols } = args;
  const sell = (symbol: string, qty: string) =>
    book.submit({ symbol, qty, side: "sell", type: "market", time_in_force: "day" });
  return [
    {
      method: "GET",
      path: /^\/v2\/positions$/,
      answer: () => ok([...portfolio.holdings.keys()].map((symbol) => positionView(args, symbol))),
    },
    {
      method: "DELETE",
      path: /^\/v2\/positions$/,
      answer: ({ query }) =>
        faults.change("close positions", () => {
          if (query.get("cancel_orders")?.toLowerCase() === "true")
            for (const { id } of book.orders.filter(isOpen)) book.cancel(id);
          const closing = [...portfolio.holdings.keys()].filter((symbol) => book.available(symbol).gt(0));
          return {
            status: 207,
            body: closing.map((symbol) => {
              const body = sell(symbol, book.available(symbol).toFixed());
              return { symbol, status: 200, body };
            }),
          };
        }),
    },
    { method: "GET", path: /^\/v2\/positions\/([^/]+)$/, answer: ({ id }) => ok(positionView(args, id)) },
    {
      method: "DELETE",
      path: /^\/v2\/positions\/([^/]+)$/,
      answer: ({ id, query }) =>
        faults.change(`close ${id}`, () => {
          const symbol = [...portfolio.holdings.keys()].find((held) => held === id || assetId(held) === id);
          if (symbol === undefined) throw new VenueError(404, 40410000, "position does not exist");
          const number = (name: string) => {
            const text = query.get(name);
            if (text !== null && !(/^\d+(\.\d+)?$/.test(text) && Number(text) > 0))
              throw new VenueError(
                422,
                40010001,
                `${name}: found "${text}", expected a decimal greater than 0`,
              );
            return text;
          };
          const share = book.available(symbol).times(number("percentage") ?? 100);
          const quantity = number("qty") ?? share.div(100).toDecimalPlaces(9, Decimal.ROUND_DOWN).toFixed();
          return ok(sell(symbol, quantity));
        }),
    },
    { method: "GET", path: /^\/v2\/account$/, answer: () => ok(accountView(args)) },
    { method: "GET", path: /^\/v2\/assets$/, answer: () => ok(symbols().map(assetView)) },
    {
      method: "GET",
      path: /^\/v2\/assets\/([^/]+)$/,
      answer: ({ id }) => {
        const symbol = symbols().find((known) => known === id || assetId(known) === id);
        if (symbol === undefined) throw new VenueError(404, 40410000, `asset not found for ${id}`);
        return ok(assetView(symbol));
      },
    },
    { method: "GET", path: /^\/v2\/clock$/, answer: () => ok(hours.clock()) },
    {
      method: "GET",
      path: /^\/v2\/calendar$/,
      answer: ({ query }) => ok(calendarView(hours.exchange, query)),
    },
  ];
}
