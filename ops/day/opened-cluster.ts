/** Whether the stack's cluster is up as an `up` leaves it, told without changing anything. */
import { ClusterArchive } from "../../services/archive/cluster-archive.ts";
import { gateNames } from "../cluster/begun-destroy.ts";
import { whatItHeld } from "../cluster/held.ts";
import { findLabelled, priceOf } from "../cluster/labelled.ts";
import type { ClusterParts } from "../cluster/parts.ts";
import { findVanished } from "../cluster/vanished.ts";
import type { StackCluster } from "../engine/stack-engine.ts";

/** A cluster that is up. */
export interface OpenedCluster {
  cluster: StackCluster;
  /** EUR net per started hour for all servers and their addresses. */
  pricePerHour: string;
}

/**
 * Looks for a cluster that is whole: opened and not sealed, all that the state knows is there and powered on, nothing of
 * another cluster is, and the last `up` came to its end.
 * @returns undefined for everything else: then an `up` has something to do
 * @throws HetznerApiError; StackEngineError; ArchiveStoreError
 */
export async function findOpenedCluster(parts: ClusterParts): Promise<OpenedCluster | undefined> {
  const { engine, client, stack, archiveStore } = parts;
  const state = await engine.state();
  if (state?.cluster === undefined || state.pending.length > 0) return undefined;
  const { cluster } = state;
  // What an `up` makes last.
  if (!state.resources.some(({ name }) => name === gateNames.export)) return undefined;
  const there = await findLabelled(client, stack);
  if (findVanished(state, there).length > 0) return undefined;
  const isStrange = there.some(({ labels, isOff }) => isOff || labels["cluster-id"] !== cluster.clusterId);
  if (isStrange) return undefined;
  if ((await whatItHeld(new ClusterArchive(archiveStore, { stack, ...cluster }))) !== "opened")
    return undefined;
  return { cluster, pricePerHour: (await priceOf(client, there)).total };
}
