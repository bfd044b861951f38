/** Has a consumer group consumed everything there is? */
import type { Admin } from "kafkajs";
import { setTimeout as delay } from "node:timers/promises";
import { topicOffsets } from "./topic-offsets.ts";

/** A partition whose committed offset is behind its end. */
export interface Behind {
  topic: string;
  partition: number;
  /** Offset of the next record to read; -1 when nothing was ever committed. */
  committed: string;
  end: string;
}

/**
 * Compares a group's committed offsets with the ends of its topics, as they are now.
 * @returns the partitions that are not at their end.
 */
export async function behindEnd(admin: Admin, groupId: string, topics: readonly string[]): Promise<Behind[]> {
  const committed = await admin.fetchOffsets({ groupId, topics: [...topics] });
  const behind: Behind[] = [];
  for (const topic of topics) {
    const offsets = committed.find((entry) => entry.topic === topic)?.partitions ?? [];
    for (const { partition, low, high } of await topicOffsets(admin, topic)) {
      if (high === low) continue;
      const offset = offsets.find((entry) => entry.partition === partition)?.offset ?? "-1";
      if (BigInt(offset) < BigInt(high)) behind.push({ topic, partition, committed: offset, end: high });
    }
  }
  return behind;
}

/** Waits until {@link behindEnd} finds nothing. @param signal ends the wait (rejects). */
export async function waitForLogEnd(
  admin: Admin,
  groupId: string,
  topics: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  while ((await behindEnd(admin, groupId, topics)).length > 0) {
    await delay(50, undefined, { signal });
  }
}
