/**
 * Every event type, its version and the schema of its payload. Reading an event lifts older versions to the newest
 * one, then checks the envelope and the payload.
 */
import { isUtf8 } from "node:buffer";
import type { z } from "zod";
import { envelopeOf, type Event } from "./envelope.ts";
import {
  canary,
  rawMessage,
  stockBar,
  stockQuote,
  stockTrade,
  stockTradeCancel,
  stockTradeCorrection,
  swapDemand,
} from "./market-data.ts";
import { executeTrade, journalEntry, reconciliation, tradeResult } from "./trading.ts";
import { upcast } from "./upcasters.ts";

/** All types of events on the bus: the newest version and the payload's schema. */
export const eventTypes = {
  "raw.near-intents.quote": { version: 1, payload: rawMessage },
  "raw.alpaca.stock": { version: 1, payload: rawMessage },
  "norm.swap_demand": { version: 1, payload: swapDemand },
  "norm.stock_trade": { version: 1, payload: stockTrade },
  "norm.stock_quote": { version: 1, payload: stockQuote },
  "norm.stock_bar": { version: 1, payload: stockBar },
  "norm.stock_trade_correction": { version: 1, payload: stockTradeCorrection },
  "norm.stock_trade_cancel": { version: 1, payload: stockTradeCancel },
  "norm.canary": { version: 1, payload: canary },
  "cmd.execute_trade": { version: 1, payload: executeTrade },
  "exec.journal": { version: 2, payload: journalEntry },
  "exec.trade_result": { version: 2, payload: tradeResult },
  "exec.reconciliation": { version: 1, payload: reconciliation },
} as const;

/** Name of an event type. */
export type EventType = keyof typeof eventTypes;

/** Payload of an event type. */
export type PayloadOf<Type extends EventType> = z.infer<(typeof eventTypes)[Type]["payload"]>;

const envelopes = Object.fromEntries(
  Object.entries(eventTypes).map(([type, { payload }]) => [type, envelopeOf(payload)]),
) as unknown as Record<EventType, z.ZodType<Event>>;

/** Bytes that are no UTF-8 are a mistake, not replacement characters. */
function textOf(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw new Error("the bytes are no UTF-8");
  return bytes.toString("utf8");
}

/** A record's value is not an event of the expected type. `message` names every mistake. */
export class InvalidEventError extends Error {
  constructor(expected: string, mistakes: readonly string[]) {
    super(`not a valid ${expected}: ${mistakes.join("; ")}`);
    this.name = "InvalidEventError";
  }
}

/** Reads the mistakes of a zod error as `path: message`. */
export function mistakesOf(error: z.ZodError): string[] {
  return error.issues.map((issue) =>
    issue.path.length === 0 ? issue.message : `${issue.path.join(".")}: ${issue.message}`,
  );
}

/**
 * Reads an event of one type.
 * @param value the record's bytes.
 * @throws InvalidEventError when they are not UTF-8 JSON of that type in a version this program knows.
 */
export function decodeEvent<Type extends EventType>(
  type: Type,
  value: Buffer | null,
): Event<PayloadOf<Type>> {
  return decodeEventOf([type], value);
}

/** An event of one of several types; `event_type` tells which. */
export type EventOf<Type extends EventType> = {
  [Name in Type]: Event<PayloadOf<Name>> & { event_type: Name };
}[Type];

/**
 * Reads an event of one of several types, from a topic that holds more than one.
 * @throws InvalidEventError as {@link decodeEvent}.
 */
export function decodeEventOf<Type extends EventType>(
  types: readonly [Type, ...Type[]],
  value: Buffer | null,
): EventOf<Type> {
  const expected = types.join(" or ");
  if (value === null) throw new InvalidEventError(expected, ["the record has no value"]);
  let parsed: unknown;
  try {
    parsed = JSON.parse(textOf(value));
  } catch (error) {
    throw new InvalidEventError(expected, [`not JSON: ${(error as Error).message}`]);
  }
  const { event_type, schema_version } = Object(parsed) as Partial<Event>;
  const type = types.find((name) => name === event_type) ?? types[0];
  const { version } = eventTypes[type];
  const mistakes: string[] = [];
  if (event_type !== type) mistakes.push(`event_type is ${JSON.stringify(event_type)}`);
  if (typeof schema_version === "number" && schema_version > version) {
    mistakes.push(`schema_version is ${schema_version}, this program knows up to ${version}`);
  }
  if (mistakes.length > 0) throw new InvalidEventError(expected, mistakes);
  const checked = envelopes[type].safeParse(upcast(parsed, type, version));
  if (!checked.success) throw new InvalidEventError(expected, mistakesOf(checked.error));
  return checked.data as EventOf<Type>;
}

/** Makes an event of the newest version of its type. */
export function newEvent<Type extends EventType>(
  type: Type,
  fields: Omit<Event<PayloadOf<Type>>, "event_type" | "schema_version">,
): Event<PayloadOf<Type>> {
  // Field by field: spread into a literal, an event takes three times as long to make and to encode.
  const { event_id, venue, observed_at, ingested_at, payload, raw, causation_id, correlation_id } = fields;
  const schema_version = eventTypes[type].version;
  const event: Event<PayloadOf<Type>> = {
    event_id,
    event_type: type,
    venue,
    observed_at,
    ingested_at,
    schema_version,
    payload,
  };
  if (raw !== undefined) event.raw = raw;
  if (causation_id !== undefined) event.causation_id = causation_id;
  if (correlation_id !== undefined) event.correlation_id = correlation_id;
  return event;
}
