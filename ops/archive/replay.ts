/** `trading archive replay`: runs an archived day through normalizers and strategies again and compares what comes out. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { replay, ReplayTargetError, type Speed } from "../../services/archive/replay.ts";
import { verifyArchive } from "../../services/archive/verify.ts";
import { connectKafka } from "../../services/bus/kafka.ts";
import { createLogger } from "../../services/core/log.ts";
import { exitCodes } from "../exit-codes.ts";
import { RefusedError, type Run, runs } from "../run.ts";
import { describeBucket } from "./bucket.ts";
import { printReplay } from "./replay-report.ts";
import { chooseServices, replayableServices, startServices } from "./replay-services.ts";
import { readSetting, serviceEnvironment, type Setting, stackSettings } from "./replay-settings.ts";
import { addCluster, clusterPath, type ClusterOptions, openCluster } from "./select.ts";

interface ReplayCommandOptions extends ClusterOptions {
  brokers: string[];
  speed: Speed;
  services?: string[];
  set?: Setting[];
  limit: number;
  logs?: string;
  json?: boolean;
}

/** The archive is not what it should be, so nothing can be compared with it. */
class UnverifiedArchiveError extends Error {
  override readonly name = "UnverifiedArchiveError";
}

/** Adds the command. */
export function registerReplay(archive: Command): void {
  const command = addCluster(archive.command("replay"))
    .description(
      "Runs a sealed day's raw events through the normalizers and strategies again, on an empty Kafka, and compares " +
        "what comes out with what was archived: the same events by id, byte by byte, in the same order per key.",
    )
    .requiredOption(
      "--brokers <host:port,…>",
      "the Kafka to replay on: without any records or consumers",
      commaList,
    )
    .addOption(
      new Option(
        "--speed <factor>",
        "so many times as fast as the day, by the records' times; max: as fast as it goes",
      )
        .default("max")
        .argParser(readSpeed),
    )
    .option(
      "--services <names>",
      "only these normalizers and strategies, comma separated; what they read of others comes from the archive (default: all)",
      commaList,
    )
    .option(
      "--set <NAME=value>",
      "a setting that the services had in the day, as DUMMY_PERCENT=40; NAME alone takes it from the environment; repeatable",
      readSetting,
    )
    .addOption(
      new Option("--limit <number>", "differences of each kind and topic to list; all are counted")
        .default(10)
        .argParser(readLimit),
    )
    .option("--logs <folder>", "keep the services' logs there")
    .option("--json", "one JSON object instead of a report")
    .action(runs(runReplay));
  describeBucket(command).addHelpText(
    "after",
    "\nExit code 1 when anything differs, 3 when the target is not empty. Executors and ingestors are never started.",
  );
}

async function runReplay(run: Run, path: string | undefined, options: ReplayCommandOptions) {
  const { archive, entry } = await openCluster(path, options);
  try {
    const { identity } = entry;
    const all = replayableServices(identity.businessDate);
    const services = chooseServices(all, options.services);
    const verification = await verifyArchive(archive, { mode: "fast", signal: run.signal });
    const { manifest } = verification;
    if (!verification.verified || manifest === undefined) {
      throw new UnverifiedArchiveError(
        `${clusterPath(identity)} is ${entry.state} and cannot be compared with:\n  ${verification.problems.join("\n  ")}`,
      );
    }
    const settings = [...stackSettings(identity.stack), ...(options.set ?? [])];
    for (const { name, value, from } of settings) run.note(`setting ${name}=${value} (${from})`);
    const logger = createLogger({ service: "archive-replay", level: "fatal" });
    const result = await replay({
      kafka: connectKafka({ brokers: options.brokers, clientId: "archive-replay", logger }),
      archive,
      manifest,
      services,
      notReplayed: all.filter((service) => !services.includes(service)).map(({ name }) => name),
      start: (signal) =>
        startServices({
          services,
          environment: serviceEnvironment(identity, options.brokers, settings),
          logs: options.logs,
          signal,
        }),
      speed: options.speed,
      limit: options.limit,
      onProgress: (line) => run.progress(line),
      signal: run.signal,
      logger,
    }).catch((error: unknown) => {
      if (error instanceof ReplayTargetError) throw new RefusedError(error.message, { cause: error });
      throw error;
    });
    const { generation, versions } = manifest;
    const report = {
      ...identity,
      generation,
      versions,
      settings,
      services: services.map(({ name }) => name),
      ...result,
    };
    run.print(options.json === true ? JSON.stringify(report) : printReplay(result));
    return result.same ? exitCodes.ok : exitCodes.failed;
  } finally {
    archive.store.close();
  }
}

function commaList(text: string): string[] {
  const items = text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
  if (items.length === 0) throw new InvalidArgumentError("Expected at least one, comma separated.");
  return items;
}

function readSpeed(text: string): Speed {
  if (text === "max") return text;
  const factor = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || factor < 0.1 || factor > 1_000_000) {
    throw new InvalidArgumentError("Expected max, or a factor from 0.1 to 1000000.");
  }
  return factor;
}

function readLimit(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError("Expected a whole number from 0 to 999999.");
  return Number(text);
}
