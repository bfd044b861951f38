/** The market of a chaos run: quotes and trades at a steady rate until told to stop. */
import { generateNearQuotes, type NearQuote } from "../session/index.ts";
import { createRandom } from "../session/random.ts";
import type { LabAlpaca } from "../venues/alpaca/index.ts";
import type { LabNear } from "../venues/near/index.ts";
import { names } from "./world.ts";

/**
 * How long a NEAR quote can be answered and an answer is valid, in milliseconds: longer than a dead member of a consumer
 * group is waited for (10 s), so that a stage that lost its process costs time and not trades.
 */
const quoteMs = 25_000;

/** Enough that each of three partitions has some. */
const symbols = ["AAPL", "AMZN", "GOOGL", "META", "MSFT", "NVDA", "SPY", "TSLA"] as const;

/** Messages that are handed to a venue at once: its replay keeps the rate. */
const chunk = 1_000;

/** Which message was which, for the judge. */
export interface Messages {
  /** Position among all messages of the venue, in the order they were sent, from the text as it was received. */
  positionOf: (text: string) => number | undefined;
  /** What the message at a position was about: messages with equal keys are in one partition. */
  keyAt: (position: number) => string | undefined;
}

/** Arguments of {@link startMarket}. */
export interface MarketArguments {
  near: LabNear;
  alpaca: LabAlpaca;
  seed: number;
  /** Messages a second, by venue; 0: none. */
  nearRate: number;
  alpacaRate: number;
}

/** The running market. */
export interface Market {
  /** Resolves when the market has stopped; rejects when a venue failed. */
  readonly stopped: Promise<void>;
  /** The messages of a raw topic. */
  messages(topic: string): Messages;
  stop(): void;
}

/** Starts the market. */
export function startMarket({ near, alpaca, seed, nearRate, alpacaRate }: MarketArguments): Market {
  const abort = new AbortController();
  const { signal } = abort;
  const quotes = generateNearQuotes(seed);
  const trades = generateTrades(seed);
  /** The pair of each quote in the order they were sent, and its position by its id. */
  const pairs: string[] = [];
  const positions = new Map<string, number>();
  const nextQuotes = (): NearQuote[] =>
    Array.from({ length: chunk }, () => {
      const quote = longQuote(quotes.next().value);
      positions.set(quote.quote_id, pairs.length);
      pairs.push(`${quote.defuse_asset_identifier_in}|${quote.defuse_asset_identifier_out}`);
      return quote;
    });
  const nextTrades = () => Array.from({ length: chunk }, () => trades.next().value);
  const play = Promise.all([
    repeat(nearRate, signal, () => near.play(nextQuotes(), { ratePerSecond: nearRate, signal })),
    repeat(alpacaRate, signal, () => alpaca.play(nextTrades(), { ratePerSecond: alpacaRate, signal })),
  ]);
  const stopped = play.then(
    () => undefined,
    (error: unknown) => {
      if (!signal.aborted) throw error;
    },
  );
  const nearMessages: Messages = {
    positionOf: (text) => positions.get(/"quote_id":"([^"]+)"/.exec(text)?.[1] ?? ""),
    keyAt: (position) => pairs[position],
  };
  const alpacaMessages: Messages = {
    positionOf: (text) => {
      const id = Number(/"i":(\d+)/.exec(text)?.[1]);
      return Number.isSafeInteger(id) ? id : undefined;
    },
    keyAt: symbolAt,
  };
  return {
    stopped,
    messages: (topic) => (topic === names.rawNear ? nearMessages : alpacaMessages),
    stop: () => abort.abort(new Error("the market closed")),
  };
}

async function repeat(rate: number, signal: AbortSignal, play: () => Promise<unknown>): Promise<void> {
  if (rate === 0) return;
  while (!signal.aborted) await play();
}

const longQuote = (quote: NearQuote): NearQuote => ({
  ...quote,
  min_deadline_ms: quoteMs,
  min_wait_ms: quoteMs,
  max_wait_ms: quoteMs,
});

const symbolAt = (position: number) => symbols[position % symbols.length];

/**
 * Trades whose prices only fall, by two hundredths of a percent each: a strategy that buys when the price falls reacts to
 * each of them, and its limit is above the market when the order arrives, so that the order is filled. Prices are made up.
 * @param seed any whole number; the same seed gives the same trades, but for their times.
 */
function* generateTrades(seed: number): Generator<string, never> {
  const random = createRandom(seed, "chaos trades");
  for (let id = 0; ; id++) {
    const fallen = Math.floor(id / symbols.length) % 20_000;
    yield JSON.stringify({
      T: "t",
      S: symbolAt(id),
      i: id,
      x: "V",
      p: Math.round(100_000 * 10_000 * 0.9998 ** fallen) / 10_000,
      s: random.integer(1, 9),
      c: ["@"],
      z: "C",
      t: new Date().toISOString(),
    });
  }
}
