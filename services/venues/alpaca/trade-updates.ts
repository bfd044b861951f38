/**
 * Alpaca's stream of trade updates: what becomes of our orders, unasked. Nothing that was missed is repeated. The
 * paper host sends binary frames, the live host text; both hold JSON.
 */
import { z } from "zod";
import { openFeed, type Feed, type FeedSession } from "../../core/feed-connection.ts";
import type { ServiceContext } from "../../core/service.ts";
import { parseExact } from "./exact-json.ts";
import { venueOrder, type VenueOrder } from "./orders.ts";

/** The one stream there is. */
const streamName = "trade_updates";

const message = z.discriminatedUnion("stream", [
  z.object({ stream: z.literal("authorization"), data: z.object({ status: z.string() }) }),
  z.object({ stream: z.literal("listening"), data: z.object({ streams: z.array(z.string()).nullish() }) }),
  // The event's own name (`fill`, `canceled`, ...) says no more than the state of the order in it.
  z.object({ stream: z.literal(streamName), data: z.object({ order: venueOrder }) }),
]);

const streamOf = z.object({ stream: z.string() });
const knownStreams: ReadonlySet<string> = new Set(["authorization", "listening", streamName]);

/** The venue does not know our key. */
export class TradeUpdatesRefusedError extends Error {
  constructor(status: string) {
    super(
      `Alpaca refused the stream of trade updates: ${status}. ` +
        "Check ALPACA_KEY_ID and ALPACA_SECRET_KEY, and that ALPACA_UPDATES_URL is the host these belong to (paper or live).",
    );
    this.name = "TradeUpdatesRefusedError";
  }
}

/** Hears what the stream tells. */
export interface TradeUpdatesListener {
  /** The state of an order now. */
  onOrder(order: VenueOrder): void;
  /**
   * Updates may have been missed: the stream listens (again), or one could not be read.
   * @param since milliseconds since the epoch: what was told before did arrive.
   */
  onMissed(since: number): void;
}

/** Arguments of {@link openTradeUpdates}. */
export interface TradeUpdatesOptions {
  /** For example `wss://paper-api.alpaca.markets/stream`. */
  url: string;
  keyId: string;
  secretKey: string;
  context: Pick<ServiceContext, "logger" | "metrics" | "health" | "fatal">;
  listener: TradeUpdatesListener;
  /** Silence after which the connection counts as dead, in milliseconds. Default 60,000. */
  silenceMs?: number;
  /** Pauses between connections. Default 100 ms to 5 s: nothing is heard of orders while it is away. */
  backoff?: { first: number; longest: number };
}

/** Opens the stream; it connects again by itself. Wrong credentials are fatal. */
export function openTradeUpdates(options: TradeUpdatesOptions): Feed {
  const { context, listener } = options;
  const { logger } = context;
  /** Until then nothing was missed. */
  let heardUntil = Date.now();

  const onMessage = (session: FeedSession, data: Buffer): void => {
    const value = parsed(data);
    const name = streamOf.safeParse(value).data?.stream;
    if (name !== undefined && !knownStreams.has(name)) {
      logger.warn(
        { message: data.toString("utf8").slice(0, 500) },
        "a message of another stream is passed over",
      );
      return;
    }
    const read = message.safeParse(value);
    if (!read.success) {
      logger.error({ err: read.error }, "an update of the venue cannot be read: its orders are asked for");
      listener.onMissed(heardUntil);
      return;
    }
    const { stream, data: content } = read.data;
    switch (stream) {
      case "authorization":
        if (content.status === "authorized") {
          session.send(JSON.stringify({ action: "listen", data: { streams: [streamName] } }));
        } else {
          context.fatal(new TradeUpdatesRefusedError(content.status));
        }
        return;
      case "listening":
        if (content.streams?.includes(streamName) !== true) {
          session.fail("not listening", { streams: content.streams });
          return;
        }
        session.established();
        listener.onMissed(heardUntil);
        heardUntil = Date.now();
        return;
      case streamName:
        heardUntil = Date.now();
        listener.onOrder(content.order);
    }
  };

  return openFeed({
    feed: "alpaca.trade_updates",
    url: options.url,
    context,
    silenceMs: options.silenceMs ?? 60_000,
    backoff: options.backoff ?? { first: 100, longest: 5_000 },
    onOpen: (session) => {
      session.send(JSON.stringify({ action: "auth", key: options.keyId, secret: options.secretKey }));
    },
    onMessage,
  });
}

function parsed(data: Buffer): unknown {
  try {
    return parseExact(data.toString("utf8"));
  } catch {
    return undefined;
  }
}
