/**
 * One partition on its way into the bucket: collects records, and stores an object when enough have come together or
 * the first has waited long enough. Objects of a partition are stored one after the other, so what is in the
 * bucket is always a beginning of the log, and a new archiver goes on where it ends.
 */
import { setTimeout as delay } from "node:timers/promises";
import { partitionKey } from "../bus/kafka-log.ts";
import type { PartitionReceiver } from "../bus/log-reader.ts";
import type { Logger } from "../core/log.ts";
import { longestChain } from "./chain.ts";
import type { ClusterArchive, ListedRange } from "./cluster-archive.ts";
import type { ArchivedRecord } from "./line.ts";
import { metadataOf, ObjectBuilder, type PreparedObject } from "./object.ts";
import { type ChainPoint, chainStart } from "./record-hash.ts";

/** When an object is complete. */
export interface Rotation {
  /** Size before compression, in bytes. */
  bytes: number;
  /** Age of the first record in it, in milliseconds. */
  ageMs: number;
}

/** An object in the bucket, and the chain behind it as its metadata tells. */
export interface StoredRange extends ListedRange {
  behind: ChainPoint;
}

/** Arguments of {@link PartitionExport}. */
export interface PartitionExportOptions {
  topic: string;
  partition: number;
  archive: ClusterArchive;
  /** What the bucket holds of this partition. */
  stored: readonly StoredRange[];
  rotation: Rotation;
  logger: Logger;
  /** Told how many records an object stored. */
  onStored: (records: number) => void;
  /** Ends the retries of an upload. */
  signal: AbortSignal;
}

/** See the module's description. */
export class PartitionExport implements PartitionReceiver {
  readonly topic: string;
  readonly partition: number;
  /** Records that the brokers deleted before they could be archived. */
  readonly losses: string[] = [];
  /** Where gapless runs of objects begin: 0, and behind each loss. */
  readonly starts: bigint[] = [0n];
  /** Names of objects found damaged and not written again since. */
  readonly unusable = new Set<string>();
  broken: string | undefined;
  readonly #options: PartitionExportOptions;
  /** The chain by the offset it stands in front of, at the edges of the objects. */
  readonly #points = new Map<bigint, ChainPoint>();
  #builder: ObjectBuilder;
  /** First offset that the builder covers. */
  #first: bigint;
  #position: bigint;
  #stored: bigint;
  /** Counts how often the partition was set back: an upload of before must not count as progress after. */
  #setBacks = 0;
  #firstAddedAt = 0;
  #storingBytes = 0;
  #storing: Promise<void> = Promise.resolve();

