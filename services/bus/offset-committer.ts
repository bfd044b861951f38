/**
 * Commits offsets behind the handlers' backs: one commit in flight, a pause after it, the newest offset of every
 * partition in the next. The handlers do not wait for it, because a commit is a replicated write of its own and only says
 * from where to repeat. Offsets of a former membership are dropped: another member may own the partition now.
 */
import type { TopicPartitionOffsetAndMetadata } from "kafkajs";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "../core/log.ts";

/**
 * Pause after a commit, in milliseconds: as much is repeated more when a member dies. Without it, commits follow each
 * other as fast as the broker answers, and each of them costs what reading and writing a batch costs (measured: see
 * docs/performance.md).
 */
const pauseMs = 100;

/** Pause after a failed commit, in milliseconds, and how many failures in a row end the attempts. */
const retryMs = 100;
const maximumFailures = 50;

/** See the module's description. */
export class OffsetCommitter {
  readonly #commit: (offsets: TopicPartitionOffsetAndMetadata[]) => Promise<void>;
  readonly #logger: Logger;
  #pending = new Map<string, TopicPartitionOffsetAndMetadata>();
  #running: Promise<void> | undefined;
  /** Aborted while somebody waits for the commits. */
  #hurry = new AbortController();
  #generation = 0;

  /** @param commit writes the offsets of the next records to read. */
  constructor(
    commit: (offsets: TopicPartitionOffsetAndMetadata[]) => Promise<void>,
    context: { logger: Logger },
  ) {
    this.#commit = commit;
    this.#logger = context.logger;
  }

  /** Number of the present membership; a handler takes it before it begins. */
  get generation(): number {
    return this.#generation;
  }

  /** The group has been joined anew: what is not committed yet will be read again by whoever owns it. */
  newGeneration(): void {
    this.#generation += 1;
    this.#pending.clear();
  }

  /** The effect of all records up to `offset` (inclusive) is safe. */
  handled(generation: number, topic: string, partition: number, offset: string): void {
    if (generation !== this.#generation) return;
    const next = (BigInt(offset) + 1n).toString();
    this.#pending.set(`${topic} ${partition}`, { topic, partition, offset: next });
    this.#running ??= Promise.resolve().then(() => this.#run());
  }

  /** Resolves when everything handled so far is committed, or a commit has failed. */
  async flush(): Promise<void> {
    while (this.#running !== undefined) {
      this.#hurry.abort();
      await this.#running;
    }
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (this.#pending.size > 0) {
      const generation = this.#generation;
      const offsets = [...this.#pending.values()];
      this.#pending.clear();
      try {
        await this.#commit(offsets);
        failures = 0;
        await this.#pause();
      } catch (error) {
        // Not dangerous: what is not committed is read again. When the membership was lost, newGeneration() follows.
        failures += 1;
        this.#logger.warn({ err: error, failures }, "offsets could not be committed");
        if (failures === maximumFailures) continue;
        await delay(retryMs);
        if (generation === this.#generation) this.#putBack(offsets);
      }
    }
    this.#running = undefined;
  }

  async #pause(): Promise<void> {
    await delay(pauseMs, undefined, { signal: this.#hurry.signal }).catch(() => undefined);
    if (this.#hurry.signal.aborted) this.#hurry = new AbortController();
  }

  #putBack(offsets: readonly TopicPartitionOffsetAndMetadata[]): void {
    for (const offset of offsets) {
      const name = `${offset.topic} ${offset.partition}`;
      if (!this.#pending.has(name)) this.#pending.set(name, offset);
    }
  }
}
