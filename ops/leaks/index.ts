/** `trading leaks`: what bills though its time is over. */
import { existsSync } from "node:fs";
import type { Command } from "commander";
import { Option } from "commander";
import type { ArchiveStore } from "../../services/archive/store.ts";
import { describeBucket, openBucket } from "../archive/bucket.ts";
import { gateSettings } from "../cluster/parts.ts";
import { type ExitCode, exitCodes } from "../exit-codes.ts";
import { anyStack, describeHetzner, openHetzner, readStack } from "../hetzner/settings.ts";
import { type Run, runs, UsageError } from "../run.ts";
import { findLeaks, removeLeaks } from "./leaks.ts";
import { leakReport, printLeaks, printRemoved } from "./print.ts";

interface LeaksOptions {
  stack?: string;
  allStacks?: boolean;
  destroy?: boolean;
  json?: boolean;
}

/** Adds the command. */
export function registerLeaks(program: Command): void {
  const leaks = program
    .command("leaks")
    .description(
      "Lists by label what outlived its expires-at, or never got one, with age and price, whatever any state knows. With " +
        "--destroy it is removed: what never held data, and what is sealed.",
    )
    .addOption(anyStack().conflicts("allStacks"))
    .addOption(new Option("--all-stacks", "everything in the project that carries the label project=trading"))
    .option("--destroy", "remove it; what is opened and not sealed stays")
    .option("--json", "one JSON object instead of a table")
    .action(runs(runLeaks));
  describeHetzner(leaks);
  describeBucket(leaks).addHelpText(
    "after",
    `
Without a bucket it lists all the same, but does not know what is sealed, and removes nothing. For --destroy
GATE_TIMEOUT_SECONDS (900), GATE_VERIFY (fast, deep) and TRADING_ALLOW_DATA_LOSS (<stack>/<cluster-id>) mean what they mean
to the export gate. What carries other labels is never touched.

Exit code 0: there is nothing, or all of it was removed; 1: something is there, or could not be removed; 3: something is opened and
not sealed, so it stays, and the message says what it costs and which command seals it.`,
  );
}

async function runLeaks(run: Run, options: LeaksOptions): Promise<ExitCode> {
  const { stack, allStacks = false, destroy = false, json = false } = options;
  if (stack === undefined && !allStacks)
    throw new UsageError("It is not known where to look: expected --stack <name> or --all-stacks.");
  const { environment, now } = { environment: process.env, now: new Date() };
  const gate = gateSettings(environment);
  const client = openHetzner(
    // A stack whose file is gone may have left something all the same.
    stack !== undefined && existsSync(`Pulumi.${stack}.yaml`) ? readStack(stack) : {},
    { signal: run.signal, report: (line) => run.progress(line) },
    environment,
  );
  const stores = new Map<string, ArchiveStore>();
  const storeOf = (name: string): ArchiveStore => {
    const store = stores.get(name) ?? openBucket(name, environment);
    stores.set(name, store);
    return store;
  };
  const archiveStoreOf = (name: string): ArchiveStore | undefined => {
    try {
      return storeOf(name);
    } catch (error) {
      if (destroy || !(error instanceof UsageError)) throw error;
      run.note(`whether a cluster of stack ${name} is sealed is not known here. ${error.message}`);
      return undefined;
    }
  };
  try {
    const leaks = await findLeaks({ client, stack, now, archiveStoreOf, report: (line) => run.note(line) });
    if (!destroy) {
      run.print(
        json
          ? JSON.stringify({ at: now.toISOString(), leaks: leaks.map(leakReport) })
          : printLeaks(leaks, now),
      );
      return leaks.length === 0 ? exitCodes.ok : exitCodes.failed;
    }
    const removed = await removeLeaks(leaks, now, (name) => ({
      stack: name,
      client,
      archiveStore: storeOf(name),
      gate,
      reporter: run,
      signal: run.signal,
    }));
    run.print(
      json
        ? JSON.stringify({ at: now.toISOString(), leaks: leaks.map(leakReport), ...removed })
        : printRemoved(removed),
    );
    for (const line of [...removed.failed, ...removed.refused]) run.note(line);
    if (removed.failed.length > 0) return exitCodes.failed;
    return removed.refused.length > 0 ? exitCodes.refused : exitCodes.ok;
  } finally {
    for (const store of stores.values()) store.close();
  }
}
