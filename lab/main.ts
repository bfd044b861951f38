/** `npm run --silent lab -- <part>`: one part of the lab, alone, in the foreground. */
import { mkdirSync } from "node:fs";
import { parseArgs } from "node:util";
import { labDirectories } from "./directories.ts";
import { describeError, exitCodes, LabError } from "./errors.ts";
import { hetznerArguments, hetznerUsage, readHetznerOptions } from "./hetzner/options.ts";
import { sameSignalMs } from "../ops/run.ts";
import { type PartName, partNames, type PartOptions, startPart } from "./parts.ts";
import { checkPrerequisites } from "./prerequisites.ts";
import { ProcessRegistry } from "./processes.ts";
import { readVenueOptions, venueArguments, venueUsage } from "./venues/options.ts";

const usage = `npm run --silent lab -- <part> [options]: one part of the lab, alone, until Ctrl-C or SIGTERM

Parts: hetzner   the Hetzner Cloud API, simulated: an empty project
       kafka     a real Apache Kafka, three brokers
       alpaca    Alpaca's streams and trading API, simulated: market open
       near      the NEAR Intents relay, simulated: quotes flowing
       s3        a real S3 server with the archives of this clone's days

  --port N              port to listen on (kafka: the first of three); default: a free one
${hetznerUsage}
${venueUsage}
  --help                this text

The first line of standard output is one JSON object with the part's endpoints and credentials.`;

function parsePart(
  args: string[],
): { part: PartName; options: Omit<PartOptions, "onProgress" | "registry"> } | "help" {
  const fail = (fault: string): never => {
    throw new LabError(`${fault}\n\n${usage}`, exitCodes.usage);
  };
  let parsed;
  try {
    parsed = parseArgs({
      args,
      allowPositionals: true,
      options: {
        port: { type: "string" },
        ...hetznerArguments,
        ...venueArguments,
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (error) {
    return fail((error as Error).message);
  }
  if (parsed.values.help) return "help";
  const faults: string[] = [];
  const part = partNames.find((name) => name === parsed.positionals[0]);
  if (part === undefined || parsed.positionals.length > 1)
    faults.push(
      `part: found ${JSON.stringify(parsed.positionals.join(" "))}, expected one of ${partNames.join(", ")}`,
    );
  const { port, ...values } = parsed.values;
  const highest = part === "kafka" ? 65_533 : 65_535;
  if (port !== undefined && (!/^\d+$/.test(port) || Number(port) < 1 || Number(port) > highest))
    faults.push(`--port: found ${JSON.stringify(port)}, expected a whole number from 1 to ${highest}`);
  const hetzner = readHetznerOptions(part ?? "", values, faults);
  // The simulator's --faults names a file, the venues' is a list.
  const { faults: list, ...others } = values;
  const venueValues = part === "hetzner" || list === undefined ? others : { ...others, faults: list };
  const venues = readVenueOptions(part ?? "", venueValues, faults);
  if (faults.length > 0 || part === undefined) return fail(`Wrong usage:\n  ${faults.join("\n  ")}`);
  return {
    part,
    options: {
      port: port === undefined ? undefined : Number(port),
      hetzner,
      ...venues,
    },
  };
}

async function main(): Promise<number> {
  const parsed = parsePart(process.argv.slice(2));
  if (parsed === "help") {
    console.log(usage);
    return exitCodes.ok;
  }
  mkdirSync(labDirectories.root, { recursive: true });
  const registry = new ProcessRegistry(labDirectories.processes);
  // Listening from the start: a signal while the part is still starting ends it as soon as it can be ended.
  const signalled = new Promise<NodeJS.Signals>((resolve) => {
    let firstAt: number | undefined;
    const interrupt = (signal: NodeJS.Signals): void => {
      firstAt ??= performance.now();
      resolve(signal);
      if (performance.now() - firstAt < sameSignalMs) return;
      void registry.close(0).finally(() => process.exit(exitCodes.interrupted));
    };
    for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, interrupt);
  });
  const ended = await registry.endLeftovers();
  if (ended.length > 0) console.error(`Ended what a killed run left behind: ${ended.join(", ")}`);
  if (parsed.part === "kafka" || parsed.part === "s3") await checkPrerequisites();

  const starting = startPart(parsed.part, {
    ...parsed.options,
    registry,
    onProgress: (line) => console.error(line),
  });
  const started = await Promise.race([starting, signalled]);
  if (typeof started === "string") {
    starting.then((running) => running.stop()).catch(() => {});
    await registry.close(3_000);
    return exitCodes.interrupted;
  }
  console.log(JSON.stringify(started.announcement));
  const signal = await signalled;
  console.error(`${signal}: stopping ${parsed.part}`);
  await started.stop();
  return signal !== "SIGINT" ? exitCodes.ok : exitCodes.interrupted;
}

try {
  process.exit(await main());
} catch (error) {
  console.error(describeError(error));
  process.exit(error instanceof LabError ? error.exitCode : exitCodes.failed);
}
