/**
 * The registry of topics: what each one holds, by which key records are ordered, who writes it. Every
 * topic that services use is declared here and created by the `prepare-day` job before they start.
 */
import type { Admin, ITopicMetadata } from "kafkajs";
import { setTimeout as delay } from "node:timers/promises";
import type { EventType } from "../core/events.ts";

/** What kind of topic: market data as the venue sent it, canonical, commands, outcomes, or our own housekeeping. */
export type TopicClass = "raw" | "norm" | "cmd" | "exec" | "control" | "dead-letter";

/** One topic. */
export interface TopicDefinition {
  /** Its name; `<business-date>` stands for the cluster's business date. */
  readonly name: string;
  readonly class: TopicClass;
  /** What the key of a record is; records with equal keys keep their order. */
  readonly key: string;
  readonly partitions: number;
  readonly retentionMs: number;
  /**
   * Largest batch of records, in bytes (`max.message.bytes`). Default: the brokers' own 1 MiB. Fetches need no limit of
   * their own: consumers and replicas are given a batch that is larger than what they asked for, alone (KIP-74).
   */
  readonly maxMessageBytes?: number;
  /** Types of the events on it; none when the records are no events. */
  readonly schemas: readonly EventType[];
  /** The deployable that writes it; `*` stands for any end of the name. */
  readonly owner: string;
}

/** 72 h (seed 000): far longer than the cluster lives, so nothing expires before it is archived. */
const retentionMs = 72 * 3_600_000;

/** Enough to spread over three brokers; one process per stage reads them all. */
const partitions = 3;

/** All topics. */
export const topics = {
  rawNearIntentsQuote: {
    name: "raw.near-intents.quote",
    class: "raw",
    key: "asset_in|asset_out as the venue named them",
    partitions,
    retentionMs,
    schemas: ["raw.near-intents.quote"],
    owner: "ingest-near-intents",
  },
  stockStream: {
    name: "stock-stream-<business-date>",
    class: "raw",
    key: "symbol",
    partitions,
    retentionMs,
    schemas: ["raw.alpaca.stock"],
    owner: "ingestion-alpaca-stockstream-api",
  },
  swapDemand: {
    name: "norm.swap_demand",
    class: "norm",
    key: "asset_in|asset_out",
    partitions,
    retentionMs,
    schemas: ["norm.swap_demand", "norm.canary"],
    owner: "normalize-near-intents",
  },
  stockTrade: {
    name: "norm.stock_trade",
    class: "norm",
    key: "symbol",
    partitions,
    retentionMs,
    schemas: ["norm.stock_trade", "norm.stock_trade_correction", "norm.stock_trade_cancel", "norm.canary"],
    owner: "normalize-alpaca",
  },
  stockQuote: {
    name: "norm.stock_quote",
    class: "norm",
    key: "symbol",
    partitions,
    retentionMs,
    schemas: ["norm.stock_quote"],
    owner: "normalize-alpaca",
  },
  stockBar: {
    name: "norm.stock_bar",
    class: "norm",
    key: "symbol",
    partitions,
    retentionMs,
    schemas: ["norm.stock_bar"],
    owner: "normalize-alpaca",
  },
  executeTrade: {
    name: "cmd.execute_trade",
    class: "cmd",
    key: "venue|asset_in|asset_out, or venue|symbol",
    partitions,
    retentionMs,
    schemas: ["cmd.execute_trade"],
    owner: "strategy-*",
  },
  journal: {
    // A command's entries are in the partition of the same number as the command, whatever its key hashes to.
    name: "exec.journal",
    class: "exec",
    key: "command_id",
    partitions,
    retentionMs,
    schemas: ["exec.journal"],
    owner: "executor-*",
  },
  tradeResult: {
    name: "exec.trade_result",
    class: "exec",
    key: "command_id",
    partitions,
    retentionMs,
    schemas: ["exec.trade_result"],
    owner: "executor-*",
  },
  reconciliation: {
    name: "exec.reconciliation",
    class: "exec",
    key: "venue",
    partitions,
    retentionMs,
    schemas: ["exec.reconciliation"],
    owner: "executor-*",
  },
  control: {
    name: "control",
    class: "control",
    key: "name of the service that speaks",
    partitions: 1,
    retentionMs,
    schemas: [],
    owner: "*",
  },
  deadLetter: {
    name: "dead-letter",
    class: "dead-letter",
    key: "key of the original record",
    partitions,
    retentionMs,
    // The largest message that a feed takes (16 MiB), or what unfolds from a compressed record, with room for headers.
    maxMessageBytes: 20 * 1024 * 1024,
    schemas: [],
    owner: "*",
  },
} as const satisfies Record<string, TopicDefinition>;

