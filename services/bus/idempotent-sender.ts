/**
 * Writes records idempotently (KIP-98) with acks=all, one layer below kafkajs's producer: that one takes 14 µs of
 * processor time a record (see docs/performance.md), repeats a send to several brokers as a whole while one of them has
 * not answered, and drops records when a leader moves to a broker that has answered already. Here each partition's batch
 * is encoded once and repeated unchanged, with the same sequence number, until its leader has taken it: a broker that
 * has it already does not take it twice.
 */
import type { Kafka } from "kafkajs";
import { setTimeout as delay } from "node:timers/promises";
import { Backoff } from "../core/backoff.ts";
import type { Logger } from "../core/log.ts";
import { createCluster, type LogHeader, partitionKey } from "./kafka-log.ts";
import { partitionOfKey } from "./partition-of-key.ts";
import {
  encodeProduce,
  type PartitionBatch,
  type ProduceAnswer,
  readProduceAnswer,
} from "./produce-request.ts";
import type { OutgoingRecord } from "./record.ts";
import { RecordBatchBuilder } from "./record-batch.ts";

/** A broker does not take records, and asking again would not help. */
export class SendRefusedError extends Error {
  override readonly name = "SendRefusedError";

  constructor(partition: string, code: number) {
    super(
      `the broker does not take records for ${partition}: error ${code}, ` +
        (explanations[code] ?? "see the Kafka protocol's list of error codes"),
    );
  }
}

/** How long a broker may wait for the replicas, in milliseconds. */
const replicaMs = 30_000;
/** Pauses between attempts, in milliseconds. Without a last one: the producer's queue is what bounds the service's intake. */
const backoffLimits = { first: 20, longest: 2_000 };
const largestBuilderBytes = 2 * 1024 * 1024;
const warnEveryMs = 10_000;
/** Longest time to try to connect at the start, in milliseconds. */
const connectMs = 30_000;

/** Errors that go by themselves: leaders move, replicas are behind. Numbers: Kafka protocol, "Error codes". */
const passing = new Set([2, 3, 5, 6, 7, 8, 9, 13, 14, 15, 16, 19, 20, 41, 56, 74, 75, 89, 100]);
/** DUPLICATE_SEQUENCE_NUMBER: the broker has the batch. */
const duplicate = 46;
const explanations: Readonly<Record<number, string>> = {
  10: "a batch is larger than the topic's max.message.bytes allows",
  29: "the client may not write to the topic",
  32: "the topic's message.timestamp limits do not allow the records' timestamps",
  45: "it misses a batch before this one: records were lost, or the topic was created anew meanwhile",
  59: "it no longer knows the producer: records were deleted meanwhile, as by the topic's retention",
  87: "the topic does not allow such records",
};

interface SendingBroker {
  initProducerId(request: {
    transactionTimeout: number;
  }): Promise<{ producerId: string; producerEpoch: number }>;
  connectionPool: { send(protocol: { request: object; response: object }): Promise<ProduceAnswer[]> };
}

/** What is used of kafkajs's cluster; a test gives its own. */
export interface SendingCluster {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  isConnected(): boolean;
  refreshMetadata(): Promise<void>;
  refreshMetadataIfNecessary(): Promise<void>;
  removeBroker(address: { host: string; port: number }): void;
  addMultipleTargetTopics(topics: readonly string[]): Promise<void>;
  findTopicPartitionMetadata(topic: string): { partitionId: number; leader: number }[];
  findControllerBroker(): Promise<SendingBroker>;
  findBroker(broker: { nodeId: number }): Promise<SendingBroker>;
}

/** Writes records; made by {@link connectSender}. */
export interface RecordSender {
  /**
   * Resolves when all in-sync replicas have all records; in each partition they stand in the order given. Waits for
   * brokers as long as it takes. Calls must not overlap. @throws (rejects) SendRefusedError; nothing can be sent after it.
   */
  send(records: readonly OutgoingRecord[]): Promise<void>;
  disconnect(): Promise<void>;
}

