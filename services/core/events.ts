/**
 * Every event type, its version and the schema of its payload. Reading an event checks the envelope and
 * the payload, and lifts older versions to the newest one (there is only version 1 of each so far).
 */
import { z } from "zod";
import { baseUnits } from "./decimal.ts";
import { envelopeOf, type Event } from "./envelope.ts";
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

/** Answer a swap demand: receive `amount_in` of `asset_in`, give `amount_out` of `asset_out`. */
const answerSwap = z.strictObject({
  kind: z.literal("answer_swap"),
  quote_id: z.string().min(1),
  asset_in: z.string().min(1),
  asset_out: z.string().min(1),
  amount_in: baseUnits,
  amount_out: baseUnits,
  /** Which amount the demand fixed; the other one is our offer. */
  exact: z.enum(["in", "out"]),
});

/** An instruction to trade. */
export const executeTrade = z.strictObject({
  command_id: z.uuid(),
  /** Same for every command that means the same action; at most one of them is ever executed. */
  idempotency_key: z.string().min(1).max(200),
  strategy: z.string().min(1),
  venue: z.string().min(1),
  /** Nothing is sent after this instant, and nothing sent stays valid beyond it. */
  deadline: instantString,
  /** What the executor refuses to exceed, whatever the instruction says; base units. */
  limits: z.strictObject({ max_amount_out: baseUnits }),
  instruction: z.discriminatedUnion("kind", [answerSwap]),
});
export type ExecuteTrade = z.infer<typeof executeTrade>;

/** The states a command ends in; a command has exactly one of them. */
export const terminalStatus = z.enum(["FILLED", "REJECTED", "CANCELED", "EXPIRED", "DENIED"]);
export type TerminalStatus = z.infer<typeof terminalStatus>;

/** Why a command did not fill. */
export const reason = z.strictObject({
  /** A fixed word that programs may test, for example `deadline_passed`. */
  code: z.string().min(1),
  /** The venue's or the executor's own words. */
  message: z.string(),
});
export type Reason = z.infer<typeof reason>;

/** What the venue calls it; which fields exist depends on the venue. */
export const venueReference = z.record(z.string(), z.string());
export type VenueReference = z.infer<typeof venueReference>;

/** What was exchanged, base units. */
export const filledAmounts = z.strictObject({ amount_in: baseUnits, amount_out: baseUnits });
export type FilledAmounts = z.infer<typeof filledAmounts>;

/** The outcome of a command. */
export const tradeResult = z.strictObject({
  command_id: z.uuid(),
  idempotency_key: z.string().min(1),
  strategy: z.string().min(1),
  status: terminalStatus,
  /** Absent when FILLED. */
  reason: reason.optional(),
  /** Zero amounts when nothing was exchanged. */
  filled: filledAmounts,
  reference: venueReference,
  /** When the executor settled it, by its own clock. */
  completed_at: instantString,
});
export type TradeResult = z.infer<typeof tradeResult>;

/** One step of a command through the executor's state machine. */
export const journalEntry = z.strictObject({
  command_id: z.uuid(),
  idempotency_key: z.string().min(1),
  state: z.enum(["INTENT", "SUBMITTED", "UNKNOWN", ...terminalStatus.options]),
  /** The executor that wrote it: grows with each start, so that a later writer is told from an earlier one. */
  epoch: z.int().min(1),
  at: instantString,
  /** With INTENT: the whole command, so that a successor can settle it and report. */
  command: executeTrade.optional(),
  /** With INTENT: what the venue knows the order by, made before the venue is called. */
  reference: venueReference.optional(),
  /** With a terminal state: what is, or will be, on `exec.trade_result`. */
  result: tradeResult.optional(),
  /** With UNKNOWN: what happened. */
  reason: reason.optional(),
});
export type JournalEntry = z.infer<typeof journalEntry>;

/** All types of events on the bus: the newest version and the payload's schema. */
export const eventTypes = {
  "raw.near-intents.quote": { version: 1, payload: rawMessage },
  "raw.alpaca.stock": { version: 1, payload: rawMessage },
  "norm.swap_demand": { version: 1, payload: swapDemand },
  "cmd.execute_trade": { version: 1, payload: executeTrade },
  "exec.journal": { version: 1, payload: journalEntry },
  "exec.trade_result": { version: 1, payload: tradeResult },
} as const;

/** Name of an event type. */
export type EventType = keyof typeof eventTypes;

/** Payload of an event type. */
export type PayloadOf<Type extends EventType> = z.infer<(typeof eventTypes)[Type]["payload"]>;

const envelopes = Object.fromEntries(
  Object.entries(eventTypes).map(([type, { payload }]) => [type, envelopeOf(payload)]),
) as unknown as Record<EventType, z.ZodType<Event>>;

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
  if (value === null) throw new InvalidEventError(type, ["the record has no value"]);
  let parsed: unknown;
  try {
    parsed = JSON.parse(value.toString("utf8"));
  } catch (error) {
    throw new InvalidEventError(type, [`not JSON: ${(error as Error).message}`]);
  }
  const checked = envelopes[type].safeParse(parsed);
  if (!checked.success) throw new InvalidEventError(type, mistakesOf(checked.error));
  const event = checked.data;
  const { version } = eventTypes[type];
  const mistakes: string[] = [];
  if (event.event_type !== type) mistakes.push(`event_type is ${event.event_type}`);
  if (event.schema_version > version) {
    mistakes.push(`schema_version is ${event.schema_version}, this program knows up to ${version}`);
  }
  if (mistakes.length > 0) throw new InvalidEventError(type, mistakes);
  return event as Event<PayloadOf<Type>>;
}

/** Makes an event of the newest version of its type. */
export function newEvent<Type extends EventType>(
  type: Type,
  fields: Omit<Event<PayloadOf<Type>>, "event_type" | "schema_version">,
): Event<PayloadOf<Type>> {
  return { ...fields, event_type: type, schema_version: eventTypes[type].version };
}
