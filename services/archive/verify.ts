/**
 * Looks at a sealed archive with nothing but the bucket: is the manifest whole and this cluster's, is every object there
 * and what it should be, is no offset missing between them. All problems are reported, not just the first.
 */
import { hash } from "node:crypto";
import { ArchiveDocumentError, type ClusterArchive } from "./cluster-archive.ts";
import { mapConcurrently } from "./concurrency.ts";
import { type Manifest, type ManifestEvidence, manifestSchema, openedSchema } from "./documents.ts";
import { documents } from "./layout.ts";
import { fileProblems, type ListedFile, listingProblems, manifestProblems } from "./manifest-check.ts";
import { expectedOfListed } from "./object.ts";
import { ObjectProblem, readListedObject } from "./read-archive.ts";

/**
 * How close a verification looks. `fast`: the manifest itself, and that one listing of the bucket shows every object
 * with the size and the ETag that it had when the archiver read it back; seconds, however large the day. `deep`: also
 * reads every byte, unpacks it, and compares every record with the manifest's hashes.
 */
export type VerifyMode = "fast" | "deep";

/** What a verification found. */
export interface Verification {
  mode: VerifyMode;
  /** No problem at all. */
  verified: boolean;
  /** One sentence each; empty when verified. */
  problems: string[];
  /** Topics in the manifest, also those without records. */
  topics: number;
  /** Records of the objects that are right: read with `deep`, as the manifest counts them with `fast`. */
  messages: number;
  messagesByTopic: Record<string, number>;
  /** Objects that the manifest lists, and their size as stored. */
  objects: number;
  bytes: number;
  /** Undefined when there is none that can be read. */
  manifest: Manifest | undefined;
}

/** How far a verification is. */
export interface VerifyProgress {
  objects: number;
  ofObjects: number;
  messages: number;
  /** As stored. */
  bytes: number;
  ofBytes: number;
}

/** Arguments of {@link verifyArchive}. */
export interface VerifyOptions {
  mode: VerifyMode;
  /** Told after each object that was looked at. */
  onProgress?: (progress: VerifyProgress) => void;
  /** Ends the verification. */
  signal?: AbortSignal;
}

/** Objects read at the same time. */
const concurrency = 4;
/** Problems reported one by one; the rest is counted. */
const maximumProblems = 50;

/**
 * Verifies a cluster's archive.
 * @throws ArchiveStoreError when the bucket cannot be used; the signal's reason. A missing or damaged archive is no error
 *   but a problem.
 */
export async function verifyArchive(archive: ClusterArchive, options: VerifyOptions): Promise<Verification> {
  const { mode, onProgress, signal } = options;
  const problems = new Set<string>();
  const add = (found: readonly string[]): void => found.forEach((problem) => problems.add(problem));
  const result: Verification = {
    mode,
    verified: false,
    problems: [],
    topics: 0,
    messages: 0,
    messagesByTopic: {},
    objects: 0,
    bytes: 0,
    manifest: undefined,
  };
  const { manifest, problem } = await readManifest(archive);
  if (manifest === undefined) return { ...result, problems: [problem] };
  result.manifest = manifest;
  result.topics = manifest.topics.length;
  const listed = await listFiles(archive);
  add(manifestProblems(archive.identity, manifest));
  add(await openedProblems(archive, manifest));
  add(listingProblems(manifest, listed));
  add(await carryOverProblems(archive, manifest));

  const objects = manifest.topics.flatMap(({ topic, partitions }) => {
    result.messagesByTopic[topic] = 0;
    return partitions.flatMap((partition) =>
      expectedOfListed(partition.objects).map((entry) => ({ topic, ...entry })),
    );
  });
  const ofBytes = objects.reduce((bytes, { object }) => bytes + object.bytes, 0);
  await mapConcurrently(objects, mode === "deep" ? concurrency : 1, async ({ topic, object, expected }) => {
    signal?.throwIfAborted();
    try {
      if (mode === "deep") await readListedObject(archive, object, expected);
      if (fileProblems(object, listed.get(object.name)).length === 0) {
        result.messages += object.records;
        result.messagesByTopic[topic] = (result.messagesByTopic[topic] ?? 0) + object.records;
      }
    } catch (error) {
      if (!(error instanceof ObjectProblem)) throw error;
      problems.add(error.message);
    }
    result.objects++;
    result.bytes += object.bytes;
    const { messages, bytes } = result;
    onProgress?.({ objects: result.objects, ofObjects: objects.length, messages, bytes, ofBytes });
  });
  if (mode === "deep") {
    for (const file of manifest.evidence) add(await evidenceProblems(archive, file));
  }
  if (problems.size === 0 && result.messages !== manifest.totals.records) {
    problems.add(`${result.messages} records are right, the manifest says ${manifest.totals.records}`);
  }
  result.problems = [...problems];
  if (problems.size > maximumProblems) {
    result.problems.splice(maximumProblems, Infinity, `and ${problems.size - maximumProblems} more`);
  }
  result.verified = problems.size === 0;
  return result;
}

