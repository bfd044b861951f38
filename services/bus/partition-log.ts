/**
 * Reading one partition by offset, without a consumer group: for state that is rebuilt from a log before work on
 * the partition begins. Whatever happens to brokers meanwhile, it goes on until the end is reached or it is aborted.
 */
import type { IHeaders, Kafka } from "kafkajs";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "../core/log.ts";
import {
  type Cluster,
  committedMessages,
  createCluster,
  logBounds,
  partitionKey,
  readCommitted,
} from "./kafka-log.ts";
import type { ReceivedRecord } from "./record.ts";

/** Arguments of {@link readPartition}. */
export interface ReadPartitionOptions {
  kafka: Kafka;
  topic: string;
  /** From 0. */
  partition: number;
  /** Offset of the first record wanted. Default `"start"`: the oldest there is. */
  from?: bigint | "start";
  /** Offset behind the last record wanted. Default `"end"`: the log's end (high watermark) at the call. */
  to?: bigint | "end";
  /**
   * Called for each committed record, in order, one at a time; the next one waits for its promise.
   * What it throws ends the reading.
   */
  onRecord(record: ReceivedRecord): void | Promise<void>;
  /** Ends the reading, also while brokers are away. */
  signal: AbortSignal;
  logger: Logger;
}

/** The log does not have what is to be read, and waiting would not bring it. */
export class PartitionLogError extends Error {
  override readonly name = "PartitionLogError";
}

/** What one request may bring. A larger batch comes all the same, alone. */
const fetchBytes = 1024 * 1024;
/** How long the broker may hold a fetch that finds nothing, as while a transaction is open. */
const fetchWaitMs = 100;
/** Pauses between attempts: leaders move within a second, brokers restart within a minute. */
const firstPauseMs = 50;
const longestPauseMs = 1_000;
/** A broker that has just started may not know all topics yet; after this time the topic does not exist. */
const unknownTopicMs = 30_000;
const warnEveryMs = 10_000;

/**
 * Reads the committed records of a partition, in order: records of aborted transactions and transaction markers are
 * left out. Waits until everything below `to` is decided, that is, until no transaction that began below it is open;
 * Kafka itself aborts one whose producer is gone after that producer's transaction timeout.
 * @returns the offset behind what was read: `to`, or `from` if that lies behind it.
 * @throws the signal's reason; what `onRecord` throws; PartitionLogError when the topic or partition does not exist
 *   (after 30 s), when records from `from` on were deleted, or when the log ends before `from`.
 */
export async function readPartition(options: ReadPartitionOptions): Promise<bigint> {
  const { signal } = options;
  signal.throwIfAborted();
  const cluster = createCluster(options.kafka);
  let aborted: () => void = () => undefined;
  const abort = new Promise<never>((_resolve, reject) => {
    aborted = () => reject(signal.reason as Error);
  });
  abort.catch(() => undefined);
  signal.addEventListener("abort", aborted, { once: true });
  const reading = new Reading(options, cluster).run();
  try {
    return await Promise.race([reading, abort]);
  } finally {
    signal.removeEventListener("abort", aborted);
    // A connection that is being made would else stay open behind the disconnect.
    const closing = reading.then(
      () => cluster.disconnect(),
      () => cluster.disconnect(),
    );
    if (signal.aborted) closing.catch(() => undefined);
    else await closing.catch(() => undefined);
  }
}

/** An error that no repetition mends. */
class Final extends Error {
  constructor(cause: unknown) {
    super("final", { cause });
  }
}

class Reading {
  readonly #options: ReadPartitionOptions;
  readonly #cluster: Cluster;
  #position: bigint | undefined;
  #end: bigint | undefined;
  #connected = false;

  constructor(options: ReadPartitionOptions, cluster: Cluster) {
    this.#options = options;
    this.#cluster = cluster;
    if (typeof options.from === "bigint") this.#position = options.from;
    if (typeof options.to === "bigint") this.#end = options.to;
  }

