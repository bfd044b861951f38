/** Records for the checks of the archive: written to Kafka, noted, and compared with what was archived. */
import assert from "node:assert/strict";
import type { Kafka, Producer } from "kafkajs";
import {
  type ArchivedRecord,
  type ClusterArchive,
  type Manifest,
  readArchive,
} from "../../services/archive/index.ts";
import { compression } from "../../services/bus/kafka.ts";

/** One record to be written. */
export interface Message {
  key: string | Buffer | null;
  value: string | Buffer | null;
  headers?: Record<string, string | Buffer | (string | Buffer)[]>;
  /** Default: the one of the key's hash. */
  partition?: number;
  /** Milliseconds since 1970. Default: one more than that of the record before. */
  timestamp?: number;
}

/** How {@link Records.send} writes. */
export interface SendOptions {
  /** A transaction or another producer. Default: a plain producer. */
  by?: Pick<Producer, "send">;
  /** Whether the records are to be found in the archive. False for a transaction that will be aborted. Default true. */
  expected?: boolean;
}

/** Begins a minute ago: nothing of it is too old for the brokers to keep. */
let clock = Date.now() - 60_000;

const toBuffer = (content: string | Buffer | null) => (content === null ? null : Buffer.from(content));

/** A record in a form that can be compared: everything but its offset. */
export function printRecord(record: Omit<ArchivedRecord, "offset">): string {
  const bytes = (content: Buffer | null): string => content?.toString("latin1") ?? "(null)";
  const headers = record.headers.map(([name, value]) => `${name}=${bytes(value)}`).join(",");
  return `${record.partition} ${record.timestamp} ${bytes(record.key)} [${headers}] ${bytes(record.value)}`;
}

/** See the module's description. */
export class Records {
  /** What was written and committed, by topic, as {@link printRecord} prints it (the partition left out: -1). */
  readonly expected = new Map<string, string[]>();
  readonly #kafka: Kafka;
  /** One for each topic: kafkajs's stops at the metadata of any topic it ever wrote to that was deleted. */
  readonly #producers = new Map<string, Producer>();

  constructor(kafka: Kafka) {
    this.#kafka = kafka;
  }

  /** To be called when a topic was deleted and is written to again. */
  async forget(topic: string): Promise<void> {
    await this.#producers.get(topic)?.disconnect();
    this.#producers.delete(topic);
  }

  async close(): Promise<void> {
    for (const topic of this.#producers.keys()) await this.forget(topic);
  }

  async #producer(topic: string): Promise<Producer> {
    const known = this.#producers.get(topic);
    if (known !== undefined) return known;
    // Without idempotence, a request that was answered too late on a busy machine would be written twice.
    const producer = this.#kafka.producer({
      allowAutoTopicCreation: false,
      idempotent: true,
      maxInFlightRequests: 1,
      retry: { retries: 15, maxRetryTime: 2_000 },
    });
    await producer.connect();
    this.#producers.set(topic, producer);
    return producer;
  }

  /** Writes records, acknowledged by all in-sync replicas. */
  async send(topic: string, messages: readonly Message[], { by, expected = true }: SendOptions = {}) {
    const stamped = messages.map((message) => ({
      ...message,
      timestamp: String(message.timestamp ?? clock++),
    }));
    await (by ?? (await this.#producer(topic))).send({ topic, acks: -1, compression, messages: stamped });
    if (!expected) return;
    const known = this.expected.get(topic) ?? [];
    this.expected.set(topic, known);
    for (const { key, value, headers, timestamp } of stamped) {
      known.push(
        printRecord({
          topic,
          partition: -1,
          key: toBuffer(key),
          value: toBuffer(value),
          timestamp,
          headers: Object.entries(headers ?? {}).flatMap(([name, values]) =>
            [values].flat().map((one) => [name, toBuffer(one)] as const),
          ),
        }),
      );
    }
  }

  /** Writes `count` small JSON records with keys that spread over the partitions. */
  async sendMany(topic: string, count: number, bytes = 300, options: SendOptions = {}): Promise<void> {
    const known = this.expected.get(topic)?.length ?? 0;
    const value = (index: number) =>
      JSON.stringify({ event_id: `${topic}-${known + index}`, payload: "x".repeat(Math.max(0, bytes - 60)) });
    for (let at = 0; at < count; at += 500) {
      const batch = Array.from({ length: Math.min(500, count - at) }, (_, index) => at + index);
      await this.send(
        topic,
        batch.map((index) => ({ key: `key-${index % 17}`, value: value(index) })),
        options,
      );
    }
  }

  /** Writes records in a transaction of its own, and commits or aborts it. */
  async transaction(kafka: Kafka, topic: string, messages: readonly Message[], end: "commit" | "abort") {
    const transactionalId = `check-${topic}-${Math.random().toString(36).slice(2)}`;
    const own = kafka.producer({ transactionalId, maxInFlightRequests: 1, idempotent: true });
    await own.connect();
    try {
      const transaction = await own.transaction();
      await this.send(topic, messages, { by: transaction, expected: end === "commit" });
      await transaction[end]();
    } finally {
      await own.disconnect();
    }
  }

  /**
   * Asserts that the sealed archive holds exactly what was written: nothing lost, nothing twice, nothing changed, and
   * within a partition in the order of writing.
   */
  async assertArchived(archive: ClusterArchive, manifest: Manifest): Promise<void> {
    for (const [topic, expected] of this.expected) {
      const found: string[] = [];
      let previous: { partition: number; offset: bigint } | undefined;
      for await (const record of readArchive(archive, topic, manifest)) {
        const at = { partition: record.partition, offset: BigInt(record.offset) };
        if (previous?.partition === at.partition) assert.ok(at.offset > previous.offset, `${topic}: order`);
        previous = at;
        found.push(printRecord({ ...record, partition: -1 }));
      }
      assert.equal(found.length, expected.length, `${topic}: number of records`);
      // Partitions come one after the other; the set is what is compared.
      assert.deepEqual(found.sort(), [...expected].sort(), topic);
    }
  }
}
