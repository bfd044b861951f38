/**
 * The transactional part of the Kafka protocol (KIP-98), one request at a time: fence, open, write, commit.
 *
 * kafkajs's own transactional producer is not used. It asks for the coordinator twice in every transaction and
 * refreshes all metadata whenever the transaction before is still being closed (9 ms and more a transaction, measured);
 * it stays in the state "committing" for ever when the answer to a commit is lost; and a send that it repeats can drop
 * records (see producer.ts). Here each request is repeated unchanged, with the same sequence number, until its outcome is
 * certain or the transaction's time is over.
 */
import type { Kafka, Message } from "kafkajs";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "../core/log.ts";
import { compression } from "./kafka.ts";
import { createCluster } from "./kafka-log.ts";
import type { OutgoingRecord } from "./record.ts";

/** A partition of a topic. */
export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/** A record for a transaction: its partition is chosen by the caller. */
export type TransactionRecord = OutgoingRecord & { readonly partition: number };

/**
 * The right to write with this transactional id is gone, or nobody can tell any more whether a transaction was
 * committed. Whoever owned it starts anew: fence, and read what was committed.
 */
export class TransactionLostError extends Error {
  /** Whether another producer of the same transactional id is known to have taken over (or Kafka's timeout has). */
  readonly fenced: boolean;

  constructor(transactionalId: string, step: string, cause: unknown, fenced: boolean) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super(
      `${transactionalId}: ${fenced ? "fenced" : "no certain outcome"} at ${step}: ${reason}. ` +
        "What was committed stands in the log; begin anew from there.",
      { cause },
    );
    this.name = "TransactionLostError";
    this.fenced = fenced;
  }
}

/** The requests of one transactional producer; calls must not overlap. */
export interface TransactionClient {
  /**
   * Fences every earlier producer of the transactional id and ends its open transaction; waits for brokers as long as it
   * takes. @throws the signal's reason.
   */
  init(signal: AbortSignal): Promise<void>;
  /** Opens a transaction over some partitions; holds up no reader until something is written. */
  begin(partitions: readonly TopicPartition[]): Promise<void>;
  /** Writes into the open transaction. */
  write(records: readonly TransactionRecord[]): Promise<void>;
  /** Commits the open transaction: resolves when the outcome is decided for good. */
  commit(): Promise<void>;
  disconnect(): Promise<void>;
}

interface PartitionBatch {
  partition: number;
  firstSequence: number;
  messages: Message[];
}

interface Broker {
  nodeId: number;
  initProducerId(request: {
    transactionalId: string;
    transactionTimeout: number;
  }): Promise<{ producerId: string; producerEpoch: number }>;
  addPartitionsToTxn(request: {
    transactionalId: string;
    producerId: string;
    producerEpoch: number;
    topics: { topic: string; partitions: number[] }[];
  }): Promise<unknown>;
  endTxn(request: {
    transactionalId: string;
    producerId: string;
    producerEpoch: number;
    transactionResult: boolean;
  }): Promise<unknown>;
  produce(request: {
    transactionalId: string;
    producerId: string;
    producerEpoch: number;
    acks: -1;
    timeout: number;
    compression: number;
    topicData: { topic: string; partitions: PartitionBatch[] }[];
  }): Promise<{ topics: { topicName: string; partitions: { partition: number }[] }[] }>;
}

interface TransactionCluster {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  isConnected(): boolean;
  refreshMetadata(): Promise<void>;
  removeBroker(address: { host: string; port: number }): void;
  addMultipleTargetTopics(topics: readonly string[]): Promise<void>;
  findTopicPartitionMetadata(topic: string): { partitionId: number; leader: number }[];
  findBroker(broker: { nodeId: number }): Promise<Broker>;
  findGroupCoordinator(of: { groupId: string; coordinatorType: number }): Promise<Broker>;
}

/** Coordinator type in FindCoordinator requests. */
const transactionCoordinator = 1;

/**
 * Pauses between two attempts to open a transaction while the markers of the former one are being written. That takes
 * a millisecond or two on one idle broker, some more on three or under load.
 */
const concurrentPauseMs = 1;
const longestConcurrentPauseMs = 16;
/** Longest wait before the first attempt. */
const longestMarkersMs = 50;
const retryPauseMs = 20;
const longestRetryPauseMs = 500;

/** Below this many records a batch is not worth compressing. */
const compressFrom = 4;

