/**
 * All partitions on their way into the bucket: opens them as topics appear, bounds memory and what is done at the same
 * time, stores what waits too long, and has everything read back in the background.
 */
import type { Kafka } from "../bus/kafka.ts";
import { partitionKey } from "../bus/kafka-log.ts";
import { type LogEnd, LogReader } from "../bus/log-reader.ts";
import type { Logger } from "../core/log.ts";
import type { ArchivedObject, ArchivedPartition } from "./archived-partition.ts";
import type { ClusterArchive, ListedRange } from "./cluster-archive.ts";
import { type PendingPromise, pendingPromise, Turnstile } from "./concurrency.ts";
import {
  contentOf,
  type Damage,
  gapOf,
  type Inventory,
  type InventoryProgress,
  missingOf,
} from "./inventory.ts";
import type { Codec } from "./layout.ts";
import { expectedOf, metadataOf, type PreparedObject } from "./object.ts";
import { PartitionExport, type PartitionWork, type Rotation } from "./partition-export.ts";
import { ReadBack } from "./read-back.ts";
import { orAborted, untilItWorks } from "./retry.ts";

/** Records that wait to become objects, over all partitions, in bytes: of more, the largest collection becomes one. */
const collectedBytes = 14 * 1024 * 1024;
/** The same and objects that are compressed, or wait to be stored: when it is more, reading waits. */
const memoryBytes = 28 * 1024 * 1024;
const ageCheckMs = 500;
const compressionsAtOnce = 2;
const uploadsAtOnce = 6;
const looksAtOnce = 16;
const progressEveryMs = 250;
/** Records still to be read from Kafka, over all topics, from which on reading back waits. */
const behindFrom = 50_000n;

/** Arguments of {@link Exporter}. */
export interface ExporterOptions {
  kafka: Kafka;
  archive: ClusterArchive;
  rotation: Rotation;
  /** How objects are compressed. Default gzip. */
  codec?: Codec;
  logger: Logger;
  /** Called after each round of reading and each failure of the bucket: the archiver is alive. */
  onProgress: () => void;
  /** Told what was stored. */
  onStored: (topic: string, records: number) => void;
  /** Time between two looks for new topics, in milliseconds. Default 2,000. */
  discoverEveryMs?: number;
}

/** See the module's description. */
export class Exporter {
  readonly #options: ExporterOptions;
  readonly #reader: LogReader;
  readonly #readBack: ReadBack;
  readonly #work: PartitionWork;
  readonly #partitions = new Map<string, PartitionExport>();
  /** What is wrong in partitions whose topic exists no more. */
  readonly #unrepairable = new Map<PartitionExport, Damage>();
  readonly #abort = new AbortController();
  /** Bytes of records that wait to become objects, and of objects on their way, compressed once that is done. */
  #collected = 0;
  #underWay = 0;
  #roomWanted: PendingPromise | undefined;
  #failure: Error | undefined;
  #ageTimer: NodeJS.Timeout | undefined;