/** The name of a topic on a given day. @param businessDate for example `2025-10-14`. */
export function topicName(topic: TopicDefinition, businessDate: string): string {
  return topic.name.replace("<business-date>", businessDate);
}

/** What a batch needs beside its records (61 bytes), and what compression may add to what cannot be compressed. */
const batchOverhead = 256 * 1024;

/**
 * Bytes that one record may have, by name of the topic, where that is more than a producer's batch: such a record
 * is sent alone.
 */
export const largeRecordBytes: ReadonlyMap<string, number> = new Map(
  Object.values(topics).flatMap(({ name, maxMessageBytes }: TopicDefinition) =>
    maxMessageBytes === undefined ? [] : [[name, maxMessageBytes - batchOverhead] as const],
  ),
);

/** How {@link createTopics} makes topics. */
export interface CreateTopicsOptions {
  businessDate: string;
  /** Copies of each partition, at most the number of brokers. */
  replicationFactor: number;
  /** Copies that must have a record before it is acknowledged. */
  minInsyncReplicas: number;
}

/**
 * Creates those topics of the registry that do not exist yet, and waits until they have leaders.
 * @returns the names of all topics of the registry.
 * @throws Error when an existing topic has another number of partitions than the registry says, because
 *   keys would then map to other partitions than the producers of the day before assumed.
 */
export async function createTopics(admin: Admin, options: CreateTopicsOptions): Promise<string[]> {
  const wanted = Object.values(topics).map((topic: TopicDefinition) => ({
    topic: topicName(topic, options.businessDate),
    numPartitions: topic.partitions,
    replicationFactor: options.replicationFactor,
    configEntries: [
      { name: "retention.ms", value: String(topic.retentionMs) },
      { name: "min.insync.replicas", value: String(options.minInsyncReplicas) },
      { name: "cleanup.policy", value: "delete" },
      ...(topic.maxMessageBytes === undefined
        ? []
        : [{ name: "max.message.bytes", value: String(topic.maxMessageBytes) }]),
    ],
  }));
  const existing = new Set(await admin.listTopics());
  const missing = wanted.filter(({ topic }) => !existing.has(topic));
  // kafkajs's own wait for leaders gives up at the first broker that has not heard of the topics yet.
  if (missing.length > 0) await admin.createTopics({ topics: missing, waitForLeaders: false });
  const found = await knownTopics(
    admin,
    wanted.map(({ topic }) => topic),
  );
  const mistakes = found.flatMap(({ name, partitions: found }) => {
    const expected = wanted.find(({ topic }) => topic === name)?.numPartitions;
    return expected === found.length
      ? []
      : [`${name} has ${found.length} partitions, expected ${String(expected)}`];
  });
  if (mistakes.length > 0) {
    throw new Error(
      `topics differ from the registry: ${mistakes.join("; ")}. Delete them or use a fresh cluster.`,
    );
  }
  return wanted.map(({ topic }) => topic);
}

/** Longest wait for brokers to hear of topics that were just created, and the pause between two looks. */
const knownMs = 30_000;
const pauseMs = 50;

/** The topics with their partitions, once every partition has a leader. @throws KafkaJSError when that takes too long. */
export async function knownTopics(admin: Admin, names: string[]): Promise<ITopicMetadata[]> {
  const end = Date.now() + knownMs;
  for (;;) {
    try {
      const { topics: found } = await admin.fetchTopicMetadata({ topics: names });
      const hasLeaders = found.every(({ partitions: each }) => each.every(({ leader }) => leader !== -1));
      if (hasLeaders || Date.now() > end) return found;
    } catch (error) {
      const { type } = error as { type?: unknown };
      const isPassing = type === "UNKNOWN_TOPIC_OR_PARTITION" || type === "LEADER_NOT_AVAILABLE";
      if (!isPassing || Date.now() > end) throw error;
    }
    await delay(pauseMs);
  }
}
