/**
 * A WebSocket to a venue that is kept up: it reconnects with growing, jittered pauses, ends a connection
 * that has fallen silent, and holds the venue back when its messages cannot be taken. What is said on the
 * connection is the protocol's business, given as functions.
 */
import { WebSocket } from "ws";
import { Backoff, type BackoffLimits } from "./backoff.ts";
import { newSessionId } from "./ids.ts";
import type { ServiceContext } from "./service.ts";
import { toInstant } from "./time.ts";

/** One connection, from its opening to its end. */
export interface FeedSession {
  /** Random id of this connection. */
  readonly id: string;
  /** Sends a text message. */
  send(text: string): void;
  /** The protocol's opening is done (authenticated, subscribed): data may come now. */
  established(): void;
  /** Stops reading from the connection; the venue is held back by TCP. */
  pause(): void;
  resume(): void;
  /** Ends the connection; it is opened again after a pause. @param cause a short word for log and metrics. */
  fail(cause: string, details?: Record<string, unknown>): void;
}

/** Arguments of {@link openFeed}. */
export interface FeedOptions {
  /** Name in metrics and logs. */
  feed: string;
  url: string;
  /** Headers of the handshake. */
  headers?: Record<string, string>;
  /** permessage-deflate. Default false. */
  compress?: boolean;
  context: Pick<ServiceContext, "logger" | "metrics" | "health">;
  /** The connection is open. */
  onOpen(session: FeedSession): void;
  /** A message came. @param binary whether it came as a binary frame. */
  onMessage(session: FeedSession, data: Buffer, binary: boolean): void;
  /** The connection has ended, for whatever reason, after {@link FeedSession.established} or before. */
  onClose?(session: FeedSession): void;
  /** A silence of this length ends the connection, in milliseconds. Pings count as silence, answers to ours do not. */
  silenceMs: number;
  /** Longest time from opening the socket to {@link FeedSession.established}, in milliseconds. Default 15,000. */
  establishMs?: number;
  /** Pauses between connections. Default 250 ms to 30 s. */
  backoff?: BackoffLimits;
  /** Longest pause after which the service counts as unhealthy, in milliseconds. Default 300,000: longer than a venue's refusals last. */
  unhealthyMs?: number;
}

/** An open feed. */
export interface Feed {
  /** The present session once it is established, otherwise undefined. */
  readonly session: FeedSession | undefined;
  /** Ends the feed for good; no message is delivered afterwards. */
  close(): Promise<void>;
}

/** Opens the feed; it connects by itself until {@link Feed.close}. Never throws: a venue that is away is tried again. */
export function openFeed(options: FeedOptions): Feed {
  const { feed, context } = options;
  const logger = context.logger.child({ feed });
  const backoff = new Backoff(options.backoff ?? { first: 250, longest: 30_000 });
  const watch = context.health.watch(`feed ${feed}`, options.unhealthyMs ?? 300_000);
  let closed = false;
  let established: FeedSession | undefined;
  let socket: WebSocket | undefined;
  let reconnect: NodeJS.Timeout | undefined;
  let endedAt: number | undefined;
  let socketClosed: () => void = () => undefined;
  context.metrics.feedConnected.set({ feed }, 0);
  context.metrics.feedAlive(feed);

  const connect = (): void => {
    const current = new WebSocket(options.url, {
      headers: options.headers ?? {},
      perMessageDeflate: options.compress ?? false,
      handshakeTimeout: 10_000,
      maxPayload: 16 * 1024 * 1024,
    });
    socket = current;
    let cause = "closed by the venue";
    let lastSign = performance.now();
    let probed = false;
    const sign = (): void => {
      lastSign = performance.now();
      probed = false;
    };
    const fail = (why: string, details: Record<string, unknown> = {}): void => {
      if (current.readyState === WebSocket.CLOSED) return;
      cause = why;
      logger.warn({ session_id: session.id, cause: why, ...details }, "feed connection given up");
      current.terminate();
    };
    const session: FeedSession = {
      id: newSessionId(),
      send: (text) => current.send(text),
      established: () => {
        clearTimeout(establish);
        backoff.reset();
        established = session;
        watch.progress();
        context.metrics.feedConnected.set({ feed }, 1);
        // What the venue sent in between is lost to us: the gap is on record.
        const gap =
          endedAt === undefined ? {} : { gap_from: toInstant(endedAt), gap_to: toInstant(Date.now()) };
        logger.info({ session_id: session.id, ...gap }, "feed established");
      },
      pause: () => current.pause(),
      resume: () => current.resume(),
      fail,
    };
    const establish = setTimeout(() => fail("not established in time"), options.establishMs ?? 15_000);
    // Half of the allowed silence in, the venue is asked for a sign of life; markets may simply be quiet.
    const watchdog = setInterval(
      () => {
        const silence = performance.now() - lastSign;
        if (silence > options.silenceMs) fail("silent", { silence_ms: Math.round(silence) });
        else if (established === session) {
          watch.progress();
          if (silence > options.silenceMs / 2 && !probed && current.readyState === WebSocket.OPEN) {
            probed = true;
            current.ping();
          }
        }
      },
      Math.max(20, options.silenceMs / 8),
    );

    current.on("open", () => {
      sign();
      options.onOpen(session);
    });
    current.on("pong", sign);
    current.on("message", (data, binary) => {
      sign();
      if (closed) return;
      context.metrics.feedAlive(feed);
      options.onMessage(session, data as Buffer, binary);
    });
    current.on("unexpected-response", (_request, response) => {
      cause = `HTTP ${response.statusCode ?? 0}`;
      logger.error({ status: response.statusCode }, "the venue refused the connection; check URL and token");
      response.resume();
      current.terminate();
    });
    current.on("error", (error) => {
      if (cause === "closed by the venue") cause = error.message;
    });
    current.on("close", (code) => {
      clearTimeout(establish);
      clearInterval(watchdog);
      if (established === session) {
        established = undefined;
        endedAt = Date.now();
      }
      context.metrics.feedConnected.set({ feed }, 0);
      options.onClose?.(session);
      socketClosed();
      if (closed) return;
      context.metrics.feedReconnects.inc({ feed, cause: cause.slice(0, 60) });
      const pause = backoff.next();
      logger.warn(
        { session_id: session.id, cause, code, next_attempt_ms: Math.round(pause) },
        "feed connection ended",
      );
      reconnect = setTimeout(connect, pause);
    });
  };
  connect();

  return {
    get session() {
      return established;
    },
    close: async () => {
      closed = true;
      watch.end();
      context.metrics.feedEnded(feed);
      clearTimeout(reconnect);
      if (socket === undefined || socket.readyState === WebSocket.CLOSED) return;
      const current = socket;
      await new Promise<void>((resolve) => {
        socketClosed = resolve;
        if (current.readyState === WebSocket.OPEN) {
          current.close(1000);
          // A venue that does not answer the closing handshake must not hold up the stop.
          setTimeout(() => current.terminate(), 1_000).unref();
        } else current.terminate();
      });
    },
  };
}
