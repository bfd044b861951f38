/** What clusters cost that are gone, per started hour, as opening and closing wrote it down (ops/cost). */
import { Decimal } from "decimal.js";
import type { ArchiveIdentity } from "../../services/archive/layout.ts";
import { startedHours } from "../cost/billing.ts";
import { readCostDocuments } from "../cost/cost-document.ts";
import { documentedUses } from "../cost/uses.ts";
import type { ClusterParts } from "../cluster/parts.ts";

/** One server for the time that it was there. */
export interface ServerCost {
  name: string;
  serverType: string;
  location: string;
  from: string;
  to: string;
  startedHours: number;
  /** EUR net with its IPv4 address; null when no price is known. */
  amount: string | null;
}

/** What one cluster cost. */
export interface ClusterCost {
  /** `<stack>/<business-date>/<cluster-id>` */
  cluster: string;
  servers: ServerCost[];
  /** EUR net; what has no known price is not in it. */
  amount: string;
  /** Why it is not exact, one sentence each. */
  estimates: string[];
}

/**
 * Adds up what was written down of some clusters; one of which nothing was is left out.
 * @param names `<stack>/<business-date>/<cluster-id>`
 * @throws ArchiveStoreError
 */
export async function costOfClusters(
  { archiveStore, stack }: Pick<ClusterParts, "archiveStore" | "stack">,
  names: readonly string[],
): Promise<ClusterCost[]> {
  if (names.length === 0) return [];
  const nameOf = ({ businessDate, clusterId }: Pick<ArchiveIdentity, "businessDate" | "clusterId">): string =>
    `${stack}/${businessDate}/${clusterId}`;
  const { documents } = await readCostDocuments(archiveStore, stack, (identity) =>
    names.includes(nameOf(identity)),
  );
  return documents.map((document): ClusterCost => {
    let amount = new Decimal(0);
    const estimates = new Set<string>();
    const servers = documentedUses(document, new Set(), undefined).map((use): ServerCost => {
      const { name, serverType, location, from, to, rate, ipv4, estimate } = use;
      const hours = startedHours(use);
      const cost = rate?.hourly.plus(ipv4?.hourly ?? 0).times(hours);
      if (cost !== undefined) amount = amount.plus(cost);
      if (estimate !== undefined) estimates.add(estimate);
      return {
        name,
        serverType,
        location,
        from: from.toISOString(),
        to: to.toISOString(),
        startedHours: hours,
        amount: cost?.toString() ?? null,
      };
    });
    return { cluster: nameOf(document), servers, amount: amount.toString(), estimates: [...estimates] };
  });
}
