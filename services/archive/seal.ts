/**
 * The seal: drains the services, exports to the end of every log, sees to it that everything was read back, and writes the
 * manifest. It holds only while the cluster's id and its logs' ends are those of the manifest: a cluster that has not
 * changed since is only looked at, one that has gets the next generation.
 */
import { setTimeout as delay } from "node:timers/promises";
import { groupOffsets, topicSettings } from "../bus/cluster-admin.ts";
import type { Kafka } from "../bus/kafka.ts";
import { toInstant } from "../core/time.ts";
import type { ClusterArchive } from "./cluster-archive.ts";
import {
  type Manifest,
  type ManifestCarryOver,
  manifestChecksum,
  type ManifestEvidence,
  type ManifestTopic,
} from "./documents.ts";
import type { DrainRequester } from "./drain-requester.ts";
import { allLosses, regressions, sameContent, type TopicContent } from "./manifest-compare.ts";
import { ensureManifest, readManifestHistory } from "./manifest-history.ts";
import { strangeKafka } from "./own-kafka.ts";
import { SealError } from "./seal-error.ts";
import { settle, type SettleOptions } from "./settle.ts";
import { storedProblems } from "./verify.ts";

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

/** Arguments of {@link seal}. `onProgress` must not throw; the signal ends the seal: the archiver stops, or a newer request has come. */
export interface SealOptions extends SettleOptions {
  kafka: Kafka;
  archive: ClusterArchive;
  drain: DrainRequester;
  requestId: string;
  /** Versions to be noted in the manifest. */
  versions: Record<string, string>;
  /** Longest time for the services to drain, in milliseconds. */
  drainTimeoutMs: number;
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
   * The commands without a terminal state. Called right after `carryOver`, and when the services do not drain. Those that are
   * not carried over make the seal fail. Default: not looked at.
   */
  openCommands?: (signal: AbortSignal) => Promise<OpenCommandSummary[]>;
}

/** What a seal came to. */
export interface Seal {
  /** It stands in the bucket and answers the request. */
  manifest: Manifest;
  /** It was there before: the cluster has not changed since. */
  unchanged: boolean;
}

/** How often changing logs or damaged objects are looked at anew before the seal is given up. */
const maximumRounds = 10;
/** The same, for a cluster that was sealed before and may be in use again: then it has to be drained first. */
const roundsBeforeDrain = 2;
/** Commands named in a message; the rest is counted. */
const maximumNamed = 20;

/**
 * Seals the cluster's archive. May be called again after whatever ended an earlier call.
 * @throws SealError; ArchiveStoreError; the signal's reason.
 */
export async function seal(options: SealOptions): Promise<Seal> {
  const { archive, exporter, requestId, onProgress, logger, signal } = options;
  const strange = await strangeKafka(archive, exporter.kafkaClusterId);
  if (strange !== undefined) throw new SealError(strange.message);
  const history = await readManifestHistory(archive);
  for (const damage of history.damages) logger.error({ damage }, "a manifest is damaged");
  const { newest } = history;
  if (newest !== undefined) {
    const message = `sealed before (generation ${newest.generation}): looking for changes`;
    onProgress({ state: "verifying", message });
    const topics = await settle(options, roundsBeforeDrain);
    const unchanged = topics !== undefined && sameContent(newest, topics);
    if (unchanged && (await storedProblems(archive, newest)).length === 0) {
      await ensureManifest(archive, newest);
      demandNoLosses(newest);
      return { manifest: newest, unchanged };
    }
  }

  await options.drain.request(requestId);
  await waitForDrain(options);
  const generation = history.generation + 1;
  const { topics, evidence } = await settleWithEvidence(options, generation);
  const worse = newest === undefined ? [] : regressions(newest, topics);
  if (worse.length > 0) {
    throw new SealError(
      `The bucket holds less than it did:\n${list(worse)}\nThe former manifest stays. ` +
        "If the records are gone from Kafka, too, they are lost: see the archiver's log for what happened to them.",
    );
  }
  const carryOver = (await options.carryOver?.(signal)) ?? null;
  await demandEndedCommands(options);

  onProgress({ state: "writing", message: `writing the manifest of generation ${generation}` });
  const content: Omit<Manifest, "checksum"> = {
    format: 2,
    ...archive.identity,
    kafkaClusterId: exporter.kafkaClusterId,
    generation,
    requestId,
    sealedAt: toInstant(Date.now()),
    versions: options.versions,
    topics: await withConfigurations(options.kafka, topics),
    groups: await groupOffsets(options.kafka),
    totals: totalsOf(topics),
    evidence,
    carryOver,
    losses: allLosses(newest, topics, exporter.losses),
  };
  const manifest = { ...content, checksum: manifestChecksum(content) };
  signal.throwIfAborted();
  await ensureManifest(archive, manifest);
  demandNoLosses(manifest);
  return { manifest, unchanged: false };
}

