/** The Produce request of the Kafka protocol (version 7) for one batch, in the form kafkajs's connections take. */

const produceKey = 0;
const version = 7;
const allReplicas = -1;

/** One batch for one partition. */
export interface ProduceRequest {
  topic: string;
  partition: number;
  /** A complete record batch. */
  batch: Buffer;
  /** How long the broker may wait for the replicas. */
  timeoutMs: number;
}

/** The broker's answer for one partition. */
export interface ProduceAnswer {
  topic: string;
  partition: number;
  /** 0: all in-sync replicas have the batch. */
  errorCode: number;
}

/** Request => transactional_id acks timeout [topic [partition records]] */
export function encodeProduce({ topic, partition, batch, timeoutMs }: ProduceRequest) {
  const name = Buffer.from(topic);
  const head = Buffer.allocUnsafe(2 + 2 + 4 + 4 + 2 + name.length + 4 + 4 + 4);
  let at = head.writeInt16BE(-1, 0);
  at = head.writeInt16BE(allReplicas, at);
  at = head.writeInt32BE(timeoutMs, at);
  at = head.writeInt32BE(1, at);
  at = head.writeInt16BE(name.length, at);
  at += name.copy(head, at);
  at = head.writeInt32BE(1, at);
  at = head.writeInt32BE(partition, at);
  head.writeInt32BE(batch.length, at);
  const buffer = Buffer.concat([head, batch]);
  return {
    apiKey: produceKey,
    apiVersion: version,
    apiName: "Produce",
    // kafkajs takes what looks like one of its encoders.
    encode: async () => ({ buf: buffer, buffer, size: () => buffer.length }),
  };
}

/** Response => [topic [partition error_code base_offset log_append_time log_start_offset]] throttle_time */
export function readProduceAnswer(bytes: Buffer): ProduceAnswer[] {
  const answers: ProduceAnswer[] = [];
  let at = 0;
  const int32 = (): number => bytes.readInt32BE((at += 4) - 4);
  const int16 = (): number => bytes.readInt16BE((at += 2) - 2);
  for (let topics = int32(); topics > 0; topics--) {
    const length = int16();
    const topic = bytes.toString("utf8", at, (at += length));
    for (let partitions = int32(); partitions > 0; partitions--) {
      answers.push({ topic, partition: int32(), errorCode: int16() });
      at += 8 + 8 + 8;
    }
  }
  return answers;
}
