/**
 * The manifests of all generations. Each is written as `manifests/<generation>.json`, never to be changed, and then as
 * `manifest.json`, the one that counts. Whoever is killed between the two leaves a copy that the next seal finds.
 */
import { ArchiveDocumentError, type ClusterArchive } from "./cluster-archive.ts";
import { canonicalJson, type Manifest, manifestSchema, sealProgressSchema } from "./documents.ts";
import { documents, manifestHistory, manifestName, parseManifestName } from "./layout.ts";
import { inconsistencies } from "./manifest-check.ts";
import { SealError } from "./seal-error.ts";

/** What was sealed before. */
export interface ManifestHistory {
  /** The newest manifest that is whole and this cluster's; it may tell of losses. */
  newest: Manifest | undefined;
  /** The highest generation ever given, also to a manifest that is damaged now; 0 for none. */
  generation: number;
  /** What is wrong with newer manifests, one sentence each. */
  damages: string[];
}

/** Which generations the bucket holds, ascending. @throws ArchiveStoreError */
export async function listGenerations(archive: ClusterArchive): Promise<number[]> {
  const listed = await archive.store.list(archive.prefix + manifestHistory);
  return listed
    .map(({ key }) => parseManifestName(key.slice(archive.prefix.length)))
    .filter((generation) => generation !== undefined)
    .sort((a, b) => a - b);
}

const isWhole = (archive: ClusterArchive, manifest: Manifest): boolean =>
  inconsistencies(archive.identity, manifest).length === 0;

/** Looks for the newest whole manifest. @throws ArchiveStoreError */
export async function readManifestHistory(archive: ClusterArchive): Promise<ManifestHistory> {
  const damages: string[] = [];
  const whole = async (name: string): Promise<Manifest | undefined> => {
    try {
      const manifest = await archive.read(name, manifestSchema);
      if (manifest === undefined) return undefined;
      const problems = inconsistencies(archive.identity, manifest);
      if (problems.length === 0) return manifest;
      damages.push(...problems.map((problem) => `${archive.prefix}${name}: ${problem}`));
    } catch (error) {
      if (!(error instanceof ArchiveDocumentError)) throw error;
      damages.push(error.message);
    }
    return undefined;
  };
  const current = await whole(documents.manifest);
  const generations = await listGenerations(archive);
  let newest = current;
  for (const generation of generations.toReversed()) {
    if (generation <= (current?.generation ?? 0)) break;
    newest = await whole(manifestName(generation));
    if (newest !== undefined) break;
  }
  // The progress remembers the number when nothing else does.
  const progress = await archive.read(documents.sealProgress, sealProgressSchema).catch((error: unknown) => {
    if (!(error instanceof ArchiveDocumentError)) throw error;
    return undefined;
  });
  const generation = Math.max(0, newest?.generation ?? 0, generations.at(-1) ?? 0, progress?.generation ?? 0);
  return { newest: newest ?? current, generation, damages };
}

/**
 * Sees to it that the manifest stands in the bucket, as its generation's and as the one that counts, and reads both back.
 * @throws ArchiveStoreError; SealError when something else is read than was written, or the generation was given to another.
 */
export async function ensureManifest(archive: ClusterArchive, manifest: Manifest): Promise<void> {
  const wanted = canonicalJson(manifest);
  const standing = async (name: string): Promise<Manifest | undefined> => {
    try {
      return await archive.read(name, manifestSchema);
    } catch (error) {
      if (!(error instanceof ArchiveDocumentError)) throw error;
      return undefined;
    }
  };
  for (const name of [manifestName(manifest.generation), documents.manifest]) {
    const former = await standing(name);
    if (former !== undefined && canonicalJson(former) === wanted) continue;
    if (name !== documents.manifest && former !== undefined && isWhole(archive, former)) {
      throw new SealError(
        `${archive.prefix}${name} was written by somebody else meanwhile (request ${former.requestId}): ` +
          "do two archivers run? Stop one of them, then request the seal again.",
      );
    }
    await archive.write(name, manifest);
    const written = await standing(name);
    if (written === undefined || canonicalJson(written) !== wanted) {
      throw new SealError(
        `${archive.prefix}${name} read back from the bucket is not what was written. Request the seal again.`,
      );
    }
  }
}
