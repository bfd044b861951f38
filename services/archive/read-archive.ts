/** Reads the records of a sealed archive; each object is compared with the manifest while it is read. */
import type { ClusterArchive } from "./cluster-archive.ts";
import { type Manifest, manifestSchema } from "./documents.ts";
import { documents, parseObjectName } from "./layout.ts";
import type { ArchivedRecord } from "./line.ts";
import { ArchiveObjectError, type ExpectedObject, expectedOfListed, readObject } from "./object.ts";

/** An object of the manifest is missing or not what the manifest says. */
export class ObjectProblem extends Error {
  override readonly name = "ObjectProblem";
}

/** The archive has no manifest, or its manifest does not know what was asked for. */
export class NotSealedError extends Error {
  override readonly name = "NotSealedError";
}

/**
 * The archived records of one topic, partition by partition, in order within each.
 * @param manifest as `verifyArchive` returns it, or read from the archive when it is left out.
 * @throws ArchiveStoreError; ObjectProblem when an object is missing or damaged; NotSealedError. A topic that the manifest
 *   does not know has no records.
 */
export async function* readArchive(
  archive: ClusterArchive,
  topic: string,
  manifest?: Manifest,
): AsyncGenerator<ArchivedRecord> {
  const sealed = manifest ?? (await archive.read(documents.manifest, manifestSchema));
  if (sealed === undefined) {
    throw new NotSealedError(`${archive.prefix} is not sealed: it has no ${documents.manifest}`);
  }
  const partitions = sealed.topics.find((entry) => entry.topic === topic)?.partitions ?? [];
  for (const { partition } of partitions) yield* readArchivedPartition(archive, sealed, topic, partition);
}

/**
 * The archived records of one partition, in order. One object is in memory at a time, and the next one is fetched meanwhile.
 * @throws ArchiveStoreError; ObjectProblem when an object is missing or damaged (the records before it were given);
 *   NotSealedError when the manifest does not know the partition.
 */
export async function* readArchivedPartition(
  archive: ClusterArchive,
  manifest: Manifest,
  topic: string,
  partition: number,
): AsyncGenerator<ArchivedRecord> {
  const known = manifest.topics
    .find((entry) => entry.topic === topic)
    ?.partitions.find((entry) => entry.partition === partition);
  if (known === undefined) {
    throw new NotSealedError(`${archive.prefix}: its manifest knows no ${topic}/${partition}`);
  }
  const objects = expectedOfListed(known.objects);
  const fetch = (index: number): Promise<ArchivedRecord[]> | undefined => {
    const next = objects[index];
    const reading = next === undefined ? undefined : readListedObject(archive, next.object, next.expected);
    // Seen when its turn comes; whoever stops before that does not care.
    reading?.catch(() => undefined);
    return reading;
  };
  let reading = fetch(0);
  for (let index = 1; reading !== undefined; index++) {
    const records = await reading;
    reading = fetch(index);
    yield* records;
  }
}

/**
 * Reads one object of the manifest.
 * @param expected what it must be, its partition's chain in front of it included.
 * @throws ArchiveStoreError; ObjectProblem.
 */
export async function readListedObject(
  archive: ClusterArchive,
  object: { name: string; bytes: number },
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
    if (!(error instanceof ArchiveObjectError)) throw error;
    throw new ObjectProblem(error.message, { cause: error });
  }
}
