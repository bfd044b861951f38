/**
 * Records that no service can use, put on raw and command topics on purpose. Each must end on the dead-letter topic
 * with its origin, and nothing else may.
 */
import { randomUUID } from "node:crypto";
import type { Kafka, Producer } from "kafkajs";
import { compression } from "../../services/bus/kafka.ts";

export const poisonKinds = [
  "broken_json_raw",
  "broken_json_command",
  "wrong_schema_raw",
  "wrong_schema_command",
  "unknown_version_raw",
  "unknown_version_command",
  "two_megabytes_raw",
  "two_megabytes_command",
  "no_key_raw",
  "no_value_command",
  "ten_years_off_raw",
] as const;
export type PoisonKind = (typeof poisonKinds)[number];

/** Where a poisonous record stands. */
export interface PoisonRecord {
  kind: PoisonKind;
  topic: string;
  partition: number;
  offset: string;
}

interface Content {
  key: string | null;
  value: Buffer | null;
}

const json = (value: unknown) => Buffer.from(JSON.stringify(value));

/** An envelope that is good but for what `change` says. */
function envelope(topicKind: "raw" | "command", change: Record<string, unknown>): Buffer {
  const now = new Date().toISOString();
  const id = randomUUID();
  const common = { event_id: id, observed_at: now, ingested_at: now, schema_version: 1 };
  return json(
    topicKind === "raw"
      ? {
          ...common,
          event_type: "raw.near-intents.quote",
          venue: "near-intents",
          payload: { session_id: randomUUID(), sequence: 0, message_type: "quote" },
          raw: "this is not a message of the relay",
          ...change,
        }
      : {
          ...common,
          event_type: "cmd.execute_trade",
          venue: "near-intents",
          payload: { command_id: id },
          ...change,
        },
  );
}

/** A quote that would be traded on, but for its time. */
const quoteText = JSON.stringify({
  jsonrpc: "2.0",
  method: "subscribe",
  params: {
    subscription: "poison",
    quote_id: "poison",
    defuse_asset_identifier_in: "nep141:wrap.near",
    defuse_asset_identifier_out: "nep141:usdt.tether-token.near",
    exact_amount_in: "1000000000000000000000000",
    min_deadline_ms: 60_000,
  },
});

/** Bigger than any record of ours, and small on the wire because it compresses. */
const twoMegabytes = () => Buffer.alloc(2 * 1024 * 1024, "poison ");

const contents: Record<PoisonKind, () => Content> = {
  broken_json_raw: () => ({ key: "poison", value: Buffer.from([0xff, 0x00, 0x7b]) }),
  broken_json_command: () => ({ key: "poison", value: Buffer.from('{"half":') }),
  wrong_schema_raw: () => ({ key: "poison", value: envelope("raw", {}) }),
  wrong_schema_command: () => ({ key: "poison", value: envelope("command", {}) }),
  unknown_version_raw: () => ({ key: "poison", value: envelope("raw", { schema_version: 99 }) }),
  unknown_version_command: () => ({ key: "poison", value: envelope("command", { schema_version: 99 }) }),
  two_megabytes_raw: () => ({ key: "poison", value: twoMegabytes() }),
  two_megabytes_command: () => ({ key: "poison", value: twoMegabytes() }),
  no_key_raw: () => ({ key: null, value: envelope("raw", { payload: {} }) }),
  no_value_command: () => ({ key: "poison", value: null }),
  ten_years_off_raw: () => ({
    key: "poison",
    value: envelope("raw", {
      observed_at: new Date(Date.now() - 10 * 365.25 * 24 * 3_600_000).toISOString(),
      raw: quoteText,
    }),
  }),
};

/** Writes poison and remembers where it stands. */
export class Poisoner {
  readonly #producer: Producer;
  readonly #topics: { raw: string; command: string };
  readonly records: PoisonRecord[] = [];

  /** @param topics where raw events and commands are. */
  constructor(kafka: Kafka, topics: { raw: string; command: string }) {
    this.#producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
    this.#topics = topics;
  }

  async connect(): Promise<void> {
    await this.#producer.connect();
  }

  /** Writes one poisonous record; resolves when all in-sync replicas have it. */
  async inject(kind: PoisonKind): Promise<PoisonRecord> {
    const topic = kind.endsWith("_raw") ? this.#topics.raw : this.#topics.command;
    // The partition is given, so that a record without key has one, too.
    const partition = this.records.length % 3;
    const [answer] = await this.#producer.send({
      topic,
      acks: -1,
      compression,
      messages: [{ ...contents[kind](), partition }],
    });
    if (answer?.baseOffset === undefined) throw new Error(`${topic} did not answer for the poison ${kind}`);
    const record = { kind, topic, partition: answer.partition, offset: answer.baseOffset };
    this.records.push(record);
    return record;
  }

  async disconnect(): Promise<void> {
    await this.#producer.disconnect();
  }
}
