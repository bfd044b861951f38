/**
 * Reading partitions by offset, as an archive must: from any offset, without a consumer group, seeing where each
 * log ends and which transactions were aborted. kafkajs's consumer cannot: it has no manual assignment, it hands over
 * neither transaction markers nor the log's end, and it takes the brokers' list of aborted transactions to be
 * sorted by first offset, which it is not when transactions of several producers overlap (committed records would then
 * be missing). So this module uses kafkajs one layer below its consumer; the version is pinned, and a missing
 * part is an error at once.
 */
import type { Kafka } from "kafkajs";
import type { ArchivedHeader, ArchivedRecord } from "./line.ts";

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

interface Broker {
  fetch(request: {
    maxWaitTime: number;
    minBytes: number;
    maxBytes: number;
    isolationLevel: number;
    topics: FetchRequestTopic[];
  }): Promise<{ responses: { topicName: string; partitions: FetchedPartition[] }[] }>;
}

interface TopicMetadata {
  topic: string;
  partitionMetadata: { partitionId: number; leader: number }[];
}

/** kafkajs's view of the brokers. */
export interface Cluster {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  refreshMetadata(): Promise<void>;
  /** All topics when none are named. */
  metadata(): Promise<{ clusterId: string; topicMetadata: TopicMetadata[] }>;
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
      "this kafkajs cannot make a cluster connection; the archive is written for kafkajs 2.2.4",
    );
  }
  const create = (kafka as unknown as Record<symbol, (options: object) => Cluster>)[name];
  if (create === undefined) throw new Error("kafkajs's cluster connection is not callable");
  return create({ metadataMaxAge: 10_000, allowAutoTopicCreation: false, isolationLevel: readCommitted });
}

/** What a fetch brought, made plain. */
export interface CommittedRecords {
  /** Records of no or of committed transactions, in order. */
  records: ArchivedRecord[];
  /** Offset behind everything seen, markers and aborted records included; undefined when nothing came. */
  end: bigint | undefined;
}

/** Leaves out transaction markers and records of aborted transactions. */
export function committedRecords(topic: string, fetched: FetchedPartition): CommittedRecords {
  const aborts = [...fetched.abortedTransactions].sort((a, b) =>
    BigInt(a.firstOffset) < BigInt(b.firstOffset) ? -1 : 1,
  );
  /** Producers inside of a transaction that will turn out aborted. */
  const aborted = new Set<string>();
  const records: ArchivedRecord[] = [];
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
    const { timestamp, key, value } = message;
    const headers = plainHeaders(message.headers);
    records.push({
      topic,
      partition: fetched.partition,
      offset: message.offset,
      timestamp,
      key,
      headers,
      value,
    });
  }
  return { records, end };
}

/** Headers with one name come as an array. */
function plainHeaders(headers: Record<string, unknown>): ArchivedHeader[] {
  return Object.entries(headers).flatMap(([name, values]) =>
    [values]
      .flat()
      // kafkajs mixes what objects inherit into headers of such names ("constructor").
      .filter((value): value is Buffer | null => value === null || Buffer.isBuffer(value))
      .map((value) => [name, value] as const),
  );
}
