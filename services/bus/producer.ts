/**
 * The batching producer: idempotent, acks=all, lz4. A record is sent at once when nothing is in flight;
 * otherwise it waits with others for the answer and leaves with them (measured: every extra request costs
 * more than the wait). A promise per record resolves when the brokers have it.
 */
import type {
  ICustomPartitioner,
  Kafka,
  Message,
  PartitionMetadata,
  Producer,
  RecordMetadata,
  TopicMessages,
} from "kafkajs";
import { setTimeout as delay } from "node:timers/promises";
import { Backoff } from "../core/backoff.ts";
import type { ProgressWatch } from "../core/health.ts";
import type { ServiceContext } from "../core/service.ts";
import { compression } from "./kafka.ts";
import { partitionOfKey } from "./partition-of-key.ts";
import type { OutgoingRecord } from "./record.ts";
import { largeRecordBytes } from "./topics.ts";

/** Bounds of a producer. */
export interface ProducerLimits {
  /** Records in one send; kafkajs groups in quadratic time, so not more than 1,000. Default 500. */
  batchRecords: number;
  /** Bytes in one send, and of one record; below the brokers' limit of 1 MiB. Default 900,000. */
  batchBytes: number;
  /** Bytes of one record by topic, where it may be larger than a batch. Default: as the topics' registry says. */
  recordBytes: ReadonlyMap<string, number>;
  /** Records that may wait. Default 20,000. */
  queuedRecords: number;
  /** Bytes that may wait. Default 32 MiB. */
  queuedBytes: number;
}

const defaults: ProducerLimits = {
  batchRecords: 500,
  batchBytes: 900_000,
  recordBytes: largeRecordBytes,
  queuedRecords: 20_000,
  queuedBytes: 32 * 1024 * 1024,
};

/** Longest time without an acknowledgement while records wait, before the service counts as unhealthy. */
const maximumSilenceMs = 60_000;

/** The queue is full: the caller did not wait for {@link BatchingProducer.room}. */
export class ProducerQueueFullError extends Error {
  constructor(limits: ProducerLimits) {
    super(
      `the producer's queue is full (${limits.queuedRecords} records or ${limits.queuedBytes} bytes): ` +
        "Kafka does not take records as fast as they come. Wait for room() before the next send.",
    );
    this.name = "ProducerQueueFullError";
  }
}

/** A record is larger than the brokers accept. */
export class RecordTooLargeError extends Error {
  constructor(topic: string, bytes: number, limit: number) {
    super(`a record for ${topic} has ${bytes} bytes, the limit is ${limit}`);
    this.name = "RecordTooLargeError";
  }
}

interface Entry {
  record: OutgoingRecord;
  message: Message;
  bytes: number;
  resolve: () => void;
  reject: (error: Error) => void;
}

/** What the producer needs of kafkajs; a test gives its own. */
export type BatchSender = Pick<Producer, "connect" | "disconnect" | "sendBatch">;

/** Where records go. */
export interface Router {
  /** The partition of a record and the broker that leads it; undefined while the topic is not known. */
  locate(
    record: Pick<OutgoingRecord, "topic" | "key" | "partition">,
  ): { partition: number; leader: number } | undefined;
  /**
   * From now on a message may only be sent to this broker: where its partition is led by another one, the send fails
   * with {@link LeaderMovedError} before anything of it is sent. Undefined: to any.
   */
  expect?(message: Message, leader: number | undefined): void;
}

/** A partition is led by another broker than a send was put together for. */
export class LeaderMovedError extends Error {
  constructor(topic: string, partition: number, from: number, to: number) {
    super(
      `${topic} ${partition} is led by broker ${to} now, no longer by ${from}: its records are sent anew`,
    );
    this.name = "LeaderMovedError";
  }
}

/** Pause before records are sent anew to where their partitions have moved, in milliseconds. */
const movedPauseMs = 20;

/** The router of a kafkajs producer: its partitioner shows it the present metadata with every send. */
export class MetadataRouter implements Router {
  readonly #metadata = new Map<string, PartitionMetadata[]>();
  readonly #expected = new WeakMap<Message, number>();

