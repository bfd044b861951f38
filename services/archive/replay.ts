/**
 * Replays an archived day: its raw records are fed to the services that made the rest of them, on a Kafka of their own,
 * and what comes out is compared with what the day had. Who starts the services is the caller's.
 */
import type { Kafka } from "../bus/kafka.ts";
import { LogWriter } from "../bus/log-writer.ts";
import { topicName, topics as registry, type TopicDefinition } from "../bus/topics.ts";
import type { Logger } from "../core/log.ts";
import type { ClusterArchive } from "./cluster-archive.ts";
import type { Manifest } from "./documents.ts";
import { compareTopic, type TopicResult } from "./replay-compare-topic.ts";
import { isSame } from "./replay-comparison.ts";
import { feed, type Speed } from "./replay-feed.ts";
import { type ReplayedService, waitAtRest } from "./replay-rest.ts";
import { prepareTarget } from "./replay-target.ts";
import type { TargetTopic } from "./restore-target.ts";

export type { ReportedDifference, TopicResult } from "./replay-compare-topic.ts";
export type { Speed } from "./replay-feed.ts";
export { type ReplayedService, ReplayStalledError } from "./replay-rest.ts";
export { ReplayTargetError } from "./replay-target.ts";

/** The services that were started for a replay. */
export interface StartedServices {
  /** Rejects when one of them ends that should not. */
  readonly failed: Promise<never>;
  /** Ends them in order; rejects when one does not end well. */
  stop(): Promise<void>;
}

/** Arguments of {@link replay}. */
export interface ReplayOptions {
  /** The target: an empty Kafka. */
  kafka: Kafka;
  archive: ClusterArchive;
  /** As `verifyArchive` found it good. */
  manifest: Manifest;
  services: readonly ReplayedService[];
  /** Services whose records are left out of the comparison, because they could be replayed and are not. */
  notReplayed: readonly string[];
  /** Starts the services on the target, whose topics exist; resolves when they are ready. */
  start: (signal: AbortSignal) => Promise<StartedServices>;
  speed: Speed;
  /** Differences of each kind and topic that are listed; all are counted. */
  limit: number;
  /** Told in one line what is being done. */
  onProgress: (line: string) => void;
  /** Ends the replay, and the services. */
  signal: AbortSignal;
  logger: Logger;
}

/** What a replay found. */
export interface ReplayResult {
  /** Everything that was compared is the same. */
  same: boolean;
  /** Records that were fed, by topic. */
  fed: Record<string, number>;
  /** The topics that were compared. */
  topics: TopicResult[];
  /** Milliseconds from the first record fed until the services were at rest. */
  milliseconds: number;
}

/** The topics of a replay, from its services. */
export interface ReplayTopics {
  /** Fed from the archive: what the services read and none of them writes. */
  fed: string[];
  /** Compared: what they write, and dead letters. */
  compared: string[];
}

/** Which topics a replay of these services feeds and compares. */
export function replayTopics(services: readonly ReplayedService[]): ReplayTopics {
  const written = new Set(services.flatMap(({ writes }) => writes));
  const read = new Set(services.flatMap(({ reads }) => reads));
  return {
    fed: [...read].filter((topic) => !written.has(topic)).sort(),
    compared: [...written, registry.deadLetter.name].sort(),
  };
}

/**
 * Replays a day.
 * @throws ReplayTargetError when the target is not empty; ReplayStalledError; what `start` and the services' failure say;
 *   ArchiveStoreError, ObjectProblem when the archive cannot be read; the signal's reason. Differences are no error.
 */
export async function replay(options: ReplayOptions): Promise<ReplayResult> {
  const { kafka, manifest, services, onProgress, signal } = options;
  const { fed, compared } = replayTopics(services);
  const wanted = [...fed, ...compared, registry.control.name].map((topic) => targetTopic(topic, manifest));
  onProgress(`creating ${wanted.length} topics on the target`);
  await prepareTarget(kafka, wanted);
  const abort = new AbortController();
  const either = AbortSignal.any([signal, abort.signal]);
  onProgress(`starting ${services.map(({ name }) => name).join(", ")}`);
  const started = await options.start(either);
  started.failed.catch((error: unknown) => abort.abort(error));
  let milliseconds: number;
  try {
    const begun = performance.now();
    await feedAll(options, fed, either);
    await waitAtRest({
      kafka,
      services,
      signal: either,
      onBehind: (behind) =>
        onProgress(`waiting for ${[...behind].map(([name, lag]) => `${name} (${lag} records)`).join(", ")}`),
    });
    milliseconds = performance.now() - begun;
  } catch (error) {
    await started.stop().catch(() => undefined);
    // What an aborted step says is less than why it was aborted.
    if (abort.signal.aborted && !signal.aborted) throw abort.signal.reason;
    throw error;
  }
  onProgress("stopping the services");
  await started.stop();
  const results: TopicResult[] = [];
  for (const topic of compared) {
    let read = 0;
    const { partitions } = targetTopic(topic, manifest);
    const onRead = (records: number): void =>
      onProgress(`comparing ${topic}: ${(read += records)} records read`);
    results.push(
      await compareTopic({
        ...options,
        topic,
        partitions,
        onRead,
        isReplayed: (service) => isReplayed(service, topic, options),
      }),
    );
  }
  return {
    same: results.every(({ counts }) => isSame(counts)),
    fed: Object.fromEntries(fed.map((topic) => [topic, recordsOf(topic, manifest)])),
    topics: results,
    milliseconds: Math.round(milliseconds),
  };
}

/**
 * Dead letters come from services of all kinds, only those of the replayed ones can come again. Commands of a service
 * that is not known at all count as missing: nothing can make them again.
 */
function isReplayed(service: string, topic: string, { services, notReplayed }: ReplayOptions): boolean {
  return topic === registry.deadLetter.name
    ? services.some(({ name }) => name === service)
    : !notReplayed.includes(service);
}

async function feedAll(
  options: ReplayOptions,
  topics: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const { kafka, manifest, logger, onProgress } = options;
  const of = topics.reduce((sum, topic) => sum + recordsOf(topic, manifest), 0);
  const writer = new LogWriter({ kafka, logger, signal, topics });
  try {
    await writer.start();
    let fed = 0;
    await feed({
      ...options,
      topics,
      signal,
      output: (topic, partition) => writer.partition(topic, partition),
      onFed: (records) => onProgress(`fed ${(fed += records)} of ${of} records`),
    });
  } finally {
    await writer.stop();
  }
}

function recordsOf(topic: string, manifest: Manifest): number {
  const partitions = manifest.topics.find((entry) => entry.topic === topic)?.partitions ?? [];
  return partitions.reduce((sum, { records }) => sum + records, 0);
}

/** As the day had it; a topic that the day did not have, as the registry says. */
function targetTopic(topic: string, manifest: Manifest): TargetTopic {
  const archived = manifest.topics.find((entry) => entry.topic === topic);
  const all: readonly TopicDefinition[] = Object.values(registry);
  const declared = all.find((entry) => topicName(entry, manifest.businessDate) === topic);
  const limit = Number(archived?.configuration["max.message.bytes"] ?? declared?.maxMessageBytes);
  return {
    target: topic,
    partitions: archived?.partitions.length ?? declared?.partitions ?? 1,
    maxMessageBytes: Number.isSafeInteger(limit) ? limit : undefined,
  };
}
