/** Compares what a manifest says of the topics with what is there now. */
import { partitionKey } from "../bus/kafka-log.ts";
import { canonicalJson, type Manifest, type ManifestPartition, type ManifestTopic } from "./documents.ts";

/** A topic's records, without what may change while they do not. */
export type TopicContent = Omit<ManifestTopic, "configuration">;

/** Whether the manifest describes exactly these topics, partitions and objects. */
export function sameContent(manifest: Manifest, topics: readonly TopicContent[]): boolean {
  const print = (all: readonly TopicContent[]): string =>
    canonicalJson(all.map(({ topic, deleted, partitions }) => ({ topic, deleted, partitions })));
  return print(manifest.topics) === print(topics);
}

/**
 * What a new manifest would hold less, or hold otherwise, than the one before it: a seal never gets worse silently.
 * @returns one sentence for each partition; empty when the new one holds all that the old one held.
 */
export function regressions(
  before: Pick<Manifest, "generation" | "topics">,
  topics: readonly TopicContent[],
): string[] {
  const now = new Map(
    topics.flatMap(({ topic, partitions }) =>
      partitions.map((content) => [partitionKey({ topic, partition: content.partition }), content] as const),
    ),
  );
  return before.topics.flatMap(({ topic, partitions }) =>
    partitions.flatMap((old) => {
      const key = partitionKey({ topic, partition: old.partition });
      const found = now.get(key);
      if (found === undefined) {
        return [
          `${key}: generation ${before.generation} has ${old.records} records of it, now there are none`,
        ];
      }
      const what = lost(old, found);
      return what === undefined ? [] : [`${key}: generation ${before.generation} has ${what}`];
    }),
  );
}

/**
 * The losses of a new manifest: those that are known now, and those that the one before it tells of topics that are
 * gone, which an archiver that was restarted since cannot know. A partition that exists shows its losses itself.
 * @param known what the archiver knows to be lost, each beginning with the partition and a colon.
 */
export function allLosses(
  before: Pick<Manifest, "losses"> | undefined,
  topics: readonly TopicContent[],
  known: readonly string[],
): string[] {
  const live = new Set(
    topics.flatMap(({ topic, deleted, partitions }) =>
      deleted ? [] : partitions.map(({ partition }) => partitionKey({ topic, partition })),
    ),
  );
  const former = before?.losses.filter((loss) => !live.has(loss.slice(0, loss.indexOf(": ")))) ?? [];
  return [...new Set([...former, ...known])];
}

function lost(old: ManifestPartition, now: ManifestPartition): string | undefined {
  if (now.records < old.records) return `${old.records} records, now there are ${now.records}`;
  if (BigInt(now.logEnd) < BigInt(old.logEnd)) return `the log end ${old.logEnd}, now it is ${now.logEnd}`;
  if (BigInt(now.start) > BigInt(old.start)) return `the start ${old.start}, now it is ${now.start}`;
  // Where an object ends at the old end, the chains can be compared there.
  let records = 0;
  for (const object of now.objects) {
    records += object.records;
    if (records > old.records) break;
    if (records === old.records && object.recordsSha256 !== old.recordsSha256) {
      return `other records up to offset ${old.lastOffset ?? old.start}`;
    }
  }
  return undefined;
}
