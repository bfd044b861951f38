/**
 * One fetch from one broker, below kafkajs's own (Kafka protocol, Fetch version 11). kafkajs's decoder takes half of the
 * time that an export takes, unpacks everything that came at once, checks no checksums, loses the order of headers with
 * different names, and fails for all partitions when one of them has an error.
 */
import type { Cluster } from "./kafka-log.ts";

/** A partition to fetch from. */
export interface FetchTarget {
  topic: string;
  partition: number;
  offset: bigint;
}

/** Arguments of {@link fetchLogs}. */
export interface FetchRequest {
  /** In the order in which they are served: when the answer is full, the last ones bring nothing. */
  targets: readonly FetchTarget[];
  /** The broker answers when it has so many bytes … */
  minBytes: number;
  /** … or after so many milliseconds. */
  maxWaitMs: number;
  /** Bounds of the whole answer and of each partition in it, in bytes; a single larger batch comes all the same. */
  maxBytes: number;
  partitionBytes: number;
}

/** A transaction that was aborted, as brokers list them. */
export interface AbortedTransaction {
  producerId: bigint;
  firstOffset: bigint;
}

/** A partition's part of an answer. */
export interface FetchedLog {
  topic: string;
  partition: number;
  /** 0, or an error code of the Kafka protocol. */
  errorCode: number;
  highWatermark: bigint;
  abortedTransactions: readonly AbortedTransaction[];
  /** Record batches as they are on the broker's disk; the last one may be cut off. */
  batches: Buffer;
}

/** Error codes of the Kafka protocol that a reader treats on their own. */
export const offsetOutOfRange = 1;

const apiKey = 1;
const apiVersion = 11;
/** Consumers are replica -1. */
const consumer = -1;
/** `read_committed`: nothing beyond the last stable offset, with a list of aborted transactions. */
const readCommitted = 1;
/** What a broker may take beyond `maxWaitMs` before the request is given up. */
const answerTimeoutMs = 30_000;

interface ProtocolRequest {
  apiKey: number;
  apiVersion: number;
  apiName: string;
  /** What kafkajs writes behind the request's header; it looks at `buf` for the type and copies `buffer`. */
  encode(): Promise<{ buf: Buffer; buffer: Buffer }>;
}

type Broker = Awaited<ReturnType<Cluster["findBroker"]>>;
interface Connections {
  send<T>(protocol: {
    request: ProtocolRequest;
    response: {
      decode(payload: Buffer): Promise<{ clientSideThrottleTime: number; logs: FetchedLog[] }>;
      parse(decoded: { logs: FetchedLog[] }): Promise<T>;
    };
    requestTimeout: number;
  }): Promise<T>;
}

/**
 * Fetches.
 * @returns what the broker answered, also for partitions without news and with errors.
 * @throws KafkaJSError when there is no answer; Error when the installed kafkajs is another than this is written for.
 */
export async function fetchLogs(broker: Broker, request: FetchRequest): Promise<FetchedLog[]> {
  const { connectionPool } = broker as unknown as { connectionPool?: Connections };
  if (typeof connectionPool?.send !== "function") {
    throw new Error("this kafkajs gives no way to send a request; fetching is written for kafkajs 2.2.4");
  }
  return connectionPool.send({
    request: {
      apiKey,
      apiVersion,
      apiName: "Fetch",
      encode: () => {
        const buffer = encodeFetch(request);
        return Promise.resolve({ buf: buffer, buffer });
      },
    },
    response: {
      decode: (payload) => Promise.resolve(decodeFetch(payload)),
      parse: ({ logs }) => Promise.resolve(logs),
    },
    requestTimeout: request.maxWaitMs + answerTimeoutMs,
  });
}

/** The request's body. Partitions of one topic that stand side by side share its name. */
export function encodeFetch(request: FetchRequest): Buffer {
  const topics: { topic: string; targets: FetchTarget[] }[] = [];
  let bytes = 64;
  for (const target of request.targets) {
    bytes += 28;
    const last = topics.at(-1);
    if (last?.topic === target.topic) {
      last.targets.push(target);
      continue;
    }
    topics.push({ topic: target.topic, targets: [target] });
    bytes += 8 + target.topic.length * 3;
  }
  const buffer = Buffer.allocUnsafe(bytes);
  let at = buffer.writeInt32BE(consumer, 0);
  at = buffer.writeInt32BE(request.maxWaitMs, at);
  at = buffer.writeInt32BE(request.minBytes, at);
  at = buffer.writeInt32BE(request.maxBytes, at);
  at = buffer.writeInt8(readCommitted, at);
  // No fetch session: id 0, epoch -1.
  at = buffer.writeInt32BE(0, at);
  at = buffer.writeInt32BE(-1, at);
  at = buffer.writeInt32BE(topics.length, at);
  for (const { topic, targets } of topics) {
    const length = buffer.write(topic, at + 2);
    at = buffer.writeInt16BE(length, at) + length;
    at = buffer.writeInt32BE(targets.length, at);
    for (const { partition, offset } of targets) {
      at = buffer.writeInt32BE(partition, at);
      // The leader's epoch and the log's start are not told.
      at = buffer.writeInt32BE(-1, at);
      at = buffer.writeBigInt64BE(offset, at);
      at = buffer.writeBigInt64BE(-1n, at);
      at = buffer.writeInt32BE(request.partitionBytes, at);
    }
  }
  // No forgotten topics, no rack.
  at = buffer.writeInt32BE(0, at);
  at = buffer.writeInt16BE(0, at);
  return buffer.subarray(0, at);
}

/** Reads the answer's body; batches are left as they are. @throws Error for an error of the whole request. */
export function decodeFetch(payload: Buffer): { clientSideThrottleTime: number; logs: FetchedLog[] } {
  let at = 0;
  const int16 = (): number => payload.readInt16BE((at += 2) - 2);
  const int32 = (): number => payload.readInt32BE((at += 4) - 4);
  const int64 = (): bigint => payload.readBigInt64BE((at += 8) - 8);
  const clientSideThrottleTime = int32();
  const errorCode = int16();
  if (errorCode !== 0) throw new Error(`the broker refused the fetch: error code ${errorCode}`);
  // The session's id.
  at += 4;
  const logs: FetchedLog[] = [];
  for (let topics = int32(); topics > 0; topics--) {
    const length = int16();
    const topic = payload.toString("utf8", at, (at += length));
    for (let partitions = int32(); partitions > 0; partitions--) {
      const partition = int32();
      const code = int16();
      const highWatermark = int64();
      // The last stable offset and the log's start.
      at += 16;
      const abortedTransactions: AbortedTransaction[] = [];
      for (let aborts = int32(); aborts > 0; aborts--) {
        const producerId = int64();
        abortedTransactions.push({ producerId, firstOffset: int64() });
      }
      // The preferred replica.
      at += 4;
      const bytes = Math.max(0, int32());
      const batches = payload.subarray(at, (at += bytes));
      logs.push({ topic, partition, errorCode: code, highWatermark, abortedTransactions, batches });
    }
  }
  return { clientSideThrottleTime, logs };
}
