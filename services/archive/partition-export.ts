/**
 * One partition on its way into the bucket: collects records, and stores an object when enough have come together or
 * the first has waited long enough. Reading goes on meanwhile, but objects of a partition are stored one after the other,
 * so what is in the bucket is always a beginning of the log, and a new archiver goes on where it ends.
 */
import { setTimeout as delay } from "node:timers/promises";
import { partitionKey } from "../bus/kafka-log.ts";
import type { PartitionReceiver } from "../bus/log-reader.ts";
import type { Logger } from "../core/log.ts";
import { ArchivedPartition } from "./archived-partition.ts";
import type { ListedRange } from "./cluster-archive.ts";
import type { Codec } from "./layout.ts";
import type { ArchivedRecord } from "./line.ts";
import { type ExpectedObject, ObjectBuilder, pointBehind, type PreparedObject } from "./object.ts";
import { type ChainPoint, chainStart } from "./record-hash.ts";

/** When an object is complete. */
export interface Rotation {
  /** Size before compression, in bytes. */
  bytes: number;
  /** Age of the first record in it, in milliseconds. */
  ageMs: number;
}

/** What partitions need of the exporter; all of it waits for the bucket as long as it takes. */
export interface PartitionWork {
  /** Compresses an object when there is a place. */
  build(work: () => Promise<PreparedObject>): Promise<PreparedObject>;
  /** Writes an object. @throws the reason of the exporter's end. */
  store(object: PreparedObject): Promise<void>;
  /** What was noted at an object's writing; undefined when it is not there or its metadata is of no use. */
  look(name: string): Promise<ExpectedObject | undefined>;
  /** So many bytes more (or less) wait to become an object. */
  collected(bytes: number): void;
  /** So many bytes more (or less) are being compressed, or wait to be stored. */
  underWay(bytes: number): void;
  /** Resolves when there is room for more. */
  room(): Promise<void>;
  /** An object was stored: it is to be read back. */
  stored(partition: PartitionExport, records: number): void;
}

/** Arguments of {@link PartitionExport}. */
export interface PartitionExportOptions {
  topic: string;
  partition: number;
  /** What the bucket holds of this partition. */
  listed: readonly ListedRange[];
  rotation: Rotation;
  codec: Codec;
  logger: Logger;
  work: PartitionWork;
  /** The exporter's end. */
  signal: AbortSignal;
}

/** Longest pause before what was found damaged again is exported again. */
const longestPauseMs = 60_000;

/** See the module's description. */
export class PartitionExport implements PartitionReceiver {
  readonly topic: string;
  readonly partition: number;
  readonly archived: ArchivedPartition;
  /** Records that the brokers deleted before they could be archived. */
  readonly losses: string[] = [];
  broken: string | undefined;
  /** Kafka's id of the topic that exists, and of the one that the objects are of. */
  #topicId: string | undefined;
  #archivedTopicId: string | undefined;
  /** Whether the topic exists, as far as is known. */
  isLive = false;
  /** What was lost with the topic, should it really be gone. */
  #lostWithTopic: string | undefined;
  readonly #options: PartitionExportOptions;
  #builder = new ObjectBuilder(chainStart);
  #builderBytes = 0;
  /** First offset that the builder covers. Offsets are below 2^52 (see fetched-batches.ts). */
  #first = 0;
  /** Undefined while it is not known where to go on. */
  #position: number | undefined;
  /** Counts how often the partition was set back: an upload of before must not count as progress after. */
  #setBacks = 0;
  #setBackTo: bigint | undefined;
  #repeats = 0;
  #firstAddedAt = 0;
  /** Objects that are compressed, or wait for their turn, or are on their way. */
  #storing = 0;
  #stored: Promise<void> = Promise.resolve();
  #resuming: Promise<void> = Promise.resolve();

  constructor(options: PartitionExportOptions) {
    const { topic, partition, listed, logger } = options;
    this.#options = options;
    this.topic = topic;
    this.partition = partition;
    this.archived = new ArchivedPartition(topic, partition, listed);
    if (this.archived.unconnected > 0) {
      logger.warn(
        {
          partition: partitionKey(this),
          from: String(this.archived.end),
          objects: this.archived.unconnected,
        },
        "objects in the bucket do not connect: exporting again from there, unless Kafka has less",
      );
    }
    this.#resume();
  }

