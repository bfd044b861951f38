/** The part of the seal that exports and reads back until nothing changes any more. */
import { setTimeout as delay } from "node:timers/promises";
import { partitionKey } from "../bus/kafka-log.ts";
import type { LogEnd } from "../bus/log-reader.ts";
import type { Logger } from "../core/log.ts";
import type { ClusterArchive } from "./cluster-archive.ts";
import type { Exporter } from "./exporter.ts";
import type { InventoryPartition } from "./inventory.ts";
import type { TopicContent } from "./manifest-compare.ts";
import { SealError } from "./seal-error.ts";
import type { SealStep } from "./seal-progress.ts";
import { ArchiveStoreError } from "./store.ts";

/** Arguments of {@link settle}. */
export interface SettleOptions {
  archive: ClusterArchive;
  exporter: Exporter;
  logger: Logger;
  /** Longest time for reading to the ends of the logs, each time, in milliseconds. */
  exportTimeoutMs: number;
  onProgress: (step: SealStep) => void;
  signal: AbortSignal;
}

const progressEveryMs = 500;

/**
 * Exports to the ends of all logs and looks at what the bucket then holds, until the ends are the same before and after
 * and nothing was damaged.
 * @param rounds how often at most.
 * @returns what the bucket holds, by topic; undefined when it went on changing.
 * @throws SealError when something cannot be exported; ArchiveStoreError; the signal's reason.
 */
export async function settle(options: SettleOptions, rounds: number): Promise<TopicContent[] | undefined> {
  const { exporter, onProgress, logger, signal } = options;
  for (let round = 0; round < rounds; round++) {
    signal.throwIfAborted();
    const ends = await exportToEnds(options);
    const { partitions, damages } = await exporter.inventory(ends, signal, ({ objects, readBack }) =>
      onProgress({
        state: "verifying",
        message: `read back ${readBack} of ${objects} objects`,
        counts: { records: readBack, ofRecords: objects },
      }),
    );
    const lost = damages.filter(({ repairable }) => !repairable);
    if (lost.length > 0) {
      const reasons = lost.map(({ reason }) => reason).join("; ");
      throw new SealError(
        `${reasons}, and its topic no longer exists in Kafka: it cannot be exported again.`,
      );
    }
    for (const damage of damages) {
      logger.error({ ...damage, from: String(damage.from) }, "damage in the bucket, exporting again");
    }
    if (damages.length === 0 && sameEnds(ends, await exportToEnds(options))) return byTopic(partitions);
  }
  return undefined;
}

async function exportToEnds(options: SettleOptions): Promise<LogEnd[]> {
  const { exporter, exportTimeoutMs, signal, onProgress } = options;
  const left = (): number => Number([...exporter.behind().values()].reduce((a, b) => a + b, 0n));
  let ofRecords = left();
  const tell = (): void => {
    const now = left();
    ofRecords = Math.max(ofRecords, now);
    const records = ofRecords - now;
    onProgress({
      state: "exporting",
      message: `exporting to the end of every topic, ${now} records to go`,
      ...(ofRecords === 0 ? {} : { percent: Math.round((100 * records) / ofRecords) }),
      counts: { records, ofRecords },
    });
  };
  tell();
  const timer = setInterval(tell, progressEveryMs);
  const ended = new AbortController();
  const limit = AbortSignal.any([signal, AbortSignal.timeout(exportTimeoutMs)]);
  try {
    // An upload that cannot be done is tried for ever; whoever waits for the seal is not to wait that long.
    const late = delay(exportTimeoutMs + 1_000, undefined, {
      signal: AbortSignal.any([signal, ended.signal]),
    }).then(() => {
      throw new SealError("what was read could not be stored in the bucket in time");
    });
    return await Promise.race([exporter.exportToEnds(limit), late]);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ArchiveStoreError) throw error;
    throw new SealError(
      `The topics could not be exported within ${exportTimeoutMs / 1_000} s: ${(error as Error).message}. ` +
        "Nothing is lost while the cluster runs and the archiver goes on. Request the seal again.",
    );
  } finally {
    ended.abort();
    clearInterval(timer);
  }
}

function sameEnds(before: readonly LogEnd[], after: readonly LogEnd[]): boolean {
  const printed = (ends: readonly LogEnd[]): string =>
    ends
      .map((end) => `${partitionKey(end)} ${end.end}`)
      .sort()
      .join("\n");
  return printed(before) === printed(after);
}

function byTopic(partitions: readonly InventoryPartition[]): TopicContent[] {
  const topics = new Map<string, TopicContent>();
  for (const { topic, deleted, content } of partitions) {
    const known = topics.get(topic) ?? { topic, deleted, partitions: [] };
    known.partitions.push(content);
    topics.set(topic, known);
  }
  for (const { partitions: content } of topics.values()) content.sort((a, b) => a.partition - b.partition);
  return [...topics.values()].sort((a, b) => (a.topic < b.topic ? -1 : 1));
}
