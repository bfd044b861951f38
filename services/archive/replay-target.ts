/** The Kafka that a day is replayed on: nothing may be on it, and nobody may listen to it. */
import { groupOffsets, withAdmin } from "../bus/cluster-admin.ts";
import type { Kafka } from "../bus/kafka.ts";
import { topicOffsets } from "../bus/topic-offsets.ts";
import { prepareTarget as prepareRestoreTarget, type TargetTopic } from "./restore-target.ts";

/** The target of a replay cannot be used; the message names everything that is in the way. */
export class ReplayTargetError extends Error {
  override readonly name = "ReplayTargetError";
}

/** Problems named one by one; the rest is counted. */
const maximumProblems = 10;

/**
 * Creates the topics of a replay on a Kafka that is empty.
 * @throws ReplayTargetError when any topic holds records, has other partitions than the day's, or any consumer group is
 *   there: an executor that listens would trade what is replayed. KafkaJSError when no broker answers.
 */
export async function prepareTarget(kafka: Kafka, wanted: readonly TargetTopic[]): Promise<void> {
  await withAdmin(kafka, async (admin) => {
    const existing = (await admin.listTopics()).filter((topic) => !topic.startsWith("__"));
    const problems: string[] = [];
    for (const topic of existing) {
      const offsets = await topicOffsets(admin, topic);
      const records = offsets.reduce((sum, { low, high }) => sum + BigInt(high) - BigInt(low), 0n);
      if (records > 0n) problems.push(`${topic} holds records (${records} offsets)`);
      const partitions = wanted.find(({ target }) => target === topic)?.partitions ?? offsets.length;
      if (offsets.length !== partitions) {
        problems.push(`${topic} has ${offsets.length} partitions, the day's had ${partitions}`);
      }
    }
    problems.push(...(await groupProblems(kafka)));
    if (problems.length > 0) {
      const more = problems.length - maximumProblems;
      throw new ReplayTargetError(
        `The target is not empty: ${problems.slice(0, maximumProblems).join("; ")}${more > 0 ? `; and ${more} more` : ""}. ` +
          "A day is replayed only on a Kafka without records and without consumers. Use a fresh one, for example " +
          "`npm run --silent lab -- kafka`.",
      );
    }
  });
  await prepareRestoreTarget(kafka, wanted, { nonEmpty: false, commands: true });
}

/** Groups with members, or with positions from which a service of the replay would go on. */
async function groupProblems(kafka: Kafka): Promise<string[]> {
  const positions = new Set((await groupOffsets(kafka)).map(({ group }) => group));
  return withAdmin(kafka, async (admin) => {
    const ids = (await admin.listGroups()).groups.map(({ groupId }) => groupId);
    if (ids.length === 0) return [];
    const { groups } = await admin.describeGroups(ids);
    return groups.flatMap(({ groupId, members }) => {
      if (members.length > 0) return [`consumer group ${groupId} has ${members.length} members`];
      return positions.has(groupId) ? [`consumer group ${groupId} has committed offsets`] : [];
    });
  });
}