function demandNoLosses({ losses, generation }: Manifest): void {
  if (losses.length === 0) return;
  throw new SealError(
    `Records were lost before they were archived:\n${list(losses)}\n` +
      `All others are archived, as the manifest of generation ${generation} says.`,
  );
}

async function waitForDrain(options: SealOptions): Promise<void> {
  const { drain, requestId, signal, drainTimeoutMs, onProgress } = options;
  const deadline = performance.now() + drainTimeoutMs;
  for (let waiting = drain.unanswered(requestId); waiting.length > 0; waiting = drain.unanswered(requestId)) {
    signal.throwIfAborted();
    const ofServices = drain.services.length;
    const services = ofServices - waiting.length;
    onProgress({
      state: "draining",
      message: `waiting for ${waiting.join(", ")} to drain`,
      percent: Math.round((100 * services) / ofServices),
      counts: { services, ofServices },
    });
    if (performance.now() > deadline) {
      const open = await options.openCommands?.(signal).catch((error: unknown) => {
        options.logger.error({ err: error }, "could not look for open commands");
        return undefined;
      });
      throw new SealError(
        `Not drained within ${drainTimeoutMs / 1_000} s: ${waiting.join(", ")}. ` +
          `${open === undefined || open.length === 0 ? "" : `Open commands:\n${list(open.map(describe))}\n`}` +
          "Look at their logs (are they running?), then request the seal again.",
      );
    }
    await delay(50, undefined, { signal });
  }
}

/** Exports while the evidence is collected. */
async function settleWithEvidence(
  options: SealOptions,
  generation: number,
): Promise<{ topics: TopicContent[]; evidence: ManifestEvidence[] }> {
  const { signal, onProgress } = options;
  const settling = new AbortController();
  let settled = false;
  let message = "collecting the evidence of the day";
  const tell = (): void => onProgress({ state: "collecting", message });
  const collecting = options.evidence?.(
    AbortSignal.any([signal, settling.signal]),
    (doing) => {
      message = doing;
      if (settled) tell();
    },
    generation,
  );
  // Its failure is looked at below, when nothing else failed before.
  collecting?.catch(() => undefined);
  try {
    const topics = await settle(options, maximumRounds);
    if (topics === undefined) {
      throw new SealError(
        "Records are still being written, or objects in the bucket keep changing. Stop what writes and request the seal again.",
      );
    }
    settled = true;
    if (collecting !== undefined) tell();
    return { topics, evidence: (await collecting) ?? [] };
  } catch (error) {
    settling.abort(error);
    await collecting?.catch(() => undefined);
    throw error;
  }
}

/** @throws SealError that names the commands whose end nobody knows and nobody will look for. */
async function demandEndedCommands({ openCommands, signal }: SealOptions): Promise<void> {
  const left = (await openCommands?.(signal))?.filter(({ carriedOver }) => !carriedOver) ?? [];
  if (left.length === 0) return;
  throw new SealError(
    `${left.length} commands have no terminal state and are not carried over:\n${list(left.map(describe))}\n` +
      "Only the venue knows what became of them. Leave the executor running until it has learned it " +
      "(its log says what is in the way), then request the seal again.",
  );
}

const describe = ({ commandId, venue, state, since }: OpenCommandSummary): string =>
  `command ${commandId} at ${venue}: ${state} since ${since}`;

function list(lines: readonly string[]): string {
  const more = lines.length - maximumNamed;
  const named = lines.slice(0, maximumNamed).map((line) => `  - ${line}`);
  return [...named, ...(more > 0 ? [`  - and ${more} more`] : [])].join("\n");
}

async function withConfigurations(kafka: Kafka, topics: readonly TopicContent[]): Promise<ManifestTopic[]> {
  const live = topics.filter(({ deleted }) => !deleted).map(({ topic }) => topic);
  const settings = await topicSettings(kafka, live);
  return topics.map((topic) => ({ ...topic, configuration: settings.get(topic.topic) ?? {} }));
}

function totalsOf(topics: readonly TopicContent[]): Manifest["totals"] {
  const partitions = topics.flatMap((topic) => topic.partitions);
  const objects = partitions.flatMap((partition) => partition.objects);
  const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
  return {
    topics: topics.length,
    partitions: partitions.length,
    objects: objects.length,
    records: sum(partitions.map((partition) => partition.records)),
    bytes: sum(objects.map((object) => object.bytes)),
  };
}
