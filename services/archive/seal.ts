/**
 * The seal: drains the services, exports to the end of every log, reads every object back and writes the manifest.
 * A cluster that has not changed since its last seal is only read back; one that has gets the next generation.
 */
import { setTimeout as delay } from "node:timers/promises";
import { groupOffsets, topicSettings } from "../bus/cluster-admin.ts";
import type { Kafka } from "../bus/kafka.ts";
import { partitionKey } from "../bus/kafka-log.ts";
import type { LogEnd } from "../bus/log-reader.ts";
import type { Logger } from "../core/log.ts";
import { toInstant } from "../core/time.ts";
import { ArchiveDocumentError, type ClusterArchive } from "./cluster-archive.ts";
import {
  canonicalJson,
  type Manifest,
  type ManifestCarryOver,
  manifestChecksum,
  type ManifestEvidence,
  manifestSchema,
  type ManifestTopic,
  type SealProgress,
  sealProgressSchema,
} from "./documents.ts";
import type { Exporter } from "./exporter.ts";
import { type InventoryPartition, takeInventory, type WantedPartition } from "./inventory.ts";
import { documents } from "./layout.ts";
import type { PartitionExport } from "./partition-export.ts";

/** A seal could not be made; the message says what is missing and is shown to the operator. */
export class SealError extends Error {
  override readonly name = "SealError";
}

/** The drain, as the seal needs it. */
export interface DrainRequester {
  /** Asks all services to drain, unless they were asked with this id before. */
  request(requestId: string): Promise<void>;
  /** The services that have not answered. */
  unanswered(requestId: string): string[];
}

/** A command that has no terminal state. */
export interface OpenCommandSummary {
  commandId: string;
  venue: string;
  /** Its last state in the journal: `intent`, `submitted`, `unknown` … */
  state: string;
  /** When it got there, RFC 3339. */
  since: string;
  /** Whether `carry-over.json` holds it. */
  carriedOver: boolean;
}

/** Arguments of {@link seal}. */
export interface SealOptions {
  kafka: Kafka;
  archive: ClusterArchive;
  exporter: Exporter;
  drain: DrainRequester;
  logger: Logger;
  requestId: string;
  /** Versions to be noted in the manifest. */
  versions: Record<string, string>;
  /** Longest time for the services to drain, in milliseconds. */
  drainTimeoutMs: number;
  /** Longest time for reading to the ends of the logs, each time, in milliseconds. */
  exportTimeoutMs: number;
  /** Told what is being done; must not throw. */
  onProgress: (state: SealProgress["state"], message: string) => void;
  /**
   * Writes what there is about the day beside its records (logs, events, metrics) and tells what it wrote. Called once
   * per generation, after the drain and while the topics are exported. What the last manifest lists must stay as it is
   * until the next one is written, so names differ between generations: `evidence/<generation>/…`. Evidence that cannot be
   * had is noted in a file of the evidence; only the bucket's errors are thrown. Default: none.
   * @param onProgress told in one sentence what is being done.
   */
  evidence?: (
    signal: AbortSignal,
    onProgress: (message: string) => void,
    generation: number,
  ) => Promise<ManifestEvidence[]>;
  /**
   * Writes `carry-over.json` when commands are to be carried over, and tells what it wrote; null when there are none.
   * Called after all topics were exported to their ends, so the journal does not change any more. Default: nothing is carried over.
   */
  carryOver?: (signal: AbortSignal) => Promise<ManifestCarryOver | null>;
  /**
   * The commands without a terminal state. Called right after `carryOver`. Those that are not carried over make the
   * seal fail. Default: not looked at.
   */
  openCommands?: (signal: AbortSignal) => Promise<OpenCommandSummary[]>;
  /** Ends the seal: the archiver stops, or a newer request has come. */
  signal: AbortSignal;
}

/** How often changing logs or damaged objects are looked at anew before the seal is given up. */
const maximumRounds = 10;

/**
 * Seals the cluster's archive.
 * @returns the manifest that answers the request.
 * @throws SealError; ArchiveStoreError; the signal's reason.
 */
