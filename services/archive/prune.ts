/**
 * Removes the records of old days. What is removed is decided before anything is: only what is sealed and verified, or one
 * cluster that somebody named. `pruned.json` is written first and says so from then on; the manifest goes last; a removal
 * that was interrupted is finished by the next one. What stays of a cluster are its markers: that it was opened, what was
 * removed, by whom.
 */
import { hostname, userInfo } from "node:os";
import { toInstant } from "../core/time.ts";
import { type ClusterEntry, listClusters, type Pruned } from "./catalogue.ts";
import { ArchiveDocumentError, ClusterArchive } from "./cluster-archive.ts";
import { mapConcurrently } from "./concurrency.ts";
import type { ManifestCarryOver } from "./documents.ts";
import { type ArchiveIdentity, archivePrefix, documents, manifestHistory } from "./layout.ts";
import { isCarryOverLoaded, loadedDocument } from "./predecessor.ts";
import { ArchiveCredentialsError, type ArchiveStore } from "./store.ts";
import { verifyArchive } from "./verify.ts";

/** What is to be pruned. */
export interface PruneSelection {
  /** Only this stack's clusters. Default: all. */
  stack?: string;
  /** Clusters of a business date before this one, `2025-10-14`; they must be sealed and verify. */
  before: string;
}

/** A cluster of which it was decided what becomes of it. */
export interface PruneDecision {
  identity: ArchiveIdentity;
  entry: ClusterEntry;
  /** `prune`: its records go. `keep`: it was asked for, but it must stay, for the reasons. */
  action: "prune" | "keep";
  /** Why it must stay, one sentence each. */
  reasons: string[];
  /** What would go, as stored. */
  objects: number;
  bytes: number;
}

/** What is left of a pruned cluster: small, and what later days ask for. */
const kept: ReadonlySet<string> = new Set([
  documents.pruned,
  documents.opened,
  documents.dataLossOverride,
  loadedDocument,
]);

/** Clusters looked at side by side. */
const concurrency = 4;
/** A cluster that is not sealed and was written to so recently may be alive. */
const aliveMs = 3_600_000;

/**
 * Decides which clusters of the selection can go. Those whose removal was begun are always among them.
 * @param onProgress told how many clusters were looked at.
 * @throws ArchiveStoreError; the signal's reason.
 */
export async function planPrune(
  store: ArchiveStore,
  { stack, before }: PruneSelection,
  signal: AbortSignal,
  onProgress: (done: number, of: number) => void = () => undefined,
): Promise<PruneDecision[]> {
  const all = await listClusters(store, stack === undefined ? {} : { stack });
  const wanted = all.filter(
    ({ identity, state }) => state === "pruning" || (state !== "pruned" && identity.businessDate < before),
  );
  let done = 0;
  return mapConcurrently(wanted, concurrency, async (entry) => {
    signal.throwIfAborted();
    const decision = await decide(new ClusterArchive(store, entry.identity), entry, signal);
    onProgress(++done, wanted.length);
    return decision;
  });
}

/**
 * Decides whether one cluster can go that somebody named: it need not be sealed, but it must not be alive.
 * @param now milliseconds since 1970.
 * @throws ArchiveStoreError
 */
export async function planPruneOf(
  archive: ClusterArchive,
  entry: ClusterEntry,
  now = Date.now(),
): Promise<PruneDecision> {
  const listed = await removable(archive);
  const reasons: string[] = [];
  const newest = Math.max(0, ...listed.map(({ modified }) => modified));
  const isEnded = entry.state === "sealed" || entry.state === "pruning" || entry.override !== undefined;
  if (!isEnded && now - newest < aliveMs) {
    const minutes = Math.max(0, Math.round((now - newest) / 60_000));
    reasons.push(
      `it is ${entry.state} and was written to ${minutes} minutes ago: the cluster may be alive. Seal it, or wait an hour`,
    );
  }
  return decision(entry, listed, reasons);
}

async function decide(
  archive: ClusterArchive,
  entry: ClusterEntry,
  signal: AbortSignal,
): Promise<PruneDecision> {
  const listed = await removable(archive);
  if (entry.state === "pruning") return decision(entry, listed, []);
  const reasons: string[] = [];
  if (entry.state !== "sealed") {
    const why = entry.problems.length > 0 ? `: ${entry.problems.join("; ")}` : "";
    reasons.push(`it is ${entry.state}${why}; to remove it all the same, name it`);
  } else {
    const { verified, problems } = await verifyArchive(archive, { mode: "fast", signal });
    if (!verified) reasons.push(...problems.map((problem) => `it does not verify: ${problem}`));
    const { manifest } = entry;
    if (manifest !== undefined && manifest.carryOver !== null) {
      reasons.push(...(await carryOverReasons(archive, manifest.carryOver)));
    }
  }
  return decision(entry, listed, reasons);
}

