/**
 * Alpaca on loopback: the stock stream, trade updates and trading REST of the real one on one port, with a simulated
 * account. The market data are what is played, or a simulated market.
 */
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import { type AskFault, type FaultKind, type FaultPlan, Faults, type NewsFault } from "../faults.ts";
import type { PlayOptions } from "../pace.ts";
import { closeServer, listenOnLoopback } from "../socket.ts";
import { type Credentials, makeCredentials } from "./account.ts";
import { type Announcement, ExchangeDays } from "./calendar.ts";
import { parseDataMessage, playToSubscriber, StockFeed } from "./feed.ts";
import type { Order } from "./order.ts";
import { type ClientOrderIds, OrderBook, type TradeUpdate } from "./order-book.ts";
import { MarketHours, type MarketHoursMode } from "./market-hours.ts";
import { Portfolio } from "./portfolio.ts";
import { type PricedMessage, Prices } from "./prices.ts";
import { createRest } from "./rest.ts";
import { createMarket, simulatedSymbols, stepMs, testSymbols } from "./simulated-market.ts";
import { StreamConnection, type StreamRefusal } from "./stream.ts";
import { TradeUpdates } from "./updates.ts";

/** How the venue is to behave. */
export interface AlpacaArguments {
  /** TCP port on 127.0.0.1; default: a free one. */
  port?: number | undefined;
  /** "replay": only what `play` sends. "simulated": quotes, trades and bars flow by themselves. */
  market: "replay" | "simulated";
  /** Of the simulated market; default 1. */
  seed?: number;
  /** Cash of the account at the start, in US dollars; default 100,000 as a paper account has. */
  cash?: string;
  /** From an order's acceptance to its first chance of a fill, in milliseconds; default 20. */
  fillMs?: number;
  /** Trading requests a minute; default 200. */
  requestsPerMinute?: number;
  /** How long a client of the stream may take to authenticate, in milliseconds; default 10,000. */
  authenticationMs?: number;
  /** What goes wrong with orders, and how often; default: nothing. */
  faults?: FaultPlan;
  /**
   * Whether a `client_order_id` can be used again. "strict" (default): never. "documented": once its order is filled,
   * for the venue's documentation promises uniqueness among active orders only, and nobody has seen it after a fill.
   */
  clientOrderIds?: ClientOrderIds;
  /**
   * Whether a fill takes no more than what the last trade, quote or bar had on offer, so that larger orders are filled
   * in parts, as further prices come; default false: every fill is whole.
   */
  partialFills?: boolean;
  /** "always" (default): open at any hour, since the lab replays at any hour. "calendar": the exchange's real hours. */
  marketHours?: MarketHoursMode;
  /** What the exchange has announced beside its rules, by ISO date; default: nothing. */
  announcements?: Readonly<Record<string, Announcement>>;
  /** The venue's time, milliseconds since the epoch; default: the machine's. */
  now?: () => number;
  /**
   * How long a stream's connection that broke off still counts, so that the next one gets 406, in milliseconds;
   * default 0. About 90,000 at the real venue.
   */
  lingerMs?: number;
  /** What the account is refused with on a stream, as one whose plan lacks it (409) or whose key may not (411). */
  streamRefusals?: Partial<Record<FeedName, StreamRefusal>>;
}

export type FeedName = "iex" | "sip" | "test";

/** The running venue. */
export interface LabAlpaca extends Credentials {
  /** The stock stream with the feed: "ws://127.0.0.1:port/v2/iex"; `/v2/sip` and `/v2/test` are there too. */
  readonly stream: string;
  /** Trade updates: "ws://127.0.0.1:port/stream". */
  readonly updates: string;
  /** Trading REST without `/v2`: "http://127.0.0.1:port". */
  readonly rest: string;
  /**
   * Sends data messages (JSON texts of one object each, or objects) to the subscriber of `iex`, else of `sip`, waiting
   * while there is none; resolves when the subscriber has read all. A message that no subscription covers is passed
   * over.
   * @returns how many were sent.
   */
  play(messages: readonly (string | object)[], options?: PlayOptions): Promise<number>;
  /** The venue's book: every order that it accepted, oldest first. */
  orders(): readonly Order[];
  /** How many orders came with a `client_order_id` of an order taken before, refused or not. */
  duplicateOrders(): number;
  /** How many order calls each fault happened to. */
  faultCounts(): Record<FaultKind, number>;
  /** How many questions about orders each fault happened to. */
  askFaultCounts(): Record<AskFault, number>;
  /** The exchange decides at short notice that it is "closed" on a date, or when it closes, "HH:MM" in New York. */
  announce(date: string, announcement: Announcement): void;
  /** Breaks off every connection to streams and trade updates, without a word. @returns how many there were. */
  breakOff(): number;
  close(): Promise<void>;
}

/** The IEX plan's trade and quote channels. */
const iexChannels = 30;
/** News of orders that have only begun. */
const beginnings: ReadonlySet<TradeUpdate["event"]> = new Set(["accepted", "new"]);
/** Between two looks at the clock, where the market closes. */
const clockMs = 100;

/**
 * Starts the venue.
 * @throws VenuePortInUseError, FaultPlanError
 */
