/** What the bucket holds of each partition, read back object by object: the content of a manifest. */
import { type Covering, longestChain } from "./chain.ts";
import { partitionKey } from "../bus/kafka-log.ts";
import type { ClusterArchive, ListedRange } from "./cluster-archive.ts";
import { mapConcurrently } from "./concurrency.ts";
import type { ManifestObject, ManifestPartition } from "./documents.ts";
import { expectedOf, pointBehind, readObject } from "./object.ts";
import { endOf } from "./partition-export.ts";
import { type ChainPoint, chainStart } from "./record-hash.ts";

/** A partition that must be there, from each of `starts` on without a gap, up to `end`. */
export interface WantedPartition {
  topic: string;
  partition: number;
  starts: readonly bigint[];
  /** The log's end; undefined for a topic that no longer exists: then as far as the objects reach. */
  end: bigint | undefined;
  /** Up to where the archiver has stored; between this and `end` there are no records. */
  stored: bigint | undefined;
  /** Names of objects that an earlier look found damaged. */
  unusable: ReadonlySet<string>;
}

/** A partition as it is in the bucket. */
export interface InventoryPartition {
  topic: string;
  deleted: boolean;
  content: ManifestPartition;
}

/** An object is missing or damaged: the partition has to be exported again from `from` on. */
export interface Damage {
  topic: string;
  partition: number;
  from: bigint;
  reason: string;
  /** The damaged object; undefined when there is none where one must be. */
  object: string | undefined;
}

/** Partitions read back at the same time. */
const concurrency = 4;

/**
 * Reads back everything that makes up the archive of the wanted partitions.
 * @param onProgress told after each object how many records have been read back.
 */
export async function takeInventory(
  archive: ClusterArchive,
  wanted: readonly WantedPartition[],
  onProgress: (records: number) => void,
): Promise<{ partitions: InventoryPartition[]; damages: Damage[] }> {
  const ranges = await archive.ranges();
  const damages: Damage[] = [];
  let read = 0;
  const partitions = await mapConcurrently(wanted, concurrency, async (partition) => {
    const objects = (ranges.get(partitionKey(partition)) ?? []).filter(
      ({ name }) => !partition.unusable.has(name),
    );
    const chain = partition.starts.flatMap((start) => longestChain(objects, start));
    const end = endOf(chain, partition.starts.at(-1) ?? 0n);
    if (partition.stored !== undefined && end < partition.stored) {
      const reason = `${partitionKey(partition)}: no object begins at offset ${end}`;
      damages.push({
        topic: partition.topic,
        partition: partition.partition,
        from: end,
        reason,
        object: undefined,
      });
      return undefined;
    }
    const content = await readBack(archive, partition, chain, (records) => onProgress((read += records)));
    if ("reason" in content) {
      damages.push({ topic: partition.topic, partition: partition.partition, ...content });
      return undefined;
    }
    return { topic: partition.topic, deleted: partition.end === undefined, content };
  });
  return { partitions: partitions.filter((partition) => partition !== undefined), damages };
}

async function readBack(
  archive: ClusterArchive,
  partition: WantedPartition,
  chain: readonly (ListedRange & Covering)[],
  onRead: (records: number) => void,
): Promise<ManifestPartition | { reason: string; from: bigint; object: string }> {
  let point: Readonly<ChainPoint> = chainStart;
  const objects: ManifestObject[] = [];
  let firstOffset: string | null = null;
  let lastOffset: string | null = null;
  for (const range of chain) {
    const stored = await archive.get(range.name);
    const expected = stored === undefined ? undefined : expectedOf(stored.metadata);
    if (stored === undefined || expected === undefined) {
      const reason = stored === undefined ? "is missing" : "has no hashes";
      return { reason: `${range.name} ${reason}`, from: range.first, object: range.name };
    }
    try {
      const records = await readObject(range.name, range, stored.body, expected);
      if (expected.before.sha256 !== point.sha256 || expected.before.records !== point.records) {
        return {
          reason: `${range.name} does not continue the object before it`,
          from: range.first,
          object: range.name,
        };
      }
      point = pointBehind(expected);
      const [first = null, last = null] = [records[0]?.offset, records.at(-1)?.offset];
      firstOffset ??= first;
      lastOffset = last ?? lastOffset;
      objects.push({
        name: range.name,
        bytes: stored.body.length,
        sha256: expected.sha256,
        etag: stored.etag,
        records: expected.records,
        recordsSha256: expected.recordsSha256,
        firstOffset: first,
        lastOffset: last,
      });
    } catch (error) {
      return { reason: (error as Error).message, from: range.first, object: range.name };
    }
    onRead(expected.records);
  }
  return {
    partition: partition.partition,
    start: String(partition.starts[0] ?? 0n),
    logEnd: String(partition.end ?? endOf(chain, partition.starts.at(-1) ?? 0n)),
    firstOffset,
    lastOffset,
    records: point.records,
    recordsSha256: point.sha256,
    objects,
  };
}
