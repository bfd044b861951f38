/**
 * The consumer loop: at least once, in order within a partition (and so within a key), with back-pressure:
 *
 * records go to the handler as they come, but when too many are not safe yet, nothing more is read. An offset is
 * committed only after the handler resolved for all records up to it, that is, after their effect is safe.
 */
import kafkajs, {
  type Admin,
  type Consumer,
  type EachBatchPayload,
  type Kafka,
  type PartitionAssigner,
} from "kafkajs";
import { setTimeout as delay } from "node:timers/promises";
import type { ProgressWatch } from "../core/health.ts";
import type { ServiceContext } from "../core/service.ts";
import { Assignments, type Ownership } from "./consumer-assignment.ts";
import { OffsetCommitter } from "./offset-committer.ts";
import { Outstanding } from "./outstanding.ts";
import { received, type ReceivedRecord } from "./record.ts";
import { topicOffsets } from "./topic-offsets.ts";

/** Longest time without progress before the service counts as unhealthy. */
const maximumSilenceMs = 60_000;

/** The broker answers an empty fetch after this time; kafkajs's default of 5 s delays every stop and rejoin. */
const maxWaitTimeInMs = 100;

/** Milliseconds between two signs of life to the group's coordinator. */
const heartbeatInterval = 2_000;

/** A partition of a topic. */
export interface PartitionName {
  readonly topic: string;
  readonly partition: number;
}

/** A partition that the group has given us. */
export interface AssignedPartition extends PartitionName {
  /** Offset of the next record to read by the group's word; undefined when nothing was ever committed. */
  readonly committed: string | undefined;
}

/**
 * Rejected by a handler whose partition was taken away under it: the records are not safe, whoever owns the partition
 * next gets them again, and nothing of it is committed any more. Not an error of the service.
 */
export class RecordsAbandonedError extends Error {
  constructor({ topic, partition }: PartitionName, cause?: unknown) {
    super(`records of ${topic} ${partition} are left to the partition's next owner`, { cause });
    this.name = "RecordsAbandonedError";
  }
}

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
   * that cannot be processed are the handler's to put aside. But {@link RecordsAbandonedError} is not.
   */
  handle(records: readonly ReceivedRecord[]): Promise<void>;
  /**
   * The group gave us a partition that was not ours without a break (same member, one rebalance after the other).
   * Its records are handed over once this has resolved; rejecting is fatal. {@link revoked} may come before that.
   * @param progress to be called again and again by what takes long, as reading a whole log does: meanwhile nothing is
   *   fetched, and after a minute of silence the service counts as unhealthy.
   */
  assigned?(partition: AssignedPartition, progress: () => void): Promise<void>;
  /**
   * A partition is not ours any more: by a rebalance, because the membership was lost, or because the consumer stops
   * (then the group is left after this has resolved). Not called for partitions that stay ours.
   */
  revoked?(partition: PartitionName): Promise<void> | void;
  /** Records handed over at once. Default 500. */
  maximumRecords?: number;
  /** Records handed over and not yet safe, over all partitions; above it nothing more is read. Default 2,000. */
  maximumOutstanding?: number;
}

/** A running consumer. */
export interface RunningConsumer {
  readonly groupId: string;
  readonly topics: readonly string[];
  /**
   * Lets go of a partition and takes it again: waits until the group's coordinator has confirmed that it is still
   * ours (two heartbeats, so some seconds), then calls `revoked` and `assigned`, and hands over everything behind the
   * committed offset again. Does nothing when the partition goes to another member instead.
   */
  restart(partition: PartitionName): void;
  /** Finishes the records in hand, commits, leaves the group. */
  stop(): Promise<void>;
}

/**
 * Joins the group and begins to consume: from the committed offsets, or from the beginning where there are none.
 * It stops with the service.
 * @throws KafkaJSError when no broker can be reached or a topic does not exist.
 */
export async function startConsumer(options: ConsumerOptions): Promise<RunningConsumer> {
  const consumer = new GroupConsumer(options);
  await consumer.start();
  options.context.onStop(`consumer ${options.groupId}`, () => consumer.stop());
  return consumer;
}

/** See {@link startConsumer}. */
class GroupConsumer implements RunningConsumer {
  readonly groupId: string;
  readonly topics: readonly string[];
  readonly #options: ConsumerOptions;
  readonly #consumer: Consumer;
  readonly #committer: OffsetCommitter;
  readonly #outstanding = new Outstanding();
  readonly #assignments = new Assignments();
  /** Calls of the hooks, one after the other for each partition. */
  readonly #hooks = new Map<string, Promise<void>>();
  readonly #watch: ProgressWatch;
  #stopping = false;
  #stopped: Promise<void> | undefined;