export async function seal(options: SealOptions): Promise<Manifest> {
  const { archive, exporter, requestId, onProgress } = options;
  const previous = await lastSeal(archive, options.logger);
  if (previous !== undefined) {
    onProgress("verifying", `sealed before (generation ${previous.generation}): looking for changes`);
    const { partitions } = await settle(options, 1);
    if (partitions !== undefined && sameContent(previous, partitions)) return previous;
  }

  await options.drain.request(requestId);
  await waitForDrain(options);
  const { partitions } = await settle(options, maximumRounds);
  if (partitions === undefined) {
    throw new SealError(
      "Records are still being written, or objects in the bucket keep changing. Stop what writes and request the seal again.",
    );
  }

  const topics = await describeTopics(options.kafka, partitions);
  const all = topics.flatMap((topic) => topic.partitions);
  const objects = all.flatMap((partition) => partition.objects);
  const sum = (numbers: number[]): number => numbers.reduce((a, b) => a + b, 0);
  const content: Omit<Manifest, "checksum"> = {
    format: 2,
    stack: archive.identity.stack,
    businessDate: archive.identity.businessDate,
    clusterId: archive.identity.clusterId,
    kafkaClusterId: exporter.kafkaClusterId,
    generation: (await lastGeneration(archive, previous)) + 1,
    requestId,
    sealedAt: toInstant(Date.now()),
    versions: options.versions,
    topics,
    groups: await groupOffsets(options.kafka),
    totals: {
      topics: topics.length,
      partitions: all.length,
      objects: objects.length,
      records: sum(all.map((partition) => partition.records)),
      bytes: sum(objects.map((object) => object.bytes)),
    },
    evidence: [],
    carryOver: null,
    losses: exporter.losses,
  };
  const manifest = { ...content, checksum: manifestChecksum(content) };
  await archive.write(documents.manifest, manifest);
  const written = await archive.read(documents.manifest, manifestSchema);
  if (written?.checksum !== manifest.checksum || manifestChecksum(written) !== manifest.checksum) {
    throw new SealError(
      "The manifest read back from the bucket is not the one that was written. Request the seal again.",
    );
  }
  return manifest;
}

/** The manifest of the last seal of this cluster, if it is whole. */
async function lastSeal(archive: ClusterArchive, logger: Logger): Promise<Manifest | undefined> {
  const { clusterId } = archive.identity;
  const manifest = await archive.read(documents.manifest, manifestSchema).catch((error: unknown) => {
    if (!(error instanceof ArchiveDocumentError)) throw error;
    logger.error({ err: error }, "the manifest is damaged: sealing anew");
    return undefined;
  });
  if (manifest === undefined) return undefined;
  if (manifestChecksum(manifest) === manifest.checksum && manifest.clusterId === clusterId) return manifest;
  logger.error(
    { clusterId: manifest.clusterId },
    "the manifest was changed or is of another cluster: sealing anew",
  );
  return undefined;
}

/** Generations only grow, also when the manifest was damaged: the progress remembers the number, too. */
async function lastGeneration(archive: ClusterArchive, previous: Manifest | undefined): Promise<number> {
  const progress = await archive.read(documents.sealProgress, sealProgressSchema).catch(() => undefined);
  return Math.max(previous?.generation ?? 0, progress?.generation ?? 0);
}

async function waitForDrain({
  drain,
  requestId,
  signal,
  drainTimeoutMs,
  onProgress,
}: SealOptions): Promise<void> {
  const deadline = performance.now() + drainTimeoutMs;
  for (let waiting = drain.unanswered(requestId); waiting.length > 0; waiting = drain.unanswered(requestId)) {
    signal.throwIfAborted();
    onProgress("draining", `waiting for ${waiting.join(", ")} to drain`);
    if (performance.now() > deadline) {
      throw new SealError(
        `Not drained within ${drainTimeoutMs / 1_000} s: ${waiting.join(", ")}. ` +
          "Look at their logs (are they running?), then request the seal again.",
      );
    }
    await delay(50, undefined, { signal });
  }
}

/**
 * Exports and reads back until the logs' ends are the same before and after.
 * @returns nothing when they were not in so many rounds.
 */
