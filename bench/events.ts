/** Events to measure with: valid, all of one size, different from one another. */
import { encodeEvent, type Event } from "../services/core/envelope.ts";
import { newEvent } from "../services/core/events.ts";
import { rawEventId } from "../services/core/ids.ts";
import type { RawMessage } from "../services/core/market-data.ts";
import { toInstant } from "../services/core/time.ts";

/** Size of the events of the throughput measurements, in bytes, as in all earlier measurements of ours. */
export const eventBytes = 300;

/** Their type; what {@link rawEvent} makes. */
export const eventType = "raw.alpaca.stock";

const session = "5f0c3a52-6a3e-4d0c-9a3b-2f1f6d0f4c11";
const opening = Date.parse("2025-10-14T13:30:00.000Z");

/**
 * A raw event of exactly {@link eventBytes} bytes when encoded: the venue's text is as long as that leaves room for.
 * @param index from 0; tells the events apart.
 */
export function rawEvent(index: number): Event<RawMessage> {
  // Whole seconds and small numbers: 300 bytes are few for an envelope.
  const at = toInstant(opening + index * 1_000).replace(".000Z", "Z");
  const event = newEvent(eventType, {
    event_id: rawEventId(session, index),
    venue: "alpaca",
    observed_at: at,
    ingested_at: at,
    payload: { session_id: session, sequence: index % 100, message_type: "t" },
    raw: "",
  });
  const room = eventBytes - encodeEvent(event).length;
  return {
    ...event,
    raw: String(index * 7)
      .padStart(room, "t")
      .slice(-room),
  };
}

/** Different events, enough that compression does not find the same one in a batch twice. */
const different = 20_000;

/** Encoded events with their keys. */
export function encodedEvents(): { key: string; value: Buffer }[] {
  return Array.from({ length: different }, (_, index) => {
    return { key: symbolOf(index), value: encodeEvent(rawEvent(index)) };
  });
}

const symbols = ["AAPL", "MSFT", "NVDA", "AMZN", "GOOG", "META", "TSLA", "AVGO", "JPM", "LLY", "V", "UNH"];

/** A symbol, as the key of a record. */
export const symbolOf = (index: number): string => symbols[index % symbols.length] as string;
