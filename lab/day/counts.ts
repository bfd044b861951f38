/** What the sealed archive says of the day: events by stage and venue, duplicates, losses and latency. */
import type { ReportedExecution } from "./books.ts";
import {
  deadLetterTopic,
  hasCanonicalForm,
  isCanary,
  type PipelineEvent,
  type Stage,
  stageOf,
} from "./pipeline-events.ts";

/** One archived record, as far as the counts need it. */
export interface CountedRecord {
  topic: string;
  /** Kafka's record timestamp, in milliseconds since 1970. */
  timestamp: number;
  /** Topic, partition and offset: of the record itself, and of a dead letter's origin. */
  position: string;
  /** The parsed value; undefined when it is no event. */
  event: PipelineEvent | undefined;
}

/** Commands and results of one venue. */
export interface VenueCounts {
  commands: number;
  /** Results by their status. */
  results: Record<string, number>;
  /** Milliseconds from the ingestor's receipt to the result event, ascending. */
  latencies: number[];
}

export interface DayCounts {
  events: Record<Stage, number>;
  /** By the venue that the commands were for. */
  venues: Record<string, VenueCounts>;
  /** Events that stand in the archive more than once, and commands with more than one result. */
  duplicates: number;
  /**
   * Venue messages without a raw event, raw events that have a canonical form and neither it nor a dead letter, and
   * commands without a result.
   */
  lost: number;
  /** Records that could not be processed and were put aside. */
  deadLetters: number;
  /** What the results say was executed. */
  reported: ReportedExecution[];
  /** Milliseconds from the ingestor's receipt to the result event over all venues, ascending. */
  latencies: number[];
  /** Epoch milliseconds of every ingested event, ascending: the report's throughput. */
  ingestedAt: number[];
}

const ascending = (numbers: number[]) => numbers.sort((a, b) => a - b);

/**
 * Reads all records once and counts. Canaries are passed over.
 * @param records of the topics of the pipeline's stages and of the dead letters; others are passed over.
 * @param sent how many data messages the venues sent to the ingestors.
 */
export async function countDay(records: AsyncIterable<CountedRecord>, sent: number): Promise<DayCounts> {
  const ids: Record<Stage, Set<string>> = {
    ingested: new Set(),
    normalized: new Set(),
    commands: new Set(),
    results: new Set(),
  };
  const events: Record<Stage, number> = { ingested: 0, normalized: 0, commands: 0, results: 0 };
  /** Raw events from which something must follow, with their positions; those that were followed, or put aside. */
  const causes = new Map<string, string>();
  const caused = new Set<string>();
  const putAside = new Set<string>();
  const venues: Record<string, VenueCounts> = {};
  const reported: ReportedExecution[] = [];
  const ingestedAt: number[] = [];
  let deadLetters = 0;

  for await (const { topic, timestamp, position, event = {} } of records) {
    if (topic === deadLetterTopic) {
      deadLetters++;
      putAside.add(position);
      continue;
    }
    const id = String(event.event_id);
    const stage = stageOf(topic);
    if (stage === undefined || isCanary(event)) continue;
    events[stage]++;
    const name = String(event.venue);
    const venue = () => (venues[name] ??= { commands: 0, results: {}, latencies: [] });
    switch (stage) {
      case "ingested":
        ids.ingested.add(id);
        ingestedAt.push(timestamp);
        if (hasCanonicalForm(event)) causes.set(id, position);
        break;
      case "normalized":
        ids.normalized.add(id);
        caused.add(String(event.causation_id));
        break;
      case "commands":
        ids.commands.add(String(event.payload?.command_id));
        venue().commands++;
        break;
      case "results": {
        ids.results.add(String(event.payload?.command_id));
        const status = String(event.payload?.status);
        const { results, latencies } = venue();
        results[status] = (results[status] ?? 0) + 1;
        latencies.push(timestamp - Date.parse(String(event.ingested_at)));
        const execution = reportedBy(event);
        if (execution !== undefined) reported.push(execution);
      }
    }
  }

  const unfollowed = [...causes].filter(([id, position]) => !caused.has(id) && !putAside.has(position));
  const unanswered = [...ids.commands].filter((id) => !ids.results.has(id));
  for (const { latencies } of Object.values(venues)) ascending(latencies);
  return {
    events,
    venues,
    duplicates: Object.entries(ids).reduce((sum, [stage, set]) => sum + events[stage as Stage] - set.size, 0),
    lost: Math.max(0, sent - ids.ingested.size) + unfollowed.length + unanswered.length,
    deadLetters,
    reported,
    latencies: ascending(Object.values(venues).flatMap(({ latencies }) => latencies)),
    ingestedAt: ascending(ingestedAt),
  };
}

/** The execution that a result tells of; undefined when nothing was exchanged. */
function reportedBy({ venue, payload }: PipelineEvent): ReportedExecution | undefined {
  const { filled = {}, reference = {}, status, command_id } = payload ?? {};
  const amount = filled.quantity ?? `${filled.amount_in} for ${filled.amount_out}`;
  if (amount === "0" || amount === "0 for 0") return undefined;
  return {
    venue: String(venue),
    // What the venues know our orders by.
    order: String(reference["client_order_id"] ?? reference["quote_hash"]),
    amount,
    command: String(command_id),
    status: String(status),
  };
}

/**
 * The nearest-rank percentile of ascending values.
 * @param fraction from 0 to 1.
 * @returns null when there are no values.
 */
export function percentile(ascending: readonly number[], fraction: number): number | null {
  return ascending[Math.max(0, Math.ceil(ascending.length * fraction) - 1)] ?? null;
}
