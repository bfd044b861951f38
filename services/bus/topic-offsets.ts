/** Where the partitions of a topic begin and end. */
import type { Admin } from "kafkajs";
import { setTimeout as delay } from "node:timers/promises";

/** A partition's log: records from `low` to before `high`, 64-bit numbers as text. */
export interface PartitionOffsets {
  partition: number;
  low: string;
  high: string;
}

/** Longest wait for the metadata of a topic that was just created, and the pause between two looks. */
const deadlineMs = 30_000;
const pauseMs = 50;

/** The last look through each admin: kafkajs shares one list of topics among calls that overlap. */
const queues = new WeakMap<Pick<Admin, "fetchTopicOffsets">, Promise<unknown>>();

/**
 * The offsets of all partitions of a topic. Calls through one admin run one after the other, because overlapping ones
 * of kafkajs (2.2.4) can meet metadata that lacks the topic of the later call; they then fail with a TypeError,
 * which is repeated here until the metadata is complete. So is a broker's answer that it does not lead a partition: it
 * has not heard yet of a topic that was just created. And so is the question to a leader that has just died.
 * @throws KafkaJSError when the topic does not exist or no broker answers.
 */
export function topicOffsets(
  admin: Pick<Admin, "fetchTopicOffsets">,
  topic: string,
): Promise<PartitionOffsets[]> {
  const look = (queues.get(admin) ?? Promise.resolve()).then(() => fetchOffsets(admin, topic));
  queues.set(
    admin,
    look.catch(() => undefined),
  );
  return look;
}

async function fetchOffsets(
  admin: Pick<Admin, "fetchTopicOffsets">,
  topic: string,
): Promise<PartitionOffsets[]> {
  const end = Date.now() + deadlineMs;
  for (;;) {
    try {
      return await admin.fetchTopicOffsets(topic);
    } catch (error) {
      if (!isPassing(error) || Date.now() > end) throw error;
    }
    await delay(pauseMs);
  }
}

/** A broker went away: the next attempt asks the new leader. kafkajs does not repeat the question by itself. */
const connectionErrors: readonly string[] = [
  "KafkaJSConnectionError",
  "KafkaJSConnectionClosedError",
  "KafkaJSBrokerNotFound",
  "KafkaJSRequestTimeoutError",
];

/** Whether the same question may be answered a moment later. */
function isPassing(error: unknown): boolean {
  const { name, type } = error as { name?: string; type?: unknown };
  return (
    error instanceof TypeError ||
    type === "NOT_LEADER_FOR_PARTITION" ||
    (name !== undefined && connectionErrors.includes(name))
  );
}
