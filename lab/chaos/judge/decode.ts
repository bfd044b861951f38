/** From records to events: what cannot be read and is no poison is a finding. */
import type { LogRecord } from "../../../services/bus/kafka-log.ts";
import type { Event } from "../../../services/core/envelope.ts";
import { decodeEventOf, type EventOf, type EventType } from "../../../services/core/events.ts";
import type { Finding } from "./finding.ts";

/** An event and the record that holds it. */
export interface Placed<E extends Event> {
  event: E;
  record: LogRecord;
}

/** Name of a record's place, as in findings and as poison is remembered. */
export const place = ({ topic, partition, offset }: Pick<LogRecord, "topic" | "partition" | "offset">) =>
  `${topic}/${partition}/${offset}`;

/** The readable events of records, in order within a partition. */
export interface Decoded<Type extends EventType> {
  events: Placed<EventOf<Type>>[];
  findings: Finding[];
}

/**
 * Reads records as events of these types.
 * @param poison places of records that are unreadable on purpose.
 */
export function decode<Type extends EventType>(
  types: readonly [Type, ...Type[]],
  records: readonly LogRecord[],
  poison: ReadonlySet<string> = new Set(),
): Decoded<Type> {
  const decoded: Decoded<Type> = { events: [], findings: [] };
  for (const record of records) {
    if (poison.has(place(record))) continue;
    try {
      decoded.events.push({ event: decodeEventOf(types, record.value), record });
    } catch (error) {
      decoded.findings.push({ what: "unreadable", subject: place(record), detail: (error as Error).message });
    }
  }
  return decoded;
}
