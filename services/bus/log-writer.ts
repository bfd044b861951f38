/**
 * Writes records exactly as they are to be: timestamp, key, headers in their order, also nulls, into the partitions
 * that are named, in order and once. One layer below kafkajs's producer, as log-reader.ts is below its consumer, because
 * that producer cannot write all records (record-batch.ts says which). Idempotent (KIP-98): a batch whose answer is lost
 * is sent again with the same number, and a broker that has it already does not take it twice.
 */
import type { Kafka } from "kafkajs";
import { setTimeout as delay } from "node:timers/promises";
import { Backoff } from "../core/backoff.ts";
import type { Logger } from "../core/log.ts";
import { createCluster, partitionKey } from "./kafka-log.ts";
import { encodeProduce, type ProduceAnswer, readProduceAnswer } from "./produce-request.ts";
import { type BatchRecord, RecordBatchBuilder } from "./record-batch.ts";

/** A broker does not take a batch, and asking again would not help. */
export class LogWriteError extends Error {
  override readonly name = "LogWriteError";
}

/** Records are sent when so many bytes (before compression) or records have come together. */
const batchBytes = 900_000;
const batchRecords = 10_000;
/** How long a broker may wait for the replicas, in milliseconds. */
const replicaMs = 30_000;
const backoffLimits = { first: 20, longest: 1_000 };
/** Leaders and coordinators of new topics need a moment: only what lasts longer is worth a word, and not each time. */
const quietMs = 2_000;
const warnEveryMs = 10_000;

/** Errors that go by themselves: leaders move, replicas are behind. Numbers: Kafka protocol, "Error codes". */
const passing = new Set([2, 3, 5, 6, 7, 8, 9, 13, 19, 20, 56, 74, 75, 89, 100]);
/** DUPLICATE_SEQUENCE_NUMBER: the broker has the batch. */
const duplicate = 46;
/** What people want to know of the others. */
const explanations: Readonly<Record<number, string>> = {
  10: "a batch is larger than the topic's max.message.bytes allows",
  17: "the topic's name is not valid",
  29: "the client may not write to the topic",
  32: "the topic's message.timestamp limits do not allow the records' timestamps",
  45: "the broker misses a batch before this one: records were lost or the topic was created anew meanwhile",
  59: "the broker no longer knows the writer: records were deleted meanwhile, as by the topic's retention",
  87: "the topic does not allow such records: is it compacted, and a record has no key?",
};

interface WritingBroker {
  initProducerId(request: {
    transactionalId?: string;
    transactionTimeout: number;
  }): Promise<{ producerId: string; producerEpoch: number }>;
  connectionPool: {
    send(protocol: { request: object; response: object }): Promise<ProduceAnswer[]>;
  };
}

interface WritingCluster {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  isConnected(): boolean;
  refreshMetadata(): Promise<void>;
  removeBroker(address: { host: string; port: number }): void;
  addMultipleTargetTopics(topics: readonly string[]): Promise<void>;
  findTopicPartitionMetadata(topic: string): { partitionId: number; leader: number }[];
  findControllerBroker(): Promise<WritingBroker>;
  findBroker(broker: { nodeId: number }): Promise<WritingBroker>;
}

/** Arguments of {@link LogWriter}. */
export interface LogWriterOptions {
  kafka: Kafka;
  /** Topics that will be written to; they exist. */
  topics: readonly string[];
  logger: Logger;
  /** Ends the attempts at what does not succeed. */
  signal: AbortSignal;
}

/** See the module's description. */
export class LogWriter {
  readonly #options: LogWriterOptions;
  readonly #cluster: WritingCluster;
  #producer: { producerId: bigint; producerEpoch: number } | undefined;
  #lastWarning = -Infinity;

  constructor(options: LogWriterOptions) {
    this.#options = options;
    this.#cluster = createCluster(options.kafka) as unknown as WritingCluster;
  }

