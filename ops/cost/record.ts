/** Writes down what a stack's servers cost while they can still be asked. */
import type { ArchiveIdentity } from "../../services/archive/layout.ts";
import { type ArchiveStore, ArchiveStoreError } from "../../services/archive/store.ts";
import { toInstant } from "../../services/core/time.ts";
import type { HetznerClient } from "../hetzner/client.ts";
import { HetznerApiError } from "../hetzner/errors.ts";
import type { Resource } from "../hetzner/resources.ts";
import { stackSelector } from "../hetzner/settings.ts";
import type { Rate } from "./billing.ts";
import { type CostDocument, type CostServer, readCostDocuments, writeCostDocument } from "./cost-document.ts";
import { type LivePrices, readPrices } from "./prices.ts";

/** What {@link recordCost} needs of the parts of opening and closing. */
export interface CostParts {
  stack: string;
  client: HetznerClient;
  archiveStore: ArchiveStore;
  reporter: { note(line: string): void };
  /** Once it is aborted, nothing more is written down. */
  signal: AbortSignal;
  now: () => Date;
}

/** The end of a cluster that has gone since is looked for so long after its business date. */
const lookBackDays = 7;
const dayMs = 86_400_000;

/**
 * Notes for each server of the stack that it is there, and for each that was noted before and is not there any more that
 * it is gone. To be called when a cluster is up, before it is removed and when it is gone; calling it more often makes the
 * record more exact. It never fails what it is part of: what cannot be written is said, and `trading cost` estimates it.
 * @param before clusters that were there when it was called before; those of the last days are looked for anyway
 * @returns clusters that are there now
 */
export async function recordCost(
  parts: CostParts,
  before: readonly ArchiveIdentity[] = [],
): Promise<ArchiveIdentity[]> {
  try {
    return await record(parts, before);
  } catch (error) {
    if (parts.signal.aborted) return [];
    if (!(error instanceof ArchiveStoreError || error instanceof HetznerApiError)) throw error;
    parts.reporter.note(
      `what the servers cost could not be written down, so \`trading cost\` will estimate it: ${error.message}`,
    );
    return [];
  }
}

async function record(
  { stack, client, archiveStore, now }: CostParts,
  before: readonly ArchiveIdentity[],
): Promise<ArchiveIdentity[]> {
  const servers = await client.list("servers", { labelSelector: stackSelector(stack) });
  // Behind the look: what is gone then may have gone during it.
  const at = now();
  const present = new Map<string, { identity: ArchiveIdentity; servers: Resource<"servers">[] }>();
  for (const server of servers) {
    const { "business-date": businessDate, "cluster-id": clusterId } = server.labels;
    if (businessDate === undefined || clusterId === undefined) continue;
    const identity = { stack, businessDate, clusterId };
    const cluster = present.get(keyOf(identity)) ?? { identity, servers: [] };
    cluster.servers.push(server);
    present.set(keyOf(identity), cluster);
  }
  const from = new Date(at.getTime() - lookBackDays * dayMs).toISOString().slice(0, 10);
  const named = new Set([...before.map(keyOf), ...present.keys()]);
  const { documents } = await readCostDocuments(
    archiveStore,
    stack,
    (identity) => identity.businessDate >= from || named.has(keyOf(identity)),
  );
  const byCluster = new Map(documents.map((document) => [keyOf(document), document]));
  const changed = new Set<CostDocument>();

  for (const document of documents) {
    for (const server of document.servers) {
      if (server.goneAt !== null || servers.some(({ id }) => id === server.id)) continue;
      server.goneAt = toInstant(at.getTime());
      changed.add(document);
    }
  }
  // Asked once, and only where there is something to price.
  const prices = present.size > 0 ? await readPrices(client) : undefined;
  for (const [key, cluster] of present) {
    if (prices === undefined) break;
    const document = byCluster.get(key) ?? { ...cluster.identity, servers: [] };
    for (const server of cluster.servers) {
      const note = noteOf(server, prices, toInstant(at.getTime()));
      document.servers = [...document.servers.filter(({ id }) => id !== server.id), note];
    }
    changed.add(document);
  }
  for (const document of changed) await writeCostDocument(archiveStore, document);
  return [...present.values()].map(({ identity }) => identity);
}

const keyOf = ({ businessDate, clusterId }: Pick<CostDocument, "businessDate" | "clusterId">): string =>
  `${businessDate}/${clusterId}`;

function noteOf(server: Resource<"servers">, prices: LivePrices, seenAt: string): CostServer {
  const { id, name, server_type, location, created, public_net } = server;
  const ipv4 = public_net.ipv4 == null ? undefined : prices.ipv4(location.name);
  return {
    id,
    name,
    serverType: server_type.name,
    location: location.name,
    createdAt: toInstant(Date.parse(created)),
    seenAt,
    goneAt: null,
    price: written(prices.serverType(server_type.name, location.name)),
    ipv4Price: written(ipv4),
  };
}

function written(rate: Rate | undefined): { hourly: string; monthly: string } | null {
  return rate === undefined ? null : { hourly: rate.hourly.toFixed(), monthly: rate.monthly.toFixed() };
}
