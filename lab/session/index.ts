/** The market session that a day of the lab replays. */
import { dailyBars, indexSymbol } from "./bars.ts";
import { readFeed } from "./feed-file.ts";
import { generateNearQuotes, type NearQuote } from "./near-quotes.ts";
import { dayMessages } from "./ticks.ts";

export { dailyBars, indexSymbol } from "./bars.ts";
export { FeedError, type FeedMistake } from "./feed-file.ts";
export { generateNearQuotes, nearAssets, type NearQuote } from "./near-quotes.ts";
export { createRandom, type Random } from "./random.ts";
export { dayMessages } from "./ticks.ts";

/** What session is wanted. */
export interface SessionArguments {
  /** How many messages over both venues; a whole number, at least 1. */
  events: number;
  /** Any whole number: the same seed and number of events give the same messages, byte by byte. */
  seed: number;
  /** NDJSON of Alpaca messages that takes the place of the S&P 500. */
  feedFile?: string;
}

/** The messages that the venues send during a session. */
export interface Session {
  /** What an ingestor must subscribe to; `["*"]` when the feed has more symbols than the IEX plan takes. */
  symbols: readonly string[];
  /** JSON texts of data messages, in the order in which Alpaca sends them. */
  alpacaMessages: readonly string[];
  /** Quote requests, in the order in which the relay sends them. */
  nearQuotes: readonly NearQuote[];
  /** `alpacaMessages.length + nearQuotes.length`: what was asked for, or less when a feed file is too short for it. */
  events: number;
  /** What is real and what is made, in one sentence each. */
  sources: readonly string[];
}

/** Quotes and trades before each bar, as long as there are bars enough. */
const usualTicks = 4;
/** The IEX plan's 30 trade and quote channels are 15 symbols with both. */
const symbolLimit = 15;

/**
 * Makes a session of exactly `events` messages: one in five is a NEAR quote request, the others are Alpaca's.
 * A feed file that has too few messages is replayed once, not stretched: the session is smaller then and keeps the
 * proportion, and `events` of the result tells how many messages it really has.
 * @throws RangeError for a number of events below 1; FeedError for a feed that cannot be replayed.
 */
export async function createSession({ events, seed, feedFile }: SessionArguments): Promise<Session> {
  if (!Number.isSafeInteger(events) || events < 1) {
    throw new RangeError(`events: found ${events}, expected a whole number of at least 1`);
  }
  const wanted = events - Math.floor(events / 5);
  const feed = feedFile === undefined ? undefined : await readFeed(feedFile, wanted);
  const alpacaMessages = feed?.messages ?? indexMessages(wanted, seed);
  const symbols = feed?.symbols ?? [indexSymbol];
  const nearCount =
    alpacaMessages.length === wanted ? events - wanted : Math.floor(alpacaMessages.length / 4);

  const nearQuotes: NearQuote[] = [];
  const quotes = generateNearQuotes(seed);
  while (nearQuotes.length < nearCount) nearQuotes.push(quotes.next().value);
  return {
    symbols: symbols.length > symbolLimit ? ["*"] : symbols,
    alpacaMessages,
    nearQuotes,
    events: alpacaMessages.length + nearQuotes.length,
    sources: [
      feedFile === undefined
        ? "Alpaca bars: the S&P 500's real daily bars from 2000 on; quotes and trades inside each bar are made"
        : `Alpaca messages: ${feedFile}, as it is`,
      "NEAR quotes: made from the seed, with real asset ids",
    ],
  };
}

/**
 * The index's days, oldest first. Days are told with four ticks and the bar, the first with what is left over; when
 * that would need more days than there are, every day gets more ticks.
 */
function indexMessages(count: number, seed: number): string[] {
  const bars = dailyBars();
  const perDay = Math.max(usualTicks + 1, Math.ceil(count / bars.length));
  const days = Math.ceil(count / perDay);
  const first = count - (days - 1) * perDay;
  return bars
    .slice(0, days)
    .flatMap((bar, day) =>
      dayMessages({ bar, symbol: indexSymbol, ticks: (day === 0 ? first : perDay) - 1, seed }),
    );
}
