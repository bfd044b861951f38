/**
 * A relay of NEAR Intents on loopback: the wire of the real one (WebSocket for market makers, JSON-RPC over HTTP),
 * with simulated quotes, takers and settlement. The book of intents is the judge of what was really traded.
 */
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { type WebSocket, WebSocketServer } from "ws";
import { generateNearQuotes, type NearQuote } from "../../session/index.ts";
import { type AskFault, type FaultKind, type FaultPlan, Faults } from "../faults.ts";
import { paced, type PlayOptions } from "../pace.ts";
import { closeServer, listenOnLoopback, whenRead, whenWritable } from "../socket.ts";
import { answerWindowMs, Auctions, type IntentBook } from "./auction.ts";
import { eventText, type EventShape } from "./events.ts";
import type { QuoteFilter } from "./messages.ts";
import { nearKeyPair } from "./nep413.ts";
import { answerHttp, answerSocket } from "./rpc.ts";
import type { QuoteStatus } from "./settlement.ts";
import { Verifier } from "./verifier.ts";

/** How the relay is to behave. */
export interface NearArguments {
  /** TCP port on 127.0.0.1; default: a free one. */
  port?: number | undefined;
  /** "replay": only what `play` sends. "simulated": five quotes a second by themselves, while someone listens. */
  market: "replay" | "simulated";
  /** Of the simulated quotes; default 1. */
  seed?: number;
  /** From an accepted offer to its settlement, in milliseconds; default 50. The real one takes seconds. */
  settlementMs?: number;
  /** Further accounts that may sign, by account id. */
  publicKeys?: Readonly<Record<string, readonly string[]>>;
  /**
   * What accounts have, base units by asset. An account that is not listed has whatever it gives, as the lab's own
   * solver has by default (its name is only known once the relay runs: {@link LabNear.setBalances}).
   */
  balances?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  /** How events look where the subscription does not say it; default "mixed". */
  eventShape?: EventShape;
  /** What goes wrong with offers (`quote_response`, and `publish_intent`), and how often; default: nothing. */
  faults?: FaultPlan;
}

/** The running relay. */
export interface LabNear {
  /** "ws://127.0.0.1:port/ws" */
  readonly ws: string;
  /** "http://127.0.0.1:port/rpc" */
  readonly rpc: string;
  /** What `Authorization: Bearer` must carry, on both. */
  readonly token: string;
  /** The contract's current salt, 8 hexadecimal digits. */
  readonly salt: string;
  /** Account id of the registered test solver, */
  readonly signerId: string;
  /** and its secret key, "ed25519:" and 64 bytes in base58. Made at each start. */
  readonly privateKey: string;
  /**
   * Sends quotes to the subscribers, waiting while there is none; resolves when the subscribers have read all. A quote
   * that no subscriber's filter lets through is passed over.
   * @returns how many were sent.
   */
  play(quotes: readonly NearQuote[], options?: PlayOptions): Promise<number>;
  /** What was settled and what was refused so far. */
  book(): IntentBook;
  /** From now on an account has these balances, base units by asset, and nothing else. */
  setBalances(account: string, balances: Readonly<Record<string, string>>): void;
  /** An account's balances; undefined when it has whatever it gives. */
  balances(account: string): Readonly<Record<string, string>> | undefined;
  /** Breaks off every connection of market makers, without a word. @returns how many there were. */
  breakOff(): number;
  /** How many offers each fault happened to. */
  faultCounts(): Record<FaultKind, number>;
  /** How many calls of `get_status` each fault happened to. */
  askFaultCounts(): Record<AskFault, number>;
  close(): Promise<void>;
}

/** A client's subscription. */
export interface Subscription {
  id: string;
  kind: "quote" | "quote_status";
  filter: QuoteFilter;
  shape: EventShape;
  socket: WebSocket;
}

/** What requests may touch. */
export interface Relay {
  token: string;
  auctions: Auctions;
  faults: Faults;
  /** Of events where a subscription does not say it. */
  eventShape: EventShape;
  subscriptions: Map<string, Subscription>;
  /** Sends a quote to whom it concerns and resolves with the offers when its auction is over. */
  ask(quote: NearQuote): Promise<object[]>;
}

const simulatedIntervalMs = 200;

/**
 * Starts the relay.
 * @throws VenuePortInUseError, FaultPlanError
 */
