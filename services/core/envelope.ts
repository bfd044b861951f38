/**
 * The envelope around every event on the bus. Events are append-only and versioned. A raw event keeps the
 * venue's exact text in `raw`; a derived event carries only times that come from its source, so that
 * reprocessing yields the same bytes.
 */
import { z } from "zod";
import { instantString } from "./time.ts";

/** All fields but the payload. */
const envelopeFields = {
  event_id: z.uuid(),
  /** For example `raw.near-intents.quote`. */
  event_type: z.string().min(1),
  /** `alpaca`, `near-intents`. */
  venue: z.string().min(1),
  /** When it happened, by the venue's clock where it tells one, otherwise when we received it. */
  observed_at: instantString,
  /** When the ingestor received what began this chain. */
  ingested_at: instantString,
  schema_version: z.int().min(1),
  /** The venue's exact text. */
  raw: z.string().optional(),
  /** Id of the event that caused this one. */
  causation_id: z.uuid().optional(),
  /** Id of the raw event that began the chain; a raw event names itself. */
  correlation_id: z.uuid().optional(),
};

/** The schema of an event whose payload has `payload`'s schema. Unknown fields are refused. */
export function envelopeOf<Payload extends z.ZodType>(payload: Payload) {
  return z.strictObject({ ...envelopeFields, payload });
}

/** An event with payload `P`. */
export interface Event<P = unknown> {
  event_id: string;
  event_type: string;
  venue: string;
  observed_at: string;
  ingested_at: string;
  schema_version: number;
  payload: P;
  raw?: string | undefined;
  causation_id?: string | undefined;
  correlation_id?: string | undefined;
}

/**
 * An event as bytes: JSON, fields always in the same order. `raw` survives exactly, because JSON escapes
 * every text reversibly (lone surrogates included).
 */
export function encodeEvent(event: Event): Buffer {
  const { event_id, event_type, venue, observed_at, ingested_at, schema_version, payload } = event;
  return Buffer.from(
    JSON.stringify({
      event_id,
      event_type,
      venue,
      observed_at,
      ingested_at,
      schema_version,
      payload,
      raw: event.raw,
      causation_id: event.causation_id,
      correlation_id: event.correlation_id,
    }),
    "utf8",
  );
}

/** The fields a derived event takes from the event that caused it. */
export function derivedFrom(
  cause: Event,
): Pick<Event, "observed_at" | "ingested_at" | "causation_id" | "correlation_id"> {
  return {
    observed_at: cause.observed_at,
    ingested_at: cause.ingested_at,
    causation_id: cause.event_id,
    correlation_id: cause.correlation_id ?? cause.event_id,
  };
}
