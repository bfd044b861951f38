/** Questions to the brokers about the cluster as a whole, for those outside of this folder. */
import type { Admin, Kafka } from "kafkajs";

/**
 * Opens an administrative connection for some work, and closes it afterwards.
 * @param retries attempts per request before it fails. Default: the client's (12, about 20 s).
 * @throws KafkaJSError when no broker answers; whatever `work` throws.
 */
export async function withAdmin<Result>(
  kafka: Kafka,
  work: (admin: Admin) => Promise<Result>,
  retries?: number,
): Promise<Result> {
  const admin = kafka.admin(retries === undefined ? {} : { retry: { retries } });
  try {
    await admin.connect();
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

/** The settings that topics have of their own, by topic; names in alphabetical order. Brokers' defaults are left out. */
export function topicSettings(
  kafka: Kafka,
  topics: readonly string[],
): Promise<Map<string, Record<string, string>>> {
  return withAdmin(kafka, async (admin) => {
    // 2 is a topic, in the configuration APIs of the Kafka protocol.
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: topics.map((name) => ({ type: 2, name })),
    });
    return new Map(
      resources.map(({ resourceName, configEntries }) => {
        // Source 1: set on the topic itself.
        const own = configEntries.filter((entry) => (entry.configSource as number) === 1);
        const settings = own.map(({ configName, configValue }) => [configName, configValue] as const);
        return [resourceName, Object.fromEntries(settings.sort(([a], [b]) => (a < b ? -1 : 1)))];
      }),
    );
  });
}

/** What a consumer group has committed. */
export interface GroupOffsets {
  group: string;
  /** Offsets of the next records to read, decimal; partitions without a commit are left out. */
  offsets: { topic: string; partition: number; offset: string }[];
}

/** The committed offsets of all consumer groups that have any, in alphabetical order of the groups. */
export function groupOffsets(kafka: Kafka): Promise<GroupOffsets[]> {
  return withAdmin(kafka, async (admin) => {
    const { groups } = await admin.listGroups();
    const result: GroupOffsets[] = [];
    for (const { groupId: group } of groups) {
      const topics = await admin.fetchOffsets({ groupId: group });
      const offsets = topics.flatMap(({ topic, partitions }) =>
        partitions
          .filter(({ offset }) => BigInt(offset) >= 0n)
          .map(({ partition, offset }) => ({ topic, partition, offset })),
      );
      if (offsets.length > 0) result.push({ group, offsets });
    }
    return result.sort((a, b) => (a.group < b.group ? -1 : 1));
  });
}
