/** What a cluster held, as the archive bucket tells: it outlives every state and every server. */
import { archiveMark } from "../../components/archive-mark.ts";
import { ClusterArchive } from "../../services/archive/cluster-archive.ts";
import { documents, manifestHistory, parseObjectName } from "../../services/archive/layout.ts";
import type { ArchiveStore } from "../../services/archive/store.ts";
import { verifyArchive } from "../../services/archive/verify.ts";
import type { StackCluster } from "../engine/stack-engine.ts";
import { RefusedError } from "../run.ts";

/**
 * `never`: no marker and nothing archived, so it never held data. `opened`: it may hold data that is nowhere else.
 * `sealed`: its manifest is there and verified by one listing; whether it went on afterwards only its archiver can tell.
 * `unknown`: its resources do not say which cluster they are of.
 */
export type Held = "never" | "opened" | "sealed" | "unknown";

/**
 * A cluster's archive in a bucket.
 * @throws RefusedError when its archive is in another bucket: this one would say that it never held data
 */
export function archiveOf(store: ArchiveStore, stack: string, cluster: StackCluster): ClusterArchive {
  const { clusterId, businessDate, archive } = cluster;
  const { endpoint, bucket } = store.settings;
  if (archive !== undefined && archive !== archiveMark({ endpoint, bucket })) {
    throw new RefusedError(
      `The archive of ${stack}/${businessDate}/${clusterId} is not in the bucket "${bucket}" at ${endpoint}: the cluster was ` +
        "created with another one (label archive). Whether it holds data is not known, so it stays. Name its own bucket: " +
        `trading:archive in Pulumi.${stack}.yaml, and S3_ENDPOINT and S3_BUCKET where they are set.`,
    );
  }
  return new ClusterArchive(store, { stack, businessDate, clusterId });
}

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
