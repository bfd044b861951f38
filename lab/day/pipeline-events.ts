/**
 * What the records of the pipeline's topics are, told from their content. Canaries run through the same topics as
 * everything else; they are no trading, so nothing here counts them.
 */

/** An event on the bus, as far as the day's counts need it. Nothing is taken for granted: the judge reads it. */
export interface PipelineEvent {
  event_id?: string;
  event_type?: string;
  venue?: string;
  ingested_at?: string;
  causation_id?: string;
  payload?: {
    message_type?: string | null;
    command_id?: string;
    instruction?: { kind?: string };
    status?: string;
    reason?: { code?: string };
    filled?: { amount_in?: string; amount_out?: string; quantity?: string };
    reference?: Record<string, string>;
  };
}

/** The stages that are counted, in the order of the flow. */
export type Stage = "ingested" | "normalized" | "commands" | "results";

const stages: readonly (readonly [RegExp, Stage])[] = [
  [/^(raw\.|stock-stream-)/, "ingested"],
  [/^norm\./, "normalized"],
  [/^cmd\.execute_trade$/, "commands"],
  [/^exec\.trade_result$/, "results"],
];

/** The topic that takes what cannot be processed. */
export const deadLetterTopic = "dead-letter";

/** The stage whose events a topic carries; undefined for all other topics. */
export function stageOf(topic: string): Stage | undefined {
  return stages.find(([names]) => names.test(topic))?.[1];
}

/** Reads a record's value; undefined for what is no JSON object. */
export function readEvent(value: Buffer | null): PipelineEvent | undefined {
  if (value === null) return undefined;
  try {
    const event = JSON.parse(value.toString()) as unknown;
    return typeof event === "object" && event !== null ? event : undefined;
  } catch {
    return undefined;
  }
}

/** Whether an event is a canary, or what a stage made of one. */
export function isCanary({ event_type, payload }: PipelineEvent): boolean {
  return (
    event_type === "norm.canary" ||
    payload?.message_type === "canary" ||
    payload?.instruction?.kind === "canary" ||
    payload?.reason?.code === "canary"
  );
}

/** Kinds of Alpaca's stream (`T`) that have a canonical form; statuses, price bands and unknown kinds have none. */
const normalizedKinds: ReadonlySet<unknown> = new Set(["t", "q", "b", "u", "d", "c", "x"]);

/** Whether exactly one canonical event has to follow from a raw event. */
export function hasCanonicalForm({ venue, payload }: PipelineEvent): boolean {
  return venue !== "alpaca" || normalizedKinds.has(payload?.message_type);
}