export async function startNear(args: NearArguments): Promise<LabNear> {
  const faults = new Faults(args.faults);
  const verifier = new Verifier(randomBytes(4).toString("hex"));
  const signerId = `solver-${randomBytes(4).toString("hex")}.lab.near`;
  const { publicKey, privateKey } = nearKeyPair(randomBytes(32));
  verifier.addPublicKey(signerId, publicKey);
  for (const [account, keys] of Object.entries(args.publicKeys ?? {})) {
    for (const key of keys) verifier.addPublicKey(account, key);
  }
  for (const [account, balances] of Object.entries(args.balances ?? {}))
    verifier.setBalances(account, balances);

  const token = randomBytes(32).toString("base64url");
  const subscriptions = new Map<string, Subscription>();
  const auctions = new Auctions({
    verifier,
    settlementMs: args.settlementMs ?? 50,
    onSettled: (status, news) =>
      faults.deliver(news, true, () => {
        for (const subscription of subscriptions.values()) {
          if (subscription.kind === "quote_status")
            subscription.socket.send(statusText(subscription, status));
        }
      }),
  });
  const concerned = (quote: NearQuote) =>
    [...subscriptions.values()].filter(({ kind, filter }) => kind === "quote" && covers(filter, quote));
  const send = (quote: NearQuote, simulatedTaker: boolean): Subscription[] => {
    const receivers = concerned(quote);
    if (receivers.length === 0) return [];
    auctions.open(quote, simulatedTaker);
    for (const { id, shape, socket } of receivers)
      socket.send(eventText(shape, quote.quote_id, quote, { subscription: id }));
    return receivers;
  };

  const closed = new AbortController();
  const relay: Relay = {
    token,
    auctions,
    faults,
    eventShape: args.eventShape ?? "mixed",
    subscriptions,
    ask: async (quote) => {
      if (send(quote, false).length === 0) return [];
      await delay(answerWindowMs(quote), undefined, { signal: closed.signal, ref: false });
      return auctions.offers(quote.quote_id);
    },
  };

  const http = createServer((request, response) => void answerHttp(relay, request, response));
  const webSockets = new WebSocketServer({ server: http, path: "/ws", verifyClient: isAuthorized(token) });
  webSockets.on("connection", (socket) => {
    socket.on("error", () => socket.terminate());
    socket.on("close", () => {
      for (const { id, socket: owner } of subscriptions.values())
        if (owner === socket) subscriptions.delete(id);
    });
    socket.on("message", (data: Buffer) => answerSocket(relay, socket, data.toString("utf8")));
  });
  // Its errors are the HTTP server's, which listenOnLoopback handles.
  webSockets.on("error", () => undefined);
  const port = await listenOnLoopback(http, args.port ?? 0, "NEAR");

  if (args.market === "simulated") {
    const quotes = generateNearQuotes(args.seed ?? 1);
    const timer = setInterval(() => send(quotes.next().value, true), simulatedIntervalMs);
    closed.signal.addEventListener("abort", () => clearInterval(timer));
  }

  return {
    ws: `ws://127.0.0.1:${port}/ws`,
    rpc: `http://127.0.0.1:${port}/rpc`,
    token,
    salt: verifier.salt,
    signerId,
    privateKey,
    book: () => auctions.book(),
    setBalances: (account, balances) => verifier.setBalances(account, balances),
    balances: (account) => verifier.balances(account),
    breakOff: () => {
      for (const socket of webSockets.clients) socket.terminate();
      return webSockets.clients.size;
    },
    faultCounts: () => faults.counts,
    askFaultCounts: () => faults.askCounts,
    play: async (quotes, options = {}) => {
      const signal =
        options.signal === undefined ? closed.signal : AbortSignal.any([options.signal, closed.signal]);
      const receivers = new Set<WebSocket>();
      let sent = 0;
      await paced(quotes.length, { ...options, signal }, async (from, to) => {
        for (const quote of quotes.slice(from, to)) {
          while (![...subscriptions.values()].some(({ kind }) => kind === "quote")) {
            await delay(20, undefined, { signal });
          }
          const reached = send(quote, true);
          if (reached.length > 0) sent++;
          for (const { socket } of reached) receivers.add(socket);
        }
        for (const socket of receivers) await whenWritable(socket, signal);
      });
      await Promise.all([...receivers].map((socket) => whenRead(socket)));
      return sent;
    },
    close: async () => {
      closed.abort(new Error("the NEAR relay was closed"));
      auctions.close();
      faults.close();
      await closeServer(http, webSockets);
    },
  };
}

/** The documentation shows settlements without the subscription's id. */
function statusText({ id, shape }: Subscription, status: QuoteStatus): string {
  return eventText(shape, status.quote_hash, status, { subscription: id, undocumented: true });
}

/** Whether a subscriber's filter lets a quote through. */
function covers(filter: QuoteFilter, quote: NearQuote): boolean {
  const wants = (list: readonly string[] | undefined, asset: string) =>
    list === undefined || list.length === 0 || list.includes(asset);
  return (
    wants(filter?.tokens_in, quote.defuse_asset_identifier_in) &&
    wants(filter?.tokens_out, quote.defuse_asset_identifier_out)
  );
}

function isAuthorized(token: string): (info: { req: { headers: { authorization?: string } } }) => boolean {
  return ({ req }) => req.headers.authorization === `Bearer ${token}`;
}