  constructor(options: PartitionExportOptions) {
    this.#options = options;
    this.topic = options.topic;
    this.partition = options.partition;
    this.#points.set(0n, chainStart);
    for (const { last, behind } of options.stored) this.#points.set(last + 1n, behind);
    this.#first = this.#position = this.#stored = endOf(longestChain(options.stored, 0n), 0n);
    this.#builder = this.#begin(this.#position);
    const beyond = options.stored.filter(({ last }) => last >= this.#position).length;
    if (beyond > 0) {
      options.logger.warn(
        { partition: partitionKey(this), from: String(this.#position), unconnected: beyond },
        "objects are missing in the bucket: exporting again from there",
      );
    }
  }

  get position(): bigint {
    return this.#position;
  }

  /** Everything before this offset is in the bucket. */
  get stored(): bigint {
    return this.#stored;
  }

  /** Bytes in memory, before compression. */
  get bytes(): number {
    return this.#builder.bytes + this.#storingBytes;
  }

  /** Whether records wait that came `ageMs` ago. */
  get isOld(): boolean {
    return (
      this.#builder.records > 0 && performance.now() - this.#firstAddedAt >= this.#options.rotation.ageMs
    );
  }

  async take(from: bigint, records: readonly ArchivedRecord[], end: bigint): Promise<void> {
    if (from > this.#position) return;
    const setBacks = this.#setBacks;
    for (const record of records) {
      const offset = BigInt(record.offset);
      if (offset < this.#position) continue;
      if (this.#builder.records === 0) this.#firstAddedAt = performance.now();
      this.#builder.add(record);
      this.#position = offset + 1n;
      if (this.#builder.bytes >= this.#options.rotation.bytes) await this.flush();
      // Set back while the upload was going on: what is at hand is out of date.
      if (this.#setBacks !== setBacks) return;
    }
    if (end > this.#position) this.#position = end;
  }

  outOfRange(low: bigint, high: bigint): void {
    const name = partitionKey(this);
    const position = this.#position;
    if (position < low) {
      const loss = `${name}: offsets ${position} to ${low - 1n} were deleted from Kafka before they were archived`;
      this.losses.push(loss);
      this.#options.logger.error({ partition: name, from: String(position), to: String(low - 1n) }, loss);
      this.starts.push(low);
      this.#points.set(low, this.#points.get(this.#first) ?? chainStart);
      this.setBack(endOf(longestChain(this.#options.stored, low), low));
    } else if (position > high) {
      this.broken =
        `${name}: its log ends at ${high}, but offsets up to ${position - 1n} were archived: the topic was deleted and ` +
        "created again, or brokers lost records. Its newer records cannot be told from the older ones";
      this.#options.logger.error({ partition: name }, this.broken);
    }
  }

  /**
   * Goes on from another offset; what was collected and not stored is dropped.
   * @param damaged name of an object that is no longer good.
   */
  setBack(position: bigint, damaged?: string): void {
    if (damaged !== undefined) this.unusable.add(damaged);
    this.#setBacks++;
    this.#first = this.#position = this.#stored = position;
    this.#builder = this.#begin(position);
  }

  #begin(at: bigint): ObjectBuilder {
    return new ObjectBuilder(this.#points.get(at) ?? chainStart);
  }

  /** Stores what was collected, if anything; resolves when it and everything before is in the bucket. */
  flush(): Promise<void> {
    if (this.#builder.records === 0) return this.#storing;
    const builder = this.#builder;
    const range = {
      topic: this.topic,
      partition: this.partition,
      first: this.#first,
      last: this.#position - 1n,
    };
    this.#points.set(this.#position, builder.point);
    this.#builder = this.#begin(this.#position);
    this.#first = this.#position;
    const before = this.#storing;
    const setBacks = this.#setBacks;
    this.#storing = (async () => {
      await before;
      this.#storingBytes = builder.bytes;
      const object = await builder.build(range, "gzip");
      await this.#store(object);
      this.#storingBytes = 0;
      this.unusable.delete(object.name);
      if (this.#setBacks === setBacks) this.#stored = range.last + 1n;
      this.#options.onStored(builder.records);
    })();
    // Whoever waits sees the failure; a flush by age has nobody who waits.
    this.#storing.catch(() => undefined);
    return this.#storing;
  }

  /** Tries until it works: Kafka keeps what is not archived, and reading waits meanwhile. */
  async #store(object: PreparedObject): Promise<void> {
    const { archive, logger, signal } = this.#options;
    for (let pauseMs = 500; ; pauseMs = Math.min(pauseMs * 2, 15_000)) {
      signal.throwIfAborted();
      try {
        await archive.store.put(archive.prefix + object.name, object.body, {
          contentType: "application/x-ndjson+gzip",
          metadata: metadataOf(object.expected),
        });
        return;
      } catch (error) {
        logger.error({ err: error, object: object.name, pauseMs }, "could not store an object, trying again");
        await delay(pauseMs, undefined, { signal });
      }
    }
  }
}

/** The offset behind a chain. */
export function endOf(chain: readonly { last: bigint }[], start: bigint): bigint {
  const last = chain.at(-1);
  return last === undefined ? start : last.last + 1n;
}
