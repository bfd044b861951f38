/** The options of `npm start`. */
import { existsSync } from "node:fs";
import { parseArgs } from "node:util";
import { type Profile, profiles } from "../../components/profile.ts";
import { exitCodes, LabError } from "../errors.ts";

export interface DayOptions {
  /** Which stack's configuration is brought up. Default `dev`. */
  stack: "dev" | "prod";
  /** `lab` hosts the program itself; `pulumi` uses the Pulumi CLI and the real plugins. Default `lab`. */
  engine: "lab" | "pulumi";
  /** In place of the configuration's `trading:profile`. Default: what that says. */
  profile: Profile | undefined;
  /** Kafka brokers; with 1 there is a single copy of everything. Default: 3, or 1 on a single node. */
  brokers: 3 | 1 | undefined;
  /**
   * Where the Kubernetes objects go: into a folder (`rendered`, the default), or to a real control plane on this machine,
   * which validates, admits and schedules them (`real`; built from source the first time).
   */
  kubernetes: "rendered" | "real";
  /** Venue messages that the ingestors take in, over all feeds; at least 1. Default 5,000. */
  events: number;
  /** Venue messages a second, over all feeds. Default 250. */
  rate: number;
  /** Seed of everything that is made up; the same seed and number of events give the same events and commands. Default 1. */
  seed: number;
  /** NDJSON file of Alpaca messages to replay instead of the S&P 500's bars. */
  feed: string | undefined;
  /** Stay up after the session until Ctrl-C, then seal and destroy. */
  keep: boolean;
  /** Standard output is exactly the summary object on one line. */
  json: boolean;
}

export const usage = `npm start -- [options]: one whole trading day in the lab

  --stack dev|prod      the stack to bring up (default dev)
  --engine lab|pulumi   the lab's own engine, or the Pulumi CLI on PATH (default lab)
  --profile cluster|single-node
                        four servers, or everything on one (default: the stack's trading:profile)
  --brokers 3|1         Kafka brokers; with 1 there is one copy of everything (default: the profile's)
  --kubernetes rendered|real
                        a folder takes the Kubernetes objects, or a real control plane on this machine, which is
                        built from source the first time and needs Go (default rendered)
  --events N            venue messages to take in, over all feeds, at least 1 (default 5000)
  --rate N              venue messages a second (default 250)
  --seed N              seed of all that is made up; same seed and N, same events and commands (default 1)
  --feed FILE           replay NDJSON of Alpaca messages instead of the S&P 500's bars
  --keep                stay up after the session until Ctrl-C; then seal and destroy
  --json                print exactly the summary object on standard output; progress goes to standard error
  --help                this text

Exit codes: 0 all promises held, 1 one did not, 2 wrong usage, configuration or missing tool,
3 another day runs in this clone, 130 Ctrl-C.
Left behind: .lab/summary.json, .lab/report.html and the day's archive (npm run --silent lab -- s3 serves it).`;

/** As {@link choice}, of an option that may be left out. */
function optionalChoice<T extends string>(
  name: string,
  value: string | undefined,
  allowed: readonly T[],
  faults: string[],
): T | undefined {
  return value === undefined ? undefined : choice(name, value, allowed, faults);
}

function choice<T extends string>(name: string, value: string, allowed: readonly T[], faults: string[]): T {
  const found = allowed.find((candidate) => candidate === value);
  if (found === undefined)
    faults.push(`--${name}: found ${JSON.stringify(value)}, expected ${allowed.join(" or ")}`);
  return found ?? (allowed[0] as T);
}

function integer(name: string, value: string, minimum: number, maximum: number, faults: string[]): number {
  const number = Number(value);
  if (!/^\d+$/.test(value) || number < minimum || number > maximum) {
    faults.push(
      `--${name}: found ${JSON.stringify(value)}, expected a whole number from ${minimum} to ${maximum}`,
    );
  }
  return number;
}

/**
 * Reads the command line.
 * @param args what follows the program's name.
 * @returns the options, or "help".
 * @throws LabError (exit code 2) with every mistake.
 */
export function parseDayOptions(args: string[]): DayOptions | "help" {
  let values;
  try {
    ({ values } = parseArgs({
      args,
      options: {
        stack: { type: "string", default: "dev" },
        engine: { type: "string", default: "lab" },
        profile: { type: "string" },
        brokers: { type: "string" },
        kubernetes: { type: "string", default: "rendered" },
        events: { type: "string", default: "5000" },
        rate: { type: "string", default: "250" },
        seed: { type: "string", default: "1" },
        feed: { type: "string" },
        keep: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    }));
  } catch (error) {
    throw new LabError(`${(error as Error).message}\n\n${usage}`, exitCodes.usage);
  }
  if (values.help) return "help";
  const faults: string[] = [];
  const brokers = optionalChoice("brokers", values.brokers, ["3", "1"], faults);
  const options: DayOptions = {
    stack: choice("stack", values.stack, ["dev", "prod"], faults),
    engine: choice("engine", values.engine, ["lab", "pulumi"], faults),
    profile: optionalChoice("profile", values.profile, profiles, faults),
    brokers: brokers === undefined ? undefined : brokers === "1" ? 1 : 3,
    kubernetes: choice("kubernetes", values.kubernetes, ["rendered", "real"], faults),
    events: integer("events", values.events, 1, 10_000_000, faults),
    rate: integer("rate", values.rate, 1, 1_000_000, faults),
    seed: integer("seed", values.seed, 0, 4_294_967_295, faults),
    feed: values.feed,
    keep: values.keep,
    json: values.json,
  };
  if (options.kubernetes === "real" && options.engine === "pulumi") {
    faults.push("--kubernetes real: only with --engine lab; the Pulumi CLI renders here");
  }
  if (options.feed !== undefined && !existsSync(options.feed)) {
    faults.push(`--feed: ${options.feed} does not exist; expected an NDJSON file of Alpaca messages`);
  }
  if (faults.length > 0)
    throw new LabError(`Wrong usage:\n  ${faults.join("\n  ")}\n\n${usage}`, exitCodes.usage);
  return options;
}
