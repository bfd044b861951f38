/** `trading open` and `trading close`. */
import type { Command } from "commander";
import { exitCodes } from "../exit-codes.ts";
import { namedStackOption } from "../hetzner/settings.ts";
import { type Run, runs } from "../run.ts";
import type { Cleared } from "./clear.ts";
import { closeCluster, type CloseResult } from "./close.ts";
import { openCluster, type OpenResult } from "./open.ts";
import { type ClusterParts, openParts } from "./parts.ts";

interface CommonOptions {
  stack: string;
  json?: boolean;
}

const environmentHelp = `
The stack's own configuration says which Hetzner project and which bucket. The Pulumi CLI on PATH runs the program, with
the backend you are logged in to; TRADING_ENGINE names a module with another engine.
GATE_TIMEOUT_SECONDS (900), GATE_VERIFY (fast, deep) and TRADING_ALLOW_DATA_LOSS (<stack>/<cluster-id>) mean what they mean
to the export gate. It may be killed at any moment and run again.`;

/** Adds the command. */
export function registerOpen(program: Command): void {
  program
    .command("open")
    .description(
      "Brings the stack's cluster up, whatever killed runs have left: goes on with what can be gone on with, removes what " +
        "never held data, and takes the next choice of capacity (four at most) where Hetzner has no stock.",
    )
    .addOption(namedStackOption())
    .option(
      "--keep-failed",
      "leave a cluster that did not come up, to look at it; it bills until it is closed",
    )
    .option("--json", "one JSON object instead of sentences")
    .addHelpText("after", environmentHelp)
    .addHelpText(
      "after",
      "\nExit code 1: it is not up, and the message says what stays; 3: a cluster that may hold data is in the way.",
    )
    .action(
      runs(async (run, options: CommonOptions & { keepFailed?: boolean }) =>
        withParts(run, options, async (parts) => {
          const result = await openCluster(parts, { keepFailed: options.keepFailed === true });
          run.print(options.json ? JSON.stringify(result) : printOpened(result));
        }),
      ),
    );
}

/** Adds the command. */
export function registerClose(program: Command): void {
  program
    .command("close")
    .description(
      "Seals the cluster's archive, removes the cluster, also where no state knows it, and shows that nothing of the stack is left.",
    )
    .addOption(namedStackOption())
    .option("--json", "one JSON object instead of sentences")
    .addHelpText("after", environmentHelp)
    .addHelpText(
      "after",
      "\nExit code 1: something is left, and it is named with its price; 3: a cluster is not sealed, so it stays.",
    )
    .action(
      runs(async (run, options: CommonOptions) =>
        withParts(run, options, async (parts) => {
          const result = await closeCluster(parts);
          run.print(options.json ? JSON.stringify(result) : printClosed(result));
        }),
      ),
    );
}

async function withParts(
  run: Run,
  { stack }: CommonOptions,
  work: (parts: ClusterParts) => Promise<void>,
): Promise<typeof exitCodes.ok> {
  const parts = await openParts({
    stack,
    projectDirectory: process.cwd(),
    environment: process.env,
    reporter: run,
    signal: run.signal,
  });
  try {
    await work(parts);
    return exitCodes.ok;
  } finally {
    parts.close();
  }
}

function printOpened(result: OpenResult): string {
  const { stack, clusterId, businessDate, choice, pricePerHour, tried, cleared, finishedDestroy } = result;
  const price = pricePerHour === null ? "" : `, ${pricePerHour} EUR per started hour (net)`;
  return [
    `open: ${stack}/${businessDate ?? "?"}/${clusterId ?? "?"} with ${choice}${price}`,
    ...tried.map(({ choice: other, reason }) => `  not to be had: ${other} (${reason})`),
    ...(finishedDestroy === null
      ? []
      : [`  destroyed before: ${finishedDestroy}, as a killed run had begun`]),
    ...printCleared(cleared),
  ].join("\n");
}

function printClosed({ stack, destroyed, cleared }: CloseResult): string {
  return [
    `closed: nothing of stack ${stack} is left at Hetzner`,
    `  destroyed: ${destroyed ?? "nothing, the state knew no cluster"}`,
    ...printCleared(cleared),
  ].join("\n");
}

function printCleared(cleared: readonly Cleared[]): string[] {
  return cleared.flatMap(({ cluster, release, resources }) => [
    `  removed what was left of ${cluster} (${release}):`,
    ...resources.map((resource) => `    ${resource}`),
  ]);
}
