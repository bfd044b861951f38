/** One feed of the stock stream (`iex`, `sip` or `test`) and the replay to its subscriber. */
import { setTimeout as delay } from "node:timers/promises";
import { WebSocket } from "ws";
import { createRandom } from "../../session/index.ts";
import { paced, type PlayOptions } from "../pace.ts";
import { whenRead, whenWritable } from "../socket.ts";
import type { StreamConnection } from "./stream.ts";

/** A data message: its exact text, and what subscriptions look at. */
export interface DataMessage {
  text: string;
  type: string;
  symbol: string;
}

/** How long a replay waits for a subscription to a message's symbol, after the subscriptions last changed. */
const coverMs = 1_000;
/** Most data messages that one frame carries. */
const frameLimit = 24;

/** @throws TypeError when the text is no data message. */
export function parseDataMessage(text: string): DataMessage & { fields: Record<string, unknown> } {
  const fields = JSON.parse(text) as Record<string, unknown>;
  if (typeof fields.T !== "string" || typeof fields.S !== "string") {
    throw new TypeError(`found ${text.slice(0, 80)}, expected a data message with T and S`);
  }
  return { text, type: fields.T, symbol: fields.S, fields };
}

/** The account's one connection to a feed. */
export class StockFeed {
  readonly #lingerMs: number;
  #connection: StreamConnection | undefined;

  /** @param lingerMs how long a connection that broke off still counts. */
  constructor(lingerMs: number) {
    this.#lingerMs = lingerMs;
  }

  /** Takes the connection unless the account has one here already. */
  admit(connection: StreamConnection): boolean {
    const taken = this.#connection;
    // A client that closes has left, though the closing handshake may take a moment.
    if (taken !== undefined && taken.socket.readyState === taken.socket.OPEN) return false;
    if (taken?.brokeOffAt !== undefined && performance.now() - taken.brokeOffAt < this.#lingerMs)
      return false;
    this.#connection = connection;
    return true;
  }

  /** Breaks the connection off, as a failing network does. @returns whether there was one. */
  breakOff(): boolean {
    if (this.#connection?.socket.readyState !== WebSocket.OPEN) return false;
    this.#connection.socket.terminate();
    return true;
  }

  /** The connection, when it has subscribed to something. */
  get listener(): StreamConnection | undefined {
    return this.#connection?.isListening === true ? this.#connection : undefined;
  }

  /** Sends what the subscriber wants of these messages; nothing when there is none. */
  offer(messages: readonly DataMessage[]): void {
    const { listener } = this;
    if (listener === undefined) return;
    const wanted = messages.filter(({ type, symbol }) => listener.subscriptions.covers(type, symbol));
    for (const frame of frames(wanted, () => frameLimit)) listener.sendData(frame);
  }
}

/**
 * Plays messages to the first of the feeds that has a subscriber, in order. Waits while there is none, and after a
 * reconnect goes on with the next message.
 * @param onPlayed told of every message when its turn comes, wanted or not.
 * @returns how many were sent: those that the subscription covers.
 */
export async function playToSubscriber(
  feeds: readonly StockFeed[],
  messages: readonly DataMessage[],
  options: PlayOptions,
  onPlayed: (index: number) => void,
): Promise<number> {
  const { signal } = options;
  const random = createRandom(messages.length, "frame sizes");
  const listeners = new Set<StreamConnection>();
  let sent = 0;

  /** The subscriber, once it covers the message; undefined when it does not want it. */
  const subscriberOf = async (message: DataMessage): Promise<StreamConnection | undefined> => {
    for (;;) {
      const listener = feeds.map((feed) => feed.listener).find((found) => found !== undefined);
      if (listener?.subscriptions.covers(message.type, message.symbol) === true) return listener;
      if (listener !== undefined && performance.now() - listener.changedAt > coverMs) return undefined;
      await delay(10, undefined, { signal });
    }
  };

  await paced(messages.length, options, async (from, to) => {
    let at = from;
    while (at < to) {
      const message = messages[at];
      if (message === undefined) break;
      const listener = await subscriberOf(message);
      if (listener === undefined) {
        onPlayed(at++);
        continue;
      }
      const wanted: DataMessage[] = [];
      for (; at < to; at++) {
        const next = messages[at];
        if (next === undefined || !listener.subscriptions.covers(next.type, next.symbol)) break;
        wanted.push(next);
        onPlayed(at);
      }
      for (const frame of frames(wanted, () => random.integer(1, frameLimit))) listener.sendData(frame);
      sent += wanted.length;
      listeners.add(listener);
      await whenWritable(listener.socket, signal);
    }
  });
  await Promise.all([...listeners].map(({ socket }) => whenRead(socket)));
  return sent;
}

/** Cuts messages into frames. */
function* frames(messages: readonly DataMessage[], size: () => number): Generator<string[]> {
  for (let at = 0; at < messages.length;) {
    const count = size();
    yield messages.slice(at, at + count).map(({ text }) => text);
    at += count;
  }
}
