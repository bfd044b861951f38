/**
 * What a cluster's folder in the bucket tells by its times: when anything last reached it, and when its seal was asked for. These
 * are real times, as the bucket and the services have them.
 */
import { ArchiveDocumentError, ClusterArchive } from "../../services/archive/cluster-archive.ts";
import { sealRequestSchema } from "../../services/archive/documents.ts";
import { documents } from "../../services/archive/layout.ts";
import { type ArchiveStore, ArchiveStoreError } from "../../services/archive/store.ts";
import type { SeenCluster, Sight } from "./sight.ts";

/** See the module's description. */
export interface Activity {
  /** Undefined: nothing is there. */
  youngestObjectAt: Date | undefined;
  /** Of the last request; undefined: there is none, or it cannot be read. */
  sealRequestedAt: Date | undefined;
}

/** By the clusters' names. */
export type Activities = ReadonlyMap<string, Activity>;

/**
 * Where no market data flows, canaries alone do: a round every 5 minutes (CANARY_EVERY_SECONDS), written within one more
 * (ARCHIVE_ROTATE_SECONDS). Two rounds that are missing are a problem.
 */
const silentAfterMs = 12 * 60_000;

/** @throws ArchiveStoreError */
export async function readActivity(archive: ClusterArchive): Promise<Activity> {
  const objects = await archive.store.list(archive.prefix);
  const youngest = objects.reduce((last, { modified }) => Math.max(last, modified), 0);
  const request = await archive.read(documents.sealRequest, sealRequestSchema).catch((error: unknown) => {
    if (!(error instanceof ArchiveDocumentError)) throw error;
    return undefined;
  });
  return {
    youngestObjectAt: youngest === 0 ? undefined : new Date(youngest),
    sealRequestedAt: request && new Date(request.requestedAt),
  };
}

/** Of all clusters that may hold data. A bucket that is away now is left out: whoever looked before has said it, or will. */
export async function readActivities(
  { stack, clusters = [] }: Pick<Sight, "stack" | "clusters">,
  archiveStore: ArchiveStore,
): Promise<Activities> {
  const activities = new Map<string, Activity>();
  for (const { name, cluster, held } of clusters) {
    if (cluster === undefined || held === "never" || held === "unknown") continue;
    try {
      activities.set(name, await readActivity(new ClusterArchive(archiveStore, { stack, ...cluster })));
    } catch (error) {
      if (!(error instanceof ArchiveStoreError)) throw error;
    }
  }
  return activities;
}

/**
 * Says that nothing of a cluster that is open reaches the bucket.
 * @param openedAt RFC 3339; undefined: not known
 * @returns undefined when something does
 */
export function silenceOf(
  { stack, name, held, isSealRequested }: Pick<SeenCluster, "stack" | "name" | "held" | "isSealRequested">,
  openedAt: string | undefined,
  { youngestObjectAt }: Pick<Activity, "youngestObjectAt">,
  now: Date,
): string | undefined {
  if (held !== "opened" || isSealRequested || openedAt === undefined) return undefined;
  const last = Math.max(youngestObjectAt?.getTime() ?? 0, Date.parse(openedAt));
  if (now.getTime() - last <= silentAfterMs) return undefined;
  return (
    `Nothing of ${name} has reached the bucket since ${youngestObjectAt?.toISOString() ?? "it was opened"}: ` +
    `does its archiver run? npm run --silent trading -- logs --stack ${stack ?? "?"} --service archiver`
  );
}
