/**
 * Reading partitions by offset: from any offset, without a consumer group, seeing where each
 * log ends and which transactions were aborted. kafkajs's consumer cannot: it has no manual assignment, it hands over
 * neither transaction markers nor the log's end, and it takes the brokers' list of aborted transactions to be
 * sorted by first offset, which it is not when transactions of several producers overlap (committed records would then
 * be missing). So this module uses kafkajs one layer below its consumer; the version is pinned, and a missing
 * part is an error at once.
 */
import type { Kafka } from "kafkajs";
import type { AskedBroker } from "./topic-ids.ts";

/** A record as kafkajs decodes it, markers included. */
export interface RawMessage {
  offset: string;
  timestamp: string;
  key: Buffer | null;
  value: Buffer | null;
  headers: Record<string, unknown>;
  isControlRecord: boolean;
  batchContext: { firstOffset: string; lastOffsetDelta: number; producerId: string; inTransaction: boolean };
}

/** A partition's part of a fetch response (Kafka protocol, Fetch versions 4 to 11). */
export interface FetchedPartition {
  partition: number;
  highWatermark: string;
  abortedTransactions: readonly { producerId: string; firstOffset: string }[];
  messages: readonly RawMessage[];
}

/** A partition to fetch. */
export interface FetchRequestTopic {
  topic: string;
  partitions: { partition: number; fetchOffset: string; maxBytes: number }[];
}

interface Broker extends AskedBroker {
  fetch(request: {
    maxWaitTime: number;
    minBytes: number;
    maxBytes: number;
    isolationLevel: number;
    topics: FetchRequestTopic[];
  }): Promise<{ responses: { topicName: string; partitions: FetchedPartition[] }[] }>;
  listOffsets(request: {
    isolationLevel: number;
    topics: { topic: string; partitions: { partition: number; timestamp: number }[] }[];
  }): Promise<{ responses: { topic: string; partitions: { partition: number; offset: string }[] }[] }>;
}

interface TopicMetadata {
  topic: string;
  partitionMetadata: { partitionId: number; leader: number }[];
}

/** What a broker knows of the cluster. */
export interface ClusterMetadata {
  clusterId: string;
  /** Those that are up, as far as it knows. */
  brokers: readonly { nodeId: number }[];
  topicMetadata: TopicMetadata[];
}

/** kafkajs's view of the brokers. */
export interface Cluster {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  refreshMetadata(): Promise<void>;
  /** All topics when none are named. */
  metadata(request?: { topics: string[] }): Promise<ClusterMetadata | null>;
  findBroker(broker: { nodeId: number }): Promise<Broker>;
}

/** Kafka's `read_committed`: nothing beyond the last stable offset, with a list of aborted transactions. */
export const readCommitted = 1;

/** A connection of its own to the brokers, with the client's settings. */
export function createCluster(kafka: Kafka): Cluster {
  const name = Object.getOwnPropertySymbols(kafka).find(
    (symbol) => symbol.description === "private:Kafka:createCluster",
  );
  if (name === undefined) {
    throw new Error(
      "this kafkajs cannot make a cluster connection; reading by offset is written for kafkajs 2.2.4",
    );
  }
  const create = (kafka as unknown as Record<symbol, (options: object) => Cluster>)[name];
  if (create === undefined) throw new Error("kafkajs's cluster connection is not callable");
  return create({ metadataMaxAge: 10_000, allowAutoTopicCreation: false, isolationLevel: readCommitted });
}

/** Where a partition's log begins and ends. */
export interface LogBounds {
  /** Offset of the first record there is. */
  low: bigint;
  /** The high watermark: the offset behind the last record that all in-sync replicas have. */
  high: bigint;
}

/**
 * Asks a partition's leader where its log begins and ends. Unlike a fetch's high watermark, which may lie below what
 * was acknowledged when the leader is new, this one is refused by the broker until it is right (Kafka protocol,
 * ListOffsets).
 * @throws KafkaJSError, most of which go by themselves.
 */
export async function logBounds(broker: Broker, topic: string, partition: number): Promise<LogBounds> {
  // -2 asks for the first offset, -1 for the end; at isolation level 0 that is the high watermark.
  const [low, high] = await Promise.all(
    [-2, -1].map(async (timestamp) => {
      const { responses } = await broker.listOffsets({
        isolationLevel: 0,
        topics: [{ topic, partitions: [{ partition, timestamp }] }],
      });
      const offset = responses[0]?.partitions[0]?.offset;
      if (offset === undefined)
        throw new Error(`the broker did not tell the offsets of ${topic}/${partition}`);
      return BigInt(offset);
    }),
  );
  return { low: low ?? 0n, high: high ?? 0n };
}

/** What a fetch brought, made plain. */
export interface Committed<Message> {
  /** Messages of no or of committed transactions, in order. */
  messages: Message[];
  /** Offset behind everything seen, markers and aborted records included; undefined when nothing came. */
  end: bigint | undefined;
}

/** Leaves out transaction markers and records of aborted transactions. */
export function committedMessages(fetched: FetchedPartition): Committed<RawMessage> {
  const aborts = [...fetched.abortedTransactions].sort((a, b) =>
    BigInt(a.firstOffset) < BigInt(b.firstOffset) ? -1 : 1,
  );
  /** Producers inside of a transaction that will turn out aborted. */
  const aborted = new Set<string>();
  const messages: RawMessage[] = [];
  let end: bigint | undefined;
  let nextAbort = 0;
  for (const message of fetched.messages) {
    const { producerId, inTransaction, firstOffset, lastOffsetDelta } = message.batchContext;
    const offset = BigInt(message.offset);
    // The end of the batch, not of its last record: compaction may have taken the last ones.
    end = BigInt(firstOffset) + BigInt(lastOffsetDelta) + 1n;
    for (let abort = aborts[nextAbort]; abort !== undefined; abort = aborts[++nextAbort]) {
      if (BigInt(abort.firstOffset) > offset) break;
      aborted.add(abort.producerId);
    }
    if (message.isControlRecord) {
      // Key of a marker: version, then type, 2 bytes each; type 0 is abort (Kafka protocol, control records).
      if (message.key?.readInt16BE(2) === 0) aborted.delete(producerId);
      continue;
    }
    if (inTransaction && aborted.has(producerId)) continue;
    messages.push(message);
  }
  return { messages, end };
}

/** One header; Kafka allows several with one name. */
export type LogHeader = readonly [name: string, value: Buffer | null];

/** A record with everything that Kafka holds of it. */
export interface LogRecord {
  topic: string;
  partition: number;
  /** Decimal. */
  offset: string;
  /** Milliseconds since 1970, decimal. */
  timestamp: string;
  key: Buffer | null;
  /** In their order. */
  headers: readonly LogHeader[];
  value: Buffer | null;
}

/** A partition's name in maps and messages; topic names have no slash. */
export function partitionKey(partition: { topic: string; partition: number }): string {
  return `${partition.topic}/${partition.partition}`;
}