  /** Connects and becomes a writer that the brokers know. Waits for brokers as long as it takes. @throws the signal's reason. */
  async start(): Promise<void> {
    await this.#repeat("start", async () => {
      await this.#cluster.connect();
      await this.#cluster.addMultipleTargetTopics(this.#options.topics);
      const broker = await this.#cluster.findControllerBroker();
      const { producerId, producerEpoch } = await broker.initProducerId({ transactionTimeout: replicaMs });
      this.#producer = { producerId: BigInt(producerId), producerEpoch };
    });
  }

  /** Disconnects; what was not flushed is not written. */
  async stop(): Promise<void> {
    await this.#cluster.disconnect();
  }

  /** A way to write to a partition; one at a time for each partition. */
  partition(topic: string, partition: number): PartitionWriter {
    const producer = this.#producer;
    if (producer === undefined) throw new Error("start() comes first");
    return new PartitionWriter((records, baseSequence) => {
      const batch = records.build({ ...producer, baseSequence });
      return this.#repeat(`write to ${partitionKey({ topic, partition })}`, () =>
        this.#send(topic, partition, batch),
      );
    });
  }

  async #send(topic: string, partition: number, batch: Buffer): Promise<void> {
    const leader = this.#cluster
      .findTopicPartitionMetadata(topic)
      .find(({ partitionId }) => partitionId === partition)?.leader;
    const name = partitionKey({ topic, partition });
    if (leader === undefined || leader < 0) throw new Error(`${name} has no leader now`);
    const broker = await this.#cluster.findBroker({ nodeId: leader });
    const answers = await broker.connectionPool.send({
      request: encodeProduce({ timeoutMs: replicaMs, batches: [{ topic, partition, batch }] }),
      response: {
        decode: async (bytes: Buffer) => readProduceAnswer(bytes),
        parse: async (read: unknown) => read,
      },
    });
    const error = answers.find(
      (answer) => answer.topic === topic && answer.partition === partition,
    )?.errorCode;
    if (error === undefined) throw new Error(`the broker did not answer for ${name}`);
    if (error === 0 || error === duplicate) return;
    if (passing.has(error)) throw new Error(`${name}: Kafka's error ${error}`);
    const explanation = explanations[error] ?? "see the Kafka protocol's list of error codes";
    throw new LogWriteError(`The broker does not take records for ${name}: error ${error}, ${explanation}.`);
  }

  /** Repeats a request until it succeeds. @throws LogWriteError, the signal's reason. */
  async #repeat(what: string, request: () => Promise<void>): Promise<void> {
    const { signal, logger } = this.#options;
    const backoff = new Backoff(backoffLimits);
    const since = performance.now();
    for (;;) {
      signal.throwIfAborted();
      try {
        return await request();
      } catch (error) {
        if (error instanceof LogWriteError) throw error;
        const now = performance.now();
        if (now - since > quietMs && now - this.#lastWarning > warnEveryMs) {
          this.#lastWarning = now;
          logger.warn({ err: error }, `could not ${what}, trying again`);
        }
        await this.#recover(error);
      }
      await delay(backoff.next(), undefined, { signal });
    }
  }

  /** After an error: the leaders may be others now. */
  async #recover(error: unknown): Promise<void> {
    const { name, host, port } = error as { name?: string; host?: string; port?: number };
    if (name === "KafkaJSConnectionClosedError" && host !== undefined && port !== undefined) {
      this.#cluster.removeBroker({ host, port });
    }
    try {
      if (!this.#cluster.isConnected()) await this.#cluster.connect();
      await this.#cluster.refreshMetadata();
    } catch (failure) {
      this.#options.logger.debug({ err: failure }, "the brokers' metadata is not available yet");
    }
  }
}

/** Sends a batch; its builder is empty when the call returns, the promise resolves when the brokers have it. */
type SendBatch = (records: RecordBatchBuilder, baseSequence: number) => Promise<void>;

/** Writes to one partition: a batch is put together while the one before is on its way. */
export class PartitionWriter {
  readonly #send: SendBatch;
  readonly #batch = new RecordBatchBuilder(batchBytes + batchBytes / 8);
  #sequence = 0;
  #sending: Promise<void> = Promise.resolve();

  constructor(send: SendBatch) {
    this.#send = send;
  }

  /**
   * Takes a record; it is written with the ones before it, in order, at the latest by {@link flush}.
   * @returns undefined, or a promise to be awaited before the next call: it rejects when an earlier batch was not taken.
   */
  add(record: BatchRecord): Promise<void> | undefined {
    this.#batch.add(record);
    return this.#batch.bytes >= batchBytes || this.#batch.records >= batchRecords ? this.#next() : undefined;
  }

  /** Resolves when everything that was added is written. @throws LogWriteError, the signal's reason. */
  async flush(): Promise<void> {
    if (this.#batch.records > 0) await this.#next();
    await this.#sending;
  }

  async #next(): Promise<void> {
    await this.#sending;
    const sequence = this.#sequence;
    // Sequence numbers begin again behind the highest 32-bit number.
    this.#sequence = (sequence + this.#batch.records) % 0x8000_0000;
    this.#sending = this.#send(this.#batch, sequence);
    // Seen by the next call.
    this.#sending.catch(() => undefined);
  }
}