  /** To be given to kafkajs as `createPartitioner`. Chooses as Kafka's Java clients do, by the key's hash. */
  readonly createPartitioner: ICustomPartitioner = () => (args) => {
    const { topic, partitionMetadata, message } = args;
    this.#metadata.set(topic, partitionMetadata);
    const partition = choose(message, partitionMetadata.length);
    const expected = this.#expected.get(message);
    if (expected === undefined) return partition;
    const leader = partitionMetadata.find(({ partitionId }) => partitionId === partition)?.leader ?? -1;
    // Where there is no leader, kafkajs itself looks for one.
    if (leader >= 0 && leader !== expected) throw new LeaderMovedError(topic, partition, expected, leader);
    return partition;
  };

  expect(message: Message, leader: number | undefined): void {
    if (leader === undefined) this.#expected.delete(message);
    else this.#expected.set(message, leader);
  }

  locate(record: Pick<OutgoingRecord, "topic" | "key" | "partition">) {
    const partitionMetadata = this.#metadata.get(record.topic);
    if (partitionMetadata === undefined) return undefined;
    const partition = choose(record, partitionMetadata.length);
    const leader = partitionMetadata.find(({ partitionId }) => partitionId === partition)?.leader ?? -1;
    return { partition, leader };
  }
}

/** The partition that a record names, otherwise that of its key. */
function choose(record: Pick<Message, "key" | "partition">, partitions: number): number {
  return record.partition ?? partitionOfKey(record.key ?? "", partitions);
}

/** See the module's description. */
export class BatchingProducer {
  readonly #sender: BatchSender;
  readonly #limits: ProducerLimits;
  readonly #context: Pick<ServiceContext, "metrics" | "fatal">;
  readonly #watch: ProgressWatch;
  readonly #router: Router;
  #queue: Entry[] = [];
  #queuedBytes = 0;
  #pumping: Promise<void> | undefined;
  #failed: Error | undefined;
  #closed = false;
  #roomWaiters: (() => void)[] = [];
  #idleTimer: NodeJS.Timeout;

