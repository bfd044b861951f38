/** All partitions on their way into the bucket: opens them as topics appear, bounds memory, stores what waits too long. */
import type { Kafka } from "../bus/kafka.ts";
import { partitionKey } from "../bus/kafka-log.ts";
import { type LogEnd, LogReader } from "../bus/log-reader.ts";
import type { Logger } from "../core/log.ts";
import type { ClusterArchive } from "./cluster-archive.ts";
import { mapConcurrently } from "./concurrency.ts";
import { expectedOf, pointBehind } from "./object.ts";
import { PartitionExport, type Rotation, type StoredRange } from "./partition-export.ts";

/** Records in memory over all partitions, in bytes before compression; the largest is stored when it is more. */
const memoryBytes = 64 * 1024 * 1024;
const ageCheckMs = 500;

/** Arguments of {@link Exporter}. */
export interface ExporterOptions {
  kafka: Kafka;
  archive: ClusterArchive;
  rotation: Rotation;
  logger: Logger;
  /** Called after each round of reading, also when nothing came. */
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
  readonly #partitions = new Map<string, PartitionExport>();
  readonly #abort = new AbortController();
  readonly #stored = new Map<string, StoredRange[]>();
  #ageTimer: NodeJS.Timeout | undefined;

  constructor(options: ExporterOptions) {
    this.#options = options;
    this.#reader = new LogReader({
      kafka: options.kafka,
      logger: options.logger,
      onProgress: options.onProgress,
      open: (topic, partition) => this.#open(topic, partition),
      ...(options.discoverEveryMs === undefined ? {} : { discoverEveryMs: options.discoverEveryMs }),
    });
  }

  /** Looks what the bucket holds and goes on from there. @throws ArchiveStoreError, KafkaJSError */
  async start(): Promise<void> {
    await this.#lookAtBucket();
    await this.#reader.start();
    this.#ageTimer = setInterval(() => {
      for (const partition of this.#partitions.values()) if (partition.isOld) void this.#flush(partition);
    }, ageCheckMs);
  }

  /** Stores what was read, as far as that goes within `graceMs`, and disconnects. */
  async stop(graceMs = 10_000): Promise<void> {
    clearInterval(this.#ageTimer);
    const late = setTimeout(() => this.#abort.abort(new Error("the archiver stops")), graceMs);
    const flushed = Promise.allSettled([...this.#partitions.values()].map((partition) => partition.flush()));
    await this.#reader.stop();
    await flushed;
    clearTimeout(late);
    this.#abort.abort(new Error("the archiver stops"));
  }

  get kafkaClusterId(): string {
    return this.#reader.kafkaClusterId;
  }

  /** Records still to be read, by topic. */
  behind(): Map<string, bigint> {
    return this.#reader.behind();
  }

  /** What was deleted from Kafka before it could be archived. */
  get losses(): string[] {
    return [...this.#partitions.values()].flatMap(({ losses }) => losses);
  }

  /** A partition that exists or existed since the archiver started. */
  partition(key: string): PartitionExport | undefined {
    return this.#partitions.get(key);
  }

  /**
   * Reads to the ends that the logs have now and stores everything before them.
   * @returns the ends. @throws Error when that is not possible before the signal.
   */
  async exportToEnds(signal: AbortSignal): Promise<LogEnd[]> {
    const ends = await this.#reader.readToEnds(signal);
    await Promise.all([...this.#partitions.values()].map((partition) => partition.flush()));
    return ends;
  }

  async #lookAtBucket(): Promise<void> {
    const { archive } = this.#options;
    const ranges = [...(await archive.ranges()).values()].flat();
    await mapConcurrently(ranges, 16, async (range) => {
      const head = await archive.store.head(archive.prefix + range.name);
      const expected = head === undefined ? undefined : expectedOf(head.metadata);
      if (expected === undefined) return;
      const key = partitionKey(range);
      const known = this.#stored.get(key) ?? [];
      known.push({ ...range, behind: pointBehind(expected) });
      this.#stored.set(key, known);
    });
  }

  #open(topic: string, partition: number): PartitionExport {
    const key = partitionKey({ topic, partition });
    // A topic that vanished from the metadata for a moment goes on where it was.
    const known = this.#partitions.get(key);
    if (known !== undefined) return known;
    const { archive, logger, rotation, onStored } = this.#options;
    const opened = new PartitionExport({
      topic,
      partition,
      archive,
      logger,
      rotation,
      stored: this.#stored.get(key) ?? [],
      onStored: (records) => onStored(topic, records),
      signal: this.#abort.signal,
    });
    const take = opened.take.bind(opened);
    opened.take = async (from, records, end) => {
      await take(from, records, end);
      await this.#boundMemory();
    };
    this.#partitions.set(key, opened);
    return opened;
  }

  async #boundMemory(): Promise<void> {
    const all = [...this.#partitions.values()];
    while (all.reduce((bytes, partition) => bytes + partition.bytes, 0) > memoryBytes) {
      const largest = all.reduce((a, b) => (b.bytes > a.bytes ? b : a));
      await largest.flush();
    }
  }

  async #flush(partition: PartitionExport): Promise<void> {
    await partition.flush().catch((error: unknown) => {
      if (!this.#abort.signal.aborted) this.#options.logger.error({ err: error }, "storing failed");
    });
  }
}
