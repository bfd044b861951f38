/** What the sealed archive says of the day: events by stage, duplicates, losses and latency. */

/** One archived record, as far as the counts need it. */
export interface CountedRecord {
  topic: string;
  /** Kafka's record timestamp, in milliseconds since 1970. */
  timestamp: number;
  /** The parsed event. */
  value: unknown;
}

export interface DayCounts {
  events: { ingested: number; normalized: number; commands: number; results: number };
  /** Events that stand in the archive more than once, and commands with more than one result. */
  duplicates: number;
  /** Venue messages without a raw event, raw quotes without a demand, commands without a result. */
  lost: number;
  /** Milliseconds from the ingestor's receipt to the result event, ascending. */
  latencies: number[];
  /** Results by their status, for the summary. */
  resultsByStatus: Record<string, number>;
  /** Epoch milliseconds of every ingested event, ascending: the report's throughput. */
  ingestedAt: number[];
}

interface Event {
  event_id?: unknown;
  ingested_at?: unknown;
  causation_id?: unknown;
  payload?: { command_id?: unknown; status?: unknown };
}

const rawTopic = /^(raw\.|stock-stream-)/;

/**
 * Reads all records once and counts.
 * @param records of the topics of the pipeline's stages; others are passed over.
 * @param sent how many data messages the venues sent to the ingestors.
 */
export async function countDay(records: AsyncIterable<CountedRecord>, sent: number): Promise<DayCounts> {
  const ids = {
    raw: new Set<string>(),
    norm: new Set<string>(),
    cmd: new Set<string>(),
    result: new Set<string>(),
  };
  const events = { ingested: 0, normalized: 0, commands: 0, results: 0 };
  const quotes = new Set<string>();
  const demandsFor = new Set<string>();
  const resultsByStatus: Record<string, number> = {};
  const latencies: number[] = [];
  const ingestedAt: number[] = [];

  for await (const { topic, timestamp, value } of records) {
    const event = (value ?? {}) as Event;
    const id = String(event.event_id);
    if (rawTopic.test(topic)) {
      events.ingested++;
      ids.raw.add(id);
      ingestedAt.push(timestamp);
      if (topic.startsWith("raw.")) quotes.add(id);
    } else if (topic.startsWith("norm.")) {
      events.normalized++;
      ids.norm.add(id);
      demandsFor.add(String(event.causation_id));
    } else if (topic === "cmd.execute_trade") {
      events.commands++;
      ids.cmd.add(String(event.payload?.command_id));
    } else if (topic === "exec.trade_result") {
      events.results++;
      ids.result.add(String(event.payload?.command_id));
      const status = String(event.payload?.status);
      resultsByStatus[status] = (resultsByStatus[status] ?? 0) + 1;
      latencies.push(timestamp - Date.parse(String(event.ingested_at)));
    }
  }

  const missing = (expected: Set<string>, found: Set<string>) =>
    [...expected].filter((id) => !found.has(id)).length;
  return {
    events,
    duplicates:
      events.ingested -
      ids.raw.size +
      (events.normalized - ids.norm.size) +
      (events.commands - ids.cmd.size) +
      (events.results - ids.result.size),
    lost: Math.max(0, sent - ids.raw.size) + missing(quotes, demandsFor) + missing(ids.cmd, ids.result),
    latencies: latencies.sort((a, b) => a - b),
    resultsByStatus,
    ingestedAt: ingestedAt.sort((a, b) => a - b),
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
