/** The part of the seal that exports and reads back until nothing changes any more. */
import { partitionKey } from "../bus/kafka-log.ts";
import type { LogEnd } from "../bus/log-reader.ts";
import type { Logger } from "../core/log.ts";
import type { Exporter } from "./exporter.ts";
import type { InventoryPartition } from "./inventory.ts";
import type { TopicContent } from "./manifest-compare.ts";
import { SealError } from "./seal-error.ts";
import type { SealStep } from "./seal-progress.ts";
import { ArchiveStoreError } from "./store.ts";

/** Arguments of {@link settle}. */
export interface SettleOptions {
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
        message: `read back ${readBack} of ${objects} objects${trouble(exporter)}`,
        ...(objects === 0 ? {} : { percent: Math.floor((100 * readBack) / objects) }),
        counts: { objects: readBack, ofObjects: objects },
      }),
    );
    const lost = damages.filter(({ repairable }) => !repairable);
    if (lost.length > 0) {
      throw new SealError(
        `${lost.map(({ reason }) => reason).join("; ")}. Their topics no longer exist in Kafka, so they cannot be exported again.`,
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
      message: `exporting to the end of every topic, ${now} records to go${trouble(exporter)}`,
      ...(ofRecords === 0 ? {} : { percent: Math.floor((100 * records) / ofRecords) }),
      counts: { records, ofRecords },
    });
  };
  tell();
  const timer = setInterval(tell, progressEveryMs);
  try {
    return await exporter.exportToEnds(AbortSignal.any([signal, AbortSignal.timeout(exportTimeoutMs)]));
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ArchiveStoreError) throw error;
    throw new SealError(
      `The topics could not be exported within ${exportTimeoutMs / 1_000} s: ${(error as Error).message}${trouble(exporter)} ` +
        "Nothing is lost while the cluster runs and the archiver goes on. Request the seal again.",
    );
  } finally {
    clearInterval(timer);
  }
}

/** What keeps the bucket from going on, for the end of a message. */
function trouble({ failure }: Exporter): string {
  return failure === undefined ? "" : `; the bucket does not go on: ${failure.message}`;
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