  async run(): Promise<bigint> {
    const { signal, logger } = this.#options;
    const partition = partitionKey(this.#options);
    let pauseMs = firstPauseMs;
    let unknownSince: number | undefined;
    let lastWarning = -Infinity;
    for (;;) {
      const before = this.#position;
      try {
        return await this.#read();
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof Final) throw error.cause;
        const now = performance.now();
        if (isUnknownTopic(error)) unknownSince ??= now;
        else unknownSince = undefined;
        if (unknownSince !== undefined && now - unknownSince > unknownTopicMs) {
          throw new PartitionLogError(
            `${partition} does not exist. Create it (the prepare-day job makes all topics), then start again.`,
            { cause: error },
          );
        }
        if (now - lastWarning > warnEveryMs) {
          lastWarning = now;
          logger.warn({ err: error, partition }, "reading a partition failed, trying again");
        }
      }
      pauseMs = this.#position === before ? Math.min(pauseMs * 2, longestPauseMs) : firstPauseMs;
      await delay(pauseMs, undefined, { signal });
    }
  }

  /** Reads until the end or an error. */
  async #read(): Promise<bigint> {
    const { topic, partition, signal } = this.#options;
    if (!this.#connected) {
      await this.#cluster.connect();
      this.#connected = true;
    }
    const broker = await this.#leader();
    if (this.#position === undefined || this.#end === undefined) {
      const { low, high } = await logBounds(broker, topic, partition);
      this.#position ??= low;
      this.#end ??= high;
    }
    while (this.#position < this.#end) {
      signal.throwIfAborted();
      const from: bigint = this.#position;
      const { responses } = await broker
        .fetch({
          maxWaitTime: fetchWaitMs,
          minBytes: 1,
          maxBytes: fetchBytes,
          isolationLevel: readCommitted,
          topics: [
            { topic, partitions: [{ partition, fetchOffset: from.toString(), maxBytes: fetchBytes }] },
          ],
        })
        .catch(async (error: unknown) => {
          if ((error as Error).name === "KafkaJSOffsetOutOfRange") await this.#checkRange(broker, from);
          throw error;
        });
      for (const fetched of responses.flatMap(({ partitions }) => partitions)) {
        const { messages, end } = committedMessages(fetched);
        for (const message of messages) {
          const offset = BigInt(message.offset);
          // A batch is always whole: its records before and behind the range are not wanted.
          if (offset < from || offset >= this.#end) continue;
          await this.#hand(message);
          this.#position = offset + 1n;
        }
        if (end !== undefined && end > this.#position) this.#position = end < this.#end ? end : this.#end;
      }
    }
    return this.#position;
  }

  async #hand(message: ReturnType<typeof committedMessages>["messages"][number]): Promise<void> {
    const { topic, partition, signal } = this.#options;
    signal.throwIfAborted();
    const { offset, timestamp, key, value, headers } = message;
    try {
      await this.#options.onRecord({
        topic,
        partition,
        offset,
        timestamp: Number(timestamp),
        key,
        value,
        headers: headers as IHeaders,
      });
    } catch (error) {
      throw new Final(error);
    }
  }

  async #leader() {
    const { topic, partition } = this.#options;
    const metadata = await this.#cluster.metadata({ topics: [topic] });
    const found = metadata?.topicMetadata
      .find((each) => each.topic === topic)
      ?.partitionMetadata.find(({ partitionId }) => partitionId === partition);
    if (metadata !== null && metadata !== undefined && found === undefined) throw new UnknownPartition();
    if (found === undefined || found.leader < 0) throw new Error("the partition has no leader now");
    return this.#cluster.findBroker({ nodeId: found.leader });
  }

  /** A follower that lags may refuse an offset for a moment, so the leader's own bounds decide. */
  async #checkRange(broker: Parameters<typeof logBounds>[0], from: bigint): Promise<void> {
    const { topic, partition } = this.#options;
    const { low, high } = await logBounds(broker, topic, partition);
    const name = partitionKey({ topic, partition });
    if (from < low) {
      throw new Final(
        new PartitionLogError(
          `${name}: offsets ${from} to ${low - 1n} were deleted from Kafka, so what follows from them is not known. ` +
            "Give the topic a longer retention; restore them from the archive, or start from an empty cluster.",
        ),
      );
    }
    if (from > high) {
      throw new Final(
        new PartitionLogError(
          `${name}: the log ends at ${high}, before the offset ${from} that is to be read: the topic was created anew, ` +
            "or brokers lost records. Start from a fresh cluster.",
        ),
      );
    }
  }
}

class UnknownPartition extends Error {
  constructor() {
    super("the broker does not know the partition");
  }
}

function isUnknownTopic(error: unknown): boolean {
  return (
    error instanceof UnknownPartition || (error as { type?: string }).type === "UNKNOWN_TOPIC_OR_PARTITION"
  );
}
