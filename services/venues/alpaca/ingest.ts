/**
 * Takes Alpaca's real-time stock stream in: one raw event per data message, with its exact text, even when
 * many come in one frame. Facts about the protocol: Alpaca's documentation and its Go client.
 */
import { Counter } from "prom-client";
import { startIngest, type VenueMessage } from "../../bus/ingest.ts";
import { topicName, topics } from "../../bus/topics.ts";
import { nonEmptyList, text, url } from "../../core/config.ts";
import { openFeed, type Feed, type FeedSession } from "../../core/feed-connection.ts";
import type { ServiceContext, ServiceDefinition } from "../../core/service.ts";
import { instantString, toInstant } from "../../core/time.ts";
import { FrameError, sliceArray } from "./frames.ts";

/** Alpaca pings; and we ask when it is quiet. After this silence the connection counts as dead. */
const silenceMs = 60_000;

/** Name of the feed in metrics and logs. */
const feedName = "alpaca.stocks";

/** Channels of the stream; corrections and cancels come with the trades by themselves. */
const channels = ["trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds"] as const;

/** Messages about the connection, not about the market. */
const controlTypes = new Set(["success", "error", "subscription"]);

/**
 * Refusals that no repetition cures at start (Alpaca's Go client): wrong credentials, not subscribed to this
 * data, unknown action for the feed, missing scope.
 */
const fatalCodes = new Set([402, 409, 410, 411]);

/** The venue refuses us for good. */
export class AlpacaRefusedError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(
      `Alpaca refused the stream: ${code} ${message}. ` +
        (code === 402
          ? "Check ALPACA_KEY_ID and ALPACA_SECRET_KEY."
          : "Check the feed in ALPACA_STREAM_URL and the account's data plan."),
    );
    this.name = "AlpacaRefusedError";
    this.code = code;
  }
}

/** Arguments of {@link openStockFeed}. */
export interface StockFeedOptions {
  /** With the feed, for example `wss://stream.data.alpaca.markets/v2/iex`. */
  url: string;
  keyId: string;
  secretKey: string;
  /** Symbols that are subscribed on every channel; `*` for all. */
  symbols: readonly string[];
  context: Pick<ServiceContext, "logger" | "metrics" | "health" | "fatal">;
  take(session: FeedSession, message: VenueMessage): void;
  /** See {@link silenceMs}; shorter in tests. */
  silenceMs?: number;
  /** Pauses between connections. Default 500 ms to 30 s: after an unclean drop 406 lasts up to about 90 s. */
  backoff?: { first: number; longest: number };
}

interface Message {
  T?: unknown;
  S?: unknown;
  t?: unknown;
  msg?: unknown;
  code?: unknown;
}

