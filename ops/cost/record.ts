/** Writes down what a stack's servers cost while they can still be asked. */
import { ArchiveStoreError } from "../../services/archive/store.ts";
import { toInstant } from "../../services/core/time.ts";
import type { HetznerClient } from "../hetzner/client.ts";
import { HetznerApiError } from "../hetzner/errors.ts";
import type { Resource } from "../hetzner/resources.ts";
import { stackSelector } from "../hetzner/settings.ts";
import type { ArchiveStore } from "../../services/archive/store.ts";
import type { Rate } from "./billing.ts";
import { type CostDocument, type CostServer, readCostDocuments, writeCostDocument } from "./cost-document.ts";
import { type LivePrices, readPrices } from "./prices.ts";

/** What {@link recordCost} needs of the parts of opening and closing. */
export interface CostParts {
  stack: string;
  client: HetznerClient;
  archiveStore: ArchiveStore;
  reporter: { note(line: string): void };
  now: () => Date;
}

/** Servers of clusters older than this are not looked for any more when they are gone: nobody noted their end. */
const lookBackDays = 62;
const dayMs = 86_400_000;

/**
 * Notes for each server of the stack that it is there, and for each that was noted before and is not there any more that
 * it is gone. To be called when a cluster is up, before it is removed and when it is gone; calling it more often makes the
 * record more exact. It never fails what it is part of: what cannot be written is said, and `trading cost` estimates it.
 */
export async function recordCost(parts: CostParts): Promise<void> {
  try {
    await record(parts);
  } catch (error) {
    if (!(error instanceof ArchiveStoreError || error instanceof HetznerApiError)) throw error;
    parts.reporter.note(
      `what the servers cost could not be written down, so \`trading cost\` will estimate it: ${error.message}`,
    );
  }
}

async function record({ stack, client, archiveStore, now }: CostParts): Promise<void> {
  const servers = await client.list("servers", { labelSelector: stackSelector(stack) });
  // Behind the look: what is gone then was there until after the one before.
  const at = now();
  const from = new Date(at.getTime() - lookBackDays * dayMs).toISOString().slice(0, 10);
  const { documents } = await readCostDocuments(archiveStore, stack, from);
  const prices = servers.length > 0 ? await readPrices(client) : undefined;
  const byCluster = new Map(documents.map((document) => [keyOf(document), document]));
  const changed = new Set<CostDocument>();

  for (const document of documents) {
    for (const server of document.servers) {
      if (server.goneAt !== null || servers.some(({ id }) => id === server.id)) continue;
      server.goneAt = toInstant(at.getTime());
      changed.add(document);
    }
  }
  for (const server of servers) {
    const { "business-date": businessDate, "cluster-id": clusterId } = server.labels;
    if (prices === undefined || businessDate === undefined || clusterId === undefined) continue;
    const identity = { stack, businessDate, clusterId };
    const document = byCluster.get(keyOf(identity)) ?? { ...identity, servers: [] };
    byCluster.set(keyOf(identity), document);
    document.servers = [
      ...document.servers.filter(({ id }) => id !== server.id),
      noteOf(server, prices, toInstant(at.getTime())),
    ];
    changed.add(document);
  }
  for (const document of changed) await writeCostDocument(archiveStore, document);
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
