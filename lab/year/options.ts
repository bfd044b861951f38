/** The options of `npm run year`. */
import { parseArgs } from "node:util";
import { exitCodes, LabError } from "../errors.ts";

/** A safeguard that is left out, to show that its loss is found. */
export const mutations = ["no-guard", "close-without-seal"] as const;
export type Mutation = (typeof mutations)[number];

export const densities = ["usual", "dense"] as const;
/** How often something goes wrong: `usual` as over a bad year, `dense` on two days of three. */
export type Density = (typeof densities)[number];

export type YearStack = "dev" | "prod";

export interface YearOptions {
  /** Decides everything that is random. Default 1. */
  seed: number;
  /** Calendar days, at least 1. Default 365. */
  days: number;
  /** First day, `YYYY-MM-DD`. Default 2026-01-01. */
  from: string;
  /** Stacks that live side by side, each with an account of its own. Default: dev. */
  stacks: readonly YearStack[];
  density: Density;
  /** Spans of days that are played at once by each stack, at least 1. Default 2. */
  lanes: number;
  mutation: Mutation | undefined;
  /** Standard output is one JSON object; what people read goes to standard error. */
  json: boolean;
}

export const usage = `npm run year -- [options]: a year of trading days on a simulated clock

  --seed N           decides everything that is random (default 1)
  --days N           calendar days, at least 1 (default 365)
  --from DATE        first day, YYYY-MM-DD (default 2026-01-01)
  --stack NAME       dev, prod or both (default dev)
  --faults DENSITY   how often something goes wrong: usual or dense (default usual)
  --lanes N          spans of days that each stack plays at once, 1 to 8 (default 2)
  --mutate WHAT      leave a safeguard out, ${mutations.join(" or ")}: the run must fail
  --json             print one JSON object on standard output; what people read goes to standard error
  --help             this text

The last line is "year: ok days=N opened=N unsealed_removed=0 leaked=0 cost_over_ideal=x%", or "year: failed ..." with what.
Exit codes: 0 nothing was found, 1 something was, 2 wrong usage, 3 a run with this seed is going on, 130 Ctrl-C.
Left behind: .lab/year/<seed>/ with report.html and evidence.json; the next run with the seed replaces it.`;

const stackChoices: Readonly<Record<string, readonly YearStack[]>> = {
  dev: ["dev"],
  prod: ["prod"],
  both: ["dev", "prod"],
};

/**
 * Reads the command line.
 * @param args what follows the program's name.
 * @returns the options, or "help".
 * @throws LabError (exit code 2) with every mistake.
 */
export function parseYearOptions(args: string[]): YearOptions | "help" {
  let values;
  try {
    ({ values } = parseArgs({
      args,
      options: {
        seed: { type: "string", default: "1" },
        days: { type: "string", default: "365" },
        from: { type: "string", default: "2026-01-01" },
        stack: { type: "string", default: "dev" },
        faults: { type: "string", default: "usual" },
        lanes: { type: "string", default: "2" },
        mutate: { type: "string" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    }));
  } catch (error) {
    throw new LabError(`${(error as Error).message}\n\n${usage}`, exitCodes.usage);
  }
  if (values.help) return "help";
  const mistakes: string[] = [];
  const whole = (name: "seed" | "days" | "lanes", least: number, most: number): number => {
    const number = Number(values[name]);
    if (!/^\d+$/.test(values[name]) || number < least || number > most) {
      mistakes.push(
        `--${name}: found ${JSON.stringify(values[name])}, expected a whole number from ${least} to ${most}`,
      );
    }
    return number;
  };
  const oneOf = <Name extends string>(option: string, found: string, names: readonly Name[]): Name => {
    const name = names.find((each) => each === found);
    if (name === undefined)
      mistakes.push(`--${option}: found ${JSON.stringify(found)}, expected ${names.join(" or ")}`);
    return name ?? (found as Name);
  };
  const options: YearOptions = {
    seed: whole("seed", 0, 4_294_967_295),
    days: whole("days", 1, 3_660),
    from: values.from,
    stacks: stackChoices[oneOf("stack", values.stack, Object.keys(stackChoices))] ?? [],
    density: oneOf("faults", values.faults, densities),
    lanes: whole("lanes", 1, 8),
    mutation: values.mutate === undefined ? undefined : oneOf("mutate", values.mutate, mutations),
    json: values.json,
  };
  const first = new Date(`${values.from}T00:00:00Z`);
  if (!/^\d{4}-\d\d-\d\d$/.test(values.from) || Number.isNaN(first.getTime())) {
    mistakes.push(`--from: found ${JSON.stringify(values.from)}, expected a date such as 2026-01-01`);
  }
  if (mistakes.length > 0)
    throw new LabError(`Wrong usage:\n  ${mistakes.join("\n  ")}\n\n${usage}`, exitCodes.usage);
  return options;
}
