/** Reads what was restored out of the target again and hashes it as the archive does. */
import { setTimeout as delay } from "node:timers/promises";
import type { Kafka } from "../bus/kafka.ts";
import { type LogRecord, partitionKey } from "../bus/kafka-log.ts";
import { LogReader, type PartitionReceiver } from "../bus/log-reader.ts";
import type { Logger } from "../core/log.ts";
import { type ChainPoint, RecordHash } from "./record-hash.ts";

/** A partition that was restored. */
export interface PartitionToProve {
  /** Its topic's name in the archive: the hash is over that name. */
  topic: string;
  /** Its topic's name in the cluster. */
  target: string;
  partition: number;
  /** Where the partition ended before. */
  start: bigint;
  /** How many records were written behind it. */
  records: number;
}

/** Restored records vanished from the target before they were read back. */
export class RestoredRecordsGoneError extends Error {
  override readonly name = "RestoredRecordsGoneError";
}

/** Arguments of {@link readBackRestored}. */
export interface ReadBackOptions {
  kafka: Kafka;
  partitions: readonly PartitionToProve[];
  /** Told how many records were read. */
  onProgress: (records: number) => void;
  signal: AbortSignal;
  logger: Logger;
}

/** Without a record for so long, what is missing will not come any more. */
const silenceMs = 60_000;
const lookEveryMs = 20;

/**
 * Reads of each partition, from its former end on, as many offsets as records were written.
 * @returns number and hash of what is there, in the order of the partitions; fewer records when no more come for 60 s.
 * @throws the signal's reason; KafkaJSError; RestoredRecordsGoneError.
 */
export async function readBackRestored(options: ReadBackOptions): Promise<ChainPoint[]> {
  const { kafka, logger, signal, onProgress } = options;
  let records = 0;
  let lastAt = performance.now();
  const wanted = new Map(
    options.partitions.map((partition) => [
      partitionKey({ topic: partition.target, partition: partition.partition }),
      new RestoredReceiver(partition, (count) => {
        lastAt = performance.now();
        onProgress((records += count));
      }),
    ]),
  );
  const reader = new LogReader({
    kafka,
    logger,
    onProgress: () => undefined,
    open: (topic, partition) => wanted.get(partitionKey({ topic, partition })) ?? unwanted(topic, partition),
  });
  await reader.start();
  try {
    const open = () => [...wanted.values()].filter(({ isComplete }) => !isComplete);
    while (open().length > 0 && performance.now() - lastAt < silenceMs) {
      const gone = open().flatMap(({ broken }) => broken ?? []);
      if (gone.length > 0) throw new RestoredRecordsGoneError(gone.join("; "));
      await delay(lookEveryMs, undefined, { signal });
    }
  } finally {
    await reader.stop();
  }
  return [...wanted.values()].map(({ point }) => point);
}

/** A partition that is not read. */
function unwanted(topic: string, partition: number): PartitionReceiver {
  const broken = "it is no part of the restore";
  return { topic, partition, position: 0n, broken, take: async () => undefined, outOfRange: () => undefined };
}

/** Hashes what it is handed, as far as that was restored. */
export class RestoredReceiver implements PartitionReceiver {
  readonly topic: string;
  readonly partition: number;
  position: bigint;
  broken: string | undefined;
  readonly #end: bigint;
  readonly #archivedTopic: string;
  readonly #hash = new RecordHash();
  readonly #onRead: (records: number) => void;

  constructor(restored: PartitionToProve, onRead: (records: number) => void) {
    this.topic = restored.target;
    this.partition = restored.partition;
    this.position = restored.start;
    this.#end = restored.start + BigInt(restored.records);
    this.#archivedTopic = restored.topic;
    this.#onRead = onRead;
  }

  get isComplete(): boolean {
    return this.position >= this.#end;
  }

  get point(): ChainPoint {
    return this.#hash.point;
  }

  async take(from: bigint, records: Iterable<LogRecord>, end: bigint): Promise<void> {
    if (from > this.position) return;
    let read = 0;
    for (const record of records) {
      read++;
      const offset = BigInt(record.offset);
      if (offset < this.position || offset >= this.#end) continue;
      this.#hash.add({ ...record, topic: this.#archivedTopic });
      // The next one may not be readable: then the batch comes again.
      this.position = offset + 1n;
    }
    this.position = end;
    this.#onRead(read);
  }

  outOfRange(low: bigint, high: bigint): void {
    this.broken =
      `${partitionKey(this)}: records from offset ${this.position} on were written, but the log now has ${low} to ${high}: ` +
      "they were deleted meanwhile, or the topic was";
  }
}