/** Opens the stream. */
export function openStockFeed(options: StockFeedOptions): Feed {
  const { context, symbols } = options;
  const { logger } = context;
  const gapSeconds = new Counter({
    name: "trading_feed_gap_seconds_total",
    help: "Time in which nothing of the feed was received because its connection had ended, by feed.",
    labelNames: ["feed"],
    registers: [context.metrics.registry],
  });
  gapSeconds.inc({ feed: feedName }, 0);
  /** The last message of any session that was established: what came after it is lost, since nothing is repeated. */
  let last: { session: FeedSession; at: number } | undefined;

  const established = (session: FeedSession): void => {
    // The venue repeats the list of subscriptions whenever it changes.
    if (feed.session === session) return;
    session.established();
    if (last === undefined) return;
    const now = Date.now();
    const seconds = Math.max(0, now - last.at) / 1_000;
    gapSeconds.inc({ feed: feedName }, seconds);
    logger.warn(
      {
        feed: feedName,
        session_id: session.id,
        previous_session_id: last.session.id,
        gap_from: toInstant(last.at),
        gap_to: toInstant(now),
        gap_seconds: seconds,
      },
      "gap in the feed: what the venue sent meanwhile is missing",
    );
  };

  const onControl = (session: FeedSession, message: Message): void => {
    if (message.T === "subscription") {
      logger.info({ subscription: message, session_id: session.id }, "subscribed to stocks");
      established(session);
    } else if (message.T === "success") {
      logger.info({ msg_text: message.msg }, "Alpaca");
      if (message.msg === "connected") {
        session.send(JSON.stringify({ action: "auth", key: options.keyId, secret: options.secretKey }));
      } else if (message.msg === "authenticated") {
        session.send(
          JSON.stringify({
            action: "subscribe",
            ...Object.fromEntries(channels.map((channel) => [channel, symbols])),
          }),
        );
      }
    } else onError(session, Number(message.code), describe(message.msg));
  };

  const onError = (session: FeedSession, code: number, message: string): void => {
    const isSetUp = feed.session === session;
    if (fatalCodes.has(code) && !isSetUp) {
      context.fatal(new AlpacaRefusedError(code, message));
      return;
    }
    switch (code) {
      case 403: // Already authenticated: nothing is lost.
      case 405: // Symbol limit exceeded: the subscriptions stay as they were.
        logger.error({ code, message }, "Alpaca refused an action");
        // Without any subscription there is no feed.
        if (code === 405 && !isSetUp) context.fatal(new AlpacaRefusedError(code, message));
        return;
      default:
        // 406: another connection is open, or ours is not forgotten yet; 407: we were too slow; 404, 500 and the like.
        session.fail(`error ${code}`, { message });
    }
  };

  const onMessage = (session: FeedSession, data: Buffer): void => {
    const frame = data.toString("utf8");
    let elements: string[];
    try {
      elements = sliceArray(frame);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      logger.error({ err: error }, "a frame that is no array is kept whole");
      options.take(session, { text: frame, messageType: null, key: "unreadable" });
      return;
    }
    for (const element of elements) {
      const message = parse(element);
      if (typeof message?.T === "string" && controlTypes.has(message.T)) onControl(session, message);
      else options.take(session, { text: element, ...describeData(message) });
    }
  };

  const feed = openFeed({
    feed: feedName,
    url: options.url,
    compress: true,
    context,
    silenceMs: options.silenceMs ?? silenceMs,
    backoff: options.backoff ?? { first: 500, longest: 30_000 },
    onOpen: () => undefined,
    onMessage: (session, data) => {
      onMessage(session, data);
      if (feed.session === session) last = { session, at: Date.now() };
    },
  });
  return feed;
}

function parse(element: string): Message | undefined {
  try {
    const value: unknown = JSON.parse(element);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}

function describe(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value ?? null);
}

function describeData(
  message: Message | undefined,
): Pick<VenueMessage, "messageType" | "key" | "observedAt"> {
  const time = instantString.safeParse(message?.t);
  return {
    messageType: typeof message?.T === "string" ? message.T : null,
    key: typeof message?.S === "string" ? message.S : "no symbol",
    observedAt: time.success ? time.data : undefined,
  };
}

const variables = {
  ALPACA_STREAM_URL: url("ws", "wss"),
  ALPACA_SYMBOLS: nonEmptyList,
  ALPACA_KEY_ID: text,
  ALPACA_SECRET_KEY: text,
};

/** The service `ingestion-alpaca-stockstream-api`. */
export const ingestAlpacaStocks: ServiceDefinition<typeof variables> = {
  variables,
  secrets: ["ALPACA_KEY_ID", "ALPACA_SECRET_KEY"],
  start: (context, config) =>
    startIngest({
      context,
      topic: topicName(topics.stockStream, context.settings.BUSINESS_DATE),
      type: "raw.alpaca.stock",
      venue: "alpaca",
      open: (take) =>
        openStockFeed({
          url: config.ALPACA_STREAM_URL,
          keyId: config.ALPACA_KEY_ID,
          secretKey: config.ALPACA_SECRET_KEY,
          symbols: config.ALPACA_SYMBOLS,
          context,
          take,
        }),
    }),
};