  constructor(options: ConsumerOptions) {
    const { context, groupId, topics } = options;
    this.groupId = groupId;
    this.topics = topics;
    this.#options = options;
    this.#consumer = options.kafka.consumer({
      groupId,
      maxWaitTimeInMs,
      minBytes: 1,
      maxBytesPerPartition: 1024 * 1024,
      sessionTimeout: 10_000,
      rebalanceTimeout: 15_000,
      heartbeatInterval,
      allowAutoTopicCreation: false,
      partitionAssigners: [countingAssigner(() => this.#assignments.joining())],
      retry: { initialRetryTime: 100, maxRetryTime: 2_000, retries: 12 },
    });
    this.#watch = context.health.watch(`consumer ${topics.join(", ")}`, maximumSilenceMs);
    this.#committer = new OffsetCommitter((offsets) => this.#consumer.commitOffsets(offsets), context);
  }

  async start(): Promise<void> {
    const { topics, context } = this.#options;
    const { events } = this.#consumer;
    failOnCrash(this.#consumer, context);
    this.#consumer.on(events.GROUP_JOIN, ({ payload }) =>
      this.#joined(payload.memberId, payload.memberAssignment),
    );
    this.#consumer.on(events.HEARTBEAT, () => {
      for (const owned of this.#assignments.all) owned.confirmed();
    });
    // An answered fetch is progress only while no handler is stuck.
    this.#consumer.on(events.FETCH, () => {
      if (this.#outstanding.records === 0) this.#watch.progress();
    });
    // Transaction markers behind the last record are handed to nobody, but they are read: without them the committed
    // offset would never reach the log's end.
    this.#consumer.on(events.END_BATCH_PROCESS, ({ payload }) => {
      const { topic, partition, batchSize, lastOffset } = payload;
      // A string in the types, but null when a fetch brought nothing that was asked for.
      const firstOffset = payload.firstOffset as string | null;
      const owned = this.#assignments.of(topic, partition);
      if (batchSize > 0 || owned?.isReady !== true || firstOffset === null) return;
      if (owned.position === undefined || owned.position === BigInt(firstOffset)) {
        this.#add(owned, [], lastOffset);
      }
    });
    await this.#consumer.connect();
    await this.#consumer.subscribe({ topics: [...topics], fromBeginning: true });
    await this.#consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      // At least one handler a partition: one slow partition does not hold up the others.
      partitionsConsumedConcurrently: 16,
      eachBatch: (work) => this.#take(work),
    });
  }

  restart({ topic, partition }: PartitionName): void {
    const owned = this.#assignments.of(topic, partition);
    if (owned === undefined || this.#stopping) return;
    const next = this.#assignments.replace(owned);
    next.ready = this.#prepare(
      next,
      async () => {
        if (!(await next.stillOurs())) return false;
        await this.#options.revoked?.({ topic, partition });
        return true;
      },
      async () => {
        next.position ??= await this.#logStart(next);
        this.#seek(next);
      },
    );
  }

  stop(): Promise<void> {
    this.#stopped ??= (async () => {
      this.#watch.end();
      this.#stopping = true;
      this.#consumer.pause(this.topics.map((topic) => ({ topic })));
      // The handlers finish while the membership, and with it the right to commit, remains.
      await this.#outstanding.none();
      await this.#committer.flush();
      for (const owned of this.#assignments.clear()) this.#revoke(owned);
      await Promise.all(this.#hooks.values());
      await this.#consumer.stop();
      await this.#consumer.disconnect();
    })();
    return this.#stopped;
  }

  #joined(memberId: string, assignment: Record<string, number[]>): void {
    this.#committer.newGeneration();
    const { revoked, assigned } = this.#assignments.joined(memberId, assignment);
    for (const owned of revoked) this.#revoke(owned);
    for (const owned of assigned) owned.ready = this.#prepare(owned, () => Promise.resolve(true));
  }

  #revoke({ topic, partition }: Ownership): void {
    const options = this.#options;
    if (options.revoked === undefined) return;
    // Not queued behind the hook that is running: it may be an `assigned` that has to learn of this.
    const done = Promise.resolve(options.revoked({ topic, partition })).catch((error: unknown) =>
      options.context.fatal(error),
    );
    void this.#queue(`${topic} ${partition}`, () => done);
  }

  /**
   * Makes a partition ready for its records.
   * @param first what has to be done before; false: nothing follows.
   * @param then what has to be done when `assigned` has resolved.
   */
  #prepare(owned: Ownership, first: () => Promise<boolean>, then?: () => Promise<void>): Promise<void> {
    const options = this.#options;
    if (options.assigned === undefined) {
      owned.isReady = true;
      return Promise.resolve();
    }
    const { topic, partition } = owned;
    return this.#queue(`${topic} ${partition}`, async () => {
      try {
        if (!(await first()) || !owned.active) return;
        const committed = await this.#committed(owned);
        if (!owned.active) return;
        await options.assigned?.({ topic, partition, committed }, () => this.#watch.progress());
        if (!owned.active) return;
        if (committed !== undefined) owned.position = BigInt(committed);
        await then?.();
        owned.isReady = true;
      } catch (error) {
        // An attempt that was cut short because the partition went elsewhere is no failure.
        if (!owned.active || this.#stopping) return;
        // Whoever waits for the partition stops waiting.
        this.#stopping = true;
        options.context.fatal(error);
      }
    });
  }

  #queue(name: string, hook: () => Promise<void>): Promise<void> {
    const tail = (this.#hooks.get(name) ?? Promise.resolve()).then(hook);
    this.#hooks.set(name, tail);
    return tail;
  }

  /** Reads on at the ownership's position. */
  #seek({ topic, partition, position }: Ownership): void {
    if (position !== undefined) this.#consumer.seek({ topic, partition, offset: position.toString() });
  }

  async #committed({ topic, partition }: PartitionName): Promise<string | undefined> {
    const offsets = await this.#ask((admin) =>
      admin.fetchOffsets({ groupId: this.groupId, topics: [topic] }),
    );
    const found = offsets[0]?.partitions.find((entry) => entry.partition === partition)?.offset;
    return found === undefined || found.startsWith("-") ? undefined : found;
  }

  async #logStart({ topic, partition }: PartitionName): Promise<bigint> {
    const offsets = await this.#ask((admin) => topicOffsets(admin, topic));
    return BigInt(offsets.find((entry) => entry.partition === partition)?.low ?? "0");
  }

  async #ask<Answer>(question: (admin: Admin) => Promise<Answer>): Promise<Answer> {
    const admin = this.#options.kafka.admin();
    try {
      await admin.connect();
      return await question(admin);
    } finally {
      await admin.disconnect();
    }
  }

  async #take(work: EachBatchPayload): Promise<void> {
    const { context, maximumRecords = 500, maximumOutstanding = 2_000 } = this.#options;
    const { topic, partition, messages, highWatermark } = work.batch;
    const owned = this.#assignments.of(topic, partition);
    if (owned === undefined) return;
    while (!owned.isReady && owned.active && !this.#stopping) {
      const pause = new AbortController();
      const over = delay(heartbeatInterval / 2, undefined, { signal: pause.signal }).catch(() => undefined);
      await Promise.race([owned.ready, over]);
      pause.abort();
      await work.heartbeat();
    }
    const isDone = (): boolean =>
      this.#stopping || !owned.isReady || !owned.active || !work.isRunning() || work.isStale();
    if (isDone()) return;
    const { fetchedOffset } = work.batch as unknown as { fetchedOffset: string };
    if (owned.position !== undefined && owned.position !== BigInt(fetchedOffset)) {
      // Asked for by a former membership, and answered after the new one began.
      this.#seek(owned);
      return;
    }
    for (let start = 0; start < messages.length; start += maximumRecords) {
      while (this.#outstanding.records >= maximumOutstanding && !this.#stopping) {
        await this.#outstanding.change(heartbeatInterval / 2);
        // Back-pressure must not cost the membership.
        await work.heartbeat();
      }
      if (isDone()) return;
      const records = messages
        .slice(start, start + maximumRecords)
        .map((message) => received(topic, partition, message));
      const last = (records.at(-1) as ReceivedRecord).offset;
      const isLast = start + maximumRecords >= messages.length;
      // Behind the last record there may be transaction markers.
      this.#add(owned, records, isLast ? work.batch.lastOffset() : last);
      // The next fetch goes on behind these; what a restart begins with is what was committed.
      work.resolveOffset(last);
      context.metrics.consumerLag.set(
        { topic, partition: String(partition) },
        Math.max(0, Number(BigInt(highWatermark) - BigInt(last) - 1n)),
      );
      await work.heartbeat();
    }
  }

  /**
   * Begins to handle records; offsets up to `last` are committed when they and all before them in the partition are
   * safe and the partition is still ours.
   */
  #add(owned: Ownership, records: readonly ReceivedRecord[], last: string): void {
    const { context } = this.#options;
    const { topic, partition } = owned;
    const { generation } = this.#committer;
    const handled = records.length === 0 ? Promise.resolve() : this.#options.handle(records);
    context.metrics.eventsIn.inc({ source: topic }, records.length);
    if (owned.position !== undefined) owned.position = BigInt(last) + 1n;
    this.#outstanding
      .add(owned.name, records.length, handled, () => {
        this.#watch.progress();
        if (owned.active) this.#committer.handled(generation, topic, partition, last);
      })
      .catch((error: unknown) => {
        // Nothing of this ownership after a failure is committed; the next one begins there.
        if (error instanceof RecordsAbandonedError) {
          context.logger.info({ topic, partition }, error.message);
          return;
        }
        this.#stopping = true;
        context.fatal(error);
      });
  }
}

/** kafkajs's own assigner, which also tells of every attempt to join: it is asked for the subscription each time. */
function countingAssigner(joining: () => void): PartitionAssigner {
  return (config) => {
    const assigner = kafkajs.PartitionAssigners.roundRobin(config);
    return {
      ...assigner,
      protocol: (subscription) => {
        joining();
        return assigner.protocol(subscription);
      },
    };
  };
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
