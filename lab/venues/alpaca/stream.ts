/** One connection to the real-time stock stream: who it is, what it wants, what it gets. */
import type { IncomingMessage } from "node:http";
import type { WebSocket } from "ws";
import { z } from "zod";
import { type Credentials, headerCredentials, isSame } from "./account.ts";
import { type Codec, jsonCodec, messagePackCodec } from "./codec.ts";
import { channels, Subscriptions } from "./subscriptions.ts";

/** Errors of the stream, in Alpaca's words. */
const errors = {
  400: "invalid syntax",
  401: "not authenticated",
  402: "auth failed",
  403: "already authenticated",
  404: "auth timeout",
  405: "symbol limit exceeded",
  406: "connection limit exceeded",
  407: "slow client",
  408: "v2 not enabled",
  409: "insufficient subscription",
  410: "invalid subscribe action for this feed",
  411: "insufficient scope",
  500: "internal error",
} as const;

/** Errors that an account with the right credentials may get in the place of "authenticated". */
export type StreamRefusal = 408 | 409 | 411 | 500;

/** After these the venue closes the connection. */
const final: ReadonlySet<number> = new Set([402, 404, 406, 407, 408, 409, 411, 500]);

/** Unsent bytes at which a client is too slow. A replay waits for its client long before that. */
const slowBytes = 16_000_000;

/** What a WebSocket that ended without a closing handshake is said to be closed with (RFC 6455, 7.4.1). */
const abnormalClosure = 1006;

/** Channels that other feeds of Alpaca have: asking for them here is error 410. */
const foreignChannels = ["orderbooks", "news"];

/** What a connection needs of its feed. */
export interface StreamHub {
  credentials: Credentials;
  /** Most trade and quote channels of a connection. */
  channelLimit: number;
  /** How long a client may take to authenticate. */
  authenticationMs: number;
  /** What the account is refused with, if it is. */
  refusal: StreamRefusal | undefined;
  /** @returns false when the account has a connection to this feed already. */
  admit(connection: StreamConnection): boolean;
}

const symbols = z.array(z.string().min(1)).optional();
const actionSchema = z.discriminatedUnion("action", [
  z.object({ action: z.literal("auth"), key: z.unknown(), secret: z.unknown() }),
  z.looseObject({
    action: z.enum(["subscribe", "unsubscribe"]),
    ...(Object.fromEntries(channels.map((channel) => [channel, symbols])) as Record<
      (typeof channels)[number],
      typeof symbols
    >),
  }),
]);

/** A client of the stream. */
export class StreamConnection {
  readonly socket: WebSocket;
  readonly subscriptions = new Subscriptions();
  /** When the subscriptions last changed, in milliseconds of `performance.now()`. */
  changedAt = performance.now();
  /** When the connection broke off without a closing handshake, in milliseconds of `performance.now()`. */
  brokeOffAt: number | undefined;
  readonly #hub: StreamHub;
  readonly #codec: Codec;
  readonly #timer: NodeJS.Timeout;
  #authenticated = false;

  /** @param request the handshake: it chooses the codec and may carry credentials. */
  constructor(socket: WebSocket, request: IncomingMessage, hub: StreamHub) {
    this.socket = socket;
    this.#hub = hub;
    const wantsMessagePack = request.headers["content-type"]?.startsWith("application/msgpack") === true;
    this.#codec = wantsMessagePack ? messagePackCodec : jsonCodec;
    this.#timer = setTimeout(() => this.#fail(404), hub.authenticationMs);
    socket.on("close", (code) => {
      clearTimeout(this.#timer);
      if (code === abnormalClosure) this.brokeOffAt = performance.now();
    });
    socket.on("error", () => socket.terminate());
    socket.on("message", (data: Buffer) => this.#receive(data));
    this.#control({ T: "success", msg: "connected" });
    const given = headerCredentials(request.headers);
    if (given !== undefined) this.#authenticate(given);
  }

  /** Whether data may be sent: authenticated, open, and something is subscribed. */
  get isListening(): boolean {
    return this.#authenticated && !this.subscriptions.isEmpty && this.socket.readyState === this.socket.OPEN;
  }

  /** Sends data messages, JSON texts, in one frame. */
  sendData(messages: readonly string[]): void {
    if (this.socket.bufferedAmount > slowBytes) return this.#fail(407);
    this.socket.send(this.#codec.encode(messages));
  }

  #control(message: object): void {
    this.socket.send(this.#codec.encode([JSON.stringify(message)]));
  }

  #fail(code: keyof typeof errors): void {
    this.#control({ T: "error", code, msg: errors[code] });
    if (final.has(code)) this.socket.close();
  }

  #receive(data: Buffer): void {
    let value: unknown;
    try {
      value = this.#codec.decode(data);
    } catch {
      return this.#fail(400);
    }
    const parsed = actionSchema.safeParse(value);
    if (!parsed.success) return this.#fail(400);
    const message = parsed.data;
    if (message.action === "auth") return this.#authenticate({ keyId: message.key, secret: message.secret });
    if (!this.#authenticated) return this.#fail(401);
    if (foreignChannels.some((channel) => channel in message)) return this.#fail(410);
    if (message.action === "unsubscribe") this.subscriptions.remove(message);
    else if (!this.subscriptions.add(message, this.#hub.channelLimit)) return this.#fail(405);
    this.changedAt = performance.now();
    this.#control(this.subscriptions.message());
  }

  #authenticate(given: { keyId: unknown; secret: unknown }): void {
    if (this.#authenticated) return this.#fail(403);
    if (!isSame(this.#hub.credentials, given)) return this.#fail(402);
    if (this.#hub.refusal !== undefined) return this.#fail(this.#hub.refusal);
    if (!this.#hub.admit(this)) return this.#fail(406);
    clearTimeout(this.#timer);
    this.#authenticated = true;
    this.#control({ T: "success", msg: "authenticated" });
  }
}
