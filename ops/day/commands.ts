/** `trading open` and `trading close`. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { type Calendar, openCalendar } from "../calendar/calendar.ts";
import type { Cleared } from "../cluster/clear.ts";
import { type ClusterParts, openParts } from "../cluster/parts.ts";
import { type ExitCode, exitCodes } from "../exit-codes.ts";
import { namedStackOption } from "../hetzner/settings.ts";
import { type HeartbeatJob, type Notifier, openNotifier } from "../notify/notifier.ts";
import { type Run, runs } from "../run.ts";
import { closeDay, type CloseDayResult } from "./close-day.ts";
import { tellCutOff } from "./cut-off.ts";
import { openDay, type OpenDayResult } from "./open-day.ts";
import { writeDayReport } from "./report.ts";
import { Timeline } from "./timeline.ts";

interface CommonOptions {
  stack: string;
  scheduled?: boolean;
  /** Minutes. */
  mostWait: number;
  report?: string;
  json?: boolean;
}

interface OpenCommandOptions extends CommonOptions {
  keepFailed?: boolean;
  /** False with `--no-wait-ready`. */
  waitReady: boolean;
  readyTimeout: number;
}

const environmentHelp = `
The stack's own configuration says which Hetzner project and which bucket. The Pulumi CLI on PATH runs the program, with
the backend you are logged in to; TRADING_ENGINE names a module with another engine.
GATE_TIMEOUT_SECONDS (900), GATE_VERIFY (fast, deep) and TRADING_ALLOW_DATA_LOSS (<stack>/<cluster-id>) mean what they mean
to the export gate. TRADING_WEBHOOK_URL is told how it ended, TRADING_HEARTBEAT_URL that it ran. It may be killed at any
moment and run again.`;

/** Adds the command. */
export function registerOpen(program: Command): void {
  program
    .command("open")
    .description(
      "Brings the stack's cluster up, whatever killed runs have left, and waits until it can trade: goes on with what can be " +
        "gone on with, removes what never held data, takes the next choice of capacity (four at most) where Hetzner has no " +
        "stock. Where it is open and ready already, it says so and changes nothing.",
    )
    .addOption(namedStackOption())
    .option(
      "--scheduled",
      "run by a machine: on a trading day of trading:schedule only, not before its time (it waits for it) and not after its end",
    )
    .addOption(mostWaitOption())
    .option("--no-wait-ready", "do not wait until canaries have come through the pipeline")
    .option("--ready-timeout <seconds>", "longest wait for that, once the cluster is up", wholeSeconds, 600)
    .option(
      "--keep-failed",
      "leave a cluster that did not come up, to look at it; it bills until it is closed",
    )
    .option("--report <folder>", "write open.html and open.json there, also when it fails")
    .option("--json", "one JSON object instead of sentences")
    .addHelpText("after", environmentHelp)
    .addHelpText(
      "after",
      "\nExit code 1: it is not up, or it is up and cannot trade, and the message says why and what stays; or, with --scheduled, the day is over and was missed. 3: a cluster that may hold data is in the way.",
    )
    .action(
      runs(async (run, options: OpenCommandOptions) => {
        const { scheduled = false, mostWait, keepFailed = false, waitReady, readyTimeout } = options;
        const result = await withParts(run, options, "open", ({ parts, ...common }) =>
          openDay(parts, {
            ...common,
            scheduled,
            mostWaitMs: mostWait * 60_000,
            keepFailed,
            waitReady,
            readyTimeoutMs: readyTimeout * 1_000,
          }),
        );
        run.print(options.json ? JSON.stringify(result) : printOpened(result));
        return exitCodeOf(result);
      }),
    );
}

/** A day that was missed is a failure: a job's exit code may be all that somebody sees. */
export function exitCodeOf({ outcome }: Pick<OpenDayResult, "outcome">): ExitCode {
  return outcome === "missed" || outcome === "not-known" ? exitCodes.failed : exitCodes.ok;
}

/** Adds the command. */
export function registerClose(program: Command): void {
  program
    .command("close")
    .description(
      "Seals the cluster's archive, removes the cluster, also where no state knows it, and shows that nothing of the stack is left.",
    )
    .addOption(namedStackOption())
    .option("--scheduled", "run by a machine: waits for the closing time of the trading day that goes on")
    .addOption(mostWaitOption())
    .option(
      "--report <folder>",
      "write close.html and close.json there (timeline, cost, archive), also when it fails",
    )
    .option("--json", "one JSON object instead of sentences")
    .addHelpText("after", environmentHelp)
    .addHelpText(
      "after",
      "\nExit code 1: something is left, and it is named with its price; 3: a cluster is not sealed, so it stays.",
    )
    .action(
      runs(async (run, options: CommonOptions) => {
        const { scheduled = false, mostWait } = options;
        const mostWaitMs = mostWait * 60_000;
        const result = await withParts(run, options, "close", ({ parts, ...common }) =>
          closeDay(parts, { ...common, scheduled, mostWaitMs }),
        );
        run.print(options.json ? JSON.stringify(result) : printClosed(result));
        return exitCodes.ok;
      }),
    );
}

/** A runner costs while it waits, and holds up whoever has its turn on the stack after it. */
function mostWaitOption(): Option {
  return new Option(
    "--most-wait <minutes>",
    "with --scheduled: longest wait for its time; a run that comes earlier ends with a word, and does nothing",
  )
    .argParser((text: string) => {
      if (!/^[1-9]\d{0,2}$/.test(text))
        throw new InvalidArgumentError("Expected a whole number of minutes from 1 to 999.");
      return Number(text);
    })
    .default(240);
}