  constructor(options: ExporterOptions) {
    this.#options = options;
    const { archive, logger, kafka, onProgress } = options;
    this.#reader = new LogReader({
      kafka,
      logger,
      onProgress,
      open: (topic, partition) => {
        const opened = this.#open(topic, partition, []);
        opened.revive();
        return opened;
      },
      ...(options.discoverEveryMs === undefined ? {} : { discoverEveryMs: options.discoverEveryMs }),
    });
    this.#readBack = new ReadBack({
      archive,
      logger,
      signal: this.#abort.signal,
      isBehind: () => [...this.#reader.behind().values()].reduce((a, b) => a + b, 0n) > behindFrom,
      onFailure: (error) => this.#failed(error),
      onDamage: (partition, object, reason) => this.#damaged(partition, object, reason),
    });
    this.#work = this.#makeWork();
  }

  /** Looks what the bucket holds and goes on from there. @throws ArchiveStoreError, KafkaJSError */
  async start(): Promise<void> {
    const ranges = await this.#options.archive.ranges();
    for (const listed of ranges.values()) {
      const [{ topic, partition }] = listed as [ListedRange];
      this.#open(topic, partition, listed);
    }
    await this.#reader.start();
    for (const { archived } of this.#partitions.values()) this.#readBack.add(archived);
    this.#ageTimer = setInterval(() => {
      for (const partition of this.#partitions.values()) if (partition.isOld) partition.cut();
    }, ageCheckMs);
  }

  /** Stores what was read, as far as that goes within `graceMs`, and disconnects. */
  async stop(graceMs = 10_000): Promise<void> {
    clearInterval(this.#ageTimer);
    const end = (): void => {
      this.#abort.abort(new Error("the archiver stops"));
      this.#roomWanted?.resolve();
    };
    const late = setTimeout(end, graceMs);
    const flushed = Promise.allSettled([...this.#partitions.values()].map((partition) => partition.flush()));
    await this.#reader.stop();
    await flushed;
    clearTimeout(late);
    end();
    await this.#readBack.close();
  }

  get kafkaClusterId(): string {
    return this.#reader.kafkaClusterId;
  }

  /** Records still to be read, by topic. */
  behind(): Map<string, bigint> {
    return this.#reader.behind();
  }

  /** Objects that were stored and not read back yet. */
  get unread(): number {
    return sum([...this.#partitions.values()].map(({ archived }) => archived.pending));
  }

  /** Why the bucket did not do the last thing that was asked of it; undefined when it did. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** What was deleted from Kafka before it could be archived. */
  get losses(): string[] {
    return [...this.#partitions.values()].flatMap(({ allLosses }) => allLosses);
  }

  /**
   * Reads to the ends that the logs have now and stores everything before them.
   * @returns the ends. @throws Error when that is not possible before the signal.
   */
  async exportToEnds(signal: AbortSignal): Promise<LogEnd[]> {
    const ends = await this.#reader.readToEnds(signal);
    const stored = Promise.all([...this.#partitions.values()].map((partition) => partition.flush(true)));
    await orAborted(stored, signal);
    return ends;
  }

  /**
   * What the bucket holds: waits for what is still to be read back, lists the bucket once and compares. Partitions with
   * damages whose topics exist are set back and exported again: call {@link exportToEnds} and this once more.
   * @param ends as {@link exportToEnds} returned them.
   * @param onProgress told four times a second while it waits, and at the end.
   * @throws ArchiveStoreError when the bucket cannot be listed; the signal's reason.
   */
  async inventory(
    ends: readonly LogEnd[],
    signal: AbortSignal,
    onProgress: (progress: InventoryProgress) => void = () => undefined,
  ): Promise<Inventory> {
    // Somebody may have put right what could not be exported again.
    const damages: Damage[] = [];
    this.#unrepairable.clear();
    for (const { archived } of this.#partitions.values()) this.#readBack.add(archived);
    const tell = (): void => {
      const objects = sum([...this.#partitions.values()].map(({ archived }) => archived.objects));
      onProgress({ objects, readBack: objects - this.unread });
    };
    const timer = setInterval(tell, progressEveryMs);
    try {
      await orAborted(this.#readBack.done, signal);
    } finally {
      clearInterval(timer);
    }
    tell();
    const { archive } = this.#options;
    const listed = new Map(
      (await archive.store.list(archive.prefix)).map(({ key, bytes, etag }) => [
        key.slice(archive.prefix.length),
        { bytes, etag },
      ]),
    );
    signal.throwIfAborted();
    const byKey = new Map(ends.map((end) => [partitionKey(end), end]));
    const partitions = [...this.#partitions].flatMap(([key, partition]) => {
      const { archived } = partition;
      const end = byKey.get(key);
      if (end === undefined && archived.objects === 0) return [];
      const damage = this.#damageOf(partition, end, listed);
      if (damage === undefined) {
        const content = contentOf(archived, end?.end);
        return [{ topic: partition.topic, deleted: end === undefined, content }];
      }
      damages.push(damage);
      return [];
    });
    return { partitions, damages };
  }

  #damageOf(
    partition: PartitionExport,
    end: LogEnd | undefined,
    listed: ReadonlyMap<string, { bytes: number; etag: string }>,
  ): Damage | undefined {
    const known = this.#unrepairable.get(partition);
    if (known !== undefined) return known;
    const { topic, partition: number, archived, isLive } = partition;
    const missing = missingOf(archived, listed);
    if (missing !== undefined) {
      const from = firstOffsetIn(missing.name);
      if (isLive) partition.setBack(from, missing.reason);
      return { topic, partition: number, from, reason: missing.reason, repairable: isLive };
    }
    // Set back since the logs' ends were reached, or stored since and not read back: another round is needed.
    const gap = end === undefined ? undefined : gapOf(archived, end);
    const reason =
      gap ?? (archived.pending === 0 ? undefined : `${partitionKey(partition)}: not all is read back`);
    return reason === undefined
      ? undefined
      : { topic, partition: number, from: archived.end, reason, repairable: isLive };
  }

  #open(topic: string, partition: number, listed: readonly ListedRange[]): PartitionExport {
    const key = partitionKey({ topic, partition });
    // A topic that vanished from the metadata for a moment goes on where it was.
    const known = this.#partitions.get(key);
    if (known !== undefined) return known;
    const { logger, rotation, codec = "gzip" } = this.#options;
    const { signal } = this.#abort;
    const work = this.#work;
    const opened = new PartitionExport({ topic, partition, listed, rotation, codec, logger, work, signal });
    this.#partitions.set(key, opened);
    return opened;
  }

  #makeWork(): PartitionWork {
    const { archive, onStored, logger } = this.#options;
    const compressions = new Turnstile(compressionsAtOnce);
    const uploads = new Turnstile(uploadsAtOnce);
    const looks = new Turnstile(looksAtOnce);
    const retry = <T>(what: string, work: () => Promise<T>): Promise<T> => {
      const { signal } = this.#abort;
      return untilItWorks(work, { what, logger, signal, onFailure: (error) => this.#failed(error) });
    };
    return {
      build: (work) => compressions.pass(work),
      store: (object) => uploads.pass(() => retry(`store ${object.name}`, () => this.#put(object))),
      look: (name) =>
        looks.pass(async () => {
          const head = await retry(`look at ${name}`, () => archive.store.head(archive.prefix + name));
          return head === undefined ? undefined : expectedOf(head.metadata);
        }),
      collected: (bytes) => {
        this.#collected += bytes;
        if (this.#hasRoom) this.#roomWanted?.resolve();
      },
      underWay: (bytes) => {
        this.#underWay += bytes;
        if (this.#hasRoom) this.#roomWanted?.resolve();
      },
      room: () => this.#room(),
      stored: (partition, records) => {
        onStored(partition.topic, records);
        this.#readBack.add(partition.archived);
      },
    };
  }

  async #put({ name, body, expected }: PreparedObject): Promise<void> {
    const { archive } = this.#options;
    await archive.store.put(archive.prefix + name, body, {
      contentType: name.endsWith(".gz") ? "application/x-ndjson+gzip" : "application/x-ndjson+zstd",
      metadata: metadataOf(expected),
    });
    this.#failure = undefined;
  }

  /** Makes an object of the largest collection when there is much, and waits until memory is free. */
  async #room(): Promise<void> {
    // Before memory is full: compression goes on while more is read.
    if (this.#collected > collectedBytes) this.#largest()?.cut();
    while (!this.#hasRoom && !this.#abort.signal.aborted) {
      const wanted = (this.#roomWanted ??= pendingPromise());
      await wanted.promise;
      if (this.#roomWanted === wanted) this.#roomWanted = undefined;
    }
  }

  get #hasRoom(): boolean {
    return this.#collected + this.#underWay <= memoryBytes;
  }

  #largest(): PartitionExport | undefined {
    let largest: PartitionExport | undefined;
    for (const partition of this.#partitions.values()) {
      if (partition.collected > (largest?.collected ?? 0)) largest = partition;
    }
    return largest;
  }

  #failed(error: Error): void {
    this.#failure = error;
    this.#options.onProgress();
  }

  #damaged(archived: ArchivedPartition, object: ArchivedObject, reason: string): void {
    const partition = this.#partitions.get(partitionKey(archived));
    if (partition === undefined) return;
    if (partition.isLive) {
      partition.setBack(object.first, reason);
      return;
    }
    this.#options.logger.error(
      { object: object.name, reason },
      "damage in the bucket, and the topic is gone",
    );
    const { topic, partition: number } = archived;
    this.#unrepairable.set(partition, {
      topic,
      partition: number,
      from: object.first,
      reason,
      repairable: false,
    });
  }
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

/** From an object's name. */
function firstOffsetIn(name: string): bigint {
  return BigInt(/\/(\d{20})-/.exec(name)?.[1] ?? 0);
}
