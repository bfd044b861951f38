/** `npm run chaos`: the pipeline under everything that may go wrong, and whether it kept its promises. */
import { setMaxListeners } from "node:events";
import { mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import { Progress } from "../day/progress.ts";
import { labDirectories } from "../directories.ts";
import { describeError, exitCodes, LabError } from "../errors.ts";
import { acquireLock } from "../lock.ts";
import { checkPrerequisites } from "../prerequisites.ts";
import { ProcessRegistry } from "../processes.ts";
import { describeFindings } from "./judge/index.ts";
import { type ChaosOptions, parseChaosOptions, usage } from "./options.ts";
import { type Outcome, runChaos } from "./run.ts";

function figures({ verdict, deeds }: Outcome): string {
  const { commands, duplicates, lost, givenUp } = verdict;
  return `commands=${commands} duplicates=${duplicates.length} lost=${lost.length} given_up=${givenUp.length} kills=${deeds.kills}`;
}

/** What a person reads before the last line. */
function describe(outcome: Outcome, directory: string): string[] {
  const { verdict, deeds, crashes, faults } = outcome;
  const counts = (record: Readonly<Record<string, number>>) =>
    Object.entries(record)
      .map(([name, count]) => `${count} ${name}`)
      .join(", ");
  const reasons: Record<string, number> = {};
  for (const { venue, status, reason } of verdict.givenUp) {
    const name = `${venue} ${status}/${reason}`;
    reasons[name] = (reasons[name] ?? 0) + 1;
  }
  return [
    `results: ${counts(verdict.statuses)}; executed at the venues: ${verdict.executed}`,
    `given up for safety: ${counts(reasons) || "none"} (each by command id in evidence.json)`,
    `faults: alpaca ${counts(faults.alpaca)}; near-intents ${counts(faults["near-intents"])}`,
    ...Object.entries(verdict.raw).map(
      ([topic, { events, sessions, unacknowledged }]) =>
        `${topic}: ${events} events in ${sessions} sessions, ${unacknowledged} never acknowledged when their ingestor was killed`,
    ),
    `${deeds.kills} kills, ${deeds.replacements} replacements, ${deeds.freezes} freezes ` +
      `(${verdict.caught} commands caught between INTENT and the venue); exits unasked for: ${counts(crashes) || "none"}`,
    ...(verdict.lateFills.length === 0 ? [] : [`late fills, reported: ${verdict.lateFills.join(", ")}`]),
    ...describeFindings([...verdict.duplicates, ...verdict.lost, ...verdict.violations]),
    ...deeds.mistakes,
    `evidence: ${path.join(directory, "evidence.json")} and the logs beside it`,
  ];
}

function lastLine(outcome: Outcome, directory: string): string {
  if (outcome.ok) return `chaos: ok ${figures(outcome)}`;
  const { violations } = outcome.verdict;
  const kinds = [...new Set(violations.map(({ what }) => what))];
  const others = [
    ...(kinds.length === 0 ? [] : [`violations=${violations.length} (${kinds.join(", ")})`]),
    ...(outcome.deeds.mistakes.length === 0 ? [] : [`mistakes=${outcome.deeds.mistakes.length}`]),
  ];
  return [`chaos: failed ${figures(outcome)}`, ...others, `evidence in ${directory}`].join(" ");
}

async function run(options: ChaosOptions): Promise<number> {
  const directory = path.join(labDirectories.root, "chaos", String(options.seed));
  mkdirSync(path.dirname(directory), { recursive: true });
  const release = acquireLock(`${directory}.lock`, `A chaos run with the seed ${options.seed} is going on`);
  const registry = new ProcessRegistry(labDirectories.processes);
  const interruption = new AbortController();
  setMaxListeners(0, interruption.signal);
  const interrupt = (): void =>
    interruption.abort(new LabError("interrupted by Ctrl-C", exitCodes.interrupted));
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, interrupt);
  const progress = new Progress(options.json ? process.stderr : process.stdout);
  try {
    await checkPrerequisites();
    await registry.endLeftovers();
    rmSync(directory, { recursive: true, force: true });
    const outcome = await runChaos({ options, directory, registry, progress, signal: interruption.signal });
    progress.phase("What was found");
    for (const line of describe(outcome, directory)) progress.line(line);
    if (options.json) process.stdout.write(`${JSON.stringify({ options, ...outcome })}\n`);
    progress.output.write(`${lastLine(outcome, directory)}\n`);
    return outcome.ok ? exitCodes.ok : exitCodes.failed;
  } catch (error) {
    progress.output.write(`${describeError(error)}\n`);
    const what = error instanceof Error ? error.message.split("\n", 1)[0] : String(error);
    progress.output.write(`chaos: failed ${what}; logs in ${directory}\n`);
    return error instanceof LabError ? error.exitCode : exitCodes.failed;
  } finally {
    await registry.close(0);
    release();
  }
}

try {
  const options = parseChaosOptions(process.argv.slice(2));
  if (options === "help") console.log(usage);
  process.exit(options === "help" ? exitCodes.ok : await run(options));
} catch (error) {
  console.error(describeError(error));
  process.exit(error instanceof LabError ? error.exitCode : exitCodes.failed);
}
