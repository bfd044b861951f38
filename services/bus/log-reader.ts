/**
 * Reads every partition of every topic, all day: finds new topics, fetches from each broker what it leads, and hands
 * over records in order. Several brokers are read at once; a partition whose receiver is busy holds back only its broker.
 */
import type { Kafka } from "kafkajs";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "../core/log.ts";
import {
  type Cluster,
  committedRecords,
  createCluster,
  type FetchRequestTopic,
  type LogRecord,
  partitionKey,
  readCommitted,
} from "./kafka-log.ts";
import { topicOffsets } from "./topic-offsets.ts";

/** Receives one partition. */
export interface PartitionReceiver {
  readonly topic: string;
  readonly partition: number;
  /** The next offset wanted. */
  readonly position: bigint;
  /** Set when this partition must not be read any more. */
  readonly broken: string | undefined;
  /**
   * Takes what was read from offset `from` on; records below the position are old, a `from` above it is out of date.
   * @param end the offset behind what was read; it becomes the position.
   */
  take(from: bigint, records: readonly LogRecord[], end: bigint): Promise<void>;
  /** The position is outside of the log, which has records from `low` to before `high`. */
  outOfRange(low: bigint, high: bigint): void;
}

/** Arguments of {@link LogReader}. */
export interface LogReaderOptions {
  kafka: Kafka;
  logger: Logger;
  /** Makes the receiver of a partition that was not known before. */
  open: (topic: string, partition: number) => PartitionReceiver;
  /** Called after each round of a broker, also when nothing came. */
  onProgress: () => void;
  /** Time between two looks for new topics, in milliseconds. Default 2,000. */
  discoverEveryMs?: number;
}

/** Where a log ended, and that it was read to there. */
export interface LogEnd {
  topic: string;
  partition: number;
  end: bigint;
}

interface Reading {
  receiver: PartitionReceiver;
  leader: number;
  /** When the last answered fetch was sent, and the end of the log that it told. */
  fetchedAt: number;
  end: bigint | undefined;
}

/** Bytes of one fetch, and of one partition in it: what bounds memory per broker. */
const fetchBytes = 4 * 1024 * 1024;
const partitionBytes = 1024 * 1024;
/** How long a broker may hold an empty fetch. */
const fetchWaitMs = 250;
const pauseAfterErrorMs = 200;

/** Internal topics of Kafka are not archived: they mean nothing in another cluster. */
const isInternal = (topic: string): boolean => topic.startsWith("__");

/** See the module's description. */
export class LogReader {
  readonly #options: LogReaderOptions;
  readonly #cluster: Cluster;
  readonly #abort = new AbortController();
  readonly #readings = new Map<string, Reading>();
  readonly #loops = new Map<number, Promise<void>>();
  #discovering: Promise<void> | undefined;
  #discovery: Promise<void> = Promise.resolve();
  #kafkaClusterId = "";

  constructor(options: LogReaderOptions) {
    this.#options = options;
    this.#cluster = createCluster(options.kafka);
  }

  /** Kafka's own id of the cluster. */
  get kafkaClusterId(): string {
    return this.#kafkaClusterId;
  }

  /** Connects, finds the topics and begins to read. @throws KafkaJSError when no broker answers. */
  async start(): Promise<void> {
    await this.#cluster.connect();
    await this.discover();
    this.#discovery = this.#discoverAgain();
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#discovery;
    await Promise.all(this.#loops.values());
    await this.#cluster.disconnect();
  }

  /** The partitions that exist now. */
  get live(): readonly { topic: string; partition: number }[] {
    return [...this.#readings.values()].map(({ receiver: { topic, partition } }) => ({ topic, partition }));
  }

  /** How many records are still to be read, as far as is known. */
  behind(): Map<string, bigint> {
    const byTopic = new Map<string, bigint>();
    for (const { receiver, end } of this.#readings.values()) {
      const lag = end === undefined || end < receiver.position ? 0n : end - receiver.position;
      byTopic.set(receiver.topic, (byTopic.get(receiver.topic) ?? 0n) + lag);
    }
    return byTopic;
  }

  /**
   * Reads to the ends that the logs have now (or later).
   * @returns the ends; records written before the call are before them.
   * @throws the signal's reason; Error when a partition cannot be read to its end at all.
   */
  async readToEnds(signal: AbortSignal): Promise<LogEnd[]> {
    const since = performance.now();
    await this.discover();
    for (;;) {
      const open = [...this.#readings.values()].filter(
        ({ fetchedAt, end, receiver }) => fetchedAt < since || end === undefined || receiver.position < end,
      );
      const broken = open.flatMap(({ receiver }) => receiver.broken ?? []);
      if (broken.length > 0) throw new Error(broken.join("; "));
      if (open.length === 0) break;
      if (signal.aborted) {
        const names = open.map(
          ({ receiver, end }) => `${partitionKey(receiver)} at ${receiver.position} of ${end ?? "?"}`,
        );
        throw new Error(
          `not read to the end: ${names.join(", ")}. Brokers may be down, or a transaction is still open.`,
        );
      }
      await delay(20);
    }
    return [...this.#readings.values()].map(({ receiver: { topic, partition }, end }) => ({
      topic,
      partition,
      end: end ?? 0n,
    }));
  }