/** Errors after which this producer can never write again. Error codes: Kafka protocol, "Error codes". */
const fencedTypes = new Set([
  "INVALID_PRODUCER_EPOCH",
  "PRODUCER_FENCED",
  "INVALID_TXN_STATE",
  "INVALID_PRODUCER_ID_MAPPING",
  "UNKNOWN_PRODUCER_ID",
  "OUT_OF_ORDER_SEQUENCE_NUMBER",
  "DUPLICATE_SEQUENCE_NUMBER",
]);
/** PRODUCER_FENCED and TRANSACTION_ABORTABLE, which kafkajs has no names for. */
const fencedCodes = new Set([90, 120]);

/** Arguments of {@link KafkaTransactionClient}. */
export interface TransactionClientOptions {
  kafka: Kafka;
  transactionalId: string;
  /** Kafka aborts a transaction that is open for longer, in milliseconds. */
  transactionTimeoutMs: number;
  logger: Logger;
}

/** {@link TransactionClient} on real brokers, with connections of its own. */
export class KafkaTransactionClient implements TransactionClient {
  readonly #options: TransactionClientOptions;
  readonly #cluster: TransactionCluster;
  #connected = false;
  #closed = false;
  #coordinator: Broker | undefined;
  #producer: { producerId: string; producerEpoch: number } | undefined;
  /** Sequence number of the next record, by topic and partition. */
  readonly #sequences = new Map<string, number>();
  /** When the last transaction was committed, by the monotonic clock, and how long its markers are expected to take. */
  #committedAt = 0;
  #markersMs = 0;
  /** When Kafka may abort the open transaction, by the monotonic clock. */
  #deadline = 0;

  constructor(options: TransactionClientOptions) {
    this.#options = options;
    this.#cluster = createCluster(options.kafka) as unknown as TransactionCluster;
  }

