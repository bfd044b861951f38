/** What a replay wrote, or a day had written, in the form in which the two are compared. */
import { hash } from "node:crypto";
import { deadLetterHeaders } from "../bus/dead-letters.ts";
import type { ReceivedRecord } from "../bus/record.ts";
import { topics, type TopicDefinition } from "../bus/topics.ts";
import { derivedEventId } from "../core/ids.ts";
import type { ArchivedHeader, ArchivedRecord } from "./line.ts";

/**
 * A record that came out of the services. Kafka's timestamp is not part of it: it is the time of the writing, which is
 * another one in a replay.
 */
export type OutputRecord = Omit<ArchivedRecord, "timestamp">;

/** What tells a record apart from others, and where its order counts. */
export interface Identity {
  /** The event's id. Of a dead letter: what was refused, by whom and why. Of anything else: a hash of its bytes. */
  id: string;
  /**
   * Records of one line of a topic have an order that a replay repeats. It is the key, divided by what comes from
   * different partitions on its way here, between which nothing decides who is first: the venue of market data; the
   * strategy of a command and the topic that it answers. Undefined: the order means nothing.
   */
  line: string | undefined;
  /** The service that wrote it, where the record tells. */
  writer: string | undefined;
}

/** A record read from Kafka as one to be compared. */
export function outputOf(record: ReceivedRecord): OutputRecord {
  const { topic, partition, offset, key, value } = record;
  const headers = Object.entries(record.headers).flatMap(([name, values]) =>
    ([values].flat() as unknown[])
      // kafkajs mixes what objects inherit into headers of such names ("constructor"); a null is no type of its own.
      .filter(
        (one): one is Buffer | string | null =>
          one === null || typeof one === "string" || Buffer.isBuffer(one),
      )
      .map((one): ArchivedHeader => [name, one === null ? null : Buffer.from(one)]),
  );
  return { topic, partition, offset, key, value, headers };
}

/** Tells who a record is. Never throws: what is no event is known by its bytes. */
export function identify(record: OutputRecord): Identity {
  if (record.topic === topics.deadLetter.name) return identifyDeadLetter(record);
  const key = textOf(record.key);
  const event = eventIn(record.value);
  if (event === undefined) {
    return { id: `bytes ${digestOf(record)}`, line: key, writer: undefined };
  }
  const { event_id: id, event_type, venue } = event;
  if (event_type !== "cmd.execute_trade") {
    return { id, line: JSON.stringify([key, venue]), writer: undefined };
  }
  const { strategy } = Object(event.payload) as { strategy?: unknown };
  return {
    id,
    line: JSON.stringify([key, strategy, causeTopic(event)]),
    writer: typeof strategy === "string" ? `strategy-${strategy}` : undefined,
  };
}

/** A dead letter's origin is told by headers; its offset and time there are others in a replay. */
function identifyDeadLetter(record: OutputRecord): Identity {
  const header = (name: string): string =>
    textOf(record.headers.find(([each]) => each === name)?.[1] ?? null);
  const { service, topic, errorType } = deadLetterHeaders;
  const content = hash("sha256", framed([record.key, record.value]), "hex");
  return {
    id: `dead letter of ${header(service)} from ${header(topic)}: ${header(errorType)}, ${content}`,
    line: undefined,
    writer: header(service),
  };
}

/** Headers that a replay does not repeat: where the refused record stood, and when. */
const places: readonly string[] = [deadLetterHeaders.offset, deadLetterHeaders.timestamp];

/** The headers that a replay repeats, in order of their names: Kafka's order across names is not known to us. */
export function comparedHeaders({ topic, headers }: OutputRecord): ArchivedHeader[] {
  const isDeadLetter = topic === topics.deadLetter.name;
  return headers
    .filter(([name]) => !isDeadLetter || !places.includes(name))
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
}

/** A hash of everything that must be the same: key, value and headers. */
export function digestOf(record: OutputRecord): string {
  const headers = comparedHeaders(record).flatMap(([name, value]) => [Buffer.from(name), value]);
  return hash("sha256", framed([record.key, record.value, ...headers]), "base64");
}

/** Parts with their lengths, so that different lists never give the same bytes. */
function framed(parts: readonly (Buffer | null)[]): Buffer {
  return Buffer.concat(
    parts.flatMap((part) => {
      const length = Buffer.allocUnsafe(4);
      length.writeInt32BE(part?.length ?? -1);
      return part === null ? [length] : [length, part];
    }),
  );
}

interface KnownEvent {
  event_id: string;
  event_type: unknown;
  venue: unknown;
  payload: unknown;
  causation_id: unknown;
  correlation_id: unknown;
}

function eventIn(value: Buffer | null): KnownEvent | undefined {
  if (value === null) return undefined;
  try {
    const parsed: unknown = JSON.parse(value.toString("utf8"));
    const event = Object(parsed) as KnownEvent;
    return typeof event.event_id === "string" ? event : undefined;
  } catch {
    return undefined;
  }
}

/** The types of events that a command may answer, with their topics. */
const causes = Object.values(topics).flatMap((topic: TopicDefinition) =>
  topic.class === "norm" ? topic.schemas.map((type) => ({ type, topic: topic.name })) : [],
);

/** The topic of the event that a command answers: a normalized event's id follows from its type and the raw event. */
function causeTopic({ causation_id, correlation_id }: KnownEvent): string | undefined {
  if (typeof causation_id !== "string" || typeof correlation_id !== "string") return undefined;
  try {
    return causes.find(({ type }) => derivedEventId(type, correlation_id) === causation_id)?.topic;
  } catch {
    return undefined;
  }
}

/** For people and for telling keys apart; bytes that are no UTF-8 stay different from each other. */
export function textOf(bytes: Buffer | null): string {
  if (bytes === null) return "(null)";
  const text = bytes.toString("utf8");
  return Buffer.from(text).equals(bytes) ? text : `base64:${bytes.toString("base64")}`;
}
