/** What a cluster held, as the archive bucket tells: it outlives every state and every server. */
import type { ClusterArchive } from "../../services/archive/cluster-archive.ts";
import { documents, manifestHistory, parseObjectName } from "../../services/archive/layout.ts";
import { verifyArchive } from "../../services/archive/verify.ts";

/**
 * `never`: no marker and nothing archived, so it never held data. `opened`: it may hold data that is nowhere else.
 * `sealed`: its manifest is there and verified by one listing; whether it went on afterwards only its archiver can tell.
 * `unknown`: its resources do not say which cluster they are of.
 */
export type Held = "never" | "opened" | "sealed" | "unknown";

/** Looks at one cluster's archive. @throws ArchiveStoreError when the bucket cannot be used: then nothing may be removed. */
export async function whatItHeld(archive: ClusterArchive): Promise<Exclude<Held, "unknown">> {
  if (!(await wasOpened(archive))) return "never";
  const { verified } = await verifyArchive(archive, { mode: "fast" });
  return verified ? "sealed" : "opened";
}

/** As the export gate sees it: a marker that somebody removed does not make an archive that holds something empty. */
async function wasOpened({ store, prefix }: ClusterArchive): Promise<boolean> {
  if ((await store.get(prefix + documents.opened)) !== undefined) return true;
  const names = (await store.list(prefix)).map(({ key }) => key.slice(prefix.length));
  return names.some(
    (name) =>
      name === documents.manifest || name.startsWith(manifestHistory) || parseObjectName(name) !== undefined,
  );
}