/**
 * Connects, also while one broker of several is away, for at most 30 s.
 * @throws KafkaJSError when no broker can be reached, or refuses.
 */
export async function connectSender(kafka: Kafka, logger: Logger): Promise<RecordSender> {
  const sender = new IdempotentSender(createCluster(kafka) as unknown as SendingCluster, logger);
  await sender.connect();
  return sender;
}

/** Where a partition's records are put together and how many it has. */
interface Destination {
  topic: string;
  partition: number;
  builder: RecordBatchBuilder;
  /** Sequence number of the next record. */
  sequence: number;
}

/** See the module's description. */
export class IdempotentSender implements RecordSender {
  readonly #cluster: SendingCluster;
  readonly #logger: Logger;
  readonly #topics = new Map<string, (Destination | undefined)[]>();
  #producer: { producerId: bigint; producerEpoch: number } | undefined;
  #lastWarning = -Infinity;

  constructor(cluster: SendingCluster, logger: Logger) {
    this.#cluster = cluster;
    this.#logger = logger;
  }

  /** See {@link connectSender}. */
  async connect(): Promise<void> {
    const backoff = new Backoff({ first: 100, longest: 1_000 });
    const end = performance.now() + connectMs;
    for (;;) {
      try {
        await this.#cluster.connect();
        // Any broker gives ids; that the metadata still name a controller that has just died must not matter.
        const broker = await this.#cluster.findControllerBroker();
        const { producerId, producerEpoch } = await broker.initProducerId({ transactionTimeout: replicaMs });
        this.#producer = { producerId: BigInt(producerId), producerEpoch };
        return;
      } catch (error) {
        if (!passes(error) || performance.now() > end) throw error;
        await this.#recover(error);
      }
      await delay(backoff.next());
    }
  }

  disconnect(): Promise<void> {
    return this.#cluster.disconnect();
  }

  async send(records: readonly OutgoingRecord[]): Promise<void> {
    const unknown = new Set<string>();
    for (const { topic } of records) if (!this.#topics.has(topic)) unknown.add(topic);
    if (unknown.size > 0) await this.#learn([...unknown]);
    const destinations = new Set<Destination>();
    const now = String(Date.now());
    for (const record of records) {
      const destination = this.#destination(record);
      destinations.add(destination);
      const { key, value, headers, timestamp } = record;
      destination.builder.add({
        timestamp: timestamp === undefined ? now : String(timestamp),
        key: typeof key === "string" ? Buffer.from(key) : key,
        value,
        headers: headers === undefined ? noHeaders : headersOf(headers),
      });
    }
    const producer = this.#producer;
    if (producer === undefined) throw new Error("connect() comes first");
    let pending: PartitionBatch[] = [];
    for (const destination of destinations) {
      const { topic, partition, builder, sequence } = destination;
      // Sequence numbers begin again behind the highest 32-bit number.
      destination.sequence = (sequence + builder.records) % 0x8000_0000;
      // A very large record, as a dead letter may be, is not to hold memory for ever.
      if (builder.bytes > largestBuilderBytes) destination.builder = new RecordBatchBuilder();
      pending.push({ topic, partition, batch: builder.build({ ...producer, baseSequence: sequence }) });
    }
    const backoff = new Backoff(backoffLimits);
    for (;;) {
      const taken = await this.#attempt(pending);
      pending = pending.filter((batch) => !taken.has(batch));
      if (pending.length === 0) return;
      await delay(backoff.next());
    }
  }

  /** Waits until the topics' partitions are known. */
  async #learn(topics: readonly string[]): Promise<void> {
    const backoff = new Backoff(backoffLimits);
    for (;;) {
      try {
        await this.#cluster.addMultipleTargetTopics(topics);
        for (const topic of topics) {
          const { length } = this.#cluster.findTopicPartitionMetadata(topic);
          if (length === 0) throw new Error(`no partitions of ${topic} are known yet`);
          this.#topics.set(topic, new Array<undefined>(length));
        }
        return;
      } catch (error) {
        this.#warn(error, `the partitions of ${topics.join(", ")} are not known, asking again`);
        await this.#recover(error);
      }
      await delay(backoff.next());
    }
  }

