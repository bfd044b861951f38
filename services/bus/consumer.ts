/**
 * The consumer loop: at least once, in order within a partition (and so within a key), with back-pressure:
 *
 * records go to the handler as they come, but when too many are not safe yet, nothing more is read. An offset is
 * committed only after the handler resolved for all records up to it, that is, after their effect is safe.
 */
import type { Consumer, Kafka } from "kafkajs";
import type { ServiceContext } from "../core/service.ts";
import { OffsetCommitter } from "./offset-committer.ts";
import { Outstanding } from "./outstanding.ts";
import { received, type ReceivedRecord } from "./record.ts";

/** Longest time without progress before the service counts as unhealthy. */
const maximumSilenceMs = 60_000;

/** The broker answers an empty fetch after this time; kafkajs's default of 5 s delays every stop and rejoin. */
const maxWaitTimeInMs = 100;

/** Milliseconds between two signs of life to the group's coordinator. */
const heartbeatInterval = 2_000;

/** Arguments of {@link startConsumer}. */
export interface ConsumerOptions {
  kafka: Kafka;
  /** Consumer group; the service's name. */
  groupId: string;
  topics: readonly string[];
  context: Pick<ServiceContext, "metrics" | "fatal" | "health" | "logger" | "onStop">;
  /**
   * Handles records of one partition, in order; resolves when their effect is safe. It is called again before it
   * has resolved, so what must keep its order is queued before the first `await`. Rejecting is fatal: records
   * that cannot be processed are the handler's to put aside.
   */
  handle(records: readonly ReceivedRecord[]): Promise<void>;
  /** Records handed over at once. Default 500. */
  maximumRecords?: number;
  /** Records handed over and not yet safe, over all partitions; above it nothing more is read. Default 2,000. */
  maximumOutstanding?: number;
}

/** A running consumer. */
export interface RunningConsumer {
  readonly groupId: string;
  readonly topics: readonly string[];
  /** Finishes the records in hand, commits, leaves the group. */
  stop(): Promise<void>;
}

/**
 * Joins the group and begins to consume: from the committed offsets, or from the beginning where there are none.
 * It stops with the service.
 * @throws KafkaJSError when no broker can be reached or a topic does not exist.
 */
export async function startConsumer(options: ConsumerOptions): Promise<RunningConsumer> {
  const { context, groupId, topics, maximumRecords = 500, maximumOutstanding = 2_000 } = options;
  const consumer = options.kafka.consumer({
    groupId,
    maxWaitTimeInMs,
    minBytes: 1,
    maxBytesPerPartition: 1024 * 1024,
    sessionTimeout: 10_000,
    rebalanceTimeout: 15_000,
    heartbeatInterval,
    allowAutoTopicCreation: false,
    retry: { initialRetryTime: 100, maxRetryTime: 2_000, retries: 12 },
  });
  const watch = context.health.watch(`consumer ${topics.join(", ")}`, maximumSilenceMs);
  const committer = new OffsetCommitter((offsets) => consumer.commitOffsets(offsets), context);
  failOnCrash(consumer, context);
  const outstanding = new Outstanding();
  let stopping = false;
  consumer.on(consumer.events.GROUP_JOIN, () => committer.newGeneration());
  // An answered fetch is progress only while no handler is stuck.
  consumer.on(consumer.events.FETCH, () => {
    if (outstanding.records === 0) watch.progress();
  });

  /** Begins to handle records; their offset is committed when they and all before them in the partition are safe. */
  const begin = (records: readonly ReceivedRecord[], generation: number): void => {
    const { topic, partition, offset } = records.at(-1) as ReceivedRecord;
    context.metrics.eventsIn.inc({ source: topic }, records.length);
    outstanding
      .add(`${topic} ${partition}`, records.length, options.handle(records), () => {
        watch.progress();
        committer.handled(generation, topic, partition, offset);
      })
      .catch((error: unknown) => {
        // Nothing after a failure is committed; the next start begins there.
        stopping = true;
        context.fatal(error);
      });
  };

  await consumer.connect();
  await consumer.subscribe({ topics: [...topics], fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    // At least one handler a partition: one slow partition does not hold up the others.
    partitionsConsumedConcurrently: 16,
    eachBatch: async (work) => {
      const { topic, partition, messages, highWatermark } = work.batch;
      const { generation } = committer;
      for (let start = 0; start < messages.length; start += maximumRecords) {
        while (outstanding.records >= maximumOutstanding && !stopping) {
          await outstanding.change(heartbeatInterval / 2);
          // Back-pressure must not cost the membership.
          await work.heartbeat();
        }
        if (stopping || !work.isRunning() || work.isStale()) return;
        const records = messages
          .slice(start, start + maximumRecords)
          .map((message) => received(topic, partition, message));
        begin(records, generation);
        const { offset } = records.at(-1) as ReceivedRecord;
        // The next fetch goes on behind these; what a restart begins with is what was committed.
        work.resolveOffset(offset);
        context.metrics.consumerLag.set(
          { topic, partition: String(partition) },
          Math.max(0, Number(BigInt(highWatermark) - BigInt(offset) - 1n)),
        );
        await work.heartbeat();
      }
    },
  });

  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopped ??= (async () => {
      watch.end();
      stopping = true;
      consumer.pause(topics.map((topic) => ({ topic })));
      // The handlers finish while the membership, and with it the right to commit, remains.
      await outstanding.none();
      await committer.flush();
      await consumer.stop();
      await consumer.disconnect();
    })();
    return stopped;
  };
  context.onStop(`consumer ${groupId}`, stop);
  return { groupId, topics, stop };
}

/**
 * Makes a crash that kafkajs does not restart fatal: otherwise the process would stay alive and consume nothing.
 */
export function failOnCrash(consumer: Consumer, context: Pick<ServiceContext, "fatal" | "logger">): void {
  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (payload.restart) {
      context.logger.warn({ err: payload.error }, "the consumer crashed and is restarted");
    } else {
      context.fatal(new Error(`the consumer stopped: ${payload.error.message}`, { cause: payload.error }));
    }
  });
}
