/**
 * The consumer loop: at least once, in order within a partition (and so within a key), with back-pressure:
 * the next records of a partition are read only when the handler is done with the ones before. An offset is
 * committed only after the handler resolved, that is, after the effect is safe.
 */
import type { Consumer, Kafka } from "kafkajs";
import type { ServiceContext } from "../core/service.ts";
import { OffsetCommitter } from "./offset-committer.ts";
import { received, type ReceivedRecord } from "./record.ts";

/** Longest time without progress before the service counts as unhealthy. */
const maximumSilenceMs = 60_000;

/** The broker answers an empty fetch after this time; kafkajs's default of 5 s delays every stop and rejoin. */
const maxWaitTimeInMs = 100;

/** Arguments of {@link startConsumer}. */
export interface ConsumerOptions {
  kafka: Kafka;
  /** Consumer group; the service's name. */
  groupId: string;
  topics: readonly string[];
  context: Pick<ServiceContext, "metrics" | "fatal" | "health" | "logger" | "onStop">;
  /**
   * Handles records of one partition, in order; resolves when their effect is safe. Rejecting is fatal:
   * records that cannot be processed are the handler's to put aside.
   */
  handle(records: readonly ReceivedRecord[]): Promise<void>;
  /** Records handed over at once. Default 500. */
  maximumRecords?: number;
}

/** A running consumer. */
export interface RunningConsumer {
  readonly groupId: string;
  readonly topics: readonly string[];
  /** Commits the offsets of everything handled so far. */
  commit(): Promise<void>;
  /** Finishes the records in hand, commits, leaves the group. */
  stop(): Promise<void>;
}

/**
 * Joins the group and begins to consume: from the committed offsets, or from the beginning where there are none.
 * It stops with the service.
 * @throws KafkaJSError when no broker can be reached or a topic does not exist.
 */
export async function startConsumer(options: ConsumerOptions): Promise<RunningConsumer> {
  const { context, groupId, topics, maximumRecords = 500 } = options;
  const consumer = options.kafka.consumer({
    groupId,
    maxWaitTimeInMs,
    minBytes: 1,
    maxBytesPerPartition: 1024 * 1024,
    sessionTimeout: 10_000,
    rebalanceTimeout: 15_000,
    heartbeatInterval: 2_000,
    allowAutoTopicCreation: false,
    retry: { initialRetryTime: 100, maxRetryTime: 2_000, retries: 12 },
  });
  const watch = context.health.watch(`consumer ${topics.join(", ")}`, maximumSilenceMs);
  const committer = new OffsetCommitter((offsets) => consumer.commitOffsets(offsets), context);
  failOnCrash(consumer, context);
  let handling = 0;
  let stopping = false;
  const idleWaiters: (() => void)[] = [];
  consumer.on(consumer.events.GROUP_JOIN, () => committer.newGeneration());
  // An answered fetch is progress only while no handler is stuck.
  consumer.on(consumer.events.FETCH, () => {
    if (handling === 0) watch.progress();
  });

  await consumer.connect();
  await consumer.subscribe({ topics: [...topics], fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachBatchAutoResolve: false,
    // At least one handler a partition: one slow partition does not hold up the others.
    partitionsConsumedConcurrently: 16,
    eachBatch: async (work) => {
      const { topic, partition, messages, highWatermark } = work.batch;
      const generation = committer.generation;
      for (let start = 0; start < messages.length; start += maximumRecords) {
        if (stopping || !work.isRunning() || work.isStale()) return;
        const records = messages
          .slice(start, start + maximumRecords)
          .map((message) => received(topic, partition, message));
        context.metrics.eventsIn.inc({ source: topic }, records.length);
        handling += 1;
        try {
          await options.handle(records);
        } catch (error) {
          stopping = true;
          context.fatal(error);
          // Leaves these records unresolved; the next start begins with them.
          return;
        } finally {
          handling -= 1;
          if (handling === 0) for (const resolve of idleWaiters.splice(0)) resolve();
        }
        const last = (records.at(-1) as ReceivedRecord).offset;
        watch.progress();
        work.resolveOffset(last);
        committer.handled(generation, topic, partition, last);
        context.metrics.consumerLag.set(
          { topic, partition: String(partition) },
          Math.max(0, Number(BigInt(highWatermark) - BigInt(last) - 1n)),
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
      if (handling > 0) await new Promise<void>((resolve) => idleWaiters.push(resolve));
      await committer.flush();
      await consumer.stop();
      await consumer.disconnect();
    })();
    return stopped;
  };
  context.onStop(`consumer ${groupId}`, stop);
  return { groupId, topics, commit: () => committer.flush(), stop };
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
