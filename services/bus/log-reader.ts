/**
 * Reads every partition of every topic, all day: finds new topics, fetches from each broker what it leads, and hands
 * over records in order. Several brokers are read at once; a partition whose receiver is busy holds back only its
 * broker. While one answer is handed over the next one is on its way, never more.
 */
import type { Kafka } from "kafkajs";
import { setTimeout as delay, setImmediate } from "node:timers/promises";
import type { Logger } from "../core/log.ts";
import { type FetchedLog, fetchLogs, offsetOutOfRange } from "./fetch.ts";
import { committedBatches, endOfBatches } from "./fetched-batches.ts";
import { type Cluster, createCluster, type LogRecord, partitionKey } from "./kafka-log.ts";
import { askLogEnds } from "./leader-ends.ts";
import { DeletedTopics, isInternal, lookForTopics } from "./topic-look.ts";
import { topicOffsets } from "./topic-offsets.ts";

/** Receives one partition. */
export interface PartitionReceiver {
  readonly topic: string;
  readonly partition: number;
  /** The next offset wanted; undefined while that is not known yet. */
  readonly position: bigint | undefined;
  /** Set when this partition must not be read any more. */
  readonly broken: string | undefined;
  /**
   * Takes a batch, read from offset `from` on; records below the position are old, a `from` above it is out of date.
   * @param records reading them may throw at any of them; the batch comes again then, so the position follows each record.
   * @param end the offset behind the batch, above the position where that is known; it becomes the position.
   */
  take(from: bigint, records: Iterable<LogRecord>, end: bigint): Promise<void>;
  /** The position is outside of the log, which has records from `low` to before `high`. */
  outOfRange(low: bigint, high: bigint): void;
  /**
   * The topic has this id (32 hexadecimal digits). Told before anything is read, and when it is another one than before:
   * the topic was created anew.
   */
  identified?(topicId: string): void;
  /** The topic exists no more. @param end the last that was known of where its log ended. */
  deleted?(end: bigint | undefined): void;
}

/** Arguments of {@link LogReader}. */
export interface LogReaderOptions {
  kafka: Kafka;
  logger: Logger;
  /** Makes the receiver of a partition that was not known before. */
  open: (topic: string, partition: number) => PartitionReceiver;
  /** Called after each round of a broker, also when nothing came or reading failed. */
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
  /** See {@link PartitionReceiver.identified}. */
  topicId: string;
  leader: number;
  /** When the last answered fetch was sent, and the end of the log that it told. */
  fetchedAt: number;
  end: bigint | undefined;
  /** Where to fetch next, while what was fetched before is still being handed over. */
  ahead: bigint | undefined;
  /** When the partition's last fetch failed on its own, and it is left out for a moment. */
  failedAt: number;
  failure: string | undefined;
}

/** Bytes of one fetch, and of one partition in it: with the one on its way, what bounds memory per broker. */
const fetchBytes = 2 * 1024 * 1024;
const partitionBytes = 1024 * 1024;
/**
 * A broker holds a fetch until it has so much, or so long: few requests however many partitions get a record now and
 * then, and whoever waits for the ends of the logs is not kept waiting.
 */
const fetchMinBytes = 64 * 1024;
const fetchWaitMs = 250;
/** A receiver that never waits would otherwise hold up compression and uploads until all that was fetched is handed over. */
const longestTurnMs = 2;
const pauseAfterErrorMs = 200;

/** See the module's description. */
export class LogReader {
  readonly #options: LogReaderOptions;
  readonly #cluster: Cluster;
  readonly #deleted: DeletedTopics;
  readonly #abort = new AbortController();
  readonly #readings = new Map<string, Reading>();
  readonly #loops = new Map<number, Promise<void>>();
  #discovering: Promise<void> | undefined;
  #discovery: Promise<void> = Promise.resolve();
  #kafkaClusterId = "";
  /** How many wait for the logs' ends: then brokers do not hold back what little they have. */
  #waiting = 0;

