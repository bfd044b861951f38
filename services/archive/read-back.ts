/**
 * Reads back what was archived, once, in the background: every object is fetched from the bucket and checked by another
 * thread. Objects of a partition one after the other, several partitions at the same time.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "../core/log.ts";
import type { ArchivedObject, ArchivedPartition } from "./archived-partition.ts";
import type { ClusterArchive } from "./cluster-archive.ts";
import { type PendingPromise, pendingPromise } from "./concurrency.ts";
import { type ExpectedObject, expectedOf, metadataOf, wrongContent } from "./object.ts";
import { ObjectScanner } from "./object-scanner.ts";
import { untilItWorks } from "./retry.ts";

/** Arguments of {@link ReadBack}. */
export interface ReadBackOptions {
  archive: ClusterArchive;
  logger: Logger;
  /** Ends it. */
  signal: AbortSignal;
  /** Whether there is so much to store that reading back had better wait. Default: never. */
  isBehind?: () => boolean;
  /**
   * A pending object is missing or wrong: its partition has to forget it, or it is not looked at again before
   * {@link ReadBack.add}.
   */
  onDamage: (partition: ArchivedPartition, object: ArchivedObject, reason: string) => void;
  /** Told of each failure of the bucket. */
  onFailure: (error: Error) => void;
}

/** One is checked while the next one is fetched. */
const atOnce = 2;
/**
 * What is not in the bucket yet has the right of way, but not for ever: an archiver that is behind all day must not leave
 * everything unread to the seal.
 */
const longestHoldMs = 30_000;
const holdCheckMs = 50;

/** See the module's description. */
export class ReadBack {
  readonly #options: ReadBackOptions;
  readonly #scanner = new ObjectScanner();
  /** Partitions with something to do that nobody works at. */
  readonly #queue = new Set<ArchivedPartition>();
  readonly #worked = new Set<ArchivedPartition>();
  #runners = 0;
  #idle: PendingPromise | undefined;
  /** Since when the export has been behind; undefined while it is not. */
  #behindSince: number | undefined;

  constructor(options: ReadBackOptions) {
    this.#options = options;
  }

  /** There is something to be read back in the partition, or something that failed is to be tried again. */
  add(partition: ArchivedPartition): void {
    if (partition.pending === 0 || this.#worked.has(partition)) return;
    this.#queue.add(partition);
    if (this.#runners >= atOnce) return;
    this.#runners++;
    void this.#run();
  }

  /** Resolves when there is nothing left to do. */
  get done(): Promise<void> {
    if (this.#runners === 0) return Promise.resolve();
    return (this.#idle ??= pendingPromise()).promise;
  }

  close(): Promise<void> {
    return this.#scanner.close();
  }

  async #run(): Promise<void> {
    for (const partition of this.#queue) {
      await this.#untilItsTurn();
      if (this.#options.signal.aborted) break;
      this.#queue.delete(partition);
      const object = partition.nextPending;
      if (object === undefined) continue;
      this.#worked.add(partition);
      let isGood = false;
      try {
        isGood = await this.#readBack(partition, object);
      } catch (error) {
        if (!this.#options.signal.aborted) {
          this.#options.logger.error({ err: error, object: object.name }, "reading back failed");
        }
      }
      this.#worked.delete(partition);
      // Behind all others: each has its turn. A set's loop meets what is added during it.
      if (isGood && partition.pending > 0) this.#queue.add(partition);
    }
    this.#runners--;
    if (this.#runners > 0) return;
    this.#idle?.resolve();
    this.#idle = undefined;
  }

  async #untilItsTurn(): Promise<void> {
    const { isBehind, signal } = this.#options;
    while (isBehind?.() === true && !signal.aborted) {
      this.#behindSince ??= performance.now();
      if (performance.now() - this.#behindSince > longestHoldMs) return;
      await delay(holdCheckMs);
    }
    this.#behindSince = undefined;
  }

  /** @returns whether to go on with the partition. */
  async #readBack(partition: ArchivedPartition, object: ArchivedObject): Promise<boolean> {
    const { archive, logger, signal, onFailure, onDamage } = this.#options;
    const what = `read back ${object.name}`;
    const stored = await untilItWorks(() => archive.get(object.name), { what, logger, signal, onFailure });
    const isCurrent = (): boolean => partition.nextPending === object;
    // Set back while it was fetched.
    if (!isCurrent()) return true;
    const noted = stored === undefined ? undefined : expectedOf(stored.metadata);
    const early = stored === undefined ? "is missing in the bucket" : wrongMetadata(noted, object.expected);
    let damage = early ?? wrongPlace(noted, partition);
    if (damage === undefined && stored !== undefined && noted !== undefined) {
      const { first, last, name } = object;
      const { topic, partition: number } = partition;
      const range = { topic, partition: number, first, last };
      const bytes = stored.body.length;
      try {
        const content = await this.#scanner.scan(name, range, stored.body, noted.before);
        if (!isCurrent()) return true;
        damage = wrongContent(content, noted);
        if (damage === undefined) partition.confirm(object, content, { bytes, etag: stored.etag });
      } catch (error) {
        if ((error as Error).name !== "ArchiveObjectError") throw error;
        if (!isCurrent()) return true;
        damage = (error as Error).message.slice(name.length + 2);
      }
    }
    if (damage === undefined) return true;
    onDamage(partition, object, `${object.name}: ${damage}`);
    return partition.nextPending !== object;
  }
}

function wrongMetadata(
  noted: ExpectedObject | undefined,
  written: ExpectedObject | undefined,
): string | undefined {
  if (noted === undefined) return "its metadata is not the archiver's";
  if (written === undefined) return undefined;
  const isAsWritten = Object.entries(metadataOf(written)).every(
    ([name, value]) => metadataOf(noted)[name] === value,
  );
  return isAsWritten ? undefined : "its metadata is not what was written";
}

function wrongPlace(noted: ExpectedObject | undefined, { verified }: ArchivedPartition): string | undefined {
  if (noted === undefined) return undefined;
  const { records, sha256 } = noted.before;
  return records === verified.records && sha256 === verified.sha256
    ? undefined
    : "does not continue the chain of the objects before it";
}
