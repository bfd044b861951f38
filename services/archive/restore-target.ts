/** Where an archive is restored to: what must not be written to, and how the topics there have to be. */
import { withAdmin } from "../bus/cluster-admin.ts";
import type { Kafka } from "../bus/kafka.ts";
import { topicOffsets } from "../bus/topic-offsets.ts";
import { topics as registry } from "../bus/topics.ts";

/** The restore was not begun; the message names every reason, and what would allow it. */
export class RestoreRefusedError extends Error {
  override readonly name = "RestoreRefusedError";
  readonly reasons: readonly string[];

  constructor(reasons: readonly string[]) {
    super(`Nothing was restored:\n${reasons.map((reason) => `  - ${reason}`).join("\n")}`);
    this.reasons = reasons;
  }
}

/** A topic to restore into. */
export interface TargetTopic {
  /** Its name in the target. */
  target: string;
  partitions: number;
  /** What it must take in one batch at least, in bytes, where the archived topic had a limit of its own. */
  maxMessageBytes: number | undefined;
}

/** What a restore may do although it could do harm. */
export interface RestorePermissions {
  /** Write behind records that are there already. */
  nonEmpty: boolean;
  /** Write commands, the journal, results and control messages: where a service reads them, it may act on them. */
  commands: boolean;
}

/** Executors' consumer groups: in the catalog they are named after the service. */
const executorGroup = /^executor/;

/**
 * Whether services act on what is written to a topic, or take it for the truth: commands, what executors wrote, control.
 * @param topic its name in the cluster that is written to.
 */
export function actsOn(topic: string): boolean {
  return topic.startsWith("cmd.") || topic.startsWith("exec.") || topic === registry.control.name;
}

/** Kafka's own rule (`Topic.validate`). */
const topicNamePattern = /^(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}$/;

/** The wishes that can be refused without looking at the target. */
export function planProblems(
  topics: readonly { topic: string; target: string }[],
  allow: RestorePermissions,
): string[] {
  const problems: string[] = [];
  const byTarget = new Map<string, string>();
  for (const { topic, target } of topics) {
    const other = byTarget.get(target);
    if (other !== undefined) problems.push(`${other} and ${topic} would both be restored into ${target}`);
    byTarget.set(target, topic);
    if (!topicNamePattern.test(target) || target.startsWith("__")) {
      problems.push(`${JSON.stringify(target)} cannot be the name of a topic of ours`);
    }
    if (actsOn(target) && !allow.commands) {
      problems.push(
        `${target} is read by services that act on it (commands, journal, results, control): ` +
          "rename it, leave it out, or allow it (--commands) where no executor runs",
      );
    }
  }
  return problems;
}

/** The largest batch that any topic of ours takes by default, with room for what compression may add. */
const leastMaxMessageBytes = 20 * 1024 * 1024;

/** Old records must neither expire nor be refused, and two with one key are two. */
function settingsOf({ maxMessageBytes = 0 }: TargetTopic): Record<string, string> {
  return {
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "cleanup.policy": "delete",
    "message.timestamp.type": "CreateTime",
    "message.timestamp.before.max.ms": "9223372036854775807",
    "message.timestamp.after.max.ms": "9223372036854775807",
    "max.message.bytes": String(Math.max(leastMaxMessageBytes, maxMessageBytes)),
  };
}

/** Copies of each partition: as many as the platform has, or as many brokers as there are. */
const copies = 3;

/**
 * Looks whether the topics can be restored into the target, creates those that are missing, and gives those that are
 * there the settings that old records need.
 * @returns where each partition's log ends now, by topic: an array by partition.
 * @throws RestoreRefusedError before anything is changed; KafkaJSError.
 */
export function prepareTarget(
  kafka: Kafka,
  wanted: readonly TargetTopic[],
  allow: RestorePermissions,
): Promise<Map<string, bigint[]>> {
  return withAdmin(kafka, async (admin) => {
    const existing = new Set(await admin.listTopics());
    const problems: string[] = [];
    for (const { target, partitions } of wanted.filter((topic) => existing.has(topic.target))) {
      const offsets = await topicOffsets(admin, target);
      const held = offsets.reduce((sum, { low, high }) => sum + BigInt(high) - BigInt(low), 0n);
      if (offsets.length !== partitions) {
        problems.push(
          `${target} exists with ${offsets.length} partitions, the archived topic has ${partitions}: keys would be elsewhere. Delete or rename it`,
        );
      }
      if (held > 0n && !allow.nonEmpty) {
        problems.push(
          `${target} is not empty (${held} offsets): rename it, or allow to write behind them (--non-empty)`,
        );
      }
    }
    if (wanted.some(({ target }) => actsOn(target))) {
      const { groups } = await admin.listGroups();
      const executors = groups.map(({ groupId }) => groupId).filter((group) => executorGroup.test(group));
      const described = executors.length === 0 ? { groups: [] } : await admin.describeGroups(executors);
      for (const { groupId, members } of described.groups) {
        if (members.length > 0) {
          problems.push(`${groupId} runs there and would execute restored commands: stop it first`);
        }
      }
    }
    if (problems.length > 0) throw new RestoreRefusedError(problems);

    const missing = wanted.filter(({ target }) => !existing.has(target));
    if (missing.length > 0) {
      const { brokers } = await admin.describeCluster();
      // kafkajs's own wait for leaders gives up at the first broker that has not heard of the topics yet.
      await admin.createTopics({
        waitForLeaders: false,
        topics: missing.map((topic) => ({
          topic: topic.target,
          numPartitions: topic.partitions,
          replicationFactor: Math.min(copies, brokers.length),
          configEntries: Object.entries(settingsOf(topic)).map(([name, value]) => ({ name, value })),
        })),
      });
    }
    await changeSettings(
      admin,
      wanted.filter(({ target }) => existing.has(target)),
    );
    const ends = new Map<string, bigint[]>();
    for (const { target } of wanted) {
      const offsets = await topicOffsets(admin, target);
      ends.set(
        target,
        offsets.sort((a, b) => a.partition - b.partition).map(({ high }) => BigInt(high)),
      );
    }
    return ends;
  });
}

type Admin = Parameters<Parameters<typeof withAdmin>[1]>[0];

/** 2 is a topic, in the configuration APIs of the Kafka protocol; 1 is a setting that stands on the topic itself. */
const topicResource = 2;
const ownSetting = 1;

/** kafkajs's only way of changing settings resets what it is not given, so the topics' other ones are given again. */
async function changeSettings(admin: Admin, topics: readonly TargetTopic[]): Promise<void> {
  if (topics.length === 0) return;
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: topics.map(({ target }) => ({ type: topicResource, name: target })),
  });
  await admin.alterConfigs({
    validateOnly: false,
    resources: topics.map((topic) => {
      const entries = resources.find(({ resourceName }) => resourceName === topic.target)?.configEntries;
      const own = (entries ?? [])
        .filter(({ configSource }) => (configSource as number) === ownSetting)
        .map(({ configName, configValue }) => [configName, configValue] as const);
      const settings = { ...Object.fromEntries(own), ...settingsOf(topic) };
      return {
        type: topicResource,
        name: topic.target,
        configEntries: Object.entries(settings).map(([name, value]) => ({ name, value })),
      };
    }),
  });
}
