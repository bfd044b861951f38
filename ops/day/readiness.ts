/**
 * Waits until a cluster can trade. Its archiver says so in the bucket (`trading-ready.json`), because whoever opens a
 * cluster, a CI runner for example, may not be able to reach it.
 */
import { ArchiveDocumentError, ClusterArchive } from "../../services/archive/cluster-archive.ts";
import { type TradingReady, tradingReadySchema } from "../../services/archive/documents.ts";
import { documents } from "../../services/archive/layout.ts";
import { ArchiveStoreError } from "../../services/archive/store.ts";
import type { ClusterParts } from "../cluster/parts.ts";
import { clusterName } from "../cluster/leftovers.ts";
import type { StackCluster } from "../engine/stack-engine.ts";
import { inWords, type Pause } from "./waiting.ts";

/** The cluster is up, and something keeps it from trading; it stays and bills. */
export class NotReadyError extends Error {
  override readonly name = "NotReadyError";
}

/** Arguments of {@link waitForReady}. */
export interface ReadyOptions {
  cluster: StackCluster;
  /** Longest wait, in milliseconds. */
  timeoutMs: number;
  pause: Pause;
}

const pollMs = 1_000;

/** What the cluster says of itself now; undefined when it has said nothing. @throws ArchiveStoreError, ArchiveDocumentError */
export async function readReadiness(
  { archiveStore, stack }: Pick<ClusterParts, "archiveStore" | "stack">,
  cluster: StackCluster,
): Promise<TradingReady | undefined> {
  return new ClusterArchive(archiveStore, { stack, ...cluster }).read(documents.ready, tradingReadySchema);
}

/** Waits until it is ready. @throws NotReadyError with what is missing; the signal's reason */
export async function waitForReady(parts: ClusterParts, options: ReadyOptions): Promise<TradingReady> {
  const { reporter, signal, now, stack } = parts;
  const { cluster, timeoutMs, pause } = options;
  const until = now().getTime() + timeoutMs;
  for (;;) {
    const seen = await look(parts, cluster);
    if (!Array.isArray(seen)) return seen;
    const left = until - now().getTime();
    if (left <= 0) {
      throw new NotReadyError(
        `The cluster ${clusterName(stack, { cluster })} is up and not ready to trade after ${inWords(timeoutMs)}:\n` +
          seen.map((missing) => `  - ${missing}`).join("\n"),
      );
    }
    reporter.progress(`waiting for trading-ready, ${inWords(left)} left: ${seen.join("; ")}`);
    await pause(Math.min(pollMs, left), signal);
    signal.throwIfAborted();
  }
}

/** @returns what is missing, when it is not ready */
async function look(parts: ClusterParts, cluster: StackCluster): Promise<TradingReady | string[]> {
  let seen: TradingReady | undefined;
  try {
    seen = await readReadiness(parts, cluster);
  } catch (error) {
    // It has its time to come back; a document that is broken is written anew.
    if (error instanceof ArchiveStoreError || error instanceof ArchiveDocumentError) return [error.message];
    throw error;
  }
  if (seen === undefined) return ["the archiver has not written trading-ready.json: its pod may not run"];
  if (seen.ready) return seen;
  return seen.missing.length > 0
    ? seen.missing
    : ["the monitor has not said anything yet: its pod may not run"];
}