  get position(): bigint | undefined {
    return this.#position === undefined ? undefined : BigInt(this.#position);
  }

  /** Bytes that wait to become an object, before compression. */
  get collected(): number {
    return this.#builderBytes;
  }

  /** Whether records wait that came `ageMs` ago, and nothing else is on its way: rather one object than two. */
  get isOld(): boolean {
    return (
      this.#builder.records > 0 &&
      this.#storing === 0 &&
      performance.now() - this.#firstAddedAt >= this.#options.rotation.ageMs
    );
  }

  /** What is known to be lost. */
  get allLosses(): string[] {
    return this.#lostWithTopic === undefined ? this.losses : [...this.losses, this.#lostWithTopic];
  }

  /** The topic exists (again). */
  revive(): void {
    this.isLive = true;
    this.#lostWithTopic = undefined;
  }

  identified(topicId: string): void {
    const before = this.#archivedTopicId ?? this.#topicId;
    this.#topicId = topicId;
    // Of a topic that was empty nothing is archived that could be mixed up.
    const isEmpty = this.archived.objects === 0 && this.#position === 0;
    if (before !== undefined && before !== topicId && !isEmpty) this.#createdAgain();
  }

  deleted(end: bigint | undefined): void {
    this.isLive = false;
    // While it is not known where to go on, only what was stored counts.
    const position = this.position ?? this.archived.end;
    if (end === undefined || end <= position) return;
    this.#lostWithTopic =
      `${partitionKey(this)}: the topic was deleted when offsets ${position} to ${end - 1n} ` +
      "were not archived yet";
    this.#options.logger.error({ partition: partitionKey(this) }, this.#lostWithTopic);
  }

  async take(from: bigint, records: Iterable<ArchivedRecord>, end: bigint): Promise<void> {
    let position = this.#position;
    if (position === undefined || from > position) return;
    for (const record of records) {
      const offset = Number(record.offset);
      if (offset < position) continue;
      if (this.#builder.records === 0) this.#firstAddedAt = performance.now();
      this.#builder.add(record);
      this.#position = position = offset + 1;
      if (this.#builder.bytes >= this.#options.rotation.bytes) this.cut();
    }
    if (end > position) this.#position = Number(end);
    this.#countCollected();
    await this.#options.work.room();
  }

  outOfRange(low: bigint, high: bigint): void {
    const name = partitionKey(this);
    const position = this.#position;
    if (position === undefined || this.broken !== undefined) return;
    if (position < low) {
      // What was read before goes into the bucket first; until then nothing is read.
      this.cut(true);
      this.#position = undefined;
      this.#resuming = this.#stored.then(
        () => this.#skipLoss(position, low),
        () => undefined,
      );
    } else if (position > high) {
      this.broken =
        `${name}: its log ends at ${high}, but offsets up to ${position - 1} were archived: the topic was deleted and ` +
        "created again, or brokers lost records. Its newer records cannot be told from the older ones. " +
        "Seal is not possible any more; see docs/archive.md";
      this.#options.logger.error({ partition: name }, this.broken);
    }
  }

  #createdAgain(): void {
    if (this.broken !== undefined) return;
    const name = partitionKey(this);
    this.broken =
      `${name}: the topic was deleted and created again (Kafka has another id for it than the archive). Its newer records ` +
      "cannot be told from the older ones. Seal is not possible any more; see docs/archive.md";
    this.#options.logger.error({ partition: name }, this.broken);
  }