  #destination({ topic, key, partition }: OutgoingRecord): Destination {
    const destinations = this.#topics.get(topic) as (Destination | undefined)[];
    const number = partition ?? partitionOfKey(key, destinations.length);
    const known = destinations[number];
    if (known !== undefined) return known;
    const made: Destination = { topic, partition: number, builder: new RecordBatchBuilder(), sequence: 0 };
    destinations[number] = made;
    return made;
  }

  /** Sends each batch to its leader once. @returns those that were taken. @throws SendRefusedError */
  async #attempt(batches: readonly PartitionBatch[]): Promise<Set<PartitionBatch>> {
    const taken = new Set<PartitionBatch>();
    try {
      await this.#cluster.refreshMetadataIfNecessary();
    } catch (error) {
      this.#warn(error, "the brokers' metadata is not available, trying again");
      return taken;
    }
    const byLeader = new Map<number, PartitionBatch[]>();
    for (const batch of batches) {
      const leader = this.#leader(batch);
      const group = byLeader.get(leader);
      if (group === undefined) byLeader.set(leader, [batch]);
      else group.push(batch);
    }
    let trouble: unknown;
    await Promise.all(
      [...byLeader].map(async ([nodeId, group]) => {
        try {
          if (nodeId < 0) throw new Error(`${nameOf(group[0] as PartitionBatch)} has no leader now`);
          const answers = await this.#produce(nodeId, group);
          for (const batch of group) {
            const code = answers.get(nameOf(batch));
            if (code === 0 || code === duplicate) taken.add(batch);
            else if (code !== undefined && !passing.has(code)) {
              throw new SendRefusedError(nameOf(batch), code);
            } else
              trouble = new Error(`${nameOf(batch)}: ${code === undefined ? "no answer" : `error ${code}`}`);
          }
        } catch (error) {
          if (trouble === undefined || error instanceof SendRefusedError) trouble = error;
        }
      }),
    );
    if (trouble instanceof SendRefusedError) throw trouble;
    if (trouble !== undefined) {
      this.#warn(trouble, "records were not taken, sending them again");
      await this.#recover(trouble);
    }
    return taken;
  }

  async #produce(nodeId: number, batches: readonly PartitionBatch[]): Promise<Map<string, number>> {
    const broker = await this.#cluster.findBroker({ nodeId });
    const answers = await broker.connectionPool.send({
      request: encodeProduce({ timeoutMs: replicaMs, batches }),
      response: {
        decode: async (bytes: Buffer) => readProduceAnswer(bytes),
        parse: async (read: unknown) => read,
      },
    });
    return new Map(answers.map((answer) => [nameOf(answer), answer.errorCode]));
  }

  #leader({ topic, partition }: { topic: string; partition: number }): number {
    const found = this.#cluster
      .findTopicPartitionMetadata(topic)
      .find(({ partitionId }) => partitionId === partition);
    return found?.leader ?? -1;
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
      this.#logger.debug({ err: failure }, "the brokers' metadata is not available yet");
    }
  }

  #warn(error: unknown, message: string): void {
    if (performance.now() - this.#lastWarning < warnEveryMs) return;
    this.#lastWarning = performance.now();
    this.#logger.warn({ err: error }, message);
  }
}

const noHeaders: readonly LogHeader[] = [];

function headersOf(headers: NonNullable<OutgoingRecord["headers"]>): LogHeader[] {
  return Object.entries(headers).flatMap(([name, value]): LogHeader[] =>
    (Array.isArray(value) ? value : [value]).map((each) => [
      name,
      each === undefined ? null : Buffer.from(each),
    ]),
  );
}

function nameOf(of: { topic: string; partition: number }): string {
  return partitionKey(of);
}

/** Whether a broker that is away, or about to be replaced, explains the error. */
function passes(error: unknown): boolean {
  const { name, retriable } = error as { name?: string; retriable?: boolean };
  return retriable === true || name === "KafkaJSConnectionError";
}