async function settle(
  options: SealOptions,
  rounds: number,
): Promise<{ partitions: InventoryPartition[] | undefined }> {
  const { archive, exporter, onProgress, logger, signal } = options;
  for (let round = 0; round < rounds; round++) {
    signal.throwIfAborted();
    onProgress("exporting", "exporting to the end of every topic");
    const ends = await exportToEnds(options);
    onProgress("verifying", "reading back what was exported");
    const wanted = await wantedPartitions(options, ends);
    const { partitions, damages } = await takeInventory(archive, wanted, (records) =>
      onProgress("verifying", `read back ${records} records`),
    );
    for (const damage of damages) {
      logger.error({ ...damage, from: String(damage.from) }, "damage in the bucket, exporting again");
      const exporting = exporter.partition(partitionKey(damage));
      if (exporting === undefined) {
        throw new SealError(
          `${damage.reason}, and its topic no longer exists in Kafka: it cannot be exported again.`,
        );
      }
      exporting.setBack(damage.from, damage.object);
    }
    if (damages.length === 0 && sameEnds(ends, await exportToEnds(options))) return { partitions };
  }
  return { partitions: undefined };
}

async function exportToEnds({ exporter, exportTimeoutMs, signal }: SealOptions): Promise<LogEnd[]> {
  try {
    return await exporter.exportToEnds(AbortSignal.any([signal, AbortSignal.timeout(exportTimeoutMs)]));
  } catch (error) {
    signal.throwIfAborted();
    throw new SealError(
      `The topics could not be exported: ${(error as Error).message}. Then request the seal again.`,
    );
  }
}

/** The live partitions, and those of which only the bucket knows. */
async function wantedPartitions(
  { archive, exporter }: SealOptions,
  ends: LogEnd[],
): Promise<WantedPartition[]> {
  const wanted = ends.map(({ topic, partition, end }): WantedPartition => {
    const exporting = exporter.partition(partitionKey({ topic, partition }));
    return { topic, partition, end, ...from(exporting) };
  });
  const live = new Set(wanted.map(partitionKey));
  for (const [key, [range]] of await archive.ranges()) {
    if (range === undefined || live.has(key)) continue;
    const { topic, partition } = range;
    wanted.push({ topic, partition, end: undefined, ...from(exporter.partition(key)) });
  }
  return wanted;
}

function from(
  exporting: PartitionExport | undefined,
): Pick<WantedPartition, "starts" | "stored" | "unusable"> {
  return {
    starts: exporting?.starts ?? [0n],
    stored: exporting?.stored,
    unusable: exporting?.unusable ?? new Set(),
  };
}

function sameEnds(before: readonly LogEnd[], after: readonly LogEnd[]): boolean {
  const printed = (ends: readonly LogEnd[]): string =>
    ends
      .map((end) => `${partitionKey(end)} ${end.end}`)
      .sort()
      .join("\n");
  return printed(before) === printed(after);
}

function sameContent(manifest: Manifest, partitions: readonly InventoryPartition[]): boolean {
  const print = (
    topics: readonly { topic: string; deleted: boolean; partitions: readonly unknown[] }[],
  ): string =>
    canonicalJson(topics.map(({ topic, deleted, partitions: content }) => ({ topic, deleted, content })));
  return print(manifest.topics) === print(byTopic(partitions));
}

function byTopic(partitions: readonly InventoryPartition[]): Omit<ManifestTopic, "configuration">[] {
  const topics = new Map<string, Omit<ManifestTopic, "configuration">>();
  for (const { topic, deleted, content } of partitions) {
    const known = topics.get(topic) ?? { topic, deleted, partitions: [] };
    known.partitions.push(content);
    topics.set(topic, known);
  }
  for (const { partitions: content } of topics.values()) content.sort((a, b) => a.partition - b.partition);
  return [...topics.values()].sort((a, b) => (a.topic < b.topic ? -1 : 1));
}

async function describeTopics(
  kafka: Kafka,
  partitions: readonly InventoryPartition[],
): Promise<ManifestTopic[]> {
  const topics = byTopic(partitions);
  const live = topics.filter(({ deleted }) => !deleted).map(({ topic }) => topic);
  const settings = await topicSettings(kafka, live);
  return topics.map((topic) => ({ ...topic, configuration: settings.get(topic.topic) ?? {} }));
}
