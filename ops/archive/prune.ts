/** `trading archive prune`: removes the records of old days. */
import { type Command, InvalidArgumentError } from "commander";
import {
  planPrune,
  planPruneOf,
  type PruneDecision,
  pruneCluster,
  PruneForbiddenError,
  type PruneSelection,
  removeStaleUploads,
} from "../../services/archive/prune.ts";
import type { ArchiveStore } from "../../services/archive/store.ts";
import { type ExitCode, exitCodes } from "../exit-codes.ts";
import { RefusedError, type Run, runs, UsageError } from "../run.ts";
import { table } from "../table.ts";
import { describeBucket, openBucket } from "./bucket.ts";
import { clusterPath, openCluster } from "./select.ts";

interface PruneCommandOptions {
  keepDays?: number;
  stack?: string;
  yes?: boolean;
  json?: boolean;
}

const dayMs = 86_400_000;

/** Adds the command. */
export function registerPrune(archive: Command): void {
  const prune = archive
    .command("prune")
    .description(
      "Removes the records of old days: of clusters that are sealed and verify and whose business date is older than " +
        "--keep-days, or of the one cluster that is named. Shows what would go; --yes removes it.",
    )
    .argument("[cluster]", "exactly this one: <stack>/<date>/<cluster-id>; it need not be sealed, nor old")
    .option("--keep-days <number>", "keep the business dates of so many days before today", readDays)
    .option("--stack <name>", "only this stack's clusters")
    .option("--yes", "remove it; without this nothing is changed")
    .option("--json", "one JSON object instead of a report")
    .action(runs(runPrune));
  describeBucket(prune).addHelpText(
    "after",
    "\nThe access key must be one that may delete: the archiver's may not. Of a pruned cluster stay its markers. An interrupted\n" +
      "removal is finished by running the command again. Exit code 1 when a cluster that is old enough must stay.",
  );
}

async function runPrune(run: Run, path: string | undefined, options: PruneCommandOptions): Promise<ExitCode> {
  const { keepDays, stack, yes = false } = options;
  if ((path === undefined) === (keepDays === undefined))
    throw new UsageError(
      "Say what is to go: either --keep-days N, or one cluster as <stack>/<date>/<cluster-id>.",
    );
  if (path !== undefined) {
    const { archive, entry } = await openCluster(path, stack === undefined ? {} : { stack });
    try {
      if (entry.state === "pruned")
        throw new RefusedError(`${clusterPath(entry.identity)} is pruned already.`);
      const decision = await planPruneOf(archive, entry);
      if (decision.action === "keep")
        throw new RefusedError(`${clusterPath(entry.identity)} stays: ${decision.reasons.join("; ")}.`);
      return await carryOut(run, archive.store, [decision], { json: options.json === true, yes });
    } finally {
      archive.store.close();
    }
  }
  const store = openBucket(stack);
  try {
    const today = Date.now();
    const select = (days: number): PruneSelection => ({
      ...(stack === undefined ? {} : { stack }),
      before: new Date(today - days * dayMs).toISOString().slice(0, 10),
    });
    const decisions = await planPrune(store, select(keepDays ?? 0), run.signal, (done, of) =>
      run.progress(`looked at ${done} of ${of} clusters`),
    );
    const code = await carryOut(run, store, decisions, { json: options.json === true, yes });
    if (yes) {
      // A day's distance: a cluster of today may be uploading.
      const uploads = await removeStaleUploads(store, select(Math.max(1, keepDays ?? 0)));
      if (uploads > 0) run.note(`gave up ${uploads} uploads that were never completed`);
    }
    return code;
  } finally {
    store.close();
  }
}

async function carryOut(
  run: Run,
  store: ArchiveStore,
  decisions: readonly PruneDecision[],
  { json, yes }: { json: boolean; yes: boolean },
): Promise<ExitCode> {
  const going = decisions.filter(({ action }) => action === "prune");
  const pruned = new Set<PruneDecision>();
  const report = (): void => {
    const shown = decisions.map(({ identity, entry: { state }, action, reasons, objects, bytes }, index) => {
      const isDone = pruned.has(decisions[index] as PruneDecision);
      return { ...identity, state, action: isDone ? "pruned" : action, objects, bytes, reasons };
    });
    run.print(json ? JSON.stringify({ dryRun: !yes, clusters: shown }) : print(shown, yes));
  };
  try {
    for (const decision of yes ? going : []) {
      const name = clusterPath(decision.identity);
      await pruneCluster(store, decision, run.signal, (removed, of) =>
        run.progress(`${name}: removed ${removed} of ${of} objects`),
      );
      pruned.add(decision);
    }
  } catch (error) {
    report();
    if (error instanceof PruneForbiddenError) throw new RefusedError(error.message, { cause: error });
    throw error;
  }
  report();
  return going.length === decisions.length ? exitCodes.ok : exitCodes.failed;
}

interface Shown {
  stack: string;
  businessDate: string;
  clusterId: string;
  state: string;
  action: string;
  objects: number;
  bytes: number;
  reasons: string[];
}

function print(shown: readonly Shown[], yes: boolean): string {
  if (shown.length === 0) return "nothing is old enough";
  const rows = shown.map((entry) => [
    clusterPath(entry),
    entry.state,
    entry.action === "prune" && !yes ? "would go" : entry.action,
    String(entry.objects),
    String(entry.bytes),
  ]);
  const reasons = shown.flatMap((entry) =>
    entry.reasons.map((reason) => `  - ${clusterPath(entry)}: ${reason}`),
  );
  const end = yes ? [] : ["", "nothing was changed; --yes removes what would go"];
  return [table(["CLUSTER", "STATE", "ACTION", ">OBJECTS", ">BYTES"], rows), ...reasons, ...end].join("\n");
}

function readDays(text: string): number {
  if (!/^\d{1,5}$/.test(text))
    throw new InvalidArgumentError("Expected a whole number of days from 0 to 99999.");
  return Number(text);
}
