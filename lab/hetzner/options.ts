/** The Hetzner simulator's options on the command line of `npm run lab -- hetzner`. */
import { readFileSync } from "node:fs";
import type { ParseArgsConfig } from "node:util";
import { parse as parseYaml } from "yaml";
import { Stock, type StockChanges, StockError } from "./catalog/stock.ts";
import { type LatencyModel } from "./durations.ts";
import type { HetznerArguments } from "./index.ts";
import { type FaultPlan, FaultPlanError, parseFaultPlan } from "./faults/rules.ts";

/** What a simulator that is started alone may be told. */
export type HetznerOptions = Pick<HetznerArguments, "latency" | "speed" | "faults" | "stock">;

/** For `parseArgs`. `--faults` is shared with the venues, whose value is another. */
export const hetznerArguments = {
  latency: { type: "string" },
  speed: { type: "string" },
  stock: { type: "string" },
} as const satisfies ParseArgsConfig["options"];

export const hetznerUsage = `  --latency fast|model  hetzner: how long its actions take (default fast: under a second)
  --speed N             hetzner: how many times faster than that its time passes, above 0 (default 1)
  --faults FILE         hetzner: a fault plan, JSON or YAML; its form is FaultPlan in lab/hetzner/faults/rules.ts, for example
                        {"rules": [{"at": "request", "method": "POST", "path": "/servers", "when": {"nth": [2]},
                                    "effect": {"kind": "error", "code": "resource_unavailable"}}]}
  --stock LIST          hetzner: what can be ordered where, as type/location=state,...; states: available, sold-out,
                        announced, retired; for example cpx32/fsn1=sold-out,cpx32/nbg1=sold-out`;

/** The parsed values that concern the simulator. */
export interface HetznerValues {
  latency?: string | undefined;
  speed?: string | undefined;
  faults?: string | undefined;
  stock?: string | undefined;
}

/**
 * Checks the simulator's options.
 * @param part what is to be started; of `values`, `faults` counts only for `hetzner`
 * @param mistakes gets a sentence for everything that is wrong
 */
export function readHetznerOptions(part: string, values: HetznerValues, mistakes: string[]): HetznerOptions {
  if (part !== "hetzner") {
    for (const name of ["latency", "speed", "stock"] as const)
      if (values[name] !== undefined) mistakes.push(`--${name}: only the hetzner part has it`);
    return {};
  }
  const { latency, speed } = values;
  if (latency !== undefined && latency !== "fast" && latency !== "model")
    mistakes.push(`--latency: found ${JSON.stringify(latency)}, expected fast or model`);
  if (speed !== undefined && !(Number(speed) > 0 && Number.isFinite(Number(speed))))
    mistakes.push(`--speed: found ${JSON.stringify(speed)}, expected a number above 0`);
  const faults = values.faults === undefined ? undefined : readFaults(values.faults, mistakes);
  const stock = values.stock === undefined ? undefined : readStock(values.stock, mistakes);
  return {
    ...(latency === undefined ? {} : { latency: latency as LatencyModel }),
    ...(speed === undefined ? {} : { speed: Number(speed) }),
    ...(faults === undefined ? {} : { faults }),
    ...(stock === undefined ? {} : { stock }),
  };
}

function readFaults(file: string, mistakes: string[]): FaultPlan | undefined {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    mistakes.push(`--faults: ${(error as Error).message}; expected a file with a fault plan`);
    return undefined;
  }
  try {
    // JSON is YAML, too.
    return parseFaultPlan(parseYaml(text));
  } catch (error) {
    const reasons = error instanceof FaultPlanError ? error.mistakes : [(error as Error).message];
    for (const reason of reasons) mistakes.push(`--faults: ${file}: ${reason}`);
    return undefined;
  }
}

const states = ["available", "sold-out", "announced", "retired"] as const;

function readStock(list: string, mistakes: string[]): StockChanges | undefined {
  const before = mistakes.length;
  const changes: Record<string, Record<string, (typeof states)[number]>> = {};
  for (const entry of list.split(",")) {
    const [, type = "", location = "", given = ""] = /^([^/=]+)\/([^/=]+)=(.+)$/.exec(entry.trim()) ?? [];
    const state = states.find((known) => known === given);
    if (state === undefined) {
      mistakes.push(
        `--stock: found ${JSON.stringify(entry)}, expected type/location=state with one of ${states.join(", ")}`,
      );
      continue;
    }
    (changes[type] ??= {})[location] = state;
  }
  try {
    new Stock(changes);
  } catch (error) {
    if (!(error instanceof StockError)) throw error;
    for (const reason of error.mistakes) mistakes.push(`--stock: ${reason}`);
  }
  return mistakes.length > before ? undefined : changes;
}
