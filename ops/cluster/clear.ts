/** Leftovers go, or the reason why one must stay is told. */
import { RefusedError } from "../run.ts";
import { describeResource, type LabelledResource, priceOf } from "./labelled.ts";
import { clusterName, findLeftovers, type Leftover } from "./leftovers.ts";
import type { ClusterParts } from "./parts.ts";
import { demandRelease, type Release } from "./release.ts";
import { removeResources } from "./removal.ts";
import { bringToStandstill } from "./standstill.ts";

/** A cluster, or a part of one, that was removed by label. */
export interface Cleared {
  /** `<stack>/<business-date>/<cluster-id>` */
  cluster: string;
  /** Why it might be removed. */
  release: Release;
  /** One line each. */
  resources: string[];
}

/** What a removal by label needs: no engine and no state. */
export type ClearingParts = Pick<
  ClusterParts,
  "stack" | "client" | "archiveStore" | "gate" | "reporter" | "signal"
>;

/** Everything with the stack's labels that the state, as it is now, does not know. */
export async function leftoversNow(parts: ClusterParts): Promise<Leftover[]> {
  const { client, stack, engine, archiveStore } = parts;
  return findLeftovers(client, {
    stack,
    state: await engine.state(),
    adoptsPending: engine.adoptsPending,
    archiveStore,
  });
}

/**
 * Removes one leftover, if its cluster's gate lets it go.
 * @throws RefusedError that names what stays, its price, and what to do; RemovalError; ArchiveStoreError; HetznerApiError;
 *   HetznerActionError
 */
export async function clearLeftover(parts: ClearingParts, leftover: Leftover): Promise<Cleared> {
  const { stack, client, archiveStore, gate, reporter, signal } = parts;
  const name = clusterName(stack, leftover);
  const release = await demandRelease({
    stack,
    leftover,
    archiveStore,
    gate,
    signal,
    // At once: it says what TRADING_ALLOW_DATA_LOSS loses.
    report: (line) => reporter.note(`${name}: ${line}`),
  }).catch(async (error: unknown) => {
    if (!(error instanceof RefusedError)) throw error;
    throw new RefusedError(`${error.message}\n${await describeStaying(parts, leftover.resources)}`, {
      cause: error,
    });
  });
  reporter.note(`removing what is left of ${name} (${reasons[release]})`);
  if (release === "never-opened" && leftover.cluster !== undefined) {
    await bringToStandstill(parts, leftover.cluster, leftover.resources);
  }
  await removeResources(client, leftover.resources, (line) => reporter.progress(line));
  return { cluster: name, release, resources: leftover.resources.map(describeResource) };
}

const reasons: Readonly<Record<Release, string>> = {
  "never-opened": "it never held data",
  "no-servers": "its servers are gone",
  sealed: "its archive is sealed and verified",
  "removal-begun": "its archive is sealed and verified, and its removal was begun",
  "data-loss-allowed": "TRADING_ALLOW_DATA_LOSS allows it",
};

/** What stays, one line each, with its price per hour. */
export async function describeStaying(
  { client }: Pick<ClusterParts, "client">,
  resources: readonly LabelledResource[],
): Promise<string> {
  const { each, total } = await priceOf(client, resources);
  const lines = resources.map((resource) => {
    const price = each.get(resource);
    const cost = price === "0" ? "free" : price === undefined ? "price not known" : `${price} EUR/h`;
    return `  ${describeResource(resource)}: ${cost}`;
  });
  return [`What stays costs ${total} EUR per started hour (net):`, ...lines].join("\n");
}
