/**
 * Reads a day's topics from the archive and gives their records away in order of each partition: as fast as they are
 * taken, or as the day went, so many times as fast.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { ClusterArchive } from "./cluster-archive.ts";
import { mapConcurrently } from "./concurrency.ts";
import type { Manifest } from "./documents.ts";
import type { ArchivedRecord } from "./line.ts";
import { readArchivedPartition } from "./read-archive.ts";

/** How fast a day is fed: a factor above 0 (10 plays an hour in six minutes), or as fast as it goes. */
export type Speed = number | "max";

/** Arguments of {@link feed}. */
export interface FeedOptions {
  archive: ClusterArchive;
  manifest: Manifest;
  topics: readonly string[];
  speed: Speed;
  /** Gives the way to write to a partition. */
  output: (topic: string, partition: number) => FeedOutput;
  /** Told how many records were given away since the last call. */
  onFed: (records: number) => void;
  signal: AbortSignal;
}

/** Takes the records of a partition, in order. */
export interface FeedOutput {
  /** @returns undefined, or a promise to be awaited before the next call. */
  add(record: ArchivedRecord): Promise<void> | undefined;
  /** Resolves when everything that was added is written. */
  flush(): Promise<void>;
}

/** Partitions that are fed at the same time when nothing is to be waited for. */
const concurrency = 3;
/** So often it is told how many records were given away. */
const tellEvery = 1_000;

/**
 * Feeds all records of the topics.
 * @throws the signal's reason; ArchiveStoreError; ObjectProblem when an object is missing or damaged; what the output throws.
 */
export async function feed(options: FeedOptions): Promise<void> {
  const { archive, manifest, topics, speed } = options;
  const partitions = manifest.topics
    .filter(({ topic }) => topics.includes(topic))
    .flatMap(({ topic, partitions: all }) =>
      all.filter(({ records }) => records > 0).map(({ partition }) => ({ topic, partition })),
    );
  const open = ({ topic, partition }: (typeof partitions)[number]) =>
    readArchivedPartition(archive, manifest, topic, partition);
  const output = ({ topic, partition }: (typeof partitions)[number]) => options.output(topic, partition);
  if (speed === "max") {
    await mapConcurrently(partitions, concurrency, (partition) =>
      feedPartition(open(partition), output(partition), options),
    );
    return;
  }
  // All of them go by one clock, so all are open at the same time, and the earliest record of any sets it.
  const opened = await Promise.all(
    partitions.map(async (partition) => {
      const records = open(partition);
      const first = await records.next();
      return first.done === true ? undefined : { first: first.value, records, output: output(partition) };
    }),
  );
  const begun = opened.filter((partition) => partition !== undefined);
  const clock = new DayClock(
    speed,
    begun.reduce((least, { first }) => Math.min(least, Number(first.timestamp)), Infinity),
  );
  await Promise.all(
    begun.map(({ first, records, output: own }) =>
      feedPartition(startingWith(first, records), own, options, clock),
    ),
  );
}

/** The day's time while it is replayed. */
class DayClock {
  readonly #speed: number;
  readonly #from: number;
  readonly #started = performance.now();

  /** @param from the day's time now, in milliseconds since 1970. */
  constructor(speed: number, from: number) {
    this.#speed = speed;
    this.#from = from;
  }

  /** Milliseconds until it is that time of the day; negative when it has passed. */
  until(timestamp: number): number {
    return (timestamp - this.#from) / this.#speed - (performance.now() - this.#started);
  }
}

async function* startingWith(
  first: ArchivedRecord,
  rest: AsyncGenerator<ArchivedRecord>,
): AsyncGenerator<ArchivedRecord> {
  yield first;
  yield* rest;
}

async function feedPartition(
  records: AsyncIterable<ArchivedRecord>,
  output: FeedOutput,
  { onFed, signal }: Pick<FeedOptions, "onFed" | "signal">,
  clock?: DayClock,
): Promise<void> {
  let untold = 0;
  const tell = (): void => {
    onFed(untold);
    untold = 0;
  };
  for await (const record of records) {
    // A record that is older than the one before it is due at once: the order of the partition comes first.
    if (clock !== undefined && clock.until(Number(record.timestamp)) > 1) {
      await output.flush();
      tell();
      await pause(clock, Number(record.timestamp), signal);
    }
    const full = output.add(record);
    untold++;
    if (full !== undefined) await full;
    if (untold < tellEvery && full === undefined) continue;
    signal.throwIfAborted();
    tell();
  }
  await output.flush();
  tell();
}

/** Node's timers reach 24.8 days at most. */
const longestTimerMs = 3_600_000;

async function pause(clock: DayClock, timestamp: number, signal: AbortSignal): Promise<void> {
  for (let wait = clock.until(timestamp); wait > 0; wait = clock.until(timestamp)) {
    signal.throwIfAborted();
    await delay(Math.min(Math.ceil(wait), longestTimerMs), undefined, { signal });
  }
}
