/**
 * Following topics from their beginning without a position of one's own, as the control topic is. kafkajs has no
 * manual assignment, so each reader is the only member of a consumer group with a name used once, which is deleted
 * afterwards.
 */
import { randomUUID } from "node:crypto";
import type { Kafka } from "kafkajs";
import type { ServiceContext } from "../core/service.ts";
import { failOnCrash } from "./consumer.ts";
import { received, type ReceivedRecord } from "./record.ts";
import { topicOffsets } from "./topic-offsets.ts";

/** Arguments of {@link followTopics}. */
export interface FollowOptions {
  kafka: Kafka;
  topics: readonly string[];
  /** Name of the reader; the group is called `<name>-<random>`. */
  name: string;
  /** With `health`, a reader that no broker answers for five minutes makes the service unhealthy. */
  context: Pick<ServiceContext, "fatal" | "logger"> & Partial<Pick<ServiceContext, "health">>;
  /** Called once for every record, in order within a partition. Throwing is fatal. */
  onRecord(record: ReceivedRecord): void;
  /** How long a broker may hold an empty fetch, in milliseconds: the price of idling against the time to stop. Default 100. */
  maxWaitTimeInMs?: number;
}

/** Longer than brokers need to restart: what is followed is acted on seldom, and a restart of the reader would not help. */
const maximumSilenceMs = 300_000;

/** A reader that has read everything there was when it started, and goes on reading. */
export interface Follower {
  /** Leaves and deletes the group. */
  stop(): Promise<void>;
}

/**
 * Reads topics from their beginning; resolves when all that was there at the call has been handed over.
 * @throws KafkaJSError when a topic does not exist or no broker answers.
 */
export async function followTopics(options: FollowOptions): Promise<Follower> {
  const { kafka, topics, context } = options;
  const groupId = `${options.name}-${randomUUID()}`;
  const admin = kafka.admin();
  await admin.connect();
  /** Offsets still to be reached, by `topic partition`. */
  const ends = new Map<string, bigint>();
  /** The offset after the last record that was handed over, by `topic partition`. */
  const next = new Map<string, bigint>();
  try {
    for (const topic of topics) {
      for (const { partition, low, high } of await topicOffsets(admin, topic)) {
        if (high !== low) ends.set(`${topic} ${partition}`, BigInt(high));
      }
    }
  } catch (error) {
    await admin.disconnect();
    throw error;
  }
  const consumer = kafka.consumer({
    groupId,
    maxWaitTimeInMs: options.maxWaitTimeInMs ?? 100,
    minBytes: 1,
    allowAutoTopicCreation: false,
    sessionTimeout: 10_000,
    rebalanceTimeout: 15_000,
    heartbeatInterval: 2_000,
    retry: { initialRetryTime: 100, maxRetryTime: 2_000, retries: 12 },
  });
  const watch = context.health?.watch(`reader of ${topics.join(", ")}`, maximumSilenceMs);
  // An answered fetch is progress, also an empty one.
  consumer.on(consumer.events.FETCH, () => watch?.progress());
  const stop = async (): Promise<void> => {
    watch?.end();
    try {
      await consumer.disconnect();
      await admin.deleteGroups([groupId]);
    } catch (error) {
      // An empty group without offsets vanishes by itself.
      context.logger.debug({ err: error, groupId }, "the reader's group could not be deleted");
    } finally {
      await admin.disconnect();
    }
  };
  let caughtUp: () => void = () => undefined;
  let failed: (error: unknown) => void = () => undefined;
  const reached = new Promise<void>((resolve, reject) => {
    caughtUp = resolve;
    failed = reject;
  });
  // The caller hears of a failure before the end is reached by rejection, later ones are fatal.
  reached.catch(() => undefined);
  const fatal = (error: unknown): void => {
    failed(error);
    context.fatal(error);
  };
  failOnCrash(consumer, { fatal, logger: context.logger });
  if (ends.size === 0) caughtUp();
  try {
    await consumer.connect();
    await consumer.subscribe({ topics: [...topics], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatch: async ({ batch }) => {
        const { topic, partition, messages } = batch;
        const name = `${topic} ${partition}`;
        try {
          for (const message of messages) {
            const offset = BigInt(message.offset);
            // Without a position of its own, a consumer that kafkajs restarts begins at the beginning again.
            if (offset < (next.get(name) ?? 0n)) continue;
            options.onRecord(received(topic, partition, message));
            next.set(name, offset + 1n);
          }
        } catch (error) {
          fatal(error);
          return;
        }
        const end = ends.get(name);
        if (end !== undefined && BigInt(batch.lastOffset()) + 1n >= end) {
          ends.delete(name);
          if (ends.size === 0) caughtUp();
        }
      },
    });
    await reached;
  } catch (error) {
    await stop();
    throw error;
  }
  return { stop };
}
