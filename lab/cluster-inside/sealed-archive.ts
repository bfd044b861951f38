/** A sealed archive without a Kafka: the archiver's own objects, and the manifest that a seal would write. */
import { hash } from "node:crypto";
import type { ClusterArchive } from "../../services/archive/cluster-archive.ts";
import {
  type Manifest,
  manifestChecksum,
  type ManifestObject,
  type ManifestPartition,
  type Opened,
} from "../../services/archive/documents.ts";
import { documents, manifestName } from "../../services/archive/layout.ts";
import type { ArchivedRecord } from "../../services/archive/line.ts";
import { metadataOf, ObjectBuilder } from "../../services/archive/object.ts";
import { chainStart } from "../../services/archive/record-hash.ts";

/** What the archive is to hold. */
export interface ArchiveContent {
  records: readonly ArchivedRecord[];
  /** Records in one object. Default: all of a partition. */
  objectRecords?: number;
  /** Evidence files by name. Default: none. */
  evidence?: Readonly<Record<string, string | Buffer>>;
  /** Default 1. */
  generation?: number;
}

/** Writes the `opened.json` of a made-up Kafka; writing it again changes nothing. */
export async function writeOpened(archive: ClusterArchive): Promise<Opened> {
  const opened: Opened = {
    ...archive.identity,
    kafkaClusterId: "fabricated-kafka-id-AA",
    openedAt: `${archive.identity.businessDate}T12:00:00.000Z`,
  };
  await archive.write(documents.opened, opened);
  return opened;
}

/**
 * Writes objects, manifest and `opened.json` of a day. Partitions end behind their last record.
 * @returns the manifest.
 */
export async function writeSealedArchive(
  archive: ClusterArchive,
  { records, objectRecords = Infinity, evidence = {}, generation = 1 }: ArchiveContent,
): Promise<Manifest> {
  const opened = await writeOpened(archive);
  const topics = await Promise.all(
    [...groupBy(records, ({ topic }) => topic)].sort().map(async ([topic, ofTopic]) => {
      const partitions: ManifestPartition[] = [];
      const byPartition = groupBy(ofTopic, ({ partition }) => String(partition));
      const last = Math.max(...ofTopic.map(({ partition }) => partition));
      for (let partition = 0; partition <= last; partition++) {
        const ofPartition = byPartition.get(String(partition)) ?? [];
        partitions.push(await writePartition(archive, topic, partition, ofPartition, objectRecords));
      }
      return { topic, configuration: {}, deleted: false, partitions };
    }),
  );
  const files = await Promise.all(
    Object.entries(evidence).map(async ([name, text]) => {
      const { etag } = await archive.store.put(archive.prefix + name, text, { contentType: "text/plain" });
      const [listed] = await archive.store.list(archive.prefix + name);
      const sha256 = hash("sha256", text);
      return { name, bytes: Buffer.byteLength(text), sha256, etag: listed?.etag ?? etag };
    }),
  );
  const objects = topics.flatMap(({ partitions }) => partitions.flatMap((partition) => partition.objects));
  const unsigned: Omit<Manifest, "checksum"> = {
    format: 2,
    ...archive.identity,
    kafkaClusterId: opened.kafkaClusterId,
    generation,
    requestId: "fabricated",
    sealedAt: `${archive.identity.businessDate}T20:00:00.000Z`,
    versions: { platform: "test" },
    topics,
    groups: [{ group: "normalize", offsets: [{ topic: "raw.quotes", partition: 0, offset: "1" }] }],
    totals: {
      topics: topics.length,
      partitions: topics.reduce((sum, { partitions }) => sum + partitions.length, 0),
      objects: objects.length,
      records: records.length,
      bytes: objects.reduce((sum, { bytes }) => sum + bytes, 0),
    },
    evidence: files,
    carryOver: null,
    losses: [],
  };
  const manifest: Manifest = { ...unsigned, checksum: manifestChecksum(unsigned) };
  await archive.write(manifestName(generation), manifest);
  await archive.write(documents.manifest, manifest);
  return manifest;
}

async function writePartition(
  archive: ClusterArchive,
  topic: string,
  partition: number,
  records: readonly ArchivedRecord[],
  objectRecords: number,
): Promise<ManifestPartition> {
  const objects: ManifestObject[] = [];
  let first = 0n;
  let before = chainStart;
  for (let from = 0; from < records.length; from += objectRecords) {
    const some = records.slice(from, from + objectRecords);
    const builder = new ObjectBuilder(before);
    for (const record of some) builder.add(record);
    const last = BigInt(some.at(-1)?.offset ?? 0);
    const { name, body, expected } = await builder.build({ topic, partition, first, last }, "gzip");
    await archive.store.put(archive.prefix + name, body, {
      contentType: "application/gzip",
      metadata: metadataOf(expected),
    });
    const [listed] = await archive.store.list(archive.prefix + name);
    objects.push({
      name,
      bytes: body.length,
      sha256: expected.sha256,
      etag: listed?.etag ?? "",
      records: expected.records,
      recordsSha256: expected.recordsSha256,
      firstOffset: some[0]?.offset ?? null,
      lastOffset: some.at(-1)?.offset ?? null,
    });
    before = builder.point;
    first = last + 1n;
  }
  return {
    partition,
    start: "0",
    logEnd: String(first),
    firstOffset: records[0]?.offset ?? null,
    lastOffset: records.at(-1)?.offset ?? null,
    records: records.length,
    recordsSha256: before.sha256,
    objects,
  };
}

function groupBy<Item>(items: readonly Item[], nameOf: (item: Item) => string): Map<string, Item[]> {
  const groups = new Map<string, Item[]>();
  for (const item of items) {
    const group = groups.get(nameOf(item));
    if (group === undefined) groups.set(nameOf(item), [item]);
    else group.push(item);
  }
  return groups;
}