  /** Looks for topics and leaders now. Calls at the same time share one look. */
  discover(): Promise<void> {
    this.#discovering ??= this.#discover().finally(() => {
      this.#discovering = undefined;
    });
    return this.#discovering;
  }

  async #discover(): Promise<void> {
    const metadata = await this.#cluster.metadata();
    if (metadata === null) throw new Error("no broker told what topics there are");
    const { clusterId, topicMetadata } = metadata;
    this.#kafkaClusterId = clusterId;
    const found = new Set<string>();
    for (const { topic, partitionMetadata } of topicMetadata) {
      if (isInternal(topic)) continue;
      for (const { partitionId: partition, leader } of partitionMetadata) {
        const key = partitionKey({ topic, partition });
        found.add(key);
        const known = this.#readings.get(key);
        if (known === undefined) {
          const receiver = this.#options.open(topic, partition);
          this.#readings.set(key, { receiver, leader, fetchedAt: -1, end: undefined });
        } else {
          known.leader = leader;
        }
      }
    }
    for (const key of this.#readings.keys()) {
      if (found.has(key)) continue;
      this.#options.logger.warn({ partition: key }, "the topic was deleted; what is archived of it stays");
      this.#readings.delete(key);
    }
    if (this.#abort.signal.aborted) return;
    for (const { leader } of this.#readings.values()) {
      if (leader < 0 || this.#loops.has(leader)) continue;
      this.#loops.set(
        leader,
        this.#readBroker(leader).finally(() => this.#loops.delete(leader)),
      );
    }
  }

  async #discoverAgain(): Promise<void> {
    const { signal } = this.#abort;
    const pause = this.#options.discoverEveryMs ?? 2_000;
    while (!signal.aborted) {
      await delay(pause, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      await this.discover().catch((error: unknown) => {
        this.#options.logger.warn({ err: error }, "could not look for new topics, trying again");
      });
    }
  }

  /** Reads from one broker until it leads nothing. Never rejects. */
  async #readBroker(nodeId: number): Promise<void> {
    let lastWarning = -Infinity;
    while (!this.#abort.signal.aborted) {
      try {
        if (!(await this.#readOnce(nodeId))) return;
        this.#options.onProgress();
      } catch (error) {
        if (this.#abort.signal.aborted) return;
        if (performance.now() - lastWarning > 10_000) {
          lastWarning = performance.now();
          this.#options.logger.warn({ err: error, broker: nodeId }, "reading failed, trying again");
        }
        await this.#recover(error).catch((failure: unknown) => {
          this.#options.logger.debug({ err: failure }, "the brokers' metadata is not available yet");
        });
        await delay(pauseAfterErrorMs);
      }
    }
  }

  /** One fetch from one broker. @returns whether the broker leads anything. */
  async #readOnce(nodeId: number): Promise<boolean> {
    const led = [...this.#readings.values()].filter((reading) => reading.leader === nodeId);
    if (led.length === 0) return false;
    const wanted = led.filter(({ receiver }) => receiver.broken === undefined);
    if (wanted.length === 0) {
      await delay(fetchWaitMs);
      return true;
    }
    const from = new Map<string, bigint>();
    const topics = new Map<string, FetchRequestTopic>();
    for (const { receiver } of wanted) {
      const { topic, partition, position } = receiver;
      from.set(partitionKey(receiver), position);
      const request = topics.get(topic) ?? { topic, partitions: [] };
      request.partitions.push({ partition, fetchOffset: position.toString(), maxBytes: partitionBytes });
      topics.set(topic, request);
    }
    const sentAt = performance.now();
    const broker = await this.#cluster.findBroker({ nodeId });
    const { responses } = await broker.fetch({
      maxWaitTime: fetchWaitMs,
      minBytes: 1,
      maxBytes: fetchBytes,
      isolationLevel: readCommitted,
      topics: [...topics.values()],
    });
    await Promise.all(
      responses.flatMap(({ topicName: topic, partitions }) =>
        partitions.map(async (fetched) => {
          const key = partitionKey({ topic, partition: fetched.partition });
          const reading = this.#readings.get(key);
          const position = from.get(key);
          if (reading === undefined || position === undefined) return;
          const { messages, end } = committedRecords(topic, fetched);
          if (end !== undefined) await reading.receiver.take(position, messages, end);
          reading.end = BigInt(fetched.highWatermark);
          reading.fetchedAt = sentAt;
        }),
      ),
    );
    return true;
  }

  async #recover(error: unknown): Promise<void> {
    const { name, topic, partition } = error as { name: string; topic?: string; partition?: number };
    if (name === "KafkaJSOffsetOutOfRange" && topic !== undefined && partition !== undefined) {
      const reading = this.#readings.get(partitionKey({ topic, partition }));
      const admin = this.#options.kafka.admin();
      await admin.connect();
      try {
        const offsets = await topicOffsets(admin, topic);
        const found = offsets.find((entry) => entry.partition === partition);
        if (found !== undefined) reading?.receiver.outOfRange(BigInt(found.low), BigInt(found.high));
      } finally {
        await admin.disconnect();
      }
      return;
    }
    await this.#cluster.refreshMetadata();
    await this.discover();
  }
}
