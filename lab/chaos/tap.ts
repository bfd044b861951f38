/**
 * An independent reader of all topics, committed records only and without a consumer group. While the run goes on it
 * remembers everything that was ever visible and tells of it; a second one reads the logs again at the end.
 */
import type { Kafka } from "kafkajs";
import { type LogRecord, partitionKey } from "../../services/bus/kafka-log.ts";
import { LogReader, type PartitionReceiver } from "../../services/bus/log-reader.ts";
import type { Logger } from "../../services/core/log.ts";

/** Everything visible, by topic. */
export type Records = ReadonlyMap<string, readonly LogRecord[]>;

/** See the module's description. */
export class Tap {
  readonly #records = new Map<string, LogRecord[]>();
  readonly #receivers = new Map<string, PartitionReceiver>();
  readonly #reader: LogReader;
  /** What went wrong with reading: a log that was cut, for example. Empty when all is well. */
  readonly mistakes: string[] = [];

  /** @param onRecord told of every record once, in order within a partition. */
  constructor(kafka: Kafka, logger: Logger, onRecord: (record: LogRecord) => void = () => undefined) {
    this.#reader = new LogReader({
      kafka,
      logger,
      // What the reader took for deleted, as brokers that are all just starting make it, goes on where it was.
      open: (topic, partition) => {
        const name = partitionKey({ topic, partition });
        const receiver = this.#receivers.get(name) ?? this.#open(topic, partition, onRecord);
        this.#receivers.set(name, receiver);
        return receiver;
      },
      onProgress: () => undefined,
    });
  }

  get records(): Records {
    return this.#records;
  }

  /** Connects and begins to read from the beginning. @throws KafkaJSError when no broker answers. */
  start(): Promise<void> {
    return this.#reader.start();
  }

  /** Reads to where the logs end now. @throws Error when that takes longer than `deadlineMs`. */
  async readToEnds(deadlineMs: number): Promise<void> {
    await this.#reader.readToEnds(AbortSignal.timeout(deadlineMs));
  }

  stop(): Promise<void> {
    return this.#reader.stop();
  }

  #open(topic: string, partition: number, onRecord: (record: LogRecord) => void): PartitionReceiver {
    const records = this.#records.get(topic) ?? [];
    this.#records.set(topic, records);
    const { mistakes } = this;
    let position = 0n;
    return {
      topic,
      partition,
      get position() {
        return position;
      },
      broken: undefined,
      take: async (from, found, end) => {
        if (from > position) return;
        for (const record of found) {
          const offset = BigInt(record.offset);
          if (offset < position) continue;
          // The next one may not be readable: then the batch comes again.
          position = offset + 1n;
          records.push(record);
          onRecord(record);
        }
        position = end;
      },
      outOfRange: (low, high) => {
        mistakes.push(
          `${topic} ${partition}: read to offset ${position}, but the log is now ${low} to ${high}`,
        );
        position = low;
      },
    };
  }
}

/** Reads all topics from their beginning to where they end now. @throws Error after `deadlineMs`. */
export async function readEverything(kafka: Kafka, logger: Logger, deadlineMs: number): Promise<Tap> {
  const tap = new Tap(kafka, logger);
  await tap.start();
  try {
    await tap.readToEnds(deadlineMs);
  } finally {
    await tap.stop();
  }
  return tap;
}
