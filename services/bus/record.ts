/** Records as the services see them: bytes in, bytes out. */
import type { IHeaders, KafkaMessage } from "kafkajs";

/** A record read from Kafka. */
export interface ReceivedRecord {
  readonly topic: string;
  readonly partition: number;
  /** 64-bit number as text. */
  readonly offset: string;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: IHeaders;
}

/** A record to write. Every record has a key: a random partition could change when a send is repeated. */
export interface OutgoingRecord {
  readonly topic: string;
  readonly key: string | Buffer;
  readonly value: Buffer;
  /** Default: chosen by the key's hash, as Kafka's Java clients do. */
  readonly partition?: number;
  readonly headers?: IHeaders;
  /** Milliseconds since the epoch. Default: when it is sent. */
  readonly timestamp?: number;
}

/** Turns kafkajs's message into a record of ours. */
export function received(topic: string, partition: number, message: KafkaMessage): ReceivedRecord {
  return {
    topic,
    partition,
    offset: message.offset,
    timestamp: Number(message.timestamp),
    key: message.key,
    value: message.value,
    headers: message.headers ?? {},
  };
}
