/** Compares what was read back with what the bucket lists: the content of a manifest. */
import { partitionKey } from "../bus/kafka-log.ts";
import type { LogEnd } from "../bus/log-reader.ts";
import type { ArchivedPartition } from "./archived-partition.ts";
import { chainStart } from "./record-hash.ts";
import type { ManifestPartition } from "./documents.ts";
import type { ListedObject } from "./store.ts";

/** A partition as it is in the bucket. */
export interface InventoryPartition {
  topic: string;
  /** Whether its topic exists no more. */
  deleted: boolean;
  content: ManifestPartition;
}

/** An object is missing or damaged. */
export interface Damage {
  topic: string;
  partition: number;
  /** The archive is good up to here; the records from here on have to be exported again. */
  from: bigint;
  reason: string;
  /** Whether the topic exists, so that it is being exported again. */
  repairable: boolean;
}

/** What the bucket holds. */
export interface Inventory {
  /** Those without damage. */
  partitions: InventoryPartition[];
  /** Empty when everything is as it should be. */
  damages: Damage[];
}

/** How far an inventory is. */
export interface InventoryProgress {
  /** Objects of all partitions, and how many of them were read back. */
  objects: number;
  readBack: number;
}

/** One partition's manifest entry. @param end the log's end; undefined for a topic that exists no more. */
export function contentOf(partition: ArchivedPartition, end: bigint | undefined): ManifestPartition {
  const objects = partition.readBack;
  const { records, sha256 } = partition.verified;
  const last = objects.findLast(({ lastOffset }) => lastOffset !== null);
  return {
    partition: partition.partition,
    start: String(partition.starts[0] ?? 0n),
    logEnd: String(end === undefined || partition.end > end ? partition.end : end),
    firstOffset: objects.find(({ firstOffset }) => firstOffset !== null)?.firstOffset ?? null,
    lastOffset: last?.lastOffset ?? null,
    records,
    recordsSha256: objects.length === 0 ? chainStart.sha256 : sha256,
    objects: [...objects],
  };
}

/**
 * The first object of a partition that the bucket does not list as it was read back.
 * @param listed by name, relative to the archive's prefix.
 */
export function missingOf(
  partition: ArchivedPartition,
  listed: ReadonlyMap<string, Pick<ListedObject, "bytes" | "etag">>,
): { name: string; reason: string } | undefined {
  for (const { name, bytes, etag } of partition.readBack) {
    const found = listed.get(name);
    if (found === undefined) return { name, reason: `${name}: is missing in the bucket` };
    if (found.bytes !== bytes) {
      return { name, reason: `${name}: has ${found.bytes} bytes instead of ${bytes}` };
    }
    if (found.etag !== etag) {
      return { name, reason: `${name}: was written over since it was read back (its ETag differs)` };
    }
  }
  return undefined;
}

/** Whether the archive reaches the log's end. */
export function gapOf(partition: ArchivedPartition, { topic, partition: number, end }: LogEnd) {
  if (partition.end >= end) return undefined;
  return `${partitionKey({ topic, partition: number })}: no object covers the offsets from ${partition.end} to ${end - 1n}`;
}
