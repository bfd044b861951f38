/**
 * Where logs end, as their leaders vouch for it. Unlike a fetch's high watermark, which may lie below what was acknowledged
 * when the leader is new, this is refused by a broker until it is right (Kafka protocol, ListOffsets).
 */
import { type Cluster, partitionKey } from "./kafka-log.ts";

/** A partition and the broker that leads it. */
export interface LedPartition {
  leader: number;
  topic: string;
  partition: number;
}

/**
 * Asks each leader once for the high watermarks of all that it leads.
 * @param ends by `partitionKey`; what is told is put in.
 * @returns why some were not told, the last reason; undefined when all were.
 */
export async function askLogEnds(
  cluster: Pick<Cluster, "findBroker">,
  partitions: readonly LedPartition[],
  ends: Map<string, bigint>,
): Promise<Error | undefined> {
  const byLeader = new Map<number, Map<string, number[]>>();
  for (const { leader, topic, partition } of partitions) {
    const topics = byLeader.get(leader) ?? new Map<string, number[]>();
    byLeader.set(leader, topics.set(topic, [...(topics.get(topic) ?? []), partition]));
  }
  let failure: Error | undefined;
  await Promise.all(
    [...byLeader].map(async ([nodeId, topics]) => {
      try {
        const broker = await cluster.findBroker({ nodeId });
        const { responses } = await broker.listOffsets({
          isolationLevel: 0,
          topics: [...topics].map(([topic, numbers]) => ({
            topic,
            // -1 asks for the end; at isolation level 0 that is the high watermark.
            partitions: numbers.map((partition) => ({ partition, timestamp: -1 })),
          })),
        });
        for (const { topic, partitions: told } of responses) {
          for (const { partition, offset } of told)
            ends.set(partitionKey({ topic, partition }), BigInt(offset));
        }
      } catch (error) {
        failure = error as Error;
      }
    }),
  );
  return failure;
}