  /**
   * Exports again from an offset on; what was collected and not stored is dropped.
   * @param reason for the log.
   */
  setBack(from: bigint, reason: string): void {
    this.#options.logger.error(
      { partition: partitionKey(this), from: String(from), reason },
      "damage in the bucket: exporting again from there",
    );
    const chain = this.archived.cut(from);
    this.#goOnAt(Number(from), chain);
    this.#repeats = from === this.#setBackTo ? this.#repeats + 1 : 0;
    this.#setBackTo = from;
    if (this.#repeats === 0) return;
    // A bucket that spoils whatever it is given would otherwise be given the same as fast as it goes.
    this.#position = undefined;
    const setBacks = this.#setBacks;
    this.#resuming = delay(Math.min(2 ** this.#repeats * 500, longestPauseMs), undefined, {
      signal: this.#options.signal,
    }).then(
      () => {
        if (this.#setBacks === setBacks) this.#goOnAt(Number(from), chain);
      },
      () => undefined,
    );
  }

  /**
   * Makes an object of what was collected and has it stored.
   * @param withMarkers also when there are no records but only transaction markers: so the objects reach the log's end.
   */
  cut(withMarkers = false): void {
    const position = this.#position;
    if (position === undefined || position === this.#first) return;
    if (this.#builder.records === 0 && !withMarkers) return;
    const builder = this.#builder;
    const { topic, partition } = this;
    const range = { topic, partition, first: BigInt(this.#first), last: BigInt(position - 1) };
    const { bytes } = builder;
    const { work, codec } = this.#options;
    this.#builder = new ObjectBuilder(builder.point);
    work.underWay(bytes);
    this.#countCollected();
    this.#first = position;
    this.#storing++;
    const before = this.#stored;
    const setBacks = this.#setBacks;
    const building = work.build(() => builder.build(range, codec, this.#topicId));
    this.#stored = (async () => {
      let held = bytes;
      try {
        const object = await building;
        held = object.body.length;
        work.underWay(held - bytes);
        await before;
        if (this.#setBacks !== setBacks) return;
        await work.store(object);
        if (this.#setBacks !== setBacks) return;
        const { first, last } = range;
        this.archived.append({ first, last, name: object.name, expected: object.expected });
        work.stored(this, object.expected.records);
      } finally {
        this.#storing--;
        work.underWay(-held);
      }
    })();
    // Whoever waits sees the failure; a cut by age or size has nobody who waits.
    this.#stored.catch(() => undefined);
  }

  /** Stores what was read; resolves when it and everything before is in the bucket. */
  async flush(withMarkers = false): Promise<void> {
    await this.#resuming;
    this.cut(withMarkers);
    await this.#stored;
  }

  #countCollected(): void {
    const { bytes } = this.#builder;
    this.#options.work.collected(bytes - this.#builderBytes);
    this.#builderBytes = bytes;
  }

  #goOnAt(position: number, chain: Readonly<ChainPoint>): void {
    this.#setBacks++;
    this.#builder = new ObjectBuilder(chain);
    this.#countCollected();
    this.#first = this.#position = position;
  }

  /** Finds where to go on: behind the last object whose metadata tells the chain. */
  #resume(): void {
    if (this.archived.objects === 0) return this.#goOnAt(0, chainStart);
    this.#resuming = this.#findEnd(0n, chainStart).catch((error: unknown) => {
      if (!this.#options.signal.aborted) this.#options.logger.error({ err: error }, "cannot go on");
    });
  }

  /** @param start where to go on, and the chain there, when no object behind it is of use. */
  async #findEnd(start: bigint, chain: Readonly<ChainPoint>): Promise<void> {
    const { work, logger } = this.#options;
    const { archived } = this;
    const setBacks = this.#setBacks;
    for (let last = archived.lastPending; last !== undefined; last = archived.lastPending) {
      if (last.last < start) break;
      const expected = await work.look(last.name);
      // Set back meanwhile: an object was read back and found damaged, so it is known where to go on.
      if (this.#setBacks !== setBacks) return;
      if (expected !== undefined) {
        const { topicId } = expected;
        this.#archivedTopicId = topicId;
        if (topicId !== undefined && this.#topicId !== undefined && topicId !== this.#topicId) {
          this.#createdAgain();
        }
        return this.#goOnAt(Number(last.last) + 1, pointBehind(expected));
      }
      if (last !== archived.lastPending) continue;
      logger.error({ object: last.name }, "the object's metadata is not the archiver's: exporting it again");
      archived.dropLast();
    }
    const isBehindStart = archived.end > start;
    this.#goOnAt(Number(archived.end), isBehindStart ? archived.verified : chain);
  }

  #skipLoss(position: number, low: bigint): Promise<void> {
    const chain = this.#builder.point;
    const from = this.archived.skipTo(low);
    const loss =
      `${partitionKey(this)}: offsets ${position} to ${from - 1n} were deleted from Kafka ` +
      "before they were archived";
    this.losses.push(loss);
    this.#options.logger.error({ partition: partitionKey(this) }, loss);
    return this.#findEnd(from, chain);
  }
}
