/**
 * Dead letters: a record that cannot be processed is put aside with its original bytes and where it came
 * from, so that the stream goes on and nothing is lost. Nothing reads them back by itself.
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
} as const;

/** Longest error text kept, in characters. */
const longestError = 2_000;

/** Makes the dead letter of a record. @param service name of the service that could not process it. */
export function deadLetterOf(record: ReceivedRecord, error: Error, service: string): OutgoingRecord {
  const originals = Object.fromEntries(
    Object.entries(record.headers).map(([name, value]) => [`original-${name}`, value]),
  );
  return {
    topic: topics.deadLetter.name,
    key: record.key ?? `${record.topic}-${record.partition}`,
    value: record.value ?? Buffer.alloc(0),
    headers: {
      ...originals,
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
