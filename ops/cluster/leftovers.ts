/** What a killed run or a lost state left: it carries the stack's labels, and the state does not know it. */
import type { ArchiveStore } from "../../services/archive/store.ts";
import { clusterOf, type StackCluster, type StackState } from "../engine/stack-engine.ts";
import type { HetznerClient } from "../hetzner/client.ts";
import { archiveOf, type Held, whatItHeld } from "./held.ts";
import { findLabelled, type LabelledResource, stateTypes } from "./labelled.ts";

/** What is left of one cluster. */
export interface Leftover {
  /** As its labels say; undefined when they do not. */
  cluster: StackCluster | undefined;
  /** Never empty; only what the state does not know. */
  resources: LabelledResource[];
  held: Held;
  /** Whether the state is of this very cluster. */
  isOfState: boolean;
}

/** Arguments of {@link findLeftovers}. */
export interface LeftoverSearch {
  stack: string;
  /** Undefined when there is none. */
  state: StackState | undefined;
  /** Whether the engine goes on with creations that it had begun: then they are no leftovers. */
  adoptsPending: boolean;
  archiveStore: ArchiveStore;
}

/**
 * Finds by label what the state does not know, by cluster.
 * @throws HetznerApiError; ArchiveStoreError
 */
export async function findLeftovers(client: HetznerClient, search: LeftoverSearch): Promise<Leftover[]> {
  const { stack, state, archiveStore } = search;
  const strangers = (await findLabelled(client, stack)).filter((resource) => !isKnown(resource, search));
  const groups = new Map<string, LabelledResource[]>();
  for (const resource of strangers) {
    const { clusterId, businessDate } = clusterOfResource(resource) ?? {};
    const key = `${businessDate ?? ""}/${clusterId ?? ""}`;
    groups.set(key, [...(groups.get(key) ?? []), resource]);
  }
  return Promise.all(
    [...groups.values()].map(async (resources): Promise<Leftover> => {
      const [first] = resources;
      const cluster = first && clusterOfResource(first);
      return {
        cluster,
        resources,
        held: cluster === undefined ? "unknown" : await whatItHeld(archiveOf(archiveStore, stack, cluster)),
        isOfState: cluster !== undefined && cluster.clusterId === state?.cluster?.clusterId,
      };
    }),
  );
}

/** The cluster that a resource's labels name; undefined when they do not. */
export function clusterOfResource({ labels }: LabelledResource): StackCluster | undefined {
  return clusterOf([{ labels }]);
}

function isKnown(resource: LabelledResource, { state, adoptsPending }: LeftoverSearch): boolean {
  if (state === undefined) return false;
  const type = stateTypes[resource.kind];
  if (state.resources.some((known) => known.type === type && known.id === String(resource.id))) return true;
  if (!adoptsPending || clusterOfResource(resource)?.clusterId !== state.cluster?.clusterId) return false;
  return state.pending.some((begun) => begun.type === type && begun.resourceName === resource.name);
}

/** For people: `dev/2025-10-14/AbC…A`. */
export function clusterName(stack: string, { cluster }: Pick<Leftover, "cluster">): string {
  return cluster === undefined
    ? `${stack} without a cluster-id`
    : `${stack}/${cluster.businessDate}/${cluster.clusterId}`;
}
