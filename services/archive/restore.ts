/**
 * Brings archived records back into a Kafka: keys, headers, timestamps, partitions and order as they were. Afterwards
 * the target is read and its records' hash compared with the archive's, so that "restored" is a proof and no hope.
 */
import type { Kafka } from "../bus/kafka.ts";
import { partitionKey } from "../bus/kafka-log.ts";
import { LogWriter } from "../bus/log-writer.ts";
import type { Logger } from "../core/log.ts";
import type { ClusterArchive } from "./cluster-archive.ts";
import { mapConcurrently } from "./concurrency.ts";
import { type Manifest, manifestChecksum, type ManifestPartition } from "./documents.ts";
import type { ArchivedRecord } from "./line.ts";
import { readArchivedPartition } from "./read-archive.ts";
import { chainStart, RecordHash } from "./record-hash.ts";
import { readBackRestored } from "./restore-proof.ts";
import {
  actsOn,
  planProblems,
  prepareTarget,
  RestoreRefusedError,
  type RestorePermissions,
} from "./restore-target.ts";

export { RestoreRefusedError, type RestorePermissions } from "./restore-target.ts";

/** Arguments of {@link restore}. */
export interface RestoreOptions {
  /** The cluster to restore into. */
  kafka: Kafka;
  archive: ClusterArchive;
  /** Of the sealed archive. */
  manifest: Manifest;
  /** Names of topics. Default: all but those that services act on, unless `allow.commands`. */
  topics?: readonly string[];
  /** Numbers of partitions, of each topic that has them. Default: all. */
  partitions?: readonly number[];
  /** Only records whose timestamp is at or after this, in milliseconds since 1970. Default: all. */
  from?: number;
  /** Only records whose timestamp is before this. Default: all. */
  to?: number;
  /** The name in the target of a topic. Default: its own. */
  rename?: (topic: string) => string;
  /** What may be done although it could do harm. Default: nothing of it. */
  allow?: Partial<RestorePermissions>;
  onProgress?: (progress: RestoreProgress) => void;
  signal: AbortSignal;
  logger: Logger;
}

/** How far a restore is. */
export interface RestoreProgress {
  phase: "writing" | "reading back";
  /** Records written, or read back. */
  records: number;
  /** Records of the chosen partitions; with a time range, fewer of them are written. */
  ofRecords: number;
}

/** What became of one partition. */
export interface RestoredPartition {
  topic: string;
  target: string;
  partition: number;
  /** Records written. */
  records: number;
  /** Whether all records of the archived partition were wanted; then the proof is the manifest's own hash. */
  whole: boolean;
  /** Hash of what was to be restored, and of what the target gave back, both with the archived topic's name. */
  recordsSha256: string;
  targetSha256: string;
}

/** What {@link restore} did. */
export interface RestoreResult {
  /** The target holds what it should, in every partition. */
  proven: boolean;
  /** Where it does not, one sentence each. */
  problems: string[];
  partitions: RestoredPartition[];
  records: number;
  /** Topics that were left out because services act on them. */
  leftOut: string[];
}

/** Partitions restored side by side: each has an object or two of the archive in memory. */
const concurrency = 3;

/**
 * Restores a sealed archive or a part of it.
 * @throws RestoreRefusedError before anything is written; ArchiveStoreError; ObjectProblem when the archive is damaged;
 *   LogWriteError; the signal's reason. What was written until then stays in the target.
 */
