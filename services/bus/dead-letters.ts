/**
 * Dead letters: what cannot be processed is put aside with its original bytes and where it came from, so that the
 * stream goes on and nothing is lost. Nothing reads them back by itself. The topic takes more than any other, so that
 * the bytes are whole; of a record that is larger still (compressed, brokers take what unfolds without a bound) the
 * beginning is kept, and the whole of it still stands where it came from.
 */
import type { ServiceContext } from "../core/service.ts";
import type { BatchingProducer } from "./producer.ts";
import type { OutgoingRecord, ReceivedRecord } from "./record.ts";
import { largeRecordBytes, topics } from "./topics.ts";

/** Header names of a dead letter. The headers of the original record follow, prefixed `original-`. */
export const deadLetterHeaders = {
  service: "dead-letter-service",
  /** Where it stands, or for a message of a venue, where it could not be written. */
  topic: "dead-letter-topic",
  /** Partition and offset of a record; a venue's message has none. */
  partition: "dead-letter-partition",
  offset: "dead-letter-offset",
  /** Milliseconds since 1970: Kafka's time of the record, or when the message was received. */
  timestamp: "dead-letter-timestamp",
  /** Of a venue's message only: the venue, the feed's session, the message's number in it, and the raw event's id. */
  venue: "dead-letter-venue",
  session: "dead-letter-session",
  sequence: "dead-letter-sequence",
  eventId: "dead-letter-event-id",
  errorType: "dead-letter-error-type",
  error: "dead-letter-error",
  /** Only where the record had no key or no value, which is not the same as an empty one: which of them. */
  absent: "dead-letter-absent",
  /** Only where something did not fit: what is not there as it was, with its size. */
  cut: "dead-letter-cut",
} as const;

/** Longest error text kept, in characters. */
const longestError = 2_000;

/** What is kept of a record's key and headers, and what all headers of ours may need, in bytes. */
const largestKey = 20_000;
const largestHeaders = 50_000;
const ownHeaders = 10_000;

/** What is kept of a value, in bytes: with the rest it fits into the topic. */
export const largestDeadLetterValue =
  (largeRecordBytes.get(topics.deadLetter.name) ?? 900_000) - largestKey - largestHeaders - ownHeaders;

/** Makes the dead letter of a record. @param service name of the service that could not process it. */
export function deadLetterOf(record: ReceivedRecord, error: Error, service: string): OutgoingRecord {
  const { topic, partition, offset, timestamp, key, value, headers } = record;
  const originals = Object.fromEntries(
    Object.entries(headers).map(([name, content]) => [`original-${name}`, content]),
  );
  const absent = [...(key === null ? ["key"] : []), ...(value === null ? ["value"] : [])];
  const isKeyCut = (key?.length ?? 0) > largestKey;
  const headerBytes = sizeOfHeaders(headers);
  const cut = [
    ...cutOf("value", value?.length ?? 0, largestDeadLetterValue),
    ...cutOf("key", key?.length ?? 0, largestKey),
    ...cutOf("headers", headerBytes, largestHeaders),
  ];
  return {
    topic: topics.deadLetter.name,
    key: key === null || isKeyCut ? `${topic}-${partition}` : key,
    value: (value ?? Buffer.alloc(0)).subarray(0, largestDeadLetterValue),
    headers: {
      ...(headerBytes > largestHeaders ? {} : originals),
      ...(absent.length === 0 ? {} : { [deadLetterHeaders.absent]: absent.join(", ") }),
      ...(cut.length === 0 ? {} : { [deadLetterHeaders.cut]: cut.join(", ") }),
      [deadLetterHeaders.topic]: topic,
      [deadLetterHeaders.partition]: String(partition),
      [deadLetterHeaders.offset]: offset,
      [deadLetterHeaders.timestamp]: String(timestamp),
      ...reasonOf(error, service),
    },
  };
}

/** A message of a venue that could not become a raw event. */
export interface RefusedMessage {
  /** The topic and key that the raw event would have had, and its id. */
  topic: string;
  key: string;
  eventId: string;
  venue: string;
  sessionId: string;
  sequence: number;
  /** Milliseconds since 1970. */
  receivedAt: number;
  /** The venue's exact text. */
  text: string;
}

/** Makes the dead letter of a venue's message; its value is the message's text. */
export function deadLetterOfMessage(message: RefusedMessage, error: Error, service: string): OutgoingRecord {
  const text = Buffer.from(message.text, "utf8");
  const isKeyCut = Buffer.byteLength(message.key) > largestKey;
  const cut = [
    ...cutOf("value", text.length, largestDeadLetterValue),
    ...cutOf("key", Buffer.byteLength(message.key), largestKey),
  ];
  return {
    topic: topics.deadLetter.name,
    key: isKeyCut ? message.topic : message.key,
    value: text.subarray(0, largestDeadLetterValue),
    headers: {
      ...(cut.length === 0 ? {} : { [deadLetterHeaders.cut]: cut.join(", ") }),
      [deadLetterHeaders.topic]: message.topic,
      [deadLetterHeaders.timestamp]: String(message.receivedAt),
      [deadLetterHeaders.venue]: message.venue,
      [deadLetterHeaders.session]: message.sessionId,
      [deadLetterHeaders.sequence]: String(message.sequence),
      [deadLetterHeaders.eventId]: message.eventId,
      ...reasonOf(error, service),
    },
  };
}

function reasonOf(error: Error, service: string): Record<string, string> {
  return {
    [deadLetterHeaders.service]: service,
    [deadLetterHeaders.errorType]: error.name,
    [deadLetterHeaders.error]: error.message.slice(0, longestError),
  };
}

function cutOf(part: string, bytes: number, largest: number): string[] {
  return bytes > largest ? [`${part} of ${bytes} bytes`] : [];
}

function sizeOfHeaders(headers: ReceivedRecord["headers"]): number {
  return Object.entries(headers).reduce(
    (sum, [name, value]) =>
      sum + Buffer.byteLength(name) + [value].flat().reduce((bytes, each) => bytes + (each?.length ?? 0), 0),
    0,
  );
}

type Aside = Pick<ServiceContext, "settings" | "logger" | "metrics">;

/** Puts a record aside; resolves when the dead letter is acknowledged. */
export async function putAside(
  record: ReceivedRecord,
  error: Error,
  producer: Pick<BatchingProducer, "send">,
  context: Aside,
): Promise<void> {
  const { topic, partition, offset } = record;
  context.logger.warn({ err: error, topic, partition, offset }, "record put on the dead-letter topic");
  context.metrics.deadLetters.inc({ topic });
  await producer.send(deadLetterOf(record, error, context.settings.SERVICE_NAME));
}

/** Puts a venue's message aside; resolves when the dead letter is acknowledged. */
export async function putMessageAside(
  message: RefusedMessage,
  error: Error,
  producer: Pick<BatchingProducer, "send">,
  context: Aside,
): Promise<void> {
  const { topic, venue, sessionId, sequence, eventId } = message;
  context.logger.warn(
    { err: error, topic, venue, session_id: sessionId, sequence, event_id: eventId },
    "message put on the dead-letter topic",
  );
  context.metrics.deadLetters.inc({ topic });
  await producer.send(deadLetterOfMessage(message, error, context.settings.SERVICE_NAME));
}
