/**
 * Whether the accounts are as the last day left them. A new cluster has no books before its first order: its executors record
 * what each venue says and go on from there. What the last cluster's executors found at its drain stands in its sealed archive,
 * so whoever opens can compare the two, and a position that changed while nothing of ours ran is seen.
 */
import { ArchiveDocumentError, ClusterArchive } from "../../services/archive/cluster-archive.ts";
import { openedSchema, type TradingReady } from "../../services/archive/documents.ts";
import { documents } from "../../services/archive/layout.ts";
import { findPredecessor } from "../../services/archive/predecessor.ts";
import { NotSealedError, ObjectProblem, readArchive } from "../../services/archive/read-archive.ts";
import { ArchiveStoreError } from "../../services/archive/store.ts";
import { topics } from "../../services/bus/topics.ts";
import { compare } from "../../services/core/decimal.ts";
import { decodeEvent, InvalidEventError } from "../../services/core/events.ts";
import type { AccountSnapshot } from "../../services/core/trading.ts";
import type { ClusterParts } from "../cluster/parts.ts";
import type { StackCluster } from "../engine/stack-engine.ts";
import type { Positions } from "./positions.ts";

type Held = AccountSnapshot["positions"];

/** What was found; nothing here keeps from trading, since the account at the venue is the truth. */
export type Overnight = Pick<Positions, "lines" | "warnings">;

/**
 * Compares the accounts that this cluster's executors recorded with those that the last one's left.
 * Never throws for what the archive does not tell: that is a warning.
 */
export async function compareOvernight(
  { archiveStore, stack }: Pick<ClusterParts, "archiveStore" | "stack">,
  cluster: StackCluster,
  { accounts }: Pick<TradingReady, "accounts">,
): Promise<Overnight> {
  const recorded = (accounts ?? []).flatMap(({ venue, outcome, positions }) =>
    outcome === "recorded" && positions !== undefined ? [{ venue, positions }] : [],
  );
  if (recorded.length === 0) return { lines: [], warnings: [] };
  const archive = new ClusterArchive(archiveStore, { stack, ...cluster });
  try {
    const opened = await archive.read(documents.opened, openedSchema);
    const { found } = opened === undefined ? {} : await findPredecessor(archive, opened.openedAt);
    if (found === undefined) return { lines: ["no earlier day to compare positions with"], warnings: [] };
    const left = await lastAccounts(found.archive);
    return compareAll(recorded, left, found.archive.prefix.replace(/\/$/, ""));
  } catch (error) {
    const isForeseen = [
      ArchiveStoreError,
      ArchiveDocumentError,
      NotSealedError,
      ObjectProblem,
      InvalidEventError,
    ].some((type) => error instanceof type);
    if (!isForeseen) throw error;
    const warning = `positions were not compared with the last day's: ${(error as Error).message}`;
    return { lines: [], warnings: [warning] };
  }
}

/** By venue, as its executor found the account when it compared it last. */
async function lastAccounts(archive: ClusterArchive): Promise<Map<string, Held>> {
  const left = new Map<string, Held>();
  for await (const { value } of readArchive(archive, topics.reconciliation.name)) {
    const { venue, payload } = decodeEvent("exec.reconciliation", value);
    // The account itself; a baseline is what it would be without the day's fills.
    if (payload.kind === "account_matched" || payload.kind === "account_mismatch")
      left.set(venue, payload.account.positions);
  }
  return left;
}

function compareAll(
  recorded: readonly { venue: string; positions: Held }[],
  left: ReadonlyMap<string, Held>,
  former: string,
): Overnight {
  const lines: string[] = [];
  const warnings: string[] = [];
  for (const { venue, positions } of recorded) {
    const before = left.get(venue);
    if (before === undefined) {
      warnings.push(`${venue}: ${former} says nothing of its account, so positions were not compared`);
      continue;
    }
    const changed = changes(before, positions);
    if (changed.length === 0) lines.push(`${venue}: ${positions.length} positions as ${former} left them`);
    else
      warnings.push(
        `${venue}: not as ${former} left it: ${changed.join("; ")}. Nothing of ours traded in between`,
      );
  }
  return { lines, warnings };
}

function changes(before: Held, after: Held): string[] {
  const quantities = (held: Held) => new Map(held.map(({ symbol, quantity }) => [symbol, quantity]));
  const [had, has] = [quantities(before), quantities(after)];
  return [...new Set([...had.keys(), ...has.keys()])].sort().flatMap((symbol) => {
    const [was, is] = [had.get(symbol) ?? "0", has.get(symbol) ?? "0"];
    return compare(was, is) === 0 ? [] : [`${symbol} was ${was} and is ${is}`];
  });
}
