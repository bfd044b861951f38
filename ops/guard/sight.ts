/**
 * What the guard sees: the calendar, what is at Hetzner by label, and the bucket. It asks no state and no runner, so it sees
 * the same when those of the morning are gone. What cannot be looked at is told and holds up nothing else.
 */
import { ArchiveDocumentError, type ClusterArchive } from "../../services/archive/cluster-archive.ts";
import { type ClusterEntry, listClusters } from "../../services/archive/catalogue.ts";
import { type TradingReady, tradingReadySchema } from "../../services/archive/documents.ts";
import { documents } from "../../services/archive/layout.ts";
import { type ArchiveStore, ArchiveStoreError } from "../../services/archive/store.ts";
import type { TradingDay } from "../calendar/trading-day.ts";
import { archiveOf, type Held, whatItHeld } from "../cluster/held.ts";
import { HetznerApiError } from "../hetzner/errors.ts";
import type { HetznerClient } from "../hetzner/client.ts";
import { type ClusterThere, findClustersThere } from "../leaks/cluster-there.ts";
import { RefusedError } from "../run.ts";

/** A cluster at Hetzner, with what the bucket says of it. */
export interface SeenCluster extends ClusterThere {
  /** `unknown` also while the bucket cannot be used. */
  held: Held;
  /** Undefined: the cluster has said nothing yet, or it cannot be read. */
  ready: TradingReady | undefined;
  /** Whether somebody has asked for its seal: it is being closed, or was tried to be. */
  isSealRequested: boolean;
}

/** What could not be looked at. */
export interface Blindness {
  /** For the memory of what was told. */
  what: "calendar" | "hetzner" | "bucket";
  message: string;
}

/** See the module's description. */
export interface Sight {
  stack: string;
  now: Date;
  /** The trading day whose time from beginsAt to deadline holds now; undefined also without a schedule. */
  day: TradingDay | undefined;
  /** Undefined: Hetzner could not be asked. */
  clusters: readonly SeenCluster[] | undefined;
  /** Clusters of the last days, as the bucket knows them; undefined: it could not be asked. */
  archived: readonly ClusterEntry[] | undefined;
  blind: readonly Blindness[];
}

/** Arguments of {@link look}. */
export interface LookArguments {
  stack: string;
  now: Date;
  client: HetznerClient;
  archiveStore: ArchiveStore;
  /** Undefined: the stack has no schedule, so nothing has to be open. */
  calendar: GuardCalendar | undefined;
}

/** The calendar as the guard needs it. */
export interface GuardCalendar {
  /** The day whose time from `beginsAt` to `deadline` holds an instant. */
  dayAt(now: Date): Promise<TradingDay | undefined>;
}

/** How far back the bucket is asked for clusters that are gone without a seal: over a long weekend. */
const lookBackMs = 4 * 24 * 3_600_000;

/** Looks. @throws the signal's reason of the client, and what is no failure of a service */
export async function look({ stack, now, client, archiveStore, calendar }: LookArguments): Promise<Sight> {
  const blind: Blindness[] = [];
  /** @returns undefined when it failed as `isForeseen` says */
  const attempt = async <T>(
    what: Blindness["what"],
    isForeseen: (error: unknown) => boolean,
    work: () => Promise<T>,
  ): Promise<T | undefined> => {
    try {
      return await work();
    } catch (error) {
      if (!isForeseen(error)) throw error;
      if (!blind.some((other) => other.what === what))
        blind.push({ what, message: (error as Error).message });
      return undefined;
    }
  };
  const isOfBucket = (error: unknown): boolean =>
    error instanceof ArchiveStoreError ||
    error instanceof ArchiveDocumentError ||
    error instanceof RefusedError;
  const day = await attempt(
    "calendar",
    (error) => error instanceof Error && error.name !== "UsageError" && error.name !== "AbortError",
    async () => calendar?.dayAt(now),
  );
  // Hetzner first: a cluster that is opened between the two is then at worst missed, and never taken for lost.
  const there = await attempt(
    "hetzner",
    (error) => error instanceof HetznerApiError,
    () => findClustersThere(client, stack, now),
  );
  const from = new Date(now.getTime() - lookBackMs).toISOString().slice(0, 10);
  const archived = await attempt("bucket", isOfBucket, () => listClusters(archiveStore, { stack, from }));
  const clusters = there?.map(async (cluster): Promise<SeenCluster> => {
    const nothing = { ...cluster, held: "unknown", ready: undefined, isSealRequested: false } as const;
    // One that does not answer is not asked again for each.
    if (cluster.cluster === undefined || archived === undefined) return nothing;
    const { cluster: identity } = cluster;
    return (
      (await attempt("bucket", isOfBucket, async () => {
        const archive = archiveOf(archiveStore, stack, identity);
        return {
          ...cluster,
          held: await whatItHeld(archive),
          ready: await readReady(archive),
          isSealRequested: (await archive.get(documents.sealRequest)) !== undefined,
        };
      })) ?? nothing
    );
  });
  return {
    stack,
    now,
    day,
    clusters: clusters === undefined ? undefined : await Promise.all(clusters),
    archived,
    blind,
  };
}

/** A broken document says as little as none; its archiver writes it anew. */
async function readReady(archive: ClusterArchive): Promise<TradingReady | undefined> {
  try {
    return await archive.read(documents.ready, tradingReadySchema);
  } catch (error) {
    if (error instanceof ArchiveDocumentError) return undefined;
    throw error;
  }
}
