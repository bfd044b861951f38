/**
 * The partitions that this process executes. Taking one: fence whoever wrote for it before, read its journal to the
 * end, settle with the venue what is open, then take work. Losing one: stop, and wait for the group's word.
 */
import { setTimeout as delay } from "node:timers/promises";
import { RecordsAbandonedError, type PartitionName } from "../bus/consumer.ts";
import type { Kafka } from "../bus/kafka.ts";
import { readPartition } from "../bus/partition-log.ts";
import type { BatchingProducer } from "../bus/producer.ts";
import type { ReceivedRecord } from "../bus/record.ts";
import { topics } from "../bus/topics.ts";
import { openTransactionalProducer } from "../bus/transaction.ts";
import type { ExecutionVenue } from "../core/execution-venue.ts";
import type { ServiceContext } from "../core/service.ts";
import { EndedCommands } from "./ended-commands.ts";
import { PartitionExecutor, type Gates, type PartitionLog } from "./executor.ts";
import { Recovery } from "./journal.ts";
import type { ExecutionMetrics } from "./metrics.ts";

/**
 * How long new work waits for what a former owner left open, in milliseconds. Most of it is known at the first question;
 * what needs longer (an order that rests, a deadline that is to pass) is settled beside new work.
 */
const settleFirstMs = 2_000;

/** Opens the log of a partition; every earlier owner can commit nothing any more when it resolves. */
export type OpenLog = (
  partition: number,
  options: { kafka: Kafka; venue: string; context: ServiceContext; signal: AbortSignal },
) => Promise<PartitionLog>;

/** The log that executors use: a transactional producer for each venue and partition. */
export const openPartitionLog: OpenLog = (partition, { kafka, venue, context, signal }) =>
  openTransactionalProducer({
    kafka,
    transactionalId: `executor-${venue}-${partition}`,
    partitions: [
      { topic: topics.journal.name, partition },
      { topic: topics.tradeResult.name, partition },
    ],
    context,
    signal,
  });

/** Arguments of {@link Partitions}. */
export interface PartitionsOptions {
  kafka: Kafka;
  venue: ExecutionVenue;
  gates: Gates;
  deadLetters: Pick<BatchingProducer, "send">;
  context: ServiceContext;
  metrics: ExecutionMetrics;
  openLog: OpenLog;
  /**
   * Called when a partition's past is known and before it takes work. @param signal aborted when it is taken away.
   * Rejecting without that is fatal.
   */
  beforeWork?(partition: number, signal: AbortSignal, progress: () => void): Promise<void>;
  /** Asks the group to give a partition again, when the right to write for it is gone. */
  restart(partition: PartitionName): void;
}

/** A partition that is ours, or is being taken. */
interface Owned {
  abort: AbortController;
  executor?: PartitionExecutor;
  ended: EndedCommands;
}

/** See the module's description. */
export class Partitions {
  readonly #options: PartitionsOptions;
  readonly #owned = new Map<number, Owned>();

  constructor(options: PartitionsOptions) {
    this.#options = options;
    // The consumer stops once its handlers have ended: none may wait for commands to end, which can take their deadlines.
    options.context.signal.addEventListener("abort", () => {
      for (const executor of this.executors) executor.stopTaking();
    });
  }

  /** The partitions that are ours. */
  get numbers(): number[] {
    return [...this.#owned.keys()];
  }

  /** The executors that take work. */
  get executors(): PartitionExecutor[] {
    return [...this.#owned.values()].flatMap(({ executor }) => executor ?? []);
  }

  /** What is remembered of ended commands, by partition. */
  get ended(): EndedCommands[] {
    return [...this.#owned.values()].map(({ ended }) => ended);
  }

  /** Takes a partition. @param progress called for each entry that is read. @throws JournalError; the signal's reason when it is taken away meanwhile. */
  async assigned({ partition }: PartitionName, progress: () => void = () => undefined): Promise<void> {
    const { kafka, venue, gates, deadLetters, context, metrics, openLog } = this.#options;
    const abort = new AbortController();
    const ended = new EndedCommands();
    const owned: Owned = { abort, ended };
    this.#owned.set(partition, owned);
    const { signal } = abort;
    const log = await openLog(partition, { kafka, venue: venue.name, context, signal });
    try {
      const recovery = new Recovery(venue.name, (command, reference) => ended.add(command, reference));
      await readPartition({
        kafka,
        topic: topics.journal.name,
        partition,
        onRecord: (record) => {
          recovery.take(record);
          progress();
        },
        signal,
        logger: context.logger,
      });
      const epoch = recovery.epoch + 1;
      const { open } = recovery;
      context.logger.info({ partition, epoch, ended: ended.size, open: open.size }, "partition taken");
      await this.#options.beforeWork?.(partition, signal, progress);
      signal.throwIfAborted();
      const executor = new PartitionExecutor({
        venue,
        partition,
        epoch,
        log,
        gates,
        deadLetters,
        context,
        metrics,
        open,
        ended,
      });
      owned.executor = executor;
      const settled = executor.resume();
      await Promise.race([settled, delay(settleFirstMs, undefined, { ref: false })]);
    } catch (error) {
      if (owned.executor === undefined) await log.abandon();
      throw error;
    }
    void log.lost.then((error) => this.#lost(partition, owned, error));
  }

  /** Gives a partition away; resolves when nothing of it is under way. */
  async revoked({ partition }: PartitionName): Promise<void> {
    const owned = this.#owned.get(partition);
    if (owned === undefined) return;
    this.#owned.delete(partition);
    owned.abort.abort(new Error(`partition ${partition} was taken away`));
    await owned.executor?.close();
    this.#options.context.logger.info({ partition }, "partition given away");
  }

  /** Takes commands of one partition; see {@link PartitionExecutor.handle}. */
  handle(records: readonly ReceivedRecord[]): Promise<void> {
    const [first] = records;
    if (first === undefined) return Promise.resolve();
    const executor = this.#owned.get(first.partition)?.executor;
    return executor?.handle(records) ?? Promise.reject(new RecordsAbandonedError(first));
  }

  #lost(partition: number, owned: Owned, error: Error): void {
    // Given away before: its successor has begun, as it should.
    if (this.#owned.get(partition) !== owned) return;
    const { context, metrics, venue } = this.#options;
    metrics.partitionsLost.inc({ venue: venue.name });
    context.logger.warn({ err: error, partition }, "the right to write for a partition is gone");
    this.#options.restart({ topic: topics.executeTrade.name, partition });
  }
}