  constructor(options: LogReaderOptions) {
    this.#options = options;
    this.#cluster = createCluster(options.kafka);
    this.#deleted = new DeletedTopics(this.#cluster);
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
      const { position } = receiver;
      const lag = end === undefined || position === undefined || end < position ? 0n : end - position;
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
    this.#waiting++;
    try {
      const since = performance.now();
      await this.discover();
      const ends = new Map<string, bigint>();
      for (;;) {
        await this.#askForEnds(ends);
        const open = [...this.#readings]
          .filter(([key, { fetchedAt, end, receiver }]) => {
            const { position } = receiver;
            const asked = ends.get(key);
            if (fetchedAt < since || end === undefined || asked === undefined) return true;
            return position === undefined || position < end || position < asked;
          })
          .map(([, reading]) => reading);
        const broken = open.flatMap(({ receiver }) => receiver.broken ?? []);
        if (broken.length > 0) throw new Error(broken.join("; "));
        if (open.length === 0) break;
        if (signal.aborted) throw new Error(notReadToTheEnd(open));
        await delay(20);
      }
    } finally {
      this.#waiting--;
    }
    return [...this.#readings.values()].map(({ receiver: { topic, partition }, end }) => ({
      topic,
      partition,
      end: end ?? 0n,
    }));
  }

  /** Asks for the ends that are not known yet, and puts in those that are told. */
  async #askForEnds(ends: Map<string, bigint>): Promise<void> {
    const unknown = [...this.#readings].filter(([key, { leader }]) => leader >= 0 && !ends.has(key));
    const partitions = unknown.map(([, { leader, receiver }]) => ({
      leader,
      topic: receiver.topic,
      partition: receiver.partition,
    }));
    const failure = await askLogEnds(this.#cluster, partitions, ends);
    if (failure === undefined) return;
    this.#options.logger.debug({ err: failure }, "the brokers do not tell yet where the logs end");
    await this.#refresh();
    await delay(pauseAfterErrorMs);
  }

  /** Looks for topics and leaders now. Calls at the same time share one look. */
  discover(): Promise<void> {
    this.#discovering ??= this.#discover().finally(() => {
      this.#discovering = undefined;
    });
    return this.#discovering;
  }

  async #discover(): Promise<void> {
    const look = await lookForTopics(this.#cluster);
    const { clusterId, topicMetadata, ids } = look;
    this.#kafkaClusterId = clusterId;
    const found = new Set<string>();
    for (const { topic, partitionMetadata } of topicMetadata) {
      const topicId = ids.get(topic);
      if (isInternal(topic) || topicId === undefined) continue;
      for (const { partitionId: partition, leader } of partitionMetadata) {
        const key = partitionKey({ topic, partition });
        found.add(key);
        const known = this.#readings.get(key);
        if (known === undefined) {
          const receiver = this.#options.open(topic, partition);
          receiver.identified?.(topicId);
          this.#readings.set(key, {
            receiver,
            topicId,
            leader,
            fetchedAt: -1,
            end: undefined,
            ahead: undefined,
            failedAt: -Infinity,
            failure: undefined,
          });
        } else {
          known.leader = leader;
          if (known.topicId !== topicId) {
            known.topicId = topicId;
            known.receiver.identified?.(topicId);
          }
        }
      }
    }
    const missing = [...this.#readings].filter(([key]) => !found.has(key));
    const deleted = await this.#deleted.among(new Set(missing.map(([, { topicId }]) => topicId)), look);
    for (const [key, { receiver, topicId, end }] of missing) {
      if (!deleted.has(topicId)) continue;
      this.#options.logger.warn({ partition: key }, "the topic was deleted");
      this.#readings.delete(key);
      receiver.deleted?.(end);
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
    const order: Reading[] = [];
    let handing: Promise<void> = Promise.resolve();
    while (!this.#abort.signal.aborted) {
      try {
        const fetched = await this.#fetch(nodeId, order);
        await handing;
        if (fetched === undefined) return;
        this.#options.onProgress();
        handing = this.#handOver(fetched);
        // Awaited above; until then a rejection has nobody who sees it.
        handing.catch(() => undefined);
      } catch (error) {
        await handing.catch(() => undefined);
        handing = Promise.resolve();
        if (this.#abort.signal.aborted) return;
        if (performance.now() - lastWarning > 10_000) {
          lastWarning = performance.now();
          this.#options.logger.warn({ err: error, broker: nodeId }, "reading failed, trying again");
        }
        for (const reading of order) reading.ahead = undefined;
        this.#options.onProgress();
        await this.#refresh();
        await delay(pauseAfterErrorMs);
      }
    }
    await handing.catch(() => undefined);
  }

  /**
   * One fetch from one broker.
   * @param order what the broker leads, in the order in which it is to be served: what brought something goes to the
   *   end, so everything has its turn however much comes from others.
   * @returns nothing when the broker leads nothing.
   */
  async #fetch(nodeId: number, order: Reading[]): Promise<FetchedFrom[] | undefined> {
    this.#updateOrder(nodeId, order);
    if (order.length === 0) return undefined;
    const now = performance.now();
    const from = new Map<string, { reading: Reading; offset: bigint }>();
    const targets = order.flatMap((reading) => {
      const { receiver, ahead, failedAt } = reading;
      const offset = ahead ?? receiver.position;
      if (receiver.broken !== undefined || offset === undefined) return [];
      if (now - failedAt < pauseAfterErrorMs) return [];
      from.set(partitionKey(receiver), { reading, offset });
      return [{ topic: receiver.topic, partition: receiver.partition, offset }];
    });
    if (targets.length === 0) {
      await delay(this.#waiting > 0 ? 10 : fetchWaitMs / 5);
      return [];
    }
    const sentAt = performance.now();
    const broker = await this.#cluster.findBroker({ nodeId });
    const logs = await fetchLogs(broker, {
      targets,
      minBytes: this.#waiting > 0 ? 1 : fetchMinBytes,
      maxWaitMs: this.#waiting > 0 ? 20 : fetchWaitMs,
      maxBytes: fetchBytes,
      partitionBytes,
    });
    const served = new Set<Reading>();
    const fetched = logs.flatMap((log) => {
      const { reading, offset } = from.get(partitionKey(log)) ?? {};
      if (reading === undefined || offset === undefined) return [];
      const end = log.errorCode === 0 ? endOfBatches(log.batches) : undefined;
      if (end !== undefined) {
        served.add(reading);
        // Unless the receiver was set back while this was on its way: then it is out of date.
        if ((reading.ahead ?? reading.receiver.position) === offset) reading.ahead = end;
      }
      return [{ log, reading, offset, sentAt }];
    });
    if (served.size > 0) {
      const waiting = order.filter((reading) => !served.has(reading));
      order.splice(0, order.length, ...waiting, ...served);
    }
    return fetched;
  }

  #updateOrder(nodeId: number, order: Reading[]): void {
    const led = new Set([...this.#readings.values()].filter(({ leader }) => leader === nodeId));
    const kept = order.filter((reading) => led.delete(reading));
    if (kept.length !== order.length || led.size > 0) order.splice(0, order.length, ...led, ...kept);
  }

  /** Hands over what was fetched, partition by partition: whoever takes it may be slow, so no more is unpacked meanwhile. */
  async #handOver(fetched: readonly FetchedFrom[]): Promise<void> {
    let needsRefresh = false;
    let turnedAt = performance.now();
    for (const { log, reading, offset, sentAt } of fetched) {
      const { receiver } = reading;
      try {
        if (log.errorCode === offsetOutOfRange) await this.#askForRange(receiver);
        else if (log.errorCode !== 0) {
          needsRefresh = true;
          throw new Error(`the broker answered error code ${log.errorCode}`);
        }
        // Each batch from the end of the one before: a receiver may be set back between two of them.
        let from = offset;
        for (const { records, end } of committedBatches(log)) {
          // While a partition's leader changes, two brokers are read: what the old one brings late is known.
          const { position } = receiver;
          if (position === undefined || end > position) await receiver.take(from, records, end);
          from = end;
          if (performance.now() - turnedAt < longestTurnMs) continue;
          await setImmediate();
          turnedAt = performance.now();
        }
        reading.failure = undefined;
      } catch (error) {
        this.#failed(reading, error);
        continue;
      } finally {
        // Set back meanwhile, or not all was taken: what is fetched already is out of date.
        if (reading.ahead !== undefined && receiver.position !== reading.ahead) {
          const behindThis = endOfBatches(log.batches);
          if (behindThis === undefined || receiver.position !== behindThis) reading.ahead = undefined;
        }
      }
      if (log.errorCode !== 0) continue;
      reading.end = log.highWatermark;
      reading.fetchedAt = sentAt;
    }
    if (needsRefresh) await this.#refresh();
  }

  #failed(reading: Reading, error: unknown): void {
    reading.ahead = undefined;
    reading.failedAt = performance.now();
    const failure = (error as Error).message;
    // Once for each reason: it is tried again five times a second.
    if (reading.failure === failure) return;
    reading.failure = failure;
    this.#options.logger.warn(
      { err: error, partition: partitionKey(reading.receiver) },
      "reading a partition failed, trying again",
    );
  }

  async #askForRange(receiver: PartitionReceiver): Promise<void> {
    const admin = this.#options.kafka.admin();
    await admin.connect();
    try {
      const offsets = await topicOffsets(admin, receiver.topic);
      const found = offsets.find(({ partition }) => partition === receiver.partition);
      if (found !== undefined) receiver.outOfRange(BigInt(found.low), BigInt(found.high));
    } finally {
      await admin.disconnect();
    }
  }

  /** Leaders and topics may be others now. */
  async #refresh(): Promise<void> {
    try {
      await this.#cluster.refreshMetadata();
      await this.discover();
    } catch (error) {
      this.#options.logger.debug({ err: error }, "the brokers' metadata is not available yet");
    }
  }
}

interface FetchedFrom {
  log: FetchedLog;
  reading: Reading;
  /** The offset that was asked for, and when. */
  offset: bigint;
  sentAt: number;
}

function notReadToTheEnd(open: readonly Reading[]): string {
  const shown = open
    .slice(0, 20)
    .map(
      ({ receiver, end, failure }) =>
        `${partitionKey(receiver)} at ${receiver.position ?? "?"} of ${end ?? "?"}` +
        (failure === undefined ? "" : ` (${failure})`),
    );
  if (open.length > shown.length) shown.push(`and ${open.length - shown.length} more`);
  return `not read to the end: ${shown.join(", ")}. Brokers may be down, or a transaction is still open.`;
}
