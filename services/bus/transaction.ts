/**
 * A transactional producer that commits in groups: what is queued while a transaction is under way leaves together in
 * the next one. The next transaction is opened while nobody waits for it, so a record costs one write and one commit.
 */
import type { Kafka } from "kafkajs";
import type { Logger } from "../core/log.ts";
import type { Metrics } from "../core/metrics.ts";
import { RecordTooLargeError } from "./producer.ts";
import {
  KafkaTransactionClient,
  TransactionLostError,
  type TopicPartition,
  type TransactionClient,
  type TransactionRecord,
} from "./transaction-client.ts";

export { TransactionLostError, type TransactionRecord } from "./transaction-client.ts";

/**
 * Kafka aborts a transaction that is open for longer, in milliseconds. Until then the records of a producer that
 * died hold up everybody who reads the same partitions.
 */
const transactionTimeoutMs = 10_000;

/** An open transaction without records is closed after this time, in milliseconds, far below its timeout. */
const idleMs = 1_000;

/** How long records that are not urgent wait for others to leave with, in milliseconds. */
const patienceMs = 25;

/** Bounds of one transaction: the brokers take batches of at most 1 MiB. */
const maximumRecords = 1_000;
const maximumBytes = 900_000;

/** Arguments of {@link openTransactionalProducer}. */
export interface TransactionalProducerOptions {
  kafka: Kafka;
  /** Whoever opens a producer with the same id fences this one. */
  transactionalId: string;
  /** All partitions that it writes to. */
  partitions: readonly TopicPartition[];
  context: { logger: Logger; metrics: Pick<Metrics, "eventsOut"> };
  /** Ends the attempts to take the id (rejects). */
  signal: AbortSignal;
}

/**
 * Takes a transactional id: every earlier producer with it can commit nothing any more when this resolves.
 * Waits for brokers as long as it takes. @throws the signal's reason.
 */
export async function openTransactionalProducer(
  options: TransactionalProducerOptions,
): Promise<TransactionalProducer> {
  const { kafka, transactionalId, partitions, context, signal } = options;
  const client = new KafkaTransactionClient({
    kafka,
    transactionalId,
    transactionTimeoutMs,
    logger: context.logger,
  });
  try {
    await client.init(signal);
  } catch (error) {
    await client.disconnect();
    throw error;
  }
  return new TransactionalProducer(client, transactionalId, partitions, context);
}

interface Entry {
  records: readonly TransactionRecord[];
  bytes: number;
  resolve: () => void;
  reject: (error: Error) => void;
}

/** See the module's description; made by {@link openTransactionalProducer}. */
export class TransactionalProducer {
  readonly #client: TransactionClient;
  readonly #id: string;
  readonly #partitions: readonly TopicPartition[];
  readonly #context: TransactionalProducerOptions["context"];
  #queue: Entry[] = [];
  /** What the present transaction holds. */
  #batch: Entry[] = [];
  #pumping: Promise<void> | undefined;
  /** The transaction that is open, or being opened. */
  #open: Promise<void> | undefined;
  #idle: NodeJS.Timeout | undefined;
  #patience: NodeJS.Timeout | undefined;
  #lost: TransactionLostError | undefined;
  #closed = false;
  #report: (error: TransactionLostError) => void = () => undefined;
  /** Resolves when the right to write is gone; nothing is committed after that. */
  readonly lost: Promise<TransactionLostError>;

