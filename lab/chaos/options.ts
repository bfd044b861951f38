/** The options of `npm run chaos`. */
import { parseArgs } from "node:util";
import { exitCodes, LabError } from "../errors.ts";

/** What a mutated executor leaves out. */
export const mutations = ["no-intent", "no-fencing"] as const;
export type Mutation = (typeof mutations)[number];

export interface ChaosOptions {
  /** Commands that must exist before the load ends; at least 1. Default 1,000. */
  commands: number;
  /** Seed of the plan, the market and the venues' faults. Default 1. */
  seed: number;
  /** Commands a second over both venues. Default 20: what three brokers and twelve services leave of two cores. */
  rate: number;
  /** Runs executors that leave a safeguard out. Default: the real ones. */
  mutation: Mutation | undefined;
  /** Standard output is exactly one JSON object; progress and the last line go to standard error. */
  json: boolean;
}

export const usage = `npm run chaos -- [options]: the pipeline on three real brokers while everything is killed

  --commands N     commands that must exist before the load ends, at least 1 (default 1000)
  --seed N         seed of the plan, the market and the venues' faults (default 1)
  --rate N         commands a second over both venues (default 20)
  --mutate WHAT    run executors without a safeguard, ${mutations.join(" or ")}: the run must fail with duplicates
  --json           print the plan and the findings as one JSON object on standard output; progress goes to standard error
  --help           this text

The last line is "chaos: ok commands=N duplicates=0 lost=0 given_up=N kills=N", or "chaos: failed ..." with what and where.
Exit codes: 0 nothing was found, 1 something was, 2 wrong usage, 3 a run with this seed is going on, 130 Ctrl-C.
Left behind: .lab/chaos/<seed>/ with the logs of all processes and evidence.json; the next run with the seed replaces it.`;

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
export function parseChaosOptions(args: string[]): ChaosOptions | "help" {
  let values;
  try {
    ({ values } = parseArgs({
      args,
      options: {
        commands: { type: "string", default: "1000" },
        seed: { type: "string", default: "1" },
        rate: { type: "string", default: "20" },
        mutate: { type: "string" },
        json: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    }));
  } catch (error) {
    throw new LabError(`${(error as Error).message}\n\n${usage}`, exitCodes.usage);
  }
  if (values.help) return "help";
  const faults: string[] = [];
  const mutation = mutations.find((each) => each === values.mutate);
  if (values.mutate !== undefined && mutation === undefined) {
    faults.push(`--mutate: found ${JSON.stringify(values.mutate)}, expected ${mutations.join(" or ")}`);
  }
  const options: ChaosOptions = {
    commands: integer("commands", values.commands, 1, 1_000_000, faults),
    seed: integer("seed", values.seed, 0, 4_294_967_295, faults),
    rate: integer("rate", values.rate, 1, 10_000, faults),
    mutation,
    json: values.json,
  };
  if (faults.length > 0)
    throw new LabError(`Wrong usage:\n  ${faults.join("\n  ")}\n\n${usage}`, exitCodes.usage);
  return options;
}
