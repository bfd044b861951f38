/** `npm run bench`: see `--help`. */
import { spawnSync } from "node:child_process";
import { setMaxListeners } from "node:events";
import { mkdirSync } from "node:fs";
import { labDirectories } from "../lab/directories.ts";
import { describeError, exitCodes, LabError } from "../lab/errors.ts";
import { kafkaVersion } from "../lab/kafka/index.ts";
import { checkPrerequisites } from "../lab/prerequisites.ts";
import { measureArchive } from "./archive.ts";
import { archiveAmounts } from "./archive-parts.ts";
import { amounts, measureBus } from "./bus.ts";
import { measureInfrastructure } from "./infrastructure.ts";
import { type BenchOptions, parseBenchOptions, usage } from "./options.ts";
import { measurePath, pathLoads } from "./path.ts";
import { type BenchReport, describeMachine, describeReport } from "./report.ts";
import type { EventCosts } from "./worker-options.ts";
import { BenchWorld } from "./world.ts";

const started = performance.now();

/** One line for a person, with the time since the start. */
function progress(line: string): void {
  const seconds = String(Math.round((performance.now() - started) / 1_000)).padStart(4);
  console.error(`${seconds} s  ${line}`);
}

/** The first line of `java -version`, for example `openjdk version "17.0.15" 2025-04-15`. */
function javaVersion(): string {
  return spawnSync("java", ["-version"], { encoding: "utf8" }).stderr.split("\n")[0] ?? "Java";
}

async function measure(options: BenchOptions, signal: AbortSignal): Promise<BenchReport> {
  const report: BenchReport = {
    machine: describeMachine({
      java: javaVersion(),
      kafka: kafkaVersion,
      brokers: options.brokers,
      quick: options.quick,
    }),
    comparisons: [],
    archive: undefined,
    paths: [],
    costs: [],
    infrastructure: undefined,
    failures: [],
  };
  if (options.names.includes("infrastructure")) {
    progress("infrastructure");
    try {
      report.infrastructure = await measureInfrastructure("dev", progress, signal);
    } catch (error) {
      signal.throwIfAborted();
      report.failures.push(`infrastructure: ${describeError(error)}`);
      progress(`infrastructure failed: ${describeError(error)}`);
    }
  }
  const onBrokers = options.names.filter((name) => name !== "infrastructure");
  if (onBrokers.length === 0) return report;
  const world = await BenchWorld.start({
    brokers: options.brokers,
    onProgress: progress,
    signal,
    profile: options.profile,
  });
  // A signal ends the measurement's processes at once; what waits for them then fails and the world is stopped.
  const interrupt = (): void => void world.registry.stopAll(500);
  signal.addEventListener("abort", interrupt);
  try {
    for (const name of onBrokers) {
      progress(name);
      try {
        if (name === "events") {
          const milliseconds = options.quick ? 100 : 400;
          report.costs = await world.worker<EventCosts>({ mode: "events", milliseconds });
        } else if (name === "archive") {
          const size = options.quick ? archiveAmounts.quick : archiveAmounts.full;
          report.archive = await measureArchive(world, size, progress);
        } else if (name === "path") {
          // Each seal of the archive's asked all services to drain.
          if (options.names.includes("archive")) await world.renewControl();
          for (const load of pathLoads) {
            report.paths.push(
              await measurePath(world, {
                ...load,
                seconds: options.quick ? 5 : 20,
                onProgress: progress,
              }),
            );
          }
        } else {
          const size = options.quick ? amounts.quick : amounts.full;
          report.comparisons.push(...(await measureBus(name, world, size, progress)));
        }
      } catch (error) {
        signal.throwIfAborted();
        report.failures.push(`${name}: ${describeError(error)}`);
        progress(`${name} failed: ${describeError(error)}`);
      }
    }
  } finally {
    signal.removeEventListener("abort", interrupt);
    await world.stop();
  }
  return report;
}

async function main(): Promise<number> {
  const options = parseBenchOptions(process.argv.slice(2));
  if (options === "help") {
    console.log(usage);
    return exitCodes.ok;
  }
  mkdirSync(labDirectories.root, { recursive: true });
  await checkPrerequisites();
  const interrupted = new AbortController();
  // Every measurement listens while it runs.
  setMaxListeners(0, interrupted.signal);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => {
      progress(`${signal}: cleaning up`);
      interrupted.abort(new LabError("interrupted", exitCodes.interrupted));
    });
  }
  const report = await measure(options, interrupted.signal);
  const text = describeReport(report);
  if (options.json) {
    console.error(`\n${text}`);
    console.log(JSON.stringify(report, undefined, 2));
  } else console.log(`\n${text}`);
  return report.failures.length === 0 ? exitCodes.ok : exitCodes.failed;
}

try {
  process.exit(await main());
} catch (error) {
  console.error(describeError(error));
  process.exit(error instanceof LabError ? error.exitCode : exitCodes.failed);
}
