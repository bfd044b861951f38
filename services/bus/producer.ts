/**
 * The batching producer: idempotent, acks=all, lz4. A record is sent at once when nothing is in flight;
 * otherwise it waits with others for the answer and leaves with them (measured: every extra request costs
 * more than the wait). A promise per record resolves when the brokers have it.
 */
import type { Kafka } from "kafkajs";
import type { ProgressWatch } from "../core/health.ts";
import type { ServiceContext } from "../core/service.ts";
import { connectSender, type RecordSender } from "./idempotent-sender.ts";
import type { OutgoingRecord } from "./record.ts";
import { largeRecordBytes } from "./topics.ts";

/** Bounds of a producer. */
export interface ProducerLimits {
  /** Records in one send. Default 2,000. */
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
  batchRecords: 2_000,
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
  bytes: number;
  resolve: () => void;
  reject: (error: Error) => void;
}

/** See the module's description. */
export class BatchingProducer {
  readonly #sender: RecordSender;
  readonly #limits: ProducerLimits;
  readonly #context: Pick<ServiceContext, "metrics" | "fatal">;
  readonly #watch: ProgressWatch;
  #queue: Entry[] = [];
  #queuedBytes = 0;
  #pumping: Promise<void> | undefined;
  #failed: Error | undefined;
  #closed = false;
  #roomWaiters: (() => void)[] = [];
  #idleTimer: NodeJS.Timeout;

  constructor(
    sender: RecordSender,
    context: Pick<ServiceContext, "metrics" | "fatal" | "health">,
    limits: Partial<ProducerLimits> = {},
  ) {
    this.#sender = sender;
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
      this.#queue.push({ record, bytes, resolve, reject });
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
        await this.#sender.send(batch.map(({ record }) => record));
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
 * @throws KafkaJSError when no broker can be reached within 30 s.
 */
export async function startProducer(
  kafka: Kafka,
  context: Pick<ServiceContext, "metrics" | "fatal" | "health" | "logger" | "onStop">,
  limits: Partial<ProducerLimits> = {},
): Promise<BatchingProducer> {
  const sender = await connectSender(kafka, context.logger);
  const producer = new BatchingProducer(sender, context, limits);
  context.onStop("producer", () => producer.close());
  return producer;
}
