/**
 * What a manifest must be by itself, and what a listing of the bucket must show of it. Nothing is read here, so it takes
 * no time however large the day was. All problems are reported, one sentence each.
 */
import { partitionKey } from "../bus/kafka-log.ts";
import { type Manifest, manifestChecksum, type ManifestPartition } from "./documents.ts";
import { type ArchiveIdentity, type OffsetRange, parseObjectName } from "./layout.ts";
import { chainStart } from "./record-hash.ts";

/** An object as the bucket lists it. */
export interface ListedFile {
  bytes: number;
  /** Without quotation marks. */
  etag: string;
}

/** What keeps the manifest from being a seal: {@link inconsistencies}, and what was lost before it could be archived. */
export function manifestProblems(identity: ArchiveIdentity, manifest: Manifest): string[] {
  return [...inconsistencies(identity, manifest), ...manifest.losses];
}

/** Whether the manifest is whole and of this cluster, covers each log without a gap, and agrees with itself. */
export function inconsistencies(identity: ArchiveIdentity, manifest: Manifest): string[] {
  const problems: string[] = [];
  if (manifestChecksum(manifest) !== manifest.checksum) {
    problems.push("the manifest was changed after it was written: its checksum does not match");
  }
  for (const field of ["stack", "businessDate", "clusterId"] as const) {
    if (manifest[field] !== identity[field]) {
      problems.push(
        `the manifest is of another cluster: ${field} is ${manifest[field]}, not ${identity[field]}`,
      );
    }
  }
  const seen = new Set<string>();
  for (const { topic, partitions } of manifest.topics) {
    for (const partition of partitions) {
      const key = partitionKey({ topic, partition: partition.partition });
      if (seen.has(key)) problems.push(`${key}: stands in the manifest twice`);
      seen.add(key);
      problems.push(...partitionProblems(topic, partition));
    }
  }
  return [...problems, ...totalsProblems(manifest)];
}

/** Whether the bucket holds what the manifest lists, and nothing that is newer than it. */
export function listingProblems(manifest: Manifest, listed: ReadonlyMap<string, ListedFile>): string[] {
  const problems: string[] = [];
  const ends = new Map<string, bigint>();
  for (const { topic, partitions } of manifest.topics) {
    for (const { partition, logEnd, objects } of partitions) {
      ends.set(partitionKey({ topic, partition }), BigInt(logEnd));
      for (const object of objects) problems.push(...fileProblems(object, listed.get(object.name)));
    }
  }
  for (const file of manifest.evidence) problems.push(...fileProblems(file, listed.get(file.name)));

  const newer = new Map<string, OffsetRange>();
  for (const name of listed.keys()) {
    const range = parseObjectName(name);
    if (range === undefined || range.last < (ends.get(partitionKey(range)) ?? 0n)) continue;
    const known = newer.get(partitionKey(range));
    if (known === undefined || range.first < known.first) newer.set(partitionKey(range), range);
  }
  for (const [key, { first }] of newer) {
    const end = ends.get(key);
    problems.push(
      end === undefined
        ? `${key}: the bucket holds records of it, the manifest does not know it: it came after the seal`
        : `${key}: the manifest ends at offset ${end}, the bucket holds newer records (an object from ${first} on): the cluster changed after the seal`,
    );
  }
  return problems;
}

/** Whether an object is what the manifest says. @param found as the bucket lists it; undefined when it does not. */
export function fileProblems(
  { name, bytes, etag }: { name: string } & ListedFile,
  found: ListedFile | undefined,
): string[] {
  if (found === undefined) return [`${name}: is missing in the bucket`];
  if (found.bytes !== bytes) return [`${name}: has ${found.bytes} bytes instead of ${bytes}`];
  if (found.etag !== etag) {
    return [
      `${name}: was changed after it had been read back (its ETag is ${found.etag} instead of ${etag})`,
    ];
  }
  return [];
}

function partitionProblems(topic: string, partition: ManifestPartition): string[] {
  const name = partitionKey({ topic, partition: partition.partition });
  const problems: string[] = [];
  if (partition.start !== "0") problems.push(`${name}: begins at offset ${partition.start} instead of 0`);
  let next = BigInt(partition.start);
  let before: string = chainStart.sha256;
  for (const object of partition.objects) {
    const range = parseObjectName(object.name);
    if (range?.topic !== topic || range.partition !== partition.partition) {
      problems.push(`${name}: the manifest lists ${object.name}`);
      continue;
    }
    if (range.first !== next) {
      problems.push(
        range.first > next
          ? `${name}: no object covers the offsets from ${next} to ${range.first - 1n}`
          : `${name}: ${object.name} covers offsets that the object before it covers, too`,
      );
    }
    problems.push(...spanProblems(object.name, object, range));
    if ((object.records === 0) !== (object.recordsSha256 === before)) {
      problems.push(`${object.name}: its hash does not fit its number of records (${object.records})`);
    }
    before = object.recordsSha256;
    next = range.last + 1n;
  }
  const logEnd = BigInt(partition.logEnd);
  if (next > logEnd) problems.push(`${name}: covers more than the log's end ${logEnd}`);
  if (next < logEnd) problems.push(`${name}: no object covers the offsets from ${next} to ${logEnd - 1n}`);
  const records = sum(partition.objects.map((object) => object.records));
  if (records !== partition.records) {
    problems.push(`${name}: ${partition.records} records, but its objects have ${records}`);
  }
  if (partition.recordsSha256 !== before) {
    problems.push(`${name}: the hash of its records is not that of its last object`);
  }
  const withRecords = partition.objects.filter((object) => object.records > 0);
  const first = withRecords[0]?.firstOffset ?? null;
  const last = withRecords.at(-1)?.lastOffset ?? null;
  if (partition.firstOffset !== first || partition.lastOffset !== last) {
    problems.push(`${name}: its first and last offset are not those of its objects`);
  }
  return problems;
}

/** Whether the offsets of an object's first and last record fit its name and number of records. */
function spanProblems(
  name: string,
  {
    records,
    firstOffset,
    lastOffset,
  }: { records: number; firstOffset: string | null; lastOffset: string | null },
  range: OffsetRange,
): string[] {
  const wrong = [`${name}: the offsets of its first and last record do not fit its name or their number`];
  if (firstOffset === null || lastOffset === null) {
    return records === 0 && firstOffset === lastOffset ? [] : wrong;
  }
  const [first, last] = [BigInt(firstOffset), BigInt(lastOffset)];
  const fits =
    records > 0 && range.first <= first && last <= range.last && last - first + 1n >= BigInt(records);
  return fits ? [] : wrong;
}

function totalsProblems({ topics, totals }: Manifest): string[] {
  const partitions = topics.flatMap((topic) => topic.partitions);
  const objects = partitions.flatMap((partition) => partition.objects);
  const counted = {
    topics: topics.length,
    partitions: partitions.length,
    objects: objects.length,
    records: sum(partitions.map((partition) => partition.records)),
    bytes: sum(objects.map((object) => object.bytes)),
  };
  return (Object.keys(counted) as (keyof typeof counted)[])
    .filter((what) => counted[what] !== totals[what])
    .map((what) => `the manifest's total says ${totals[what]} ${what}, it lists ${counted[what]}`);
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
