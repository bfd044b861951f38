/**
 * How a stack is, from the calendar, from what is at Hetzner by label, and from the bucket: whatever any state or any runner
 * knows. What cannot be asked is said, and the rest is told all the same.
 */
import type { Decimal } from "decimal.js";
import { ArchiveDocumentError, ClusterArchive } from "../../services/archive/cluster-archive.ts";
import { type SealProgress, sealProgressSchema } from "../../services/archive/documents.ts";
import { documents } from "../../services/archive/layout.ts";
import { type ArchiveStore, ArchiveStoreError } from "../../services/archive/store.ts";
import { type Admission, admissionsIn } from "../admit/admission.ts";
import { findFirewall } from "../admit/admissions.ts";
import type { Calendar } from "../calendar/calendar.ts";
import type { TradingDay } from "../calendar/trading-day.ts";
import { turnHolder } from "../cluster/turn.ts";
import { costOfToday } from "../cost/today.ts";
import { type Activity, readActivity, silenceOf } from "../guard/activity.ts";
import { type Finding, findingsOf } from "../guard/findings.ts";
import { look, type SeenCluster, type Sight } from "../guard/sight.ts";
import { type StateBucket, StateBucketError } from "../engine/state-bucket.ts";
import { HetznerApiError } from "../hetzner/errors.ts";
import type { HetznerClient } from "../hetzner/client.ts";
import { stackSelector } from "../hetzner/settings.ts";

/** Arguments of {@link readStatus}. */
export interface StatusArguments {
  stack: string;
  now: Date;
  client: HetznerClient;
  archiveStore: ArchiveStore;
  /** The same bucket, for who opens or closes. */
  turnBucket: StateBucket;
  /** Undefined: the stack has no schedule. */
  calendar: Pick<Calendar, "schedule" | "source" | "dayAt" | "nextDay"> | undefined;
}

/** One server. */
export interface ServerStatus {
  name: string;
  id: number;
  /** As the API says: `running`, `off`, `initializing`, … */
  state: string;
  /** Type and location. */
  details: string;
  createdAt: Date;
  /** EUR net per started hour with its IPv4 address; undefined when the API names no price. */
  pricePerHour: string | undefined;
}

/** One cluster that is there, whole or in part. */
export interface ClusterStatus extends SeenCluster, Activity {
  servers: ServerStatus[];
  openedAt: string | undefined;
  sealedAt: string | undefined;
  /** Of the seal that was last asked for. */
  sealProgress: SealProgress | undefined;
}

/** What {@link readStatus} found; undefined is what could not be asked. */
export interface StackStatus {
  stack: string;
  now: Date;
  calendar: { source: string; today: TradingDay | undefined; next: TradingDay } | undefined;
  hasSchedule: boolean;
  /** Who opens or closes the stack now, or did so until it was killed; null: nobody. */
  atWork: string | null | undefined;
  clusters: ClusterStatus[] | undefined;
  /** The last cluster that the bucket knows, of the last days. */
  lastArchived: { name: string; state: string; openedAt: string | null; sealedAt: string | null } | undefined;
  admissions: Admission[] | undefined;
  costToday: { amount: Decimal; estimates: string[] } | undefined;
  /** What is not as it should be, and what could not be asked, one each. */
  problems: string[];
}