export async function restore(options: RestoreOptions): Promise<RestoreResult> {
  const { kafka, archive, manifest, logger, signal, onProgress = () => undefined } = options;
  const allow = { nonEmpty: false, commands: false, ...options.allow };
  const { plan, leftOut } = makePlan(options, allow);
  const ends = await prepareTarget(kafka, plan, allow);
  const partitions = plan.flatMap(({ topic, target, chosen }) =>
    chosen.map((archived) => ({
      topic,
      target,
      archived,
      start: ends.get(target)?.[archived.partition] ?? 0n,
    })),
  );
  const ofRecords = partitions.reduce((sum, { archived }) => sum + archived.records, 0);
  const writer = new LogWriter({ kafka, logger, signal, topics: plan.map(({ target }) => target) });
  let records = 0;
  let written;
  try {
    await writer.start();
    written = await mapConcurrently(partitions, concurrency, async (partition) => {
      const { topic, target, archived } = partition;
      const hash = new RecordHash();
      const output = writer.partition(target, archived.partition);
      for await (const record of readArchivedPartition(archive, manifest, topic, archived.partition)) {
        if (!isWanted(record, options)) continue;
        hash.add(record);
        const full = output.add(record);
        if (full === undefined) continue;
        await full;
        signal.throwIfAborted();
        onProgress({ phase: "writing", records: records + hash.records, ofRecords });
      }
      await output.flush();
      records += hash.records;
      onProgress({ phase: "writing", records, ofRecords });
      return { ...partition, expected: hash.point };
    });
  } finally {
    await writer.stop();
  }
  const found = await readBackRestored({
    kafka,
    logger,
    signal,
    partitions: written.map(({ topic, target, archived, start, expected }) => ({
      topic,
      target,
      partition: archived.partition,
      start,
      records: expected.records,
    })),
    onProgress: (count) => onProgress({ phase: "reading back", records: count, ofRecords: records }),
  });
  const problems: string[] = [];
  const results = written.map(({ topic, target, archived, expected }, index): RestoredPartition => {
    const { partition } = archived;
    const back = found[index] ?? chainStart;
    const whole = options.from === undefined && options.to === undefined;
    const name = partitionKey({ topic: target, partition });
    if (whole && expected.sha256 !== archived.recordsSha256) {
      problems.push(`${name}: what was written is not what the manifest says was archived`);
    }
    if (back.records !== expected.records) {
      problems.push(
        `${name}: ${expected.records} records were written, the target gives ${back.records} back`,
      );
    } else if (back.sha256 !== expected.sha256) {
      problems.push(`${name}: the target gives other records back than were written`);
    }
    const { records: count, sha256: recordsSha256 } = expected;
    return { topic, target, partition, records: count, whole, recordsSha256, targetSha256: back.sha256 };
  });
  return { proven: problems.length === 0, problems, partitions: results, records, leftOut };
}

interface PlannedTopic {
  topic: string;
  target: string;
  /** Of the topic, chosen or not. */
  partitions: number;
  maxMessageBytes: number | undefined;
  chosen: ManifestPartition[];
}

function makePlan(
  { archive, manifest, topics, partitions, rename = (topic) => topic }: RestoreOptions,
  allow: RestorePermissions,
): { plan: PlannedTopic[]; leftOut: string[] } {
  if (manifestChecksum(manifest) !== manifest.checksum) {
    throw new RestoreRefusedError([
      `the manifest of ${archive.prefix} was changed after it was written: its checksum does not match`,
    ]);
  }
  const known = new Set(manifest.topics.map(({ topic }) => topic));
  const problems = (topics ?? [])
    .filter((topic) => !known.has(topic))
    .map((topic) => `${topic} is not in the archive; it has ${[...known].join(", ")}`);
  const named = manifest.topics.filter(({ topic }) => topics?.includes(topic) ?? true);
  const leftOut = named
    .map(({ topic }) => topic)
    .filter((topic) => topics === undefined && !allow.commands && actsOn(rename(topic)));
  const plan = named
    .filter(({ topic }) => !leftOut.includes(topic))
    .map((entry): PlannedTopic => {
      const limit = Number(entry.configuration["max.message.bytes"]);
      return {
        topic: entry.topic,
        target: rename(entry.topic),
        partitions: Math.max(...entry.partitions.map(({ partition }) => partition)) + 1,
        maxMessageBytes: Number.isSafeInteger(limit) ? limit : undefined,
        chosen: entry.partitions.filter(({ partition }) => partitions?.includes(partition) ?? true),
      };
    })
    .filter(({ chosen }) => chosen.length > 0);
  problems.push(...planProblems(plan, allow));
  if (problems.length === 0 && plan.length === 0)
    problems.push("no topic or partition of the archive was chosen");
  if (problems.length > 0) throw new RestoreRefusedError(problems);
  return { plan, leftOut };
}

function isWanted({ timestamp }: ArchivedRecord, { from, to }: RestoreOptions): boolean {
  if (from === undefined && to === undefined) return true;
  const at = Number(timestamp);
  return at >= (from ?? -Infinity) && at < (to ?? Infinity);
}