function wholeSeconds(text: string): number {
  if (!/^[1-9]\d{0,4}$/.test(text))
    throw new InvalidArgumentError("Expected a whole number of seconds from 1.");
  return Number(text);
}

/** What a command works with. */
interface Begun {
  parts: ClusterParts;
  notifier: Notifier;
  timeline: Timeline;
  /** With --scheduled. */
  calendar?: Calendar;
}

/** Opens everything, and writes the report whatever comes of the work. */
async function withParts<Result extends OpenDayResult | CloseDayResult>(
  run: Run,
  options: CommonOptions,
  job: Exclude<HeartbeatJob, "guard">,
  work: (begun: Begun) => Promise<Result>,
): Promise<Result> {
  const { stack, report } = options;
  const { signal } = run;
  const notifier = openNotifier({ environment: process.env, reporter: run, signal });
  const now = (): Date => new Date();
  const timeline = new Timeline(now);
  let result: Result | undefined;
  let error: string | undefined;
  try {
    const begun = await begin(run, options, now).catch(async (failure: unknown) => {
      // Nobody else would tell: the work has not begun.
      if (!signal.aborted) await tellNotBegun(notifier, job, stack, failure);
      else if (options.scheduled === true) await tellCutOff({ stack, now, signal }, notifier, job);
      throw failure;
    });
    try {
      result = await work({ ...begun, notifier, timeline });
    } finally {
      begun.parts.close();
    }
    return result;
  } catch (failure) {
    error = failure instanceof Error ? failure.message : String(failure);
    throw failure;
  } finally {
    if (report !== undefined) {
      const page = saveReport(run, report, { command: job, stack, result, error, timeline, endedAt: now() });
      if (page !== undefined) run.note(`report: ${page}`);
    }
  }
}

/** @throws what openParts throws; UsageError when it is scheduled and the stack has no schedule */
async function begin(
  run: Run,
  { stack, scheduled = false }: CommonOptions,
  now: () => Date,
): Promise<Pick<Begun, "parts" | "calendar">> {
  const { signal } = run;
  const environment = process.env;
  const projectDirectory = process.cwd();
  const parts = await openParts({ stack, projectDirectory, environment, reporter: run, signal, now });
  if (!scheduled) return { parts };
  try {
    return {
      parts,
      calendar: await openCalendar({ values: parts.config, environment, signal, report: run }),
    };
  } catch (error) {
    parts.close();
    throw error;
  }
}

/** A report that cannot be written does not change how the command ends. */
function saveReport(
  run: Run,
  folder: string,
  report: Parameters<typeof writeDayReport>[1],
): string | undefined {
  try {
    return writeDayReport(folder, report);
  } catch (error) {
    run.note(`warning: the report could not be written: ${(error as Error).message}`);
    return undefined;
  }
}

async function tellNotBegun(
  notifier: Notifier,
  job: HeartbeatJob,
  stack: string,
  failure: unknown,
): Promise<void> {
  const text = `${job} could not begin: ${failure instanceof Error ? failure.message : String(failure)}`;
  await notifier.tell({ kind: "failed", stack, cluster: null, text, at: new Date().toISOString() });
  await notifier.beat(job, "fail");
}

function printOpened(result: OpenDayResult): string {
  const { outcome, word, pricePerHour, opened, ready, positions, tradingDay, closedBefore } = result;
  if (outcome !== "opened" && outcome !== "already-open") return word;
  return [
    `${word}${pricePerHour === null ? "" : `, ${pricePerHour} EUR per started hour (net)`}`,
    ...(ready?.readyAt == null
      ? []
      : [`  ready since ${ready.readyAt}: ${ready.canaries} canaries came through`]),
    ...(positions?.lines ?? []).map((line) => `  ${line}`),
    ...(tradingDay === null ? [] : [`  closes at ${tradingDay.closesAt.toISOString()}`]),
    ...(closedBefore?.destroyed == null ? [] : [`  closed before: ${closedBefore.destroyed}`]),
    ...(opened?.tried ?? []).map(({ choice, reason }) => `  not to be had: ${choice} (${reason})`),
    ...(opened?.finishedDestroy == null
      ? []
      : [`  destroyed before: ${opened.finishedDestroy}, as a killed run had begun`]),
    ...printCleared([...(closedBefore?.cleared ?? []), ...(opened?.cleared ?? [])]),
  ].join("\n");
}

function printClosed({ word, closed, archived, cost }: CloseDayResult): string {
  return [
    word,
    ...(closed === null || closed.destroyed === null ? [] : [`  destroyed: ${closed.destroyed}`]),
    ...archived.map(
      ({ cluster, totals, generation }) =>
        `  archived of ${cluster}: ${totals.records} records of ${totals.topics} topics, generation ${generation}`,
    ),
    ...cost.map(({ cluster, amount }) => `  cost of ${cluster}: ${amount} EUR (net, started hours)`),
    ...printCleared(closed?.cleared ?? []),
  ].join("\n");
}

function printCleared(cleared: readonly Cleared[]): string[] {
  return cleared.flatMap(({ cluster, release, resources }) => [
    `  removed what was left of ${cluster} (${release}):`,
    ...resources.map((resource) => `    ${resource}`),
  ]);
}
