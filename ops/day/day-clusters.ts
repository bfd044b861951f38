/** What the bucket tells of the clusters that a trading day had: whether it was opened, and whether somebody closed it. */
import { type ClusterEntry, listClusters } from "../../services/archive/catalogue.ts";
import { archivePrefix } from "../../services/archive/layout.ts";
import { ArchiveStoreError } from "../../services/archive/store.ts";
import type { TradingDay } from "../calendar/trading-day.ts";
import { findLabelled } from "../cluster/labelled.ts";
import type { ClusterParts } from "../cluster/parts.ts";

/**
 * When a cluster came to its end: it was sealed, or somebody allowed its removal unsealed.
 * @returns undefined: it did not, as far as its documents tell
 */
export function endOf({ state, manifest, override }: ClusterEntry): Date | undefined {
  const isSealed = state === "sealed" || state === "pruning" || state === "pruned";
  const ends = [isSealed ? manifest?.sealedAt : undefined, override?.overriddenAt]
    .map((end) => Date.parse(end ?? ""))
    .filter((end) => !Number.isNaN(end));
  return ends.length === 0 ? undefined : new Date(Math.max(...ends));
}

/**
 * The day's cluster that came to its end after a moment, the last one of several. A cluster that was opened on a weekend or in
 * the evening carries the next session's date: what ended before the day says nothing of the day.
 */
export function endedAfter(
  entries: readonly ClusterEntry[],
  date: string,
  moment: Date,
): { name: string; endedAt: Date } | undefined {
  return entries
    .flatMap((entry) => {
      const endedAt = entry.identity.businessDate === date ? endOf(entry) : undefined;
      if (endedAt === undefined || endedAt <= moment) return [];
      return { name: archivePrefix(entry.identity).replace(/\/$/, ""), endedAt };
    })
    .sort((a, b) => a.endedAt.getTime() - b.endedAt.getTime())
    .at(-1);
}

/**
 * Whether the day had a cluster that lived into it.
 * @returns the error where the bucket cannot be asked
 */
export async function hadCluster(
  { archiveStore, stack }: Pick<ClusterParts, "archiveStore" | "stack">,
  { date, opensAt }: TradingDay,
): Promise<boolean | ArchiveStoreError> {
  try {
    const entries = await listClusters(archiveStore, { stack, from: date, to: date });
    return entries.some((entry) => {
      const end = endOf(entry);
      const wasOpened = entry.opened !== undefined || entry.state === "damaged";
      return wasOpened && (end === undefined || end > opensAt);
    });
  } catch (error) {
    if (error instanceof ArchiveStoreError) return error;
    throw error;
  }
}

/**
 * The cluster that somebody closed once the day had begun, where nothing of the stack is at Hetzner any more. What was removed
 * without ever having been opened has no end: the next attempt is wanted.
 * @returns undefined when there is none
 * @throws HetznerApiError; ArchiveStoreError
 */
export async function findClosedEarly(
  { archiveStore, client, stack }: Pick<ClusterParts, "archiveStore" | "client" | "stack">,
  { date, beginsAt }: TradingDay,
): Promise<{ name: string; endedAt: Date } | undefined> {
  if ((await findLabelled(client, stack)).length > 0) return undefined;
  return endedAfter(await listClusters(archiveStore, { stack, from: date, to: date }), date, beginsAt);
}
