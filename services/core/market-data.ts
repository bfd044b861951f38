/** What the markets say: raw messages as the venues sent them, and the canonical events made of them. */
import { z } from "zod";
import { baseUnits, decimalString } from "./decimal.ts";
import { instantString } from "./time.ts";

/** Payload of a raw event: where in which session of the feed it came; the message itself is in `raw`. */
export const rawMessage = z.strictObject({
  /** One connection to the feed. */
  session_id: z.uuid(),
  /** Position in the session, from 0, without gaps. */
  sequence: z.int().min(0),
  /** The venue's name of this kind of message (`quote`; Alpaca's `T`); null when it names none. */
  message_type: z.string().nullable(),
});
export type RawMessage = z.infer<typeof rawMessage>;

/**
 * Somebody wants to swap one asset for another. Exactly one of the amounts is given by the venue; the other
 * is what an answer has to offer. Assets are named from the asker's side: `asset_in` goes into the swap.
 */
export const swapDemand = z
  .strictObject({
    /** The venue's id of the request. */
    quote_id: z.string().min(1),
    asset_in: z.string().min(1),
    asset_out: z.string().min(1),
    exact_amount_in: baseUnits.optional(),
    exact_amount_out: baseUnits.optional(),
    /** How long an answer must stay valid, in milliseconds. */
    min_deadline_ms: z.int().min(0),
  })
  .refine(
    (demand) => (demand.exact_amount_in === undefined) !== (demand.exact_amount_out === undefined),
    "expected exactly one of exact_amount_in and exact_amount_out",
  );
export type SwapDemand = z.infer<typeof swapDemand>;

/** A price or a size, as the venue wrote it in its message; never negative. */
const quantity = decimalString.refine(
  (text) => !text.startsWith("-"),
  "expected a number that is not negative",
);

const symbol = z.string().min(1);
/** The venue's code of an exchange; absent when it names none. */
const exchange = z.string().optional();
/** The venue's codes of the conditions of a trade or quote. */
const conditions = z.array(z.string());
/** Which consolidated tape reports it: A, B, C; N and O elsewhere. */
const tape = z.string().optional();

/** What identifies and describes one trade. */
const tradeFields = {
  /** The venue's id of the trade, unique per symbol, exchange and day; may exceed 2^53, so it is text. */
  trade_id: z.string().min(1),
  price: quantity,
  /** Shares. */
  size: quantity,
  conditions,
};

/** A trade happened. */
export const stockTrade = z.strictObject({ symbol, exchange, ...tradeFields, tape });
export type StockTrade = z.infer<typeof stockTrade>;

/** The best bid and ask changed. Sizes are in round lots, as the venue gives them. */
export const stockQuote = z.strictObject({
  symbol,
  bid_exchange: exchange,
  bid_price: quantity,
  bid_size: quantity,
  ask_exchange: exchange,
  ask_price: quantity,
  ask_size: quantity,
  conditions,
  tape,
});

/** Prices of an interval that begins at the event's `observed_at`. */
export const stockBar = z.strictObject({
  symbol,
  /** `minute`; `updated_minute` when late trades changed a bar that was sent before; `daily` so far today. */
  kind: z.enum(["minute", "updated_minute", "daily"]),
  open: quantity,
  high: quantity,
  low: quantity,
  close: quantity,
  /** Shares. */
  volume: quantity,
  trade_count: quantity,
  /** Volume weighted average price. */
  vwap: quantity,
});

/** A trade that was reported before is to be read differently. */
export const stockTradeCorrection = z.strictObject({
  symbol,
  exchange,
  original: z.strictObject(tradeFields),
  corrected: z.strictObject(tradeFields),
  tape,
});

/** A trade that was reported before does not count. */
export const stockTradeCancel = z.strictObject({
  symbol,
  exchange,
  trade_id: z.string().min(1),
  price: quantity,
  size: quantity,
  /** `canceled`, or `error` when it never was a trade. */
  action: z.enum(["canceled", "error"]),
  tape,
});

/**
 * A probe that the monitor sends through the whole pipeline to learn whether it is ready; nobody trades on it.
 * It begins as a raw event whose `message_type` is {@link canaryMessageType}.
 */
export const canary = z.strictObject({
  canary_id: z.uuid(),
  /** When the monitor sent it, by its own clock. */
  sent_at: instantString,
});
export type Canary = z.infer<typeof canary>;

/** `message_type` of a raw event that is a canary; its `raw` is the JSON of a {@link canary}. */
export const canaryMessageType = "canary";
