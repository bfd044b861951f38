/**
 * Looks at a sealed archive with nothing but the bucket: is the manifest whole and this cluster's, is every object there
 * and what it should be, is no offset missing between them. All problems are reported, not just the first.
 */
import { partitionKey } from "../bus/kafka-log.ts";
import type { ClusterArchive } from "./cluster-archive.ts";
import { mapConcurrently } from "./concurrency.ts";
import {
  type Manifest,
  manifestChecksum,
  manifestSchema,
  type ManifestObject,
  type ManifestPartition,
  openedSchema,
} from "./documents.ts";
import { documents, parseObjectName } from "./layout.ts";
import type { ArchivedRecord } from "./line.ts";
import { type ExpectedObject, expectedOfListed, readObject } from "./object.ts";
import { chainStart } from "./record-hash.ts";

/** What a verification found. */
export interface Verification {
  /** No problem at all. */
  verified: boolean;
  /** One sentence each; empty when verified. */
  problems: string[];
  /** Topics in the manifest, also those without records. */
  topics: number;
  /** Records that were read back and are right. */
  messages: number;
  messagesByTopic: Record<string, number>;
  objects: number;
  /** Size of the objects as stored. */
  bytes: number;
  /** Undefined when there is none that can be read. */
  manifest: Manifest | undefined;
}

/** How far a verification is. */
export interface VerifyProgress {
  objects: number;
  ofObjects: number;
  messages: number;
}

/** Partitions read at the same time. */
const concurrency = 4;
/** Problems reported one by one; the rest is counted. */
const maximumProblems = 50;

/**
 * Reads the whole archive back.
 * @throws ArchiveStoreError when the bucket cannot be used; a missing or damaged archive is no error but a problem.
 */
export async function verifyArchive(
  archive: ClusterArchive,
  onProgress: (progress: VerifyProgress) => void = () => undefined,
): Promise<Verification> {
  const problems: string[] = [];
  const result: Verification = {
    verified: false,
    problems,
    topics: 0,
    messages: 0,
    messagesByTopic: {},
    objects: 0,
    bytes: 0,
    manifest: undefined,
  };
  const manifest = await readManifest(archive, problems);
  if (manifest === undefined) return result;
  result.manifest = manifest;
  result.topics = manifest.topics.length;
  problems.push(...manifestProblems(archive, manifest), ...(await openedProblems(archive, manifest)));

  const partitions = manifest.topics.flatMap(({ topic, partitions: all }) => {
    result.messagesByTopic[topic] = 0;
    return all.map((partition) => ({ topic, partition }));
  });
  const ofObjects = partitions.reduce((count, { partition }) => count + partition.objects.length, 0);
  await mapConcurrently(partitions, concurrency, async ({ topic, partition }) => {
    problems.push(...partitionProblems(topic, partition));
    for (const { object, expected } of expectedOfListed(partition.objects)) {
      try {
        const records = await readListed(archive, object, expected);
        result.messages += records.length;
        result.messagesByTopic[topic] = (result.messagesByTopic[topic] ?? 0) + records.length;
      } catch (error) {
        if (!(error instanceof ObjectProblem)) throw error;
        problems.push(error.message);
      }
      result.objects++;
      result.bytes += object.bytes;
      onProgress({ objects: result.objects, ofObjects, messages: result.messages });
    }
  });
  if (problems.length === 0 && result.messages !== manifest.totals.records) {
    problems.push(`${result.messages} records were read, the manifest says ${manifest.totals.records}`);
  }
  if (problems.length > maximumProblems) {
    problems.splice(maximumProblems, Infinity, `and ${problems.length - maximumProblems} more`);
  }
  result.verified = problems.length === 0;
  return result;
}

/**
 * The archived records of one topic, partition by partition, in order within each.
 * @param manifest as `verifyArchive` returns it, or read from the archive when it is left out.
 * @throws ArchiveStoreError; ObjectProblem when an object is missing or damaged; Error when the archive is not sealed.
 */
