/** How far a consumer group is behind, seen from outside of it. */
import type { Admin } from "kafkajs";
import { topicOffsets } from "./topic-offsets.ts";

/** What {@link groupLag} asks. */
export type LagAdmin = Pick<Admin, "fetchOffsets" | "fetchTopicOffsets">;

/**
 * Records between the group's committed offset and the log's end, by topic, over all partitions.
 * @throws KafkaJSError when a topic does not exist or no broker answers.
 */
export async function groupLag(
  admin: LagAdmin,
  groupId: string,
  topics: readonly string[],
): Promise<Map<string, number>> {
  const lags = new Map<string, number>();
  for (const topic of topics) {
    const ends = await topicOffsets(admin, topic);
    const [committed] = await admin.fetchOffsets({ groupId, topics: [topic] });
    let lag = 0;
    for (const { partition, low, high } of ends) {
      const offset = BigInt(committed?.partitions.find((each) => each.partition === partition)?.offset ?? -1);
      // Where nothing was committed the group begins with the oldest record.
      const position = offset < BigInt(low) ? BigInt(low) : offset;
      // A commit may be newer than the look at the end.
      if (position < BigInt(high)) lag += Number(BigInt(high) - position);
    }
    lags.set(topic, lag);
  }
  return lags;
}