export async function startAlpaca(args: AlpacaArguments): Promise<LabAlpaca> {
  const credentials = makeCredentials();
  const faults = new Faults(args.faults);
  /** By order id: what is to happen to its news. */
  const newsFaults = new Map<string, NewsFault>();
  const prices = new Prices();
  const updates = new TradeUpdates(credentials);
  const known = new Set(args.market === "simulated" ? Object.keys(simulatedSymbols) : []);
  const portfolio = new Portfolio(args.cash ?? "100000");
  const exchange = new ExchangeDays();
  for (const [date, announcement] of Object.entries(args.announcements ?? {}))
    exchange.announce(date, announcement);
  const hours = new MarketHours(args.marketHours ?? "always", args.now ?? Date.now, exchange);
  const book = new OrderBook({
    prices,
    portfolio,
    hours,
    fillMs: args.fillMs ?? 20,
    partialFills: args.partialFills ?? false,
    isTradable: (symbol) => known.has(symbol),
    clientOrderIds: args.clientOrderIds ?? "strict",
    onUpdate: (update) =>
      faults.deliver(newsFaults.get(update.order.id), !beginnings.has(update.event), () =>
        updates.publish(update),
      ),
  });
  const lingerMs = args.lingerMs ?? 0;
  const feeds = { iex: new StockFeed(lingerMs), sip: new StockFeed(lingerMs), test: new StockFeed(lingerMs) };
  const closed = new AbortController();

  const http = createServer(
    createRest({
      credentials,
      book,
      portfolio,
      prices,
      hours,
      symbols: () => [...known],
      faults,
      onTaken: ({ id }, news) => {
        if (news !== undefined) newsFaults.set(id, news);
      },
      requestsPerMinute: args.requestsPerMinute ?? 200,
      accountId: randomUUID(),
      startedAt: new Date(),
    }),
  );
  // Small frames are not worth compressing; the fastest level is enough for a feed.
  const streamServer = new WebSocketServer({
    noServer: true,
    perMessageDeflate: { threshold: 512, zlibDeflateOptions: { level: 1 } },
  });
  const updatesServer = new WebSocketServer({ noServer: true });
  http.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const { pathname } = new URL(request.url ?? "/", "http://lab");
    const name = /^\/v2\/(iex|sip|test)$/.exec(pathname)?.[1] as FeedName | undefined;
    if (name !== undefined) {
      streamServer.handleUpgrade(request, socket, head, (webSocket) => {
        new StreamConnection(webSocket, request, {
          credentials,
          channelLimit: name === "iex" ? iexChannels : Infinity,
          authenticationMs: args.authenticationMs ?? 10_000,
          refusal: args.streamRefusals?.[name],
          admit: (connection) => feeds[name].admit(connection),
        });
      });
    } else if (pathname === "/stream") {
      updatesServer.handleUpgrade(request, socket, head, (webSocket) => updates.serve(webSocket));
    } else {
      socket.end("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    }
  });
  const port = await listenOnLoopback(http, args.port ?? 0, "Alpaca");

  /** What a message means for the account: its symbol can be traded, and orders may be filled. */
  const learn = (message: PricedMessage) => {
    known.add(message.S);
    if (prices.learn(message)) book.onPrice(message.S);
  };
  if (args.marketHours === "calendar") {
    const timer = setInterval(() => book.onTime(), clockMs);
    timer.unref();
    closed.signal.addEventListener("abort", () => clearInterval(timer));
  }
  if (args.market === "simulated") {
    const seed = args.seed ?? 1;
    const market = createMarket(simulatedSymbols, seed);
    const testMarket = createMarket(testSymbols, seed);
    const timer = setInterval(() => {
      const now = Date.now();
      const messages = market(now).map(parseDataMessage);
      for (const { fields } of messages) learn(fields as unknown as PricedMessage);
      feeds.iex.offer(messages);
      feeds.sip.offer(messages);
      feeds.test.offer(testMarket(now).map(parseDataMessage));
    }, stepMs);
    closed.signal.addEventListener("abort", () => clearInterval(timer));
  }

  return {
    ...credentials,
    stream: `ws://127.0.0.1:${port}/v2/iex`,
    updates: `ws://127.0.0.1:${port}/stream`,
    rest: `http://127.0.0.1:${port}`,
    orders: () => book.orders,
    duplicateOrders: () => book.duplicates,
    faultCounts: () => faults.counts,
    askFaultCounts: () => faults.askCounts,
    announce: (date, announcement) => exchange.announce(date, announcement),
    play: async (messages, options = {}) => {
      const signal =
        options.signal === undefined ? closed.signal : AbortSignal.any([options.signal, closed.signal]);
      const parsed = messages.map((message) =>
        parseDataMessage(typeof message === "string" ? message : JSON.stringify(message)),
      );
      return playToSubscriber([feeds.iex, feeds.sip], parsed, { ...options, signal }, (index) => {
        const message = parsed[index];
        if (message !== undefined) learn(message.fields as unknown as PricedMessage);
      });
    },
    breakOff: () => Object.values(feeds).filter((feed) => feed.breakOff()).length + updates.breakOff(),
    close: async () => {
      closed.abort(new Error("the Alpaca server was closed"));
      book.close();
      faults.close();
      await closeServer(http, streamServer, updatesServer);
    },
  };
}
