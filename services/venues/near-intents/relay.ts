/**
 * The executor's connection to the solver relay: answers to quotes and their status over WebSocket, the state of
 * intents over HTTP. The relay does not repeat status events that were missed: {@link Relay.status} asks.
 */
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import type { MayStillSend } from "../../core/execution-venue.ts";
import { openFeed, type Feed } from "../../core/feed-connection.ts";
import { RestClient } from "../../core/rest-call.ts";
import type { ServiceContext } from "../../core/service.ts";
import type { Reason } from "../../core/trading.ts";
import {
  quoteStatusFields,
  readRelayFrame,
  readRelayMessage,
  relayRequest,
  type RelayResponse,
} from "./relay-messages.ts";

/** The relay's word on an intent. */
export const intentStatus = z.looseObject({
  status: z.enum(["PENDING", "TX_BROADCASTED", "SETTLED", "NOT_FOUND_OR_NOT_VALID"]),
  intent_hash: z.string().nullish(),
  /** The documentation nests the transaction's hash. */
  data: z.looseObject({ hash: z.string().nullish() }).nullish(),
});
export type IntentStatus = z.infer<typeof intentStatus>;

/** A quote of ours was used. */
export interface QuoteUsed {
  intentHash: string;
  txHash: string | undefined;
}

/** What came of a request over the WebSocket. */
export type RelayAnswer =
  | { kind: "answered"; response: RelayResponse }
  /** Nothing left this process. */
  | { kind: "not_sent"; reason: Reason }
  /** Sent, but no answer came. */
  | { kind: "unanswered"; message: string };

/** Hears what the relay tells unasked. */
export interface RelayListener {
  /** A quote of ours was used. */
  onUsed(quoteHash: string, used: QuoteUsed): void;
  /** The connection is there (again): what the relay told in between is lost. */
  onReconnected(): void;
}

/** Arguments of {@link Relay}. */
export interface RelayOptions {
  webSocketUrl: string;
  rpcUrl: string;
  /** Partner JWT. */
  token: string;
  context: Pick<ServiceContext, "logger" | "metrics" | "health">;
  listener: RelayListener;
  /** Silence after which the connection counts as dead. Default 60 s. */
  silenceMs?: number;
  /** Longest wait for an answer. Default 2 s: the relay's window is 300 ms plus about 300 ms grace. */
  answerMs?: number;
}

const subscribeId = 1;
/** Longest wait for a connection before a request counts as not sent: a start or a reconnection takes less. */
const connectMs = 5_000;

const unreachable: Reason = {
  code: "venue_unreachable",
  message: "there was no connection to the solver relay",
};
const deadlinePassed: Reason = {
  code: "deadline_passed",
  message: "the deadline had passed before it was sent",
};

/** Questions over HTTP at the same time. */
const rpcConcurrency = 32;

/** See the module's description. */
export class Relay {
  readonly #options: RelayOptions;
  readonly #feed: Feed;
  readonly #http: RestClient;
  readonly #pending = new Map<number, (answer: RelayAnswer) => void>();
  #lastId = subscribeId;
  #asking = 0;
  #askWaiters: (() => void)[] = [];
  #connectionWaiters: (() => void)[] = [];
  #closed = false;

