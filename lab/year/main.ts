/** `npm run year`: the trading days of a year on a simulated clock, with everything that goes wrong in one. */
import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { setMaxListeners } from "node:events";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { plusDays } from "../../ops/calendar/zoned-time.ts";
import { Progress } from "../day/progress.ts";
import { labDirectories } from "../directories.ts";
import { describeError, exitCodes, LabError } from "../errors.ts";
import { acquireLock } from "../lock.ts";
import { type LabObjectStore, startObjectStore } from "../objectstore/index.ts";
import { ProcessRegistry } from "../processes.ts";
import { bundleProgram } from "../program-bundle.ts";
import type { Finding } from "./judge.ts";
import { parseYearOptions, usage, type YearOptions } from "./options.ts";
import { causeTable, monthTable, terminalPicture } from "./picture.ts";
import { storyOf, yearReport } from "./report.ts";
import { type DayRecord, playSpan } from "./span.ts";
import { readSchedules } from "./starts.ts";
import { lastLine } from "./totals.ts";

interface Played {
  days: DayRecord[];
  findings: Finding[];
}

/** Cuts the year into as many spans as are played at once. */
export function spansOf({ from, days, lanes }: YearOptions): { first: string; last: string }[] {
  const parts = Math.min(lanes, days);
  return Array.from({ length: parts }, (_, part) => ({
    first: plusDays(from, Math.round((part * days) / parts)),
    last: plusDays(from, Math.round(((part + 1) * days) / parts) - 1),
  }));
}

async function play(
  options: YearOptions,
  directory: string,
  registry: ProcessRegistry,
  progress: Progress,
  signal: AbortSignal,
): Promise<Played> {
  const schedules = readSchedules();
  const bundle = await bundleProgram(fileURLToPath(new URL("killable-job.ts", import.meta.url)));
  const store = await startObjectStore({
    directory: path.join(directory, "s3"),
    cacheDirectory: labDirectories.cache,
    registry,
    onProgress: (line) => progress.line(line),
    signal,
  });
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  setMaxListeners(0, either);
  try {
    progress.phase(`${options.days} days from ${options.from}, seed ${options.seed}`);
    const spans = options.stacks.flatMap((stack) => spansOf(options).map((span) => ({ stack, ...span })));
    const playing = spans.map(async (span) =>
      playSpan({
        ...span,
        options,
        store: { ...store, bucket: await makeBucket(store, `year-${span.stack}-${span.first}`) },
        bundle,
        schedules,
        directory: path.join(directory, `world-${span.stack}-${span.first}`),
        signal: either,
        onDay: (date, line) => progress.line(`${span.stack} ${date}: ${line}`),
      }).catch((error: unknown) => {
        stop.abort(error);
        throw error;
      }),
    );
    const ended = await Promise.allSettled(playing);
    // Of one that fails, the others learn by the signal: the first reason is the reason.
    if (either.aborted) throw either.reason;
    const results = ended.flatMap((end) => (end.status === "fulfilled" ? [end.value] : []));
    return {
      days: results.flatMap(({ days }) => days),
      findings: results.flatMap(({ findings }) => findings),
    };
  } finally {
    await store.stop();
    bundle.remove();
    rmSync(path.join(directory, "s3"), { recursive: true, force: true });
  }
}

async function makeBucket({ endpoint, region, ...keys }: LabObjectStore, bucket: string): Promise<string> {
  const client = new S3Client({ endpoint, region, credentials: keys, forcePathStyle: true });
  try {
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
    return bucket;
  } finally {
    client.destroy();
  }
}

function show(options: YearOptions, { days, findings }: Played, directory: string, progress: Progress): void {
  const line = lastLine(days, findings);
  writeFileSync(path.join(directory, "report.html"), yearReport({ options, days, findings, lastLine: line }));
  writeFileSync(
    path.join(directory, "evidence.json"),
    `${JSON.stringify({ options, result: line, findings, days }, null, 2)}\n`,
  );
  const print = (text: string): void => void progress.output.write(`${text}\n`);
  for (const stack of options.stacks) {
    const ofStack = days.filter((day) => day.stack === stack);
    print(`\n${stack}\n${monthTable(ofStack)}\n`);
    for (const row of terminalPicture(ofStack)) print(row);
  }
  print(`\n${causeTable(days)}\n`);
  for (const { kind, stack, date, what } of findings) {
    print(`${kind}: ${stack} ${date}: ${what}`);
    const day = days.find((each) => each.date === date && each.stack === stack);
    if (day !== undefined) print(storyOf(day).replaceAll(/^/gm, "    "));
  }
  print(`report: ${path.join(directory, "report.html")}; evidence: ${path.join(directory, "evidence.json")}`);
  if (options.json) process.stdout.write(`${JSON.stringify({ options, result: line, findings, days })}\n`);
  print(line);
}

async function run(options: YearOptions): Promise<number> {
  const directory = path.join(labDirectories.root, "year", String(options.seed));
  mkdirSync(path.dirname(directory), { recursive: true });
  const release = acquireLock(`${directory}.lock`, `A year with the seed ${options.seed} is going on`);
  const registry = new ProcessRegistry(path.join(`${directory}.processes`));
  const interruption = new AbortController();
  setMaxListeners(0, interruption.signal);
  const interrupt = (): void =>
    interruption.abort(new LabError("interrupted by Ctrl-C", exitCodes.interrupted));
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, interrupt);
  const progress = new Progress(options.json ? process.stderr : process.stdout);
  try {
    await registry.endLeftovers();
    rmSync(directory, { recursive: true, force: true });
    mkdirSync(directory, { recursive: true });
    const played = await play(options, directory, registry, progress, interruption.signal);
    show(options, played, directory, progress);
    return played.findings.length === 0 ? exitCodes.ok : exitCodes.failed;
  } catch (error) {
    progress.output.write(`${describeError(error)}\n`);
    const what = error instanceof Error ? error.message.split("\n", 1)[0] : String(error);
    progress.output.write(`year: failed ${what}\n`);
    return error instanceof LabError ? error.exitCode : exitCodes.failed;
  } finally {
    await registry.close(0);
    release();
  }
}

try {
  const options = parseYearOptions(process.argv.slice(2));
  if (options === "help") console.log(usage);
  process.exit(options === "help" ? exitCodes.ok : await run(options));
} catch (error) {
  console.error(describeError(error));
  process.exit(error instanceof LabError ? error.exitCode : exitCodes.failed);
}
