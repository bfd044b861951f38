/** The command line of `npm run bench`. */
import { parseArgs } from "node:util";
import { exitCodes, LabError } from "../lab/errors.ts";
import { busBenchmarks, type BusBenchmark } from "./bus.ts";

/** Everything that can be measured, in the order it is; the archiver would archive what the path writes, too. */
export const benchmarks = [...busBenchmarks, "archive", "path", "events", "infrastructure"] as const;
export type Benchmark = BusBenchmark | "archive" | "path" | "events" | "infrastructure";

/** What was asked for. */
export interface BenchOptions {
  names: readonly Benchmark[];
  brokers: 1 | 3;
  quick: boolean;
  json: boolean;
  /** Folder that CPU profiles are written to. */
  profile: string | undefined;
}

export const usage = `npm run --silent bench -- [names] [options]: how fast the pipeline is, beside Kafka's own Java clients

Names (default: all), measured in this order (infrastructure first):
  produce  the batching producer against ProducerPerformance
  consume  the consumer loop, with and without validation, against ConsumerPerformance
  stage    read, validate, encode, write, at least once, against Java's clients
  eos      the same in transactions with the consumed offsets
  latency  hand-over to the handler at 1,000/s and 10,000/s against Java's clients
  archive  export against kcat and the console consumer, restore against ProducerPerformance, seal of a day, with the
           lab's S3 server (fetches kcat once, where apt-get can)
  path     raw → norm → cmd → exec with the real services as processes, at 1,000/s and 10,000/s
  events   what validation, encoding and normalizing cost for one event, without Kafka
  infrastructure  up and destroy of the stack dev in the latency model's time, beside the longest unavoidable chain and
           seed 000's sequence; a Gantt chart as SVG and JSON (no brokers; one minute, with --quick too: it is exact)

  --brokers 1|3   brokers to start; with 3 everything is replicated three times (default 1)
  --quick         one short round each: shows that it works, its figures are rough (about 4 minutes)
  --profile DIR   CPU profiles of all measured Node processes go there, a folder each
  --json          only JSON on standard output; the tables go to standard error
  --help          this text

Its ratios compare what ran in turns on the same brokers; absolute figures are only as good as the machine is quiet.
Exit codes: 0 measured (whether or not the targets are met), 1 a measurement failed, 2 wrong usage, 130 interrupted.`;

/**
 * Reads the arguments.
 * @throws LabError (exit code 2) that names every mistake.
 */
export function parseBenchOptions(args: readonly string[]): BenchOptions | "help" {
  const fail = (faults: readonly string[]): never => {
    throw new LabError(`Wrong usage:\n  ${faults.join("\n  ")}\n\n${usage}`, exitCodes.usage);
  };
  let parsed;
  try {
    parsed = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        brokers: { type: "string", default: "1" },
        quick: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        profile: { type: "string" },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (error) {
    return fail([(error as Error).message]);
  }
  const { values, positionals } = parsed;
  if (values.help) return "help";
  const faults: string[] = [];
  const unknown = positionals.filter((name) => !(benchmarks as readonly string[]).includes(name));
  if (unknown.length > 0) {
    faults.push(`names: found ${unknown.join(", ")}, expected some of ${benchmarks.join(", ")}`);
  }
  if (values.brokers !== "1" && values.brokers !== "3") {
    faults.push(`--brokers: found ${JSON.stringify(values.brokers)}, expected 1 or 3`);
  }
  if (faults.length > 0) fail(faults);
  return {
    names: benchmarks.filter((name) => positionals.length === 0 || positionals.includes(name)),
    brokers: values.brokers === "3" ? 3 : 1,
    quick: values.quick,
    json: values.json,
    profile: values.profile,
  };
}