  async init(signal: AbortSignal): Promise<void> {
    const { transactionalId, transactionTimeoutMs, logger } = this.#options;
    let pause = retryPauseMs;
    for (;;) {
      signal.throwIfAborted();
      try {
        const coordinator = await this.#findCoordinator();
        this.#producer = await coordinator.initProducerId({
          transactionalId,
          transactionTimeout: transactionTimeoutMs,
        });
        this.#sequences.clear();
        return;
      } catch (error) {
        // The former owner's transaction is being ended: that takes a few milliseconds.
        if (typeOf(error) === "CONCURRENT_TRANSACTIONS") pause = retryPauseMs;
        else {
          logger.debug({ err: error, transactionalId }, "the transactional id cannot be taken yet");
          await this.#recover(error);
        }
      }
      await delay(pause, undefined, { signal });
      pause = Math.min(pause * 2, longestRetryPauseMs);
    }
  }

  async begin(partitions: readonly TopicPartition[]): Promise<void> {
    this.#deadline = performance.now() + this.#options.transactionTimeoutMs;
    const topics = groupBy(partitions, ({ topic }) => topic).map(([topic, entries]) => ({
      topic,
      partitions: entries.map(({ partition }) => partition),
    }));
    // Asking too early costs a request of the broker's and of our time, just when it has the markers to write.
    const early = this.#committedAt + this.#markersMs - performance.now();
    if (early >= 0.5) await delay(early);
    let attempts = 0;
    await this.#certain("begin", async () => {
      const coordinator = this.#coordinator ?? (await this.#findCoordinator());
      attempts += 1;
      await coordinator.addPartitionsToTxn({ ...this.#identity(), topics });
    });
    // A little less each time until it is too early once: so it follows what the broker takes in both directions.
    this.#markersMs = attempts === 1 ? this.#markersMs * 0.9 : performance.now() - this.#committedAt;
    this.#markersMs = Math.min(this.#markersMs, longestMarkersMs);
  }

  async write(records: readonly TransactionRecord[]): Promise<void> {
    await this.#cluster.addMultipleTargetTopics([...new Set(records.map(({ topic }) => topic))]);
    // One request a partition: each is repeated on its own, so none can be taken for answered by another's answer.
    const groups = groupBy(records, ({ topic, partition }) => `${topic} ${partition}`);
    await Promise.all(groups.map(([name, group]) => this.#writePartition(name, group)));
  }

  async #writePartition(name: string, records: readonly TransactionRecord[]): Promise<void> {
    const [{ topic, partition }] = records as [TransactionRecord];
    const firstSequence = this.#sequences.get(name) ?? 0;
    const messages = records.map(({ key, value, headers }): Message => {
      return headers === undefined ? { key, value } : { key, value, headers };
    });
    await this.#certain(`write to ${name}`, async () => {
      const leader = this.#cluster
        .findTopicPartitionMetadata(topic)
        .find(({ partitionId }) => partitionId === partition)?.leader;
      if (leader === undefined || leader < 0) throw new Error(`${name} has no leader now`);
      const broker = await this.#cluster.findBroker({ nodeId: leader });
      const answer = await broker.produce({
        ...this.#identity(),
        acks: -1,
        timeout: Math.max(1, Math.round(this.#deadline - performance.now())),
        compression: records.length < compressFrom ? 0 : compression,
        topicData: [{ topic, partitions: [{ partition, firstSequence, messages }] }],
      });
      const answered = answer.topics.some(
        (each) => each.topicName === topic && each.partitions.some((its) => its.partition === partition),
      );
      if (!answered) throw new Error(`the broker did not answer for ${name}`);
    });
    this.#sequences.set(name, firstSequence + records.length);
  }

  async commit(): Promise<void> {
    await this.#certain("commit", async () => {
      const coordinator = this.#coordinator ?? (await this.#findCoordinator());
      await coordinator.endTxn({ ...this.#identity(), transactionResult: true });
    });
    this.#committedAt = performance.now();
  }

  async disconnect(): Promise<void> {
    this.#closed = true;
    if (this.#connected) await this.#cluster.disconnect();
  }

  /**
   * Repeats a request until its outcome is certain. @throws TransactionLostError when the producer is fenced, or
   * when the transaction's time is over: Kafka may then have ended it.
   */
  async #certain(step: string, request: () => Promise<void>): Promise<void> {
    const { transactionalId, logger } = this.#options;
    let pause = retryPauseMs;
    let concurrentPause = concurrentPauseMs;
    for (;;) {
      try {
        return await this.#inTime(request());
      } catch (error) {
        if (isFenced(error)) throw new TransactionLostError(transactionalId, step, error, true);
        if (this.#closed || performance.now() >= this.#deadline) {
          throw new TransactionLostError(transactionalId, step, error, false);
        }
        if (typeOf(error) === "CONCURRENT_TRANSACTIONS") {
          await delay(concurrentPause);
          concurrentPause = Math.min(concurrentPause * 2, longestConcurrentPauseMs);
          continue;
        }
        logger.debug({ err: error, transactionalId, step }, "request of a transaction is repeated");
        await this.#recover(error);
        await delay(pause);
        pause = Math.min(pause * 2, longestRetryPauseMs);
      }
    }
  }

  /** Rejects when the transaction's time is over before the answer. */
  async #inTime(answer: Promise<void>): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const over = new Promise<never>((_resolve, reject) => {
      const left = Math.max(0, this.#deadline - performance.now());
      timer = setTimeout(() => reject(new Error("no answer within the transaction's time")), left);
    });
    try {
      await Promise.race([answer, over]);
    } finally {
      clearTimeout(timer);
      answer.catch(() => undefined);
    }
  }

  #identity(): { transactionalId: string; producerId: string; producerEpoch: number } {
    if (this.#producer === undefined) throw new Error("init() comes first");
    return { transactionalId: this.#options.transactionalId, ...this.#producer };
  }

  async #findCoordinator(): Promise<Broker> {
    if (!this.#connected) {
      await this.#cluster.connect();
      this.#connected = true;
    }
    this.#coordinator = await this.#cluster.findGroupCoordinator({
      groupId: this.#options.transactionalId,
      coordinatorType: transactionCoordinator,
    });
    return this.#coordinator;
  }

  /** After an error: the coordinator and the leaders may be others now. */
  async #recover(error: unknown): Promise<void> {
    this.#coordinator = undefined;
    if (this.#closed) return;
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

function typeOf(error: unknown): string | undefined {
  return (error as { type?: string }).type;
}

function isFenced(error: unknown): boolean {
  const { type, code } = error as { type?: string; code?: number };
  return fencedTypes.has(type ?? "") || fencedCodes.has(code ?? -1);
}

function groupBy<Item>(items: readonly Item[], nameOf: (item: Item) => string): [string, Item[]][] {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const group = groups.get(nameOf(item));
    if (group === undefined) groups.set(nameOf(item), [item]);
    else group.push(item);
  }
  return [...groups];
}