  /** @param router knows the partitions of the topics that `sender` has sent to. */
  constructor(
    sender: BatchSender,
    router: Router,
    context: Pick<ServiceContext, "metrics" | "fatal" | "health">,
    limits: Partial<ProducerLimits> = {},
  ) {
    this.#sender = sender;
    this.#router = router;
    this.#context = context;
    this.#limits = { ...defaults, ...limits };
    this.#watch = context.health.watch("producer", maximumSilenceMs);
    // With nothing to send, having nothing to send is progress.
    this.#idleTimer = setInterval(() => {
      if (this.#pumping === undefined) this.#watch.progress();
    }, 5_000);
    this.#idleTimer.unref();
  }

  /** Records that wait or are in flight. */
  get pending(): number {
    return this.#queue.length;
  }

  /** Whether at least half of the queue is free. */
  get hasRoom(): boolean {
    return (
      this.#queue.length <= this.#limits.queuedRecords / 2 &&
      this.#queuedBytes <= this.#limits.queuedBytes / 2
    );
  }

  /** Resolves when at least half of the queue is free (or when the producer has failed: send() then says so). */
  room(): Promise<void> {
    if (this.hasRoom || this.#failed !== undefined) return Promise.resolve();
    return new Promise((resolve) => this.#roomWaiters.push(resolve));
  }

  /**
   * Queues a record; records of one partition are written in the order of the calls.
   * @returns a promise that resolves when all in-sync replicas have the record.
   * @throws (rejects) RecordTooLargeError, ProducerQueueFullError; after a failed send every later one fails, too.
   */
  send(record: OutgoingRecord): Promise<void> {
    if (this.#failed !== undefined) return Promise.reject(this.#failed);
    if (this.#closed)
      return Promise.reject(new Error(`the producer is closed; ${record.topic} got no record`));
    const bytes = sizeOf(record);
    const largest = this.#limits.recordBytes.get(record.topic) ?? this.#limits.batchBytes;
    if (bytes > largest) return Promise.reject(new RecordTooLargeError(record.topic, bytes, largest));
    if (
      this.#queue.length >= this.#limits.queuedRecords ||
      this.#queuedBytes + bytes > this.#limits.queuedBytes
    ) {
      return Promise.reject(new ProducerQueueFullError(this.#limits));
    }
    return new Promise((resolve, reject) => {
      const { key, value, partition, headers } = record;
      const message: Message = { key, value };
      if (partition !== undefined) message.partition = partition;
      if (headers !== undefined) message.headers = headers;
      this.#queue.push({ record, message, bytes, resolve, reject });
      this.#queuedBytes += bytes;
      // Begun after the current turn, so that records queued together leave together.
      this.#pumping ??= Promise.resolve().then(() => this.#pump());
    });
  }

  /** Sends several records; resolves when all are acknowledged. */
  async sendAll(records: readonly OutgoingRecord[]): Promise<void> {
    await Promise.all(records.map((record) => this.send(record)));
  }

  /** Resolves when everything queued so far is acknowledged or has failed. */
  async flush(): Promise<void> {
    while (this.#pumping !== undefined) await this.#pumping;
  }

  /** Takes no more records, sends what waits, disconnects. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.flush();
    clearInterval(this.#idleTimer);
    this.#watch.end();
    await this.#sender.disconnect();
  }

  async #pump(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#take();
      try {
        await this.#deliver(batch);
      } catch (error) {
        this.#fail(error as Error, batch);
        break;
      }
      this.#queuedBytes -= batch.reduce((sum, { bytes }) => sum + bytes, 0);
      this.#watch.progress();
      const counts = new Map<string, number>();
      for (const { record, resolve } of batch) {
        counts.set(record.topic, (counts.get(record.topic) ?? 0) + 1);
        resolve();
      }
      for (const [topic, count] of counts) this.#context.metrics.eventsOut.inc({ topic }, count);
      this.#signalRoom();
    }
    this.#pumping = undefined;
  }

  #take(): Entry[] {
    let bytes = 0;
    let count = 0;
    for (const entry of this.#queue) {
      if (count === this.#limits.batchRecords || (count > 0 && bytes + entry.bytes > this.#limits.batchBytes))
        break;
      bytes += entry.bytes;
      count += 1;
    }
    const batch = this.#queue.slice(0, count);
    this.#queue = this.#queue.slice(count);
    return batch;
  }

  /**
   * Sends until every partition has answered.
   *
   * Two traps of kafkajs 2.2.4 are avoided here. It repeats a send to several brokers as a whole while one of them
   * has not answered yet, and writes that one's records twice: so each send goes to one broker, those of different
   * brokers side by side. And it remembers answers by broker: when a partition's leader moves, while a send is
   * repeated, to a broker that has answered already, its records are dropped and the send still resolves: so what
   * was not answered for is sent again. A send whose partitions move apart before it is repeated would be one to several
   * brokers: it is given up instead and put together anew, with the same records of each partition, so that a broker
   * recognises those that it has.
   */
  async #deliver(batch: readonly Entry[]): Promise<void> {
    for (let rest = batch; rest.length > 0;) {
      const groups = this.#byLeader(rest);
      const answers = (await Promise.all(groups.map((group) => this.#sendTo(group)))).flat();
      const answered = new Set(answers.map(({ topicName, partition }) => `${topicName} ${partition}`));
      const sent = new Set(groups.flat());
      rest = rest.filter(
        (entry) =>
          !sent.has(entry) || !answered.has(`${entry.record.topic} ${String(entry.message.partition)}`),
      );
    }
  }

  /**
   * Groups entries by the broker that leads their partition. Of a topic not seen before there is only the first
   * entry, alone: its send tells who leads the others.
   */
  #byLeader(entries: readonly Entry[]): Entry[][] {
    const groups = new Map<string, Entry[]>();
    for (const entry of entries) {
      const location = this.#router.locate(entry.record);
      if (location === undefined) {
        const alone = `first of ${entry.record.topic}`;
        if (!groups.has(alone)) groups.set(alone, [entry]);
        continue;
      }
      entry.message.partition = location.partition;
      const leader = `broker ${location.leader}`;
      const group = groups.get(leader);
      if (group === undefined) groups.set(leader, [entry]);
      else group.push(entry);
    }
    return [...groups.values()];
  }

  async #sendTo(entries: readonly Entry[]): Promise<RecordMetadata[]> {
    const topicMessages = new Map<string, TopicMessages>();
    for (const { record, message } of entries) {
      const group = topicMessages.get(record.topic);
      if (group === undefined) topicMessages.set(record.topic, { topic: record.topic, messages: [message] });
      else group.messages.push(message);
    }
    const [first] = entries;
    const isApart = entries.some(
      ({ record, message }) =>
        record.topic !== first?.record.topic || message.partition !== first.message.partition,
    );
    const leader = isApart && first !== undefined ? this.#router.locate(first.record)?.leader : undefined;
    for (const { message } of entries) this.#router.expect?.(message, leader);
    let answers: RecordMetadata[];
    try {
      answers = await this.#sender.sendBatch({
        topicMessages: [...topicMessages.values()],
        acks: -1,
        compression,
      });
    } catch (error) {
      if (!(error instanceof LeaderMovedError)) throw error;
      await delay(movedPauseMs);
      return [];
    }
    for (const { record, message } of entries) {
      message.partition ??= this.#router.locate(record)?.partition;
    }
    return answers;
  }

  #fail(error: Error, batch: readonly Entry[]): void {
    this.#failed = new Error(`Kafka refused a send: ${error.message}`, { cause: error });
    const waiting = [...batch, ...this.#queue];
    this.#queue = [];
    this.#queuedBytes = 0;
    for (const { reject } of waiting) reject(this.#failed);
    this.#signalRoom();
    this.#context.fatal(this.#failed);
  }

  #signalRoom(): void {
    if (this.#failed === undefined && !this.hasRoom) return;
    for (const resolve of this.#roomWaiters.splice(0)) resolve();
  }
}

function sizeOf({ key, value, headers }: OutgoingRecord): number {
  let bytes = value.length + (typeof key === "string" ? Buffer.byteLength(key) : key.length) + 70;
  for (const [name, content] of Object.entries(headers ?? {})) {
    bytes += Buffer.byteLength(name) + Buffer.byteLength(String(content)) + 10;
  }
  return bytes;
}

/**
 * Connects a producer and stops it with the service.
 * @throws KafkaJSError when no broker can be reached.
 */
export async function startProducer(
  kafka: Kafka,
  context: Pick<ServiceContext, "metrics" | "fatal" | "health" | "onStop">,
  limits: Partial<ProducerLimits> = {},
): Promise<BatchingProducer> {
  const router = new MetadataRouter();
  const sender = kafka.producer({
    idempotent: true,
    // For each broker: the idempotent producer's numbers must arrive in order.
    maxInFlightRequests: 1,
    allowAutoTopicCreation: false,
    // Without a limit, as Kafka's own idempotent producer: the queue's bound is what stops the service's intake.
    retry: { initialRetryTime: 20, maxRetryTime: 2_000, retries: Number.MAX_SAFE_INTEGER },
    createPartitioner: router.createPartitioner,
  });
  await connect(sender);
  const producer = new BatchingProducer(sender, router, context, limits);
  context.onStop("producer", () => producer.close());
  return producer;
}

/** Longest time to try, and the pauses between attempts, in milliseconds. */
const connectMs = 30_000;
const connectBackoff = { first: 100, longest: 1_000 };

/**
 * Connects, also while one broker of several is away: an idempotent producer of kafkajs asks the controller for its id,
 * and when the metadata still name a controller that has just died, it gives up at once.
 */
async function connect(sender: Pick<Producer, "connect">): Promise<void> {
  const backoff = new Backoff(connectBackoff);
  const end = Date.now() + connectMs;
  for (;;) {
    try {
      return await sender.connect();
    } catch (error) {
      if ((error as Error).name !== "KafkaJSConnectionError" || Date.now() > end) throw error;
    }
    await delay(backoff.next());
  }
}
