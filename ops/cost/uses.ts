/**
 * Which servers a stack had in a month, and for how long: what is there now from the API, what was there from the documents
 * that opening and closing write, and of clusters without one an estimate from the markers of their archive.
 */
import { Decimal } from "decimal.js";
import { type ClusterEntry, readEntry } from "../../services/archive/catalogue.ts";
import { ClusterArchive } from "../../services/archive/cluster-archive.ts";
import { mapConcurrently } from "../../services/archive/concurrency.ts";
import type { ArchiveStore } from "../../services/archive/store.ts";
import type { Resource } from "../hetzner/resources.ts";
import { type Period, type Rate, startedHours } from "./billing.ts";
import type { CostDocument, CostServer } from "./cost-document.ts";
import type { LivePrices } from "./prices.ts";

/**
 * How long a cluster is still there after its seal or its closing time, for estimates and the forecast: everything is
 * removed. Generous: a started hour counts anyway.
 */
export const removalMinutes = 15;

/** One server for the time that it was there; `to` of one that is there is now. */
export interface ServerUse extends Period {
  /** `<business-date>/<cluster-id>` */
  cluster: string;
  name: string;
  serverType: string;
  location: string;
  isRunning: boolean;
  /** Undefined when the API named no price. */
  rate: Rate | undefined;
  /** Of its public IPv4 address; undefined when it has none. */
  ipv4: Rate | undefined;
  /** Why this is an estimate; undefined when it is exact. */
  estimate: string | undefined;
}

/** Servers that a cluster of the stack would have: for those that nobody wrote down. */
export type UsualServers = readonly Pick<ServerUse, "name" | "serverType" | "location" | "rate" | "ipv4">[];

/** What is there now. */
export function runningUses(
  servers: readonly Resource<"servers">[],
  prices: LivePrices,
  now: Date,
): ServerUse[] {
  return servers.map(({ name, server_type, location, created, public_net, labels }) => {
    const rate = prices.serverType(server_type.name, location.name);
    return {
      cluster: `${labels["business-date"] ?? "?"}/${labels["cluster-id"] ?? "?"}`,
      name,
      serverType: server_type.name,
      location: location.name,
      from: new Date(created),
      to: now,
      isRunning: true,
      rate,
      ipv4: public_net.ipv4 == null ? undefined : prices.ipv4(location.name),
      estimate:
        rate === undefined ? `the API names no price for ${server_type.name} in ${location.name}` : undefined,
    };
  });
}

/**
 * What was there, of a cluster that somebody wrote down.
 * @param running ids of the servers that are there now
 * @param sealedAt when the cluster's archive was sealed, if it was: it was still there then
 */
export function documentedUses(
  document: CostDocument,
  running: ReadonlySet<number>,
  sealedAt: Date | undefined,
): ServerUse[] {
  const cluster = `${document.businessDate}/${document.clusterId}`;
  return document.servers
    .filter(({ id }) => !running.has(id))
    .map((server) => {
      const { name, serverType, location } = server;
      const rate = rateOf(server.price);
      const { to, estimate } = endOf(server, sealedAt);
      return {
        cluster,
        name,
        serverType,
        location,
        from: new Date(server.createdAt),
        to,
        isRunning: false,
        rate,
        ipv4: rateOf(server.ipv4Price),
        estimate: rate === undefined ? `the API named no price for ${serverType} in ${location}` : estimate,
      };
    });
}

function rateOf(price: CostServer["price"]): Rate | undefined {
  return price === null
    ? undefined
    : { hourly: new Decimal(price.hourly), monthly: new Decimal(price.monthly) };
}

/** Whether it is not known in which started hour a server went, so that its archive is worth a look. */
export function isEndUncertain({ createdAt, seenAt, goneAt }: CostServer): boolean {
  if (goneAt === null) return true;
  const hoursUntil = (to: string): number => startedHours({ from: new Date(createdAt), to: new Date(to) });
  return hoursUntil(seenAt) < hoursUntil(goneAt);
}

