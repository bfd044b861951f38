/** `trading archive restore`: brings archived records back into a Kafka. */
import { type Command, InvalidArgumentError } from "commander";
import { restore, RestoreRefusedError, type RestoreResult } from "../../services/archive/restore.ts";
import { connectKafka } from "../../services/bus/kafka.ts";
import { exitCodes } from "../exit-codes.ts";
import { createRunLogger } from "../log.ts";
import { RefusedError, type Run, runs, UsageError } from "../run.ts";
import { table } from "../table.ts";
import { describeBucket } from "./bucket.ts";
import { addCluster, clusterPath, type ClusterOptions, openCluster } from "./select.ts";

interface RestoreCommandOptions extends ClusterOptions {
  brokers: string[];
  topics?: string[];
  partitions?: number[];
  from?: number;
  to?: number;
  rename?: ReadonlyMap<string, string>;
  prefix: string;
  commands?: boolean;
  nonEmpty?: boolean;
  json?: boolean;
}

/** Adds the command. */
export function registerRestore(archive: Command): void {
  const command = addCluster(archive.command("restore"))
    .description(
      "Brings a sealed day, or a part of it, back into a Kafka: keys, headers, timestamps, partitions and order as they " +
        "were. Creates the topics (retention unlimited), and afterwards reads them back and compares the hashes.",
    )
    .requiredOption("--brokers <host:port,…>", "the Kafka to restore into", readList)
    .option(
      "--topics <names>",
      "only these topics, comma separated (default: all that no service acts on)",
      readList,
    )
    .option("--partitions <numbers>", "only these partitions, comma separated", readPartitions)
    .option(
      "--from <time>",
      "only records whose timestamp is at or after this: 2025-10-14T13:30:00Z",
      readTime,
    )
    .option("--to <time>", "only records whose timestamp is before this", readTime)
    .option("--rename <topic=name>", "restore a topic under another name; repeatable", readRename)
    .option("--prefix <text>", "put this in front of every topic's name that is not renamed", "")
    .option(
      "--commands",
      "also cmd.*, exec.* and control under names that services act on; only where no executor runs",
    )
    .option("--non-empty", "write behind records that the target topics have")
    .option("--json", "one JSON object instead of a report")
    .action(runs(runRestore));
  describeBucket(command).addHelpText(
    "after",
    "\nExit code 1 when the target does not hold what it should afterwards, 3 when nothing was written because it could do harm.",
  );
}

async function runRestore(run: Run, path: string | undefined, options: RestoreCommandOptions) {
  const { brokers, topics, partitions, from, to, rename, prefix, commands, nonEmpty } = options;
  if (from !== undefined && to !== undefined && from >= to)
    throw new UsageError("--from must be before --to.");
  const { archive, entry } = await openCluster(path, options);
  try {
    const { manifest, state, problems } = entry;
    if (state !== "sealed" || manifest === undefined) {
      const why = problems.map((problem) => `\n  - ${problem}`).join("");
      throw new RefusedError(
        `${clusterPath(entry.identity)} is ${state}: only what is sealed is restored.${why}`,
      );
    }
    const logger = createRunLogger(run);
    const known = new Set(manifest.topics.map(({ topic }) => topic));
    const mistakes = Object.entries({ "--topics": topics ?? [], "--rename": [...(rename?.keys() ?? [])] })
      .map(([option, names]) => ({ option, unknown: names.filter((name) => !known.has(name)) }))
      .filter(({ unknown }) => unknown.length > 0)
      .map(({ option, unknown }) => `${option}: the archive has no topic ${unknown.join(", ")}.`);
    if (mistakes.length > 0)
      throw new UsageError(`${mistakes.join("\n")}\nIt has ${[...known].sort().join(", ")}.`);
    const result = await restore({
      kafka: connectKafka({ brokers, clientId: "archive-restore", logger }),
      archive,
      manifest,
      ...(topics === undefined ? {} : { topics }),
      ...(partitions === undefined ? {} : { partitions }),
      ...(from === undefined ? {} : { from }),
      ...(to === undefined ? {} : { to }),
      rename: (topic) => rename?.get(topic) ?? prefix + topic,
      allow: { commands: commands === true, nonEmpty: nonEmpty === true },
      onProgress: ({ phase, records, ofRecords }) =>
        run.progress(`${phase}: ${records} of ${ofRecords} records`),
      signal: run.signal,
      logger,
    }).catch((error: unknown) => {
      if (error instanceof RestoreRefusedError) throw new RefusedError(error.message, { cause: error });
      throw error;
    });
    run.print(options.json ? JSON.stringify({ ...entry.identity, ...result }) : print(result));
    return result.proven ? exitCodes.ok : exitCodes.failed;
  } finally {
    archive.store.close();
  }
}

function print({ proven, problems, partitions, records, leftOut }: RestoreResult): string {
  const rows = partitions.map(({ topic, target, partition, records: count, whole, targetSha256 }) => [
    `${topic}/${partition}`,
    target === topic ? "" : target,
    String(count),
    whole ? "all" : "part",
    targetSha256,
  ]);
  const lines = [
    table(["PARTITION", "INTO", ">RECORDS", "OF IT", "SHA-256 OF WHAT THE TARGET HOLDS"], rows),
    "",
  ];
  if (leftOut.length > 0) {
    lines.push(`left out, since services act on them: ${leftOut.join(", ")} (--commands restores them)`);
  }
  lines.push(
    ...problems.map((problem) => `  - ${problem}`),
    proven
      ? `restored ${records} records; the target was read back and holds exactly them`
      : `NOT PROVEN: ${records} records were written, but the target does not hold what it should`,
  );
  return lines.join("\n");
}

function readList(text: string): string[] {
  const items = text.split(",").map((item) => item.trim());
  if (items.includes("")) throw new InvalidArgumentError("Expected names, comma separated.");
  return items;
}

function readPartitions(text: string): number[] {
  const items = readList(text);
  if (!items.every((item) => /^\d{1,9}$/.test(item)))
    throw new InvalidArgumentError("Expected whole numbers from 0, comma separated.");
  return items.map(Number);
}

function readTime(text: string): number {
  const isMilliseconds = /^\d{1,15}$/.test(text);
  // Without a zone a time would mean another one on every machine.
  const isInstant = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/.test(text);
  const at = isMilliseconds ? Number(text) : isInstant ? Date.parse(text) : NaN;
  if (Number.isNaN(at))
    throw new InvalidArgumentError(
      "Expected a time with its zone like 2025-10-14T13:30:00Z, a date (UTC), or milliseconds since 1970.",
    );
  return at;
}

function readRename(text: string, before: ReadonlyMap<string, string> = new Map()) {
  const [topic, name, ...more] = text.split("=");
  if (!topic || !name || more.length > 0) throw new InvalidArgumentError("Expected topic=name.");
  return new Map([...before, [topic, name]]);
}