async function carryOverReasons(archive: ClusterArchive, { commands }: ManifestCarryOver): Promise<string[]> {
  try {
    if (await isCarryOverLoaded(archive)) return [];
    return [`it carries over ${commands} orders that no later cluster has loaded`];
  } catch (error) {
    if (!(error instanceof ArchiveDocumentError)) throw error;
    return [
      `whether a later cluster has loaded the orders that it carries over is not known: ${error.message}`,
    ];
  }
}

function decision(
  entry: ClusterEntry,
  listed: readonly { bytes: number }[],
  reasons: string[],
): PruneDecision {
  return {
    identity: entry.identity,
    entry,
    action: reasons.length === 0 ? "prune" : "keep",
    reasons,
    objects: listed.length,
    bytes: listed.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

/** What of a cluster goes, by names relative to its prefix. */
async function removable(archive: ClusterArchive) {
  const listed = await archive.store.list(archive.prefix);
  return listed
    .map(({ key, ...object }) => ({ ...object, name: key.slice(archive.prefix.length) }))
    .filter(({ name }) => !kept.has(name));
}

/** The key may not delete. The message says what to do. */
export class PruneForbiddenError extends Error {
  override readonly name = "PruneForbiddenError";
}

/** What a removal did. */
export interface PruneResult {
  objects: number;
  bytes: number;
  /** Uploads that were begun and never completed. */
  uploads: number;
}

/** Objects removed between two looks at the signal. */
const batchSize = 500;

/**
 * Removes a cluster's records: the marker first, data, then the manifests, the one that counts last, then the marker says that
 * it is done. Can be run again after an interruption.
 * @param onProgress told how many objects are gone.
 * @throws PruneForbiddenError before anything is removed; ArchiveStoreError; the signal's reason.
 */
export async function pruneCluster(
  store: ArchiveStore,
  { entry, identity }: Pick<PruneDecision, "entry" | "identity">,
  signal: AbortSignal,
  onProgress: (removed: number, of: number) => void = () => undefined,
): Promise<PruneResult> {
  const archive = new ClusterArchive(store, identity);
  await demandRightToDelete(archive);
  const { manifest, state } = entry;
  const marker: Pruned = entry.pruned ?? {
    ...identity,
    prunedAt: toInstant(Date.now()),
    finishedAt: null,
    by: `${userInfo().username}@${hostname()}`,
    unsealed: state !== "sealed",
    generation: manifest?.generation ?? null,
    manifestChecksum: manifest?.checksum ?? null,
    records: manifest?.totals.records ?? null,
  };
  await archive.write(documents.pruned, marker);
  const uploads = await store.removeUnfinishedUploads(archive.prefix);
  const listed = await removable(archive);
  const names = listed.map(({ name }) => name).sort((a, b) => rank(a) - rank(b));
  for (let from = 0; from < names.length;) {
    signal.throwIfAborted();
    // Ranks are not mixed in a batch: within one, any order is possible.
    const first = rank(names[from] ?? "");
    const some = names.slice(from, from + batchSize).filter((name) => rank(name) === first);
    await store.remove(some.map((name) => archive.prefix + name));
    from += some.length;
    onProgress(from, names.length);
  }
  await archive.write(documents.pruned, { ...marker, finishedAt: toInstant(Date.now()) } satisfies Pruned);
  return { objects: names.length, bytes: listed.reduce((sum, { bytes }) => sum + bytes, 0), uploads };
}

/** The order of removal. */
function rank(name: string): number {
  return name === documents.manifest ? 2 : name.startsWith(manifestHistory) ? 1 : 0;
}

/** Removes something that is not there: servers look at the right before they look for the object. */
async function demandRightToDelete({ store, prefix }: ClusterArchive): Promise<void> {
  try {
    await store.remove([`${prefix}right-to-delete`]);
  } catch (error) {
    if (!(error instanceof ArchiveCredentialsError)) throw error;
    throw new PruneForbiddenError(
      `The access key ${store.settings.accessKeyId} may not delete in the bucket "${store.settings.bucket}"; ` +
        `nothing of ${prefix} was removed. The archiver's key is meant to be like that: use one for people that may.`,
      { cause: error },
    );
  }
}

/**
 * Gives up uploads that were begun and never completed, of clusters that upload no more: sealed ones of an earlier date.
 * They cost as much as objects and no listing shows them.
 * @param before only clusters of business dates before this one.
 * @returns how many. @throws ArchiveStoreError
 */
export async function removeStaleUploads(
  store: ArchiveStore,
  { stack, before }: PruneSelection,
): Promise<number> {
  const entries = await listClusters(store, stack === undefined ? {} : { stack });
  const ended = entries.filter(
    ({ identity, state }) => identity.businessDate < before && (state === "sealed" || state === "pruned"),
  );
  const removed = await mapConcurrently(ended, concurrency, ({ identity }) =>
    store.removeUnfinishedUploads(archivePrefix(identity)),
  );
  return removed.reduce((sum, count) => sum + count, 0);
}
