/**
 * The cluster of the same stack that came before this one, and whether its carry-over is this cluster's to load.
 * An archive whose cluster never finished its prepare-day job had no services, so nothing was traded in it: it is passed
 * over, as soon as it is certain that the cluster is gone.
 */
import { z } from "zod";
import { instantString } from "../core/time.ts";
import { readEntry, type ClusterEntry } from "./catalogue.ts";
import { ClusterArchive } from "./cluster-archive.ts";
import { mapConcurrently } from "./concurrency.ts";
import type { ArchiveIdentity } from "./layout.ts";
import type { ArchiveStore } from "./store.ts";

/** `carry-over-loaded.json`: the prepare-day job has done its part about carry-over; only then do services start. */
export const loadedDocument = "carry-over-loaded.json";

export const carryOverLoadedSchema = z.object({
  stack: z.string().min(1),
  businessDate: z.string().min(1),
  clusterId: z.string().min(1),
  loadedAt: instantString,
  /** The cluster before this one; null when there is none. */
  predecessor: z.object({ businessDate: z.string(), clusterId: z.string() }).nullable(),
  /** Ids of the commands that were written into this cluster's journal. */
  commands: z.array(z.string()),
  /** What is not known about orders of earlier clusters, one sentence each; a person should look. */
  unknown: z.array(z.string()),
});
export type CarryOverLoaded = z.infer<typeof carryOverLoadedSchema>;

/** In the archive of the cluster that carries over, one document for each cluster that wants to load: only one may. */
const claimsFolder = "carry-over-claims/";
const claimSchema = z.object({ stack: z.string(), businessDate: z.string(), clusterId: z.string() });

/** Documents are read side by side, this many clusters at a time. */
const concurrency = 8;

/** What was found of the clusters before this one. */
export interface Predecessor {
  entry: ClusterEntry;
  archive: ClusterArchive;
}

/**
 * Finds the latest cluster that was opened before this one and whose services may have run.
 * @param openedAt when this cluster was opened.
 * @returns undefined when there is none; `unknown`: what cannot be told about clusters on the way.
 * @throws ArchiveStoreError
 */
export async function findPredecessor(
  { store, identity }: ClusterArchive,
  openedAt: string,
): Promise<{ found: Predecessor | undefined; unknown: string[] }> {
  const unknown: string[] = [];
  for (const day of (await store.folders(`${identity.stack}/`)).reverse()) {
    const clusters = await clustersOf(store, day, identity);
    for (const { entry, archive } of clusters) {
      if (entry.opened === undefined && entry.state === "damaged") unknown.push(damaged(archive, entry));
    }
    for (const each of clusters) {
      const { entry, archive } = each;
      if (entry.opened === undefined || entry.opened.openedAt > openedAt) continue;
      const carriesOver = entry.manifest !== undefined && entry.manifest.carryOver !== null;
      if (carriesOver || !isGone(entry) || (await hasLoaded(archive))) return { found: each, unknown };
    }
  }
  return { found: undefined, unknown };
}

/**
 * Says in the predecessor's archive that this cluster loads its carry-over.
 * @returns why it must not: another cluster may have. Undefined when it is this cluster's.
 * @throws ArchiveStoreError
 */
export async function claimCarryOver(
  predecessor: ClusterArchive,
  own: ArchiveIdentity,
): Promise<string | undefined> {
  await predecessor.write(`${claimsFolder}${own.clusterId}.json`, own);
  // Written first and listed then: of two clusters that do this at the same time, at least one sees the other.
  for (const { archive: other, commands } of await claimants(predecessor)) {
    const { businessDate, clusterId } = other.identity;
    if (clusterId === own.clusterId) continue;
    const claimed = `cluster ${clusterId} of ${businessDate} has claimed the orders that ${predecessor.prefix} carries over`;
    if (commands !== undefined && commands > 0) return `${claimed}, and has loaded them`;
    if (commands === undefined && !isGone(await readEntry(other)))
      return `${claimed}, and is neither sealed nor given up`;
  }
  return undefined;
}

/**
 * Whether a later cluster has what this one carries over; a claim alone does not say so.
 * @throws ArchiveDocumentError for a claim that cannot be read; ArchiveStoreError.
 */
export async function isCarryOverLoaded(predecessor: ClusterArchive): Promise<boolean> {
  return (await claimants(predecessor)).some(({ commands = 0 }) => commands > 0);
}

/** The clusters that have claimed, and how many commands each has loaded; undefined: its prepare-day job is not done. */
async function claimants(
  predecessor: ClusterArchive,
): Promise<{ archive: ClusterArchive; commands: number | undefined }[]> {
  const { store, prefix } = predecessor;
  const listed = await store.list(prefix + claimsFolder);
  const found = await mapConcurrently(listed, concurrency, async ({ key }) => {
    const claim = await predecessor.read(key.slice(prefix.length), claimSchema);
    if (claim === undefined) return [];
    const archive = new ClusterArchive(store, claim);
    const loaded = await archive.read(loadedDocument, carryOverLoadedSchema);
    return [{ archive, commands: loaded?.commands.length }];
  });
  return found.flat();
}

/** Whether the cluster's prepare-day job was done, so that services may have run. */
async function hasLoaded(archive: ClusterArchive): Promise<boolean> {
  return (await archive.store.head(archive.prefix + loadedDocument)) !== undefined;
}

/** Whether the cluster will certainly load nothing any more. */
function isGone({ state, override }: ClusterEntry): boolean {
  return override !== undefined || (state !== "unsealed" && state !== "damaged");
}

/** The other clusters of a business date, latest first. */
async function clustersOf(store: ArchiveStore, day: string, own: ArchiveIdentity): Promise<Predecessor[]> {
  const [stack = "", businessDate = ""] = day.split("/");
  if (!/^\d{4}-\d\d-\d\d$/.test(businessDate)) return [];
  const ids = (await store.folders(day)).map((folder) => folder.slice(day.length, -1));
  const others = ids.filter((clusterId) => clusterId !== own.clusterId);
  const found = await mapConcurrently(others, concurrency, async (clusterId): Promise<Predecessor> => {
    const archive = new ClusterArchive(store, { stack, businessDate, clusterId });
    return { archive, entry: await readEntry(archive) };
  });
  const openedAt = ({ entry }: Predecessor): string => entry.opened?.openedAt ?? "";
  return found.sort((a, b) => (openedAt(a) < openedAt(b) ? 1 : -1));
}

function damaged({ prefix }: ClusterArchive, { problems }: ClusterEntry): string {
  return `${prefix} is damaged, so whether it was opened and what became of its orders is not known: ${problems.join("; ")}`;
}
