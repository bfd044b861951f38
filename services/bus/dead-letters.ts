/**
 * Dead letters: a record that cannot be processed is put aside with its original bytes and where it came
 * from, so that the stream goes on and nothing is lost. Nothing reads them back by itself. Of a record that is too
 * large for a producer of ours (compressed, brokers take more than we send) the beginning is kept; the whole of it
 * still stands where it came from.
 */
import type { ServiceContext } from "../core/service.ts";
import type { BatchingProducer } from "./producer.ts";
import type { OutgoingRecord, ReceivedRecord } from "./record.ts";
import { topics } from "./topics.ts";

/** Header names of a dead letter. The headers of the original record follow, prefixed `original-`. */
export const deadLetterHeaders = {
  service: "dead-letter-service",
  topic: "dead-letter-topic",
  partition: "dead-letter-partition",
  offset: "dead-letter-offset",
  timestamp: "dead-letter-timestamp",
  errorType: "dead-letter-error-type",
  error: "dead-letter-error",
  /** Only where something did not fit: what is not there as it was, with its size. */
  cut: "dead-letter-cut",
} as const;

/** Longest error text kept, in characters. */
const longestError = 2_000;

/** What is kept of a record, in bytes; together below the producer's limit of 900,000 for a record. */
const largest = { value: 750_000, key: 20_000, headers: 50_000 };

/** Makes the dead letter of a record. @param service name of the service that could not process it. */
export function deadLetterOf(record: ReceivedRecord, error: Error, service: string): OutgoingRecord {
  const originals = Object.fromEntries(
    Object.entries(record.headers).map(([name, value]) => [`original-${name}`, value]),
  );
  const value = record.value ?? Buffer.alloc(0);
  const key = record.key ?? Buffer.alloc(0);
  const sizes = { value: value.length, key: key.length, headers: sizeOfHeaders(record.headers) };
  const cut = (["value", "key", "headers"] as const).filter((part) => sizes[part] > largest[part]);
  return {
    topic: topics.deadLetter.name,
    key: record.key === null || cut.includes("key") ? `${record.topic}-${record.partition}` : record.key,
    value: value.subarray(0, largest.value),
    headers: {
      ...(cut.includes("headers") ? {} : originals),
      ...(cut.length === 0
        ? {}
        : { [deadLetterHeaders.cut]: cut.map((part) => `${part} of ${sizes[part]} bytes`).join(", ") }),
      [deadLetterHeaders.service]: service,
      [deadLetterHeaders.topic]: record.topic,
      [deadLetterHeaders.partition]: String(record.partition),
      [deadLetterHeaders.offset]: record.offset,
      [deadLetterHeaders.timestamp]: String(record.timestamp),
      [deadLetterHeaders.errorType]: error.name,
      [deadLetterHeaders.error]: error.message.slice(0, longestError),
    },
  };
}

function sizeOfHeaders(headers: ReceivedRecord["headers"]): number {
  return Object.entries(headers).reduce(
    (sum, [name, value]) =>
      sum + Buffer.byteLength(name) + [value].flat().reduce((bytes, each) => bytes + (each?.length ?? 0), 0),
    0,
  );
}

/** Puts a record aside; resolves when the dead letter is acknowledged. */
export async function putAside(
  record: ReceivedRecord,
  error: Error,
  producer: Pick<BatchingProducer, "send">,
  context: Pick<ServiceContext, "settings" | "logger" | "metrics">,
): Promise<void> {
  context.logger.warn(
    { err: error, topic: record.topic, partition: record.partition, offset: record.offset },
    "record put on the dead-letter topic",
  );
  context.metrics.deadLetters.inc({ topic: record.topic });
  await producer.send(deadLetterOf(record, error, context.settings.SERVICE_NAME));
}