/** Looks. @throws the signal's reason of the client, and what is no failure of a service */
export async function readStatus(args: StatusArguments): Promise<StackStatus> {
  const { stack, now, client, archiveStore, turnBucket, calendar } = args;
  const sight = await look({ stack, now, client, archiveStore, calendar });
  const isBlind = (what: Sight["blind"][number]["what"]): boolean =>
    sight.blind.some((other) => other.what === what);
  const problems: string[] = [];
  /** @returns undefined when the service fails; said unless the look has said it already */
  const attempt = async <T>(
    what: "hetzner" | "bucket" | "calendar",
    work: () => Promise<T>,
  ): Promise<T | undefined> => {
    if (isBlind(what)) return undefined;
    try {
      return await work();
    } catch (error) {
      if (!isForeseen(error, what)) throw error;
      problems.push(`${names[what]} could not be asked: ${error.message}`);
      return undefined;
    }
  };
  const servers = await attempt("hetzner", () =>
    client.list("servers", { labelSelector: stackSelector(stack) }),
  );
  const states = new Map(servers?.map(({ id, status }) => [id, status]));
  const clusters =
    sight.clusters === undefined
      ? undefined
      : await Promise.all(
          sight.clusters.map(async (cluster) => ({
            ...cluster,
            servers: serversOf(cluster, states),
            ...archivedFacts(sight, cluster),
            ...((await attempt("bucket", () => archiveFacts(archiveStore, stack, cluster))) ?? {
              sealProgress: undefined,
              sealRequestedAt: undefined,
              youngestObjectAt: undefined,
            }),
          })),
        );
  const atWork = await attempt("bucket", async () => (await turnHolder(turnBucket, stack)) ?? null);
  const next = await attempt("calendar", async () => calendar?.nextDay(now));
  const firewall = await attempt("hetzner", async () => ({ found: await findFirewall(client, stack) }));
  const costToday =
    isBlind("hetzner") || isBlind("bucket")
      ? undefined
      : await attempt("bucket", () => costOfToday(client, archiveStore, stack, now));
  const deadlineMs = (calendar?.schedule.deadlineMinutes ?? defaultDeadlineMinutes) * 60_000;
  // What could not be read is no silence.
  const read = (clusters ?? []).filter(({ youngestObjectAt }) => youngestObjectAt !== undefined);
  const found = findingsOf(sight, deadlineMs, new Map(read.map((cluster) => [cluster.name, cluster])));
  return {
    stack,
    now,
    hasSchedule: calendar !== undefined,
    atWork,
    calendar:
      calendar === undefined || next === undefined
        ? undefined
        : { source: calendar.source.name, today: sight.day, next },
    clusters,
    lastArchived: lastOf(sight),
    admissions:
      firewall === undefined
        ? undefined
        : admissionsIn(firewall.found?.rules ?? []).filter(({ until }) => until * 1_000 > now.getTime()),
    costToday,
    problems: [
      ...problems,
      ...found.map(({ text }) => text),
      ...failedSeals(clusters ?? []),
      ...silentArchivers(clusters ?? [], found, now),
    ],
  };
}

/** Seals that were asked for and did not come about: before the deadline, too, somebody wanted to close. */
function failedSeals(clusters: readonly ClusterStatus[]): string[] {
  return clusters.flatMap(({ name, sealProgress }) =>
    sealProgress?.state === "failed" ? [`The last seal of ${name} failed: ${sealProgress.message}`] : [],
  );
}

/** As `trading:schedule` has it where it says nothing. */
const defaultDeadlineMinutes = 90;

const names = { hetzner: "Hetzner", bucket: "the archive bucket", calendar: "the calendar" };

function isForeseen(error: unknown, what: keyof typeof names): error is Error {
  if ([HetznerApiError, ArchiveStoreError, StateBucketError].some((type) => error instanceof type))
    return true;
  return what === "calendar" && error instanceof Error && error.name !== "AbortError";
}

function serversOf({ resources, prices }: SeenCluster, states: ReadonlyMap<number, string>): ServerStatus[] {
  return resources
    .filter(({ kind }) => kind === "servers")
    .map((resource) => ({
      name: resource.name,
      id: resource.id,
      state: states.get(resource.id) ?? (resource.isOff ? "off" : "unknown"),
      details: resource.details,
      createdAt: new Date(resource.created),
      pricePerHour: prices.get(resource),
    }));
}

function archivedFacts({ archived }: Sight, { cluster }: SeenCluster) {
  const entry = archived?.find(({ identity }) => identity.clusterId === cluster?.clusterId);
  return { openedAt: entry?.opened?.openedAt, sealedAt: entry?.manifest?.sealedAt };
}

async function archiveFacts(store: ArchiveStore, stack: string, { cluster }: SeenCluster) {
  if (cluster === undefined) return undefined;
  const archive = new ClusterArchive(store, { stack, ...cluster });
  const sealProgress = await archive
    .read(documents.sealProgress, sealProgressSchema)
    .catch((error: unknown) => {
      if (!(error instanceof ArchiveDocumentError)) throw error;
      return undefined;
    });
  return { sealProgress, ...(await readActivity(archive)) };
}

function lastOf({ stack, archived }: Sight): StackStatus["lastArchived"] {
  const last = archived?.at(-1);
  if (last === undefined) return undefined;
  const { identity, state, opened, manifest } = last;
  return {
    name: `${stack}/${identity.businessDate}/${identity.clusterId}`,
    state,
    openedAt: opened?.openedAt ?? null,
    sealedAt: manifest?.sealedAt ?? null,
  };
}

/** Clusters that are open and of which nothing reaches the bucket, also outside of the stack's hours. */
function silentArchivers(clusters: readonly ClusterStatus[], found: readonly Finding[], now: Date): string[] {
  return clusters
    .flatMap((cluster) => silenceOf(cluster, cluster.openedAt, cluster, now) ?? [])
    .filter((silence) => !found.some(({ text }) => text.includes(silence)));
}
