/** Clusters, and what is left of them, as the labels at Hetzner alone tell: whatever any state or any runner knows. */
import { Decimal } from "decimal.js";
import { startedHours } from "../cost/billing.ts";
import { findLabelled, type LabelledResource, priceOf } from "../cluster/labelled.ts";
import { clusterName, clusterOfResource } from "../cluster/leftovers.ts";
import type { StackCluster } from "../engine/stack-engine.ts";
import type { HetznerClient } from "../hetzner/client.ts";

/** See the module's description. */
export interface ClusterThere {
  /** `<stack>/<business-date>/<cluster-id>`; for what names no cluster a few words. */
  name: string;
  /** Undefined: it carries `project=trading` alone. */
  stack: string | undefined;
  /** Undefined when the labels do not say it. */
  cluster: StackCluster | undefined;
  /** Never empty. */
  resources: LabelledResource[];
  /** Of the oldest of them. */
  createdAt: Date;
  /** The latest `expires-at` on them; undefined: none of them has got one. */
  expiresAt: Date | undefined;
  /** EUR net per started hour of all that has a price, as decimal text. */
  pricePerHour: string;
  /** EUR net per started hour by resource; "0" for what is free, undefined where the price is not known. */
  prices: ReadonlyMap<LabelledResource, string | undefined>;
  /** EUR net since they were created, by started hours (without the monthly caps). */
  costSoFar: string;
}

/**
 * Looks at one stack, or at all.
 * @throws HetznerApiError
 */
export async function findClustersThere(
  client: HetznerClient,
  stack: string | undefined,
  now: Date,
): Promise<ClusterThere[]> {
  const groups = new Map<string, LabelledResource[]>();
  for (const resource of await findLabelled(client, stack)) {
    const { clusterId, businessDate } = clusterOfResource(resource) ?? {};
    const key = [resource.labels["stack"], businessDate, clusterId].join("/");
    groups.set(key, [...(groups.get(key) ?? []), resource]);
  }
  return Promise.all([...groups.values()].map((resources) => describe(client, resources, now)));
}

async function describe(
  client: HetznerClient,
  resources: LabelledResource[],
  now: Date,
): Promise<ClusterThere> {
  const [first] = resources;
  const stack = first?.labels["stack"];
  const cluster = first && clusterOfResource(first);
  const { each, total } = await priceOf(client, resources);
  const expiries = resources.flatMap(({ labels }) => expiresAtOf(labels) ?? []);
  return {
    name: stack === undefined ? "project=trading without a stack" : clusterName(stack, { cluster }),
    stack,
    cluster,
    resources,
    createdAt: new Date(Math.min(...resources.map(({ created }) => Date.parse(created)))),
    expiresAt: expiries.length === 0 ? undefined : new Date(Math.max(...expiries)),
    pricePerHour: total,
    prices: each,
    costSoFar: resources
      .reduce((sum, resource) => {
        const use = { from: new Date(resource.created), to: now };
        return sum.plus(new Decimal(each.get(resource) ?? 0).times(startedHours(use)));
      }, new Decimal(0))
      .toString(),
  };
}

/** The label holds epoch seconds, since label values allow no colon. What is no number counts as none. @returns ms */
function expiresAtOf(labels: LabelledResource["labels"]): number | undefined {
  const text = labels["expires-at"] ?? "";
  return /^\d{1,12}$/.test(text) ? Number(text) * 1_000 : undefined;
}

/** No cluster is open for longer: what has no `expires-at` counts as over a day after it was created. */
const longestOpenMs = 24 * 3_600_000;

/** When it was to be closed. */
export function closingTimeOf({ expiresAt, createdAt }: ClusterThere): Date {
  return expiresAt ?? new Date(createdAt.getTime() + longestOpenMs);
}