function endOf(server: CostServer, sealedAt: Date | undefined): { to: Date; estimate: string | undefined } {
  const { createdAt, seenAt, goneAt } = server;
  if (goneAt !== null && !isEndUncertain(server)) return { to: new Date(goneAt), estimate: undefined };
  const isSealLater = sealedAt !== undefined && sealedAt > new Date(seenAt);
  const seen = isSealLater ? sealedAt : new Date(seenAt);
  if (goneAt === null) {
    const estimate = `nobody wrote down when it went: counted until ${seen.toISOString()}, the last sign of it`;
    return { to: seen, estimate };
  }
  // What is sealed is removed at once: who notices it the next morning says nothing about the night.
  const removed = new Date(seen.getTime() + removalMinutes * 60_000);
  if (isSealLater && removed < new Date(goneAt)) {
    const estimate = `it went between ${seen.toISOString()}, its seal, and ${goneAt}: counted until ${removalMinutes} minutes after the seal`;
    return { to: removed, estimate };
  }
  const from = new Date(createdAt);
  const to = new Date(goneAt);
  const [least, most] = [seen, to].map((end) => startedHours({ from, to: end })) as [number, number];
  const estimate =
    least >= most
      ? undefined
      : `it went between ${seen.toISOString()} and ${goneAt}: ${least} to ${most} started hours, the most counted`;
  return { to, estimate };
}

/** Clusters looked at side by side: each is a few small documents. */
const concurrency = 8;

/**
 * Clusters of a span that the bucket knows.
 * @param from first business date
 * @param to last one, inclusive
 * @throws ArchiveStoreError
 */
export async function readClusters(
  store: ArchiveStore,
  stack: string,
  { from, to, isWanted }: { from: string; to: string; isWanted: (cluster: string) => boolean },
): Promise<ClusterEntry[]> {
  const last = (folder: string): string => folder.split("/").at(-2) ?? "";
  const isDate = (date: string): boolean => /^\d{4}-\d\d-\d\d$/.test(date) && date >= from && date <= to;
  const days = (await store.folders(`${stack}/`)).map(last).filter(isDate);
  const clusters = await mapConcurrently(days, concurrency, async (businessDate) =>
    (await store.folders(`${stack}/${businessDate}/`)).map((folder) => ({
      stack,
      businessDate,
      clusterId: last(folder),
    })),
  );
  const wanted = clusters
    .flat()
    .filter(({ businessDate, clusterId }) => isWanted(`${businessDate}/${clusterId}`));
  return mapConcurrently(wanted, concurrency, (identity) => readEntry(new ClusterArchive(store, identity)));
}

/**
 * What was there of a cluster that nobody wrote down.
 * @param openHours of the stack, for a cluster of which nothing tells when it went
 * @returns nothing for one that never was opened: nothing tells of its servers
 */
export function estimatedUses(
  { identity, opened, manifest, pruned, override }: ClusterEntry,
  usual: UsualServers,
  openHours: number,
  now: Date,
): ServerUse[] {
  if (opened === undefined) return [];
  const from = new Date(opened.openedAt);
  const told = manifest?.sealedAt ?? override?.overriddenAt;
  const planned = new Date(from.getTime() + openHours * 3_600_000);
  const to = told === undefined ? (planned < now ? planned : now) : new Date(told);
  const until =
    told === undefined
      ? `${openHours} hours, since ${pruned === undefined ? "it was not sealed" : "its archive is pruned"}`
      : `${told}, when it was ${manifest === undefined ? "given up" : "sealed"}`;
  const estimate =
    `nobody wrote down its servers: counted as ${usual.length} of today's kind and price, from ${opened.openedAt}, when Kafka ` +
    `was ready, until ${until}`;
  return usual.map((server) => ({
    ...server,
    cluster: `${identity.businessDate}/${identity.clusterId}`,
    from,
    to,
    isRunning: false,
    estimate,
  }));
}