export async function* readArchive(
  archive: ClusterArchive,
  topic: string,
  manifest?: Manifest,
): AsyncGenerator<ArchivedRecord> {
  const sealed = manifest ?? (await archive.read(documents.manifest, manifestSchema));
  if (sealed === undefined)
    throw new Error(`${archive.prefix} is not sealed: it has no ${documents.manifest}`);
  for (const { partitions } of sealed.topics.filter((entry) => entry.topic === topic)) {
    for (const { objects } of partitions) {
      for (const { object, expected } of expectedOfListed(objects)) {
        yield* await readListed(archive, object, expected);
      }
    }
  }
}

/** An object of the manifest is missing or not what the manifest says. */
export class ObjectProblem extends Error {
  override readonly name = "ObjectProblem";
}

async function readListed(
  archive: ClusterArchive,
  object: ManifestObject,
  expected: ExpectedObject,
): Promise<ArchivedRecord[]> {
  const range = parseObjectName(object.name);
  if (range === undefined) throw new ObjectProblem(`${object.name}: not the name of an archive object`);
  const stored = await archive.get(object.name);
  if (stored === undefined) throw new ObjectProblem(`${object.name}: is missing in the bucket`);
  if (stored.body.length !== object.bytes) {
    throw new ObjectProblem(`${object.name}: has ${stored.body.length} bytes instead of ${object.bytes}`);
  }
  try {
    return await readObject(object.name, range, stored.body, expected);
  } catch (error) {
    throw new ObjectProblem((error as Error).message, { cause: error });
  }
}

async function readManifest(archive: ClusterArchive, problems: string[]): Promise<Manifest | undefined> {
  try {
    const manifest = await archive.read(documents.manifest, manifestSchema);
    if (manifest === undefined)
      problems.push(`${archive.prefix}${documents.manifest} is missing: not sealed`);
    return manifest;
  } catch (error) {
    if ((error as Error).name !== "ArchiveDocumentError") throw error;
    problems.push((error as Error).message);
    return undefined;
  }
}

function manifestProblems({ identity }: ClusterArchive, manifest: Manifest): string[] {
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
  return [...problems, ...manifest.losses];
}

async function openedProblems(archive: ClusterArchive, manifest: Manifest): Promise<string[]> {
  const opened = await archive.read(documents.opened, openedSchema);
  if (opened === undefined || opened.kafkaClusterId === manifest.kafkaClusterId) return [];
  return [`the manifest is of Kafka ${manifest.kafkaClusterId}, opened was ${opened.kafkaClusterId}`];
}

/** Is the list of objects gapless, and do the numbers agree? */
function partitionProblems(topic: string, partition: ManifestPartition): string[] {
  const name = partitionKey({ topic, partition: partition.partition });
  const problems: string[] = [];
  if (partition.start !== "0") problems.push(`${name}: begins at offset ${partition.start} instead of 0`);
  let next = BigInt(partition.start);
  for (const object of partition.objects) {
    const range = parseObjectName(object.name);
    if (range?.topic !== topic || range.partition !== partition.partition) {
      problems.push(`${name}: the manifest lists ${object.name}`);
      continue;
    }
    if (range.first !== next)
      problems.push(`${name}: no object covers the offsets from ${next} to ${range.first - 1n}`);
    next = range.last + 1n;
  }
  if (next > BigInt(partition.logEnd))
    problems.push(`${name}: covers more than the log's end ${partition.logEnd}`);
  const records = partition.objects.reduce((count, object) => count + object.records, 0);
  if (records !== partition.records) {
    problems.push(`${name}: ${partition.records} records, but its objects have ${records}`);
  }
  if ((partition.objects.at(-1)?.recordsSha256 ?? chainStart.sha256) !== partition.recordsSha256) {
    problems.push(`${name}: the hash of its records is not that behind its last object`);
  }
  return problems;
}
