/** The Produce request of the Kafka protocol (version 7), in the form kafkajs's connections take. */

const produceKey = 0;
const version = 7;
const allReplicas = -1;

/** A batch and the partition it is for. */
export interface PartitionBatch {
  topic: string;
  partition: number;
  /** A complete record batch. */
  batch: Buffer;
}

/** What one broker is to write. */
export interface ProduceRequest {
  /** At most one for each partition. */
  batches: readonly PartitionBatch[];
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
export function encodeProduce({ batches, timeoutMs }: ProduceRequest) {
  const topics = new Map<string, PartitionBatch[]>();
  for (const batch of batches) {
    const group = topics.get(batch.topic);
    if (group === undefined) topics.set(batch.topic, [batch]);
    else group.push(batch);
  }
  let size = 2 + 2 + 4 + 4;
  for (const [topic, group] of topics) {
    size += 2 + Buffer.byteLength(topic) + 4;
    for (const { batch } of group) size += 4 + 4 + batch.length;
  }
  const buffer = Buffer.allocUnsafe(size);
  let at = buffer.writeInt16BE(-1, 0);
  at = buffer.writeInt16BE(allReplicas, at);
  at = buffer.writeInt32BE(timeoutMs, at);
  at = buffer.writeInt32BE(topics.size, at);
  for (const [topic, group] of topics) {
    at = buffer.writeInt16BE(Buffer.byteLength(topic), at);
    at += buffer.write(topic, at);
    at = buffer.writeInt32BE(group.length, at);
    for (const { partition, batch } of group) {
      at = buffer.writeInt32BE(partition, at);
      at = buffer.writeInt32BE(batch.length, at);
      buffer.set(batch, at);
      at += batch.length;
    }
  }
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
