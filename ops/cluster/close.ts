/**
 * `trading close`: the cluster is sealed and removed, whatever its state knows of it, and the account is shown to be empty.
 * It may be killed anywhere and run again.
 */
import {
  type StackCluster,
  StackEngineError,
  StackLockedError,
  StackRunAbortedError,
} from "../engine/stack-engine.ts";
import { RefusedError } from "../run.ts";
import { isGate } from "./begun-destroy.ts";
import { type Cleared, clearLeftover, describeStaying, leftoversNow } from "./clear.ts";
import { endAdmissions } from "./end-admissions.ts";
import { withEngineProgress } from "./engine-progress.ts";
import { archiveOf, whatItHeld } from "./held.ts";
import { findLabelled, stateTypes } from "./labelled.ts";
import { isControlPlane } from "./removal.ts";
import { bringStateToStandstill, wakeOpened } from "./standstill.ts";
import { clusterName } from "./leftovers.ts";
import type { ClusterParts } from "./parts.ts";
import { forgetVanished } from "./vanished.ts";

/** The control plane's name in the program (components/nodes.ts). */
const controlPlaneName = "nodes-k3s-control";

/** Something with the stack's labels is still there; all of it is named, with its price. */
export class LeftBehindError extends Error {
  override readonly name = "LeftBehindError";
}

/** What closing did. */
export interface CloseResult {
  stack: string;
  /** `<stack>/<business-date>/<cluster-id>` of the cluster that the state knew; null when there was none. */
  destroyed: string | null;
  /** What was removed by label, because no state knew it. */
  cleared: Cleared[];
}

/**
 * Closes the stack's cluster and everything that is left of former ones.
 * @throws RefusedError when a cluster is not sealed; StackEngineError, RemovalError, HetznerApiError, ArchiveStoreError when
 *   something could not be done; LeftBehindError when all was done and something is still there.
 */
export async function closeCluster(parts: ClusterParts): Promise<CloseResult> {
  const { stack, engine, reporter } = parts;
  await engine.settle();
  // For a cluster that stays, because it is not sealed.
  await endAdmissions(parts);
  await forgetVanished(parts);
  await wakeOpened(parts);
  const state = await engine.state();
  // A server that the state does not know would keep firewall and network in use.
  const cleared = await clearHarmless(parts);
  if (state !== undefined) {
    if (state.cluster !== undefined) await standStillIfNeverOpened(parts, state.cluster);
    reporter.note(
      `destroying the cluster of stack ${stack}: its archive is sealed and verified before anything goes`,
    );
    await destroyStack(parts, async () => {
      const more = await clearHarmless(parts);
      cleared.push(...more);
      const { forgotten } = await forgetVanished(parts);
      return more.length + forgotten.length > 0;
    });
  }
  const refused: Error[] = [];
  for (const leftover of await leftoversNow(parts)) {
    try {
      cleared.push(await clearLeftover(parts, leftover));
    } catch (error) {
      // The others go all the same.
      if (!(error instanceof RefusedError)) throw error;
      refused.push(error);
    }
  }
  if (refused.length > 0) throw new RefusedError(refused.map(({ message }) => message).join("\n\n"));
  await demandNothingLeft(parts);
  return {
    stack,
    destroyed: state?.cluster === undefined ? null : clusterName(stack, { cluster: state.cluster }),
    cleared,
  };
}

/** What turns out to be opened is powered on again, and sealed as every other. */
async function standStillIfNeverOpened(parts: ClusterParts, cluster: StackCluster): Promise<void> {
  const archive = archiveOf(parts.archiveStore, parts.stack, cluster);
  if ((await whatItHeld(archive)) !== "never") return;
  await bringStateToStandstill(parts, cluster).catch((error: unknown) => {
    if (!(error instanceof RefusedError)) throw error;
  });
}

/** Removes what never held data and what cannot hold any. */
async function clearHarmless(parts: ClusterParts): Promise<Cleared[]> {
  const cleared: Cleared[] = [];
  for (const leftover of await leftoversNow(parts)) {
    const canHold = leftover.resources.some(({ holdsData }) => holdsData);
    if (leftover.held === "never" || (!canHold && leftover.held !== "unknown" && !leftover.isOfState)) {
      cleared.push(await clearLeftover(parts, leftover));
    }
  }
  return cleared;
}

/**
 * Destroys what the state knows.
 * @param clearWay called when it fails; what says true is worth another try.
 * @throws RefusedError when a gate refuses; StackEngineError
 */
export async function destroyStack(
  parts: ClusterParts,
  clearWay: () => Promise<boolean> = () => Promise.resolve(false),
): Promise<void> {
  const { engine, reporter, signal } = parts;
  const destroy = async (): Promise<void> => {
    const forgetKubernetes = await controlPlaneIsGone(parts);
    await withEngineProgress("destroy", reporter, (onEvent) =>
      engine.destroy({ signal, onEvent, forgetKubernetes }),
    );
  };
  try {
    try {
      await destroy();
    } catch (error) {
      if (!(error instanceof StackEngineError) || error instanceof StackRunAbortedError) throw error;
      // What looks left behind may be what that run is making.
      if (error instanceof StackLockedError) throw error;
      if (error.failures.some(({ name }) => isGate(name)) || !(await clearWay())) throw error;
      await destroy();
    }
  } catch (error) {
    if (!(error instanceof StackEngineError)) throw error;
    const refusals = error.failures.filter(({ name }) => isGate(name));
    if (refusals.length === 0) throw error;
    throw new RefusedError(refusals.map(({ message }) => message).join("\n"), { cause: error });
  }
}

/**
 * Whether neither the state nor Hetzner knows a control plane. A state that forgot it keeps the cluster's objects, without
 * what they would have gone with.
 */
async function controlPlaneIsGone({ engine, client, stack }: ClusterParts): Promise<boolean> {
  const { resources = [] } = (await engine.state()) ?? {};
  if (resources.some(({ type, name }) => type === stateTypes.servers && name === controlPlaneName))
    return false;
  return !(await findLabelled(client, stack)).some(isControlPlane);
}

/** The proof: nothing carries the stack's labels any more. @throws LeftBehindError; HetznerApiError */
async function demandNothingLeft(parts: ClusterParts): Promise<void> {
  const left = await findLabelled(parts.client, parts.stack);
  if (left.length === 0) return;
  throw new LeftBehindError(
    `Something of stack ${parts.stack} is still there. Run it again; if it stays, remove it in the Hetzner console.\n` +
      (await describeStaying(parts, left)),
  );
}
