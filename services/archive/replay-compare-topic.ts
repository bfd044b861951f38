/** Compares one topic of the target with what the archive holds of it, read side by side. */
import type { Kafka } from "../bus/kafka.ts";
import { readPartition } from "../bus/partition-log.ts";
import type { Logger } from "../core/log.ts";
import type { ClusterArchive } from "./cluster-archive.ts";
import type { Manifest } from "./documents.ts";
import { parseObjectName } from "./layout.ts";
import type { ArchivedRecord } from "./line.ts";
import { expectedOfListed } from "./object.ts";
import { readArchivedPartition, readListedObject } from "./read-archive.ts";
import {
  type ComparisonCounts,
  type Difference,
  type Place,
  type Side,
  TopicComparison,
} from "./replay-comparison.ts";
import { type FieldDifference, firstDifference } from "./replay-field.ts";
import { identify, type Identity, type OutputRecord, outputOf } from "./replay-record.ts";

/** A difference with what a person needs to see it. */
export type ReportedDifference = Difference & {
  topic: string;
  /** Where the bytes differ: the first field. */
  field?: FieldDifference;
};

/** What the comparison of a topic found. */
export interface TopicResult {
  topic: string;
  counts: ComparisonCounts;
  differences: ReportedDifference[];
  /** Records of services that were not replayed, by service: they are not compared. */
  leftOut: Record<string, number>;
}

/** Arguments of {@link compareTopic}. */
export interface CompareOptions {
  kafka: Kafka;
  archive: ClusterArchive;
  manifest: Manifest;
  topic: string;
  /** How many partitions it has on the target. */
  partitions: number;
  /** Whether what a service wrote is compared; asked where records tell their writer. */
  isReplayed: (service: string) => boolean;
  /** Differences of each kind that are listed. */
  limit: number;
  /** Told how many records were read since the last call. */
  onRead: (records: number) => void;
  signal: AbortSignal;
  logger: Logger;
}

/** So often it is told how many records were read. */
const tellEvery = 1_000;

/**
 * Compares a topic, partition by partition. Services that write must have ended.
 * @throws the signal's reason; ArchiveStoreError; ObjectProblem when the archive is damaged; PartitionLogError.
 */
export async function compareTopic(options: CompareOptions): Promise<TopicResult> {
  const { topic, limit, onRead } = options;
  const leftOut: Record<string, number> = {};
  const identifyOurs = (record: OutputRecord): Identity | undefined => {
    const identity = identify(record);
    const { writer } = identity;
    return writer === undefined || options.isReplayed(writer) ? identity : undefined;
  };
  const comparison = new TopicComparison({ identify: identifyOurs, limit });
  let untold = 0;
  const take = (side: Side, record: OutputRecord): void => {
    if (!comparison.take(side, record) && side === "archived") {
      const writer = identify(record).writer ?? "";
      leftOut[writer] = (leftOut[writer] ?? 0) + 1;
    }
    if (++untold === tellEvery) {
      onRead(untold);
      untold = 0;
    }
  };
  for (let partition = 0; partition < options.partitions; partition++) {
    const archived = readArchived(options, partition);
    await readReplayed(options, partition, async (record) => {
      take("replayed", outputOf(record));
      const next = await archived.next();
      if (next.done !== true) take("archived", next.value);
    });
    for await (const record of archived) take("archived", record);
  }
  onRead(untold);
  await secondReading(options, comparison);
  const differences: ReportedDifference[] = [];
  for (const difference of comparison.end()) differences.push(await withField(options, difference));
  return { topic, counts: comparison.counts, differences, leftOut };
}

/** What the day had in a partition: nothing where it did not have the topic. */
async function* readArchived(
  { archive, manifest, topic, signal }: CompareOptions,
  partition: number,
): AsyncGenerator<ArchivedRecord> {
  const known = manifest.topics.find((entry) => entry.topic === topic);
  if (known?.partitions.some((entry) => entry.partition === partition) !== true) return;
  for await (const record of readArchivedPartition(archive, manifest, topic, partition)) {
    signal.throwIfAborted();
    yield record;
  }
}

type OnRecord = Parameters<typeof readPartition>[0]["onRecord"];

function readReplayed(
  { kafka, topic, signal, logger }: Pick<CompareOptions, "kafka" | "topic" | "signal" | "logger">,
  partition: number,
  onRecord: OnRecord,
): Promise<bigint> {
  return readPartition({ kafka, topic, partition, onRecord, signal, logger });
}

async function secondReading(options: CompareOptions, comparison: TopicComparison): Promise<void> {
  for (let partition = 0; partition < options.partitions; partition++) {
    if (!comparison.hasLeft("archived")) break;
    for await (const record of readArchived(options, partition)) comparison.again("archived", record);
  }
  for (let partition = 0; partition < options.partitions; partition++) {
    if (!comparison.hasLeft("replayed")) break;
    await readReplayed(options, partition, (record) => comparison.again("replayed", outputOf(record)));
  }
}

/** Reads both records of a difference again to see where they differ. */
async function withField(options: CompareOptions, difference: Difference): Promise<ReportedDifference> {
  const { topic } = options;
  const reported = { ...difference, topic };
  const at = (side: Side, place: Place) =>
    side === "archived" ? archivedAt(options, place) : replayedAt(options, place);
  let pair: (OutputRecord | undefined)[];
  if (difference.kind === "different") {
    pair = [await at("archived", difference.archived), await at("replayed", difference.replayed)];
  } else if (difference.kind === "repeated" && difference.first !== undefined) {
    pair = [await at(difference.side, difference.first), await at(difference.side, difference.again)];
  } else return reported;
  const [one, other] = pair;
  const field = one === undefined || other === undefined ? undefined : firstDifference(one, other);
  return field === undefined ? reported : { ...reported, field };
}

async function archivedAt(
  { archive, manifest, topic }: CompareOptions,
  { partition, offset }: Place,
): Promise<OutputRecord | undefined> {
  const known = manifest.topics
    .find((entry) => entry.topic === topic)
    ?.partitions.find((entry) => entry.partition === partition);
  const wanted = BigInt(offset);
  const found = expectedOfListed(known?.objects ?? []).find(({ object: { name } }) => {
    const range = parseObjectName(name);
    return range !== undefined && range.first <= wanted && wanted <= range.last;
  });
  if (found === undefined) return undefined;
  const records = await readListedObject(archive, found.object, found.expected);
  return records.find((record) => record.offset === offset);
}

async function replayedAt(
  { kafka, topic, signal, logger }: CompareOptions,
  { partition, offset }: Place,
): Promise<OutputRecord | undefined> {
  let found: OutputRecord | undefined;
  const from = BigInt(offset);
  await readPartition({
    kafka,
    topic,
    partition,
    from,
    to: from + 1n,
    onRecord: (record) => void (found = outputOf(record)),
    signal,
    logger,
  });
  return found;
}