  /** @param client has taken the transactional id. */
  constructor(
    client: TransactionClient,
    transactionalId: string,
    partitions: readonly TopicPartition[],
    context: TransactionalProducerOptions["context"],
  ) {
    this.#client = client;
    this.#id = transactionalId;
    this.#partitions = partitions;
    this.#context = context;
    this.lost = new Promise((resolve) => (this.#report = resolve));
  }

  /**
   * Writes records, all of them in one transaction; records of several calls may share it. In each partition the order
   * is that of the calls.
   * @param urgent false: may wait a little for others, since nobody waits for these records themselves.
   * @returns a promise that resolves when the transaction is committed.
   * @throws (rejects) TransactionLostError, after which every call fails; RecordTooLargeError.
   */
  send(records: readonly TransactionRecord[], urgent = true): Promise<void> {
    if (this.#lost !== undefined) return Promise.reject(this.#lost);
    if (this.#closed) return Promise.reject(this.#lostBy("send", new Error("the producer is closed")));
    let bytes = 0;
    for (const { key, value } of records) bytes += key.length + value.length + 70;
    if (bytes > maximumBytes) {
      const topics = records.map(({ topic }) => topic).join(", ");
      return Promise.reject(new RecordTooLargeError(topics, bytes, maximumBytes));
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ records, bytes, resolve, reject });
      // Begun after the current turn, so that records queued together leave together.
      if (urgent) this.#begin();
      else this.#patience ??= setTimeout(() => this.#begin(), patienceMs);
    });
  }

  #begin(): void {
    this.#pumping ??= Promise.resolve().then(() => this.#pump());
  }

  /** Commits what is queued, ends the open transaction, disconnects. Never rejects. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#queue.length > 0) this.#begin();
    while (this.#pumping !== undefined) await this.#pumping;
    await this.#endIdle();
    await this.#disconnect();
  }

  /**
   * Gives up at once what is queued or under way; whether the transaction that is being committed counts, the log tells.
   * Never rejects.
   */
  async abandon(): Promise<void> {
    this.#closed = true;
    this.#fail(this.#lostBy("abandon", new Error("given up")));
    clearTimeout(this.#idle);
    clearTimeout(this.#patience);
    await this.#disconnect();
  }

  async #disconnect(): Promise<void> {
    await this.#client.disconnect().catch((error: unknown) => {
      this.#context.logger.debug({ err: error, transactionalId: this.#id }, "could not disconnect");
    });
  }

  async #pump(): Promise<void> {
    clearTimeout(this.#idle);
    clearTimeout(this.#patience);
    this.#patience = undefined;
    while (this.#queue.length > 0 && this.#lost === undefined) {
      const batch = this.#take();
      this.#batch = batch;
      try {
        this.#open ??= this.#client.begin(this.#partitions);
        await this.#open;
        await this.#client.write(batch.flatMap(({ records }) => records));
        await this.#client.commit();
      } catch (error) {
        this.#fail(this.#lostBy("transaction", error));
        break;
      }
      for (const { records, resolve } of batch) {
        for (const { topic } of records) this.#context.metrics.eventsOut.inc({ topic });
        resolve();
      }
      if (this.#closed) this.#open = undefined;
      else this.#openNext();
    }
    this.#pumping = undefined;
    if (this.#open !== undefined && this.#lost === undefined && !this.#closed) {
      this.#idle = setTimeout(() => void this.#endIdle(), idleMs);
      this.#idle.unref();
    }
  }

  #openNext(): void {
    const opening = this.#client.begin(this.#partitions);
    this.#open = opening;
    // Whoever takes the id meanwhile shows here first.
    opening.catch((error: unknown) => this.#fail(this.#lostBy("begin", error)));
  }

  /** Ends the open transaction, which holds no records. */
  async #endIdle(): Promise<void> {
    clearTimeout(this.#idle);
    const open = this.#open;
    if (open === undefined || this.#pumping !== undefined || this.#lost !== undefined) return;
    this.#open = undefined;
    this.#pumping = open
      .then(() => this.#client.commit())
      .catch((error: unknown) => this.#fail(this.#lostBy("idle", error)))
      .then(() => this.#pump());
    await this.#pumping;
  }

  #take(): Entry[] {
    let count = 0;
    let records = 0;
    let bytes = 0;
    for (const entry of this.#queue) {
      records += entry.records.length;
      bytes += entry.bytes;
      if (count > 0 && (records > maximumRecords || bytes > maximumBytes)) break;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }

  #lostBy(step: string, error: unknown): TransactionLostError {
    return error instanceof TransactionLostError
      ? error
      : new TransactionLostError(this.#id, step, error, false);
  }

  #fail(error: TransactionLostError): void {
    const cause = (this.#lost ??= error);
    const waiting = [...this.#batch, ...this.#queue.splice(0)];
    for (const { reject } of waiting) reject(cause);
    this.#report(cause);
  }
}