/**
 * What is wrong with the files that a manifest lists, as one listing of the bucket and the carry-over file show it.
 * @throws ArchiveStoreError
 */
export async function storedProblems(archive: ClusterArchive, manifest: Manifest): Promise<string[]> {
  return [
    ...listingProblems(manifest, await listFiles(archive)),
    ...(await carryOverProblems(archive, manifest)),
  ];
}

/** Everything below the archive's prefix, by name. */
async function listFiles(archive: ClusterArchive): Promise<Map<string, ListedFile>> {
  const listed = await archive.store.list(archive.prefix);
  return new Map(
    listed.map(({ key, bytes, etag }) => [key.slice(archive.prefix.length), { bytes, etag }] as const),
  );
}

async function carryOverProblems(archive: ClusterArchive, { carryOver }: Manifest): Promise<string[]> {
  if (carryOver === null) return [];
  const { name, sha256 } = carryOver;
  const stored = await archive.get(name);
  if (stored === undefined) return [`${name}: is missing in the bucket`];
  if (hash("sha256", stored.body) === sha256) return [];
  return [`${name}: its bytes are not those that were written (SHA-256 differs)`];
}

async function readManifest(
  archive: ClusterArchive,
): Promise<{ manifest: Manifest | undefined; problem: string }> {
  const problem = `${archive.prefix}${documents.manifest} is missing: not sealed`;
  try {
    return { manifest: await archive.read(documents.manifest, manifestSchema), problem };
  } catch (error) {
    if (!(error instanceof ArchiveDocumentError)) throw error;
    return { manifest: undefined, problem: error.message };
  }
}

async function openedProblems(archive: ClusterArchive, manifest: Manifest): Promise<string[]> {
  try {
    const opened = await archive.read(documents.opened, openedSchema);
    if (opened === undefined) {
      return [`${documents.opened} is missing: nothing says which Kafka the archive is of`];
    }
    if (opened.clusterId !== archive.identity.clusterId) {
      return [`${documents.opened} is of another cluster: ${opened.clusterId}`];
    }
    if (opened.kafkaClusterId === manifest.kafkaClusterId) return [];
    return [`the manifest is of Kafka ${manifest.kafkaClusterId}, opened was ${opened.kafkaClusterId}`];
  } catch (error) {
    if (!(error instanceof ArchiveDocumentError)) throw error;
    return [error.message];
  }
}

async function evidenceProblems(
  archive: ClusterArchive,
  { name, bytes, sha256 }: ManifestEvidence,
): Promise<string[]> {
  const stored = await archive.get(name);
  // Missing, or of another size: the listing told already.
  if (stored?.body.length !== bytes || hash("sha256", stored.body) === sha256) return [];
  return [`${name}: its bytes are not those that were written (SHA-256 differs)`];
}
