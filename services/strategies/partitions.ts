/**
 * A strategy over the partitions that its consumer group gives this process: rebuilds the states of a partition before
 * its first record, writes commands, and tells the consumer when what follows from a record is safe.
 */
import { putAside } from "../bus/dead-letters.ts";
import type { BatchingProducer } from "../bus/producer.ts";
import type { ReceivedRecord } from "../bus/record.ts";
import type { ServiceContext } from "../core/service.ts";
import { fromInstant } from "../core/time.ts";
import { Reactor } from "./reactor.ts";
import type { InputType, Strategy } from "./strategy.ts";

/** A partition of a topic. */
export interface TopicPartition {
  topic: string;
  partition: number;
}

/** Reads the records of a partition below `end`, from its beginning, in order. */
export type ReadUpTo = (
  partition: TopicPartition,
  end: bigint,
  onRecord: (record: ReceivedRecord) => void,
  signal: AbortSignal,
) => Promise<unknown>;

/** Arguments of {@link StrategyPartitions}. */
export interface StrategyPartitionsOptions<Input extends InputType, State> {
  strategy: Strategy<Input, State>;
  producer: Pick<BatchingProducer, "send" | "sendAll">;
  read: ReadUpTo;
  context: Pick<ServiceContext, "settings" | "logger" | "metrics">;
}

interface Owned<Input extends InputType, State> {
  reactor: Reactor<Input, State>;
  /** Resolves when everything that follows from the records taken so far is safe. */
  safe: Promise<unknown>;
  abort: AbortController;
}

/** See the module's description. */
export class StrategyPartitions<Input extends InputType, State> {
  readonly #options: StrategyPartitionsOptions<Input, State>;
  readonly #owned = new Map<string, Owned<Input, State>>();

  constructor(options: StrategyPartitionsOptions<Input, State>) {
    this.#options = options;
  }

  /**
   * Takes a partition over: applies everything below the group's committed offset, without output.
   * @param committed offset of the first record whose output may be missing; undefined when there never was any.
   * @param progress called for each record that is applied.
   * @throws what `read` throws, unless the partition is given up meanwhile.
   */
  async assigned(
    partition: TopicPartition & { committed: string | undefined },
    progress: () => void = () => undefined,
  ): Promise<void> {
    const { strategy, read, context } = this.#options;
    const abort = new AbortController();
    const reactor = new Reactor(strategy, partition.topic);
    this.revoked(partition);
    this.#owned.set(nameOf(partition), { reactor, safe: Promise.resolve(), abort });
    if (partition.committed === undefined) return;
    const begun = performance.now();
    let records = 0;
    try {
      await read(
        partition,
        BigInt(partition.committed),
        (record) => {
          reactor.take(record);
          records += 1;
          progress();
        },
        // Not the service's own signal: a stop ends with `revoked`. To resolve earlier would let records be handled on
        // a state that has seen only a part of its past.
        abort.signal,
      );
    } catch (error) {
      if (abort.signal.aborted) return;
      throw error;
    }
    const { topic, partition: number, committed } = partition;
    const milliseconds = Math.round(performance.now() - begun);
    context.logger.info({ topic, partition: number, committed, records, milliseconds }, "state rebuilt");
  }

  /** Gives a partition up. */
  revoked(partition: TopicPartition): void {
    this.#owned.get(nameOf(partition))?.abort.abort();
    this.#owned.delete(nameOf(partition));
  }

  /**
   * Takes records of one partition, in order; queues all commands before it first waits.
   * Resolves when they are safe, and, where records came again, when all that followed from them before is.
   * @throws (rejects) when Kafka takes no more commands; Error for a partition that was not assigned.
   */
  handle(records: readonly ReceivedRecord[]): Promise<void> {
    const [first] = records;
    if (first === undefined) return Promise.resolve();
    const owned = this.#owned.get(nameOf(first));
    if (owned === undefined) {
      return Promise.reject(new Error(`records of ${nameOf(first)} came without an assignment`));
    }
    const before = owned.safe;
    const writing: Promise<unknown>[] = [];
    for (const record of records) {
      const outcome = owned.reactor.take(record);
      if (outcome.kind === "known") {
        // Its output may be on the way since an earlier delivery: this one is no more done than that is.
        if (!writing.includes(before)) writing.push(before);
      } else if (outcome.kind === "refused") {
        writing.push(putAside(record, outcome.error, this.#options.producer, this.#options.context));
      } else if (outcome.commands.length > 0) {
        const ingestedAt = fromInstant(outcome.cause.ingested_at);
        writing.push(this.#options.producer.sendAll(outcome.commands).then(() => this.#written(ingestedAt)));
      }
    }
    const all = Promise.all(writing).then(() => undefined);
    owned.safe = Promise.all([before, all]);
    // The consumer hears of a failure from `all`.
    owned.safe.catch(() => undefined);
    return all;
  }

  #written(ingestedAt: number): void {
    this.#options.context.metrics.stageLatency.observe({ stage: "cmd" }, (Date.now() - ingestedAt) / 1000);
  }
}

function nameOf({ topic, partition }: TopicPartition): string {
  return `${topic} ${partition}`;
}