  constructor(options: RelayOptions) {
    this.#options = options;
    const { logger } = options.context;
    this.#http = new RestClient({
      url: options.rpcUrl,
      headers: { authorization: `Bearer ${options.token}`, "x-api-key": options.token },
    });
    this.#feed = openFeed({
      feed: "near-intents.quote_status",
      url: options.webSocketUrl,
      headers: { Authorization: `Bearer ${options.token}` },
      context: options.context,
      silenceMs: options.silenceMs ?? 60_000,
      // Nothing can be traded while it is away.
      backoff: { first: 100, longest: 5_000 },
      onOpen: (session) => session.send(relayRequest(subscribeId, "subscribe", ["quote_status"])),
      onMessage: (session, data) => {
        const message = readRelayFrame(data.toString("utf8"));
        if (message === undefined) logger.warn("unreadable message of the relay ignored");
        else if (message.kind === "event") this.#onStatus(message.fields);
        else if (message.id !== subscribeId) this.#onResponse(message);
        else if (message.error !== undefined) {
          session.fail("subscription refused", { message: message.error.message });
        } else {
          session.established();
          this.#wakeForConnection();
          options.listener.onReconnected();
        }
      },
      onClose: () => {
        // Answers come on the connection of their request, or never.
        for (const resolve of this.#pending.values()) {
          resolve({ kind: "unanswered", message: "the connection to the relay ended" });
        }
        this.#pending.clear();
      },
    });
  }

  /**
   * Sends a request over the WebSocket, as soon as there is a connection, and waits for its answer.
   * @param until nothing is sent from then on, milliseconds since the epoch; it waits for a connection at most 5 s.
   * @param mayStillSend asked when there is a connection: with a reason nothing is sent.
   */
  async request(
    method: string,
    params: unknown[],
    until: number,
    mayStillSend: MayStillSend,
  ): Promise<RelayAnswer> {
    const end = Math.min(until, Date.now() + connectMs);
    while (this.#feed.session === undefined && !this.#closed && Date.now() < end) {
      await this.#connection(end - Date.now());
    }
    const session = this.#feed.session;
    if (session === undefined) return { kind: "not_sent", reason: unreachable };
    // The process may have stood still while it waited: nothing is between these looks and the sending.
    const reason = Date.now() >= until ? deadlinePassed : mayStillSend();
    if (reason !== undefined) return { kind: "not_sent", reason };
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve) => {
      const timeoutMs = this.#options.answerMs ?? 2_000;
      const timeout = setTimeout(() => {
        this.#pending.delete(id);
        resolve({ kind: "unanswered", message: `no answer of the relay in ${timeoutMs} ms` });
      }, timeoutMs);
      this.#pending.set(id, (answer) => {
        clearTimeout(timeout);
        resolve(answer);
      });
      session.send(relayRequest(id, method, params));
    });
  }

  /**
   * Asks for the state of an intent until the relay answers.
   * @throws (rejects) when `signal` is aborted.
   */
  async status(hash: string, signal: AbortSignal): Promise<IntentStatus> {
    while (this.#asking >= rpcConcurrency) {
      await new Promise<void>((resolve) => this.#askWaiters.push(resolve));
    }
    this.#asking += 1;
    try {
      for (let pause = 200; ; pause = Math.min(5_000, pause * 2)) {
        signal.throwIfAborted();
        try {
          return intentStatus.parse(await this.#rpc("get_status", { intent_hash: hash }, signal));
        } catch (error) {
          signal.throwIfAborted();
          this.#options.context.logger.warn(
            { err: error, intent_hash: hash },
            "get_status failed, asking again",
          );
        }
        await delay(pause, undefined, { signal });
      }
    } finally {
      this.#asking -= 1;
      this.#askWaiters.shift()?.();
    }
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#wakeForConnection();
    this.#http.close();
    return this.#feed.close();
  }

  /** Resolves when there is a connection (or none will be), or after `ms`. */
  #connection(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#connectionWaiters.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #wakeForConnection(): void {
    for (const wake of this.#connectionWaiters.splice(0)) wake();
  }

  async #rpc(method: string, params: unknown, signal: AbortSignal): Promise<unknown> {
    const body = { jsonrpc: "2.0", id: 1, method, params: [params] };
    const answer = await this.#http.call({ method: "POST", path: "", body, signal });
    if (answer.kind !== "answered") throw new Error(`the relay's RPC: ${answer.message}`);
    const read = answer.status === 200 ? readRelayMessage(answer.body) : undefined;
    if (read?.kind !== "response") throw new Error(`the relay's RPC answered HTTP ${answer.status}`);
    if (read.error !== undefined) throw new Error(`the relay's RPC answered: ${read.error.message}`);
    return read.result;
  }

  #onStatus(fields: Record<string, unknown>): void {
    const status = quoteStatusFields.safeParse(fields);
    if (!status.success) return;
    const { quote_hash, intent_hash, tx_hash } = status.data;
    this.#options.listener.onUsed(quote_hash, { intentHash: intent_hash, txHash: tx_hash ?? undefined });
  }

  #onResponse(response: RelayResponse): void {
    const id = Number(response.id);
    this.#pending.get(id)?.({ kind: "answered", response });
    this.#pending.delete(id);
  }
}
