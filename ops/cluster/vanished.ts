/**
 * What the state knows and Hetzner has no more: a `destroy` was killed after a deletion had been carried out and before that
 * was written down, or somebody removed it by hand. An `up` would build on it, and a `destroy` would fail on it: the real
 * provider's deletion of a server that is gone is an error, and that of a subnet or a firewall crashes
 * (terraform-provider-hcloud: internal/server, internal/network, internal/firewall).
 */
import type { StackResource, StackState } from "../engine/stack-engine.ts";
import { RefusedError } from "../run.ts";
import { destroyWasBegun } from "./begun-destroy.ts";
import { withEngineProgress } from "./engine-progress.ts";
import { archiveOf, whatItHeld } from "./held.ts";
import { findLabelled, type LabelledResource, stateTypes } from "./labelled.ts";
import { clusterName } from "./leftovers.ts";
import type { ClusterParts } from "./parts.ts";

const subnetType = "hcloud:index/networkSubnet:NetworkSubnet";

/** Finds them. @param there everything with the stack's labels */
export function findVanished(state: StackState, there: readonly LabelledResource[]): StackResource[] {
  const ids = new Set(there.map(({ kind, id }) => `${stateTypes[kind]} ${id}`));
  // A subnet has no id of its own: the provider makes it of the network's id and the range.
  for (const { id, subnets = [] } of there) {
    for (const range of subnets) ids.add(`${subnetType} ${id}-${range}`);
  }
  const types = new Set([...Object.values(stateTypes), subnetType]);
  return state.resources.filter(({ type, id }) => types.has(type) && !ids.has(`${type} ${id}`));
}

/** What {@link forgetVanished} found. */
export interface Vanished {
  /** The state knows these no more. */
  forgotten: StackResource[];
  /** Servers of a cluster that was opened and that nobody began to destroy: they stay in the state. */
  lost: StackResource[];
}

/**
 * Takes out of the state what is gone, but for servers of a cluster that still holds data: the state is the only place
 * that tells that they were there.
 * @throws HetznerApiError; StackEngineError; ArchiveStoreError
 */
export async function forgetVanished(parts: ClusterParts): Promise<Vanished> {
  const { engine, client, stack, archiveStore, signal, reporter } = parts;
  const state = await engine.state();
  const vanished = state === undefined ? [] : findVanished(state, await findLabelled(client, stack));
  if (state === undefined || vanished.length === 0) return { forgotten: [], lost: [] };
  const { cluster } = state;
  const held = cluster === undefined ? "never" : await whatItHeld(archiveOf(archiveStore, stack, cluster));
  const isGoing = held === "never" || destroyWasBegun(state, held);
  const lost = vanished.filter(({ type }) => type === stateTypes.servers && !isGoing);
  const forgotten = vanished.filter((resource) => !lost.includes(resource));
  if (forgotten.length > 0) {
    reporter.note(`gone at Hetzner, though the state knows it: ${namesOf(forgotten)}; the state forgets it`);
    const urns = forgotten.map(({ urn }) => urn);
    await withEngineProgress("refresh", reporter, (onEvent) => engine.refresh(urns, { signal, onEvent }));
  }
  return { forgotten, lost };
}

/**
 * A cluster that was opened and lost a server is nothing that an `up` could make whole: what was on it is gone.
 * @throws RefusedError with what to do
 */
export async function demandWhole({ engine, stack }: ClusterParts, { lost }: Vanished): Promise<void> {
  const { cluster } = (await engine.state()) ?? {};
  if (lost.length === 0 || cluster === undefined) return;
  throw new RefusedError(
    `The cluster ${clusterName(stack, { cluster })} was opened, and of its servers these are gone though nothing of ours ` +
      `removed them: ${namesOf(lost)}. What was on them cannot be made again, so it is not brought up again. ` +
      `\`npm run --silent trading -- close --stack ${stack}\` asks its archiver for the seal, verifies it, and removes the ` +
      `rest; where the archiver is gone, too, that needs TRADING_ALLOW_DATA_LOSS=${stack}/${cluster.clusterId}.`,
  );
}

/** Whether a server was among what was forgotten: then what is left is a part of a cluster. */
export function isTorn({ forgotten }: Vanished): boolean {
  return forgotten.some(({ type }) => type === stateTypes.servers);
}

function namesOf(resources: readonly StackResource[]): string {
  return resources.map(({ name }) => name).join(", ");
}
