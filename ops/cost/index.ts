/** `trading cost`: what a stack, or every stack, costs today and this month, and will have cost at its end. */
import { readdirSync } from "node:fs";
import { type Command, InvalidArgumentError, Option } from "commander";
import { describeBucket, openBucket } from "../archive/bucket.ts";
import { exitCodes } from "../exit-codes.ts";
import { describeHetzner, openHetzner, readStack, stackOption } from "../hetzner/settings.ts";
import { type Run, runs, UsageError } from "../run.ts";
import { calendarMonth } from "./billing.ts";
import { readCost, type StackCost } from "./cost.ts";
import { jsonOf, printCost } from "./report.ts";
import { tradingDaysOf } from "./trading-days.ts";

interface CostOptions {
  stack: string;
  all?: boolean;
  month?: string;
  json?: boolean;
}

/** Adds the command. */
export function registerCost(program: Command): void {
  const cost = program
    .command("cost")
    .description(
      "What the stack's servers and their IPv4 addresses cost: today, this month, and forecast for its end by the trading days " +
        "that are left; per started hour up to the monthly cap, with the API's prices. Against always-on, and against seed 000's " +
        "EUR 23.89 with every reason for the difference.",
    )
    .addOption(stackOption())
    .addOption(new Option("--all", "every stack that has a Pulumi.<stack>.yaml here").conflicts("stack"))
    .option("--month <month>", "calendar month (UTC), such as 2026-11; default: this one", readMonth)
    .option("--json", "one JSON object instead of a report, amounts exact")
    .action(runs(async (run, options: CostOptions) => runCost(run, options, process.env, new Date())));
  describeBucket(describeHetzner(cost)).addHelpText(
    "after",
    "\nWith --all, HCLOUD_TOKEN_<STACK>, S3_ACCESS_KEY_ID_<STACK> and S3_SECRET_ACCESS_KEY_<STACK> (such as HCLOUD_TOKEN_PROD) stand\n" +
      "for a stack with a project or bucket of its own. Exit code 1 when something could not be had: what is printed is too low.",
  );
}

function readMonth(text: string): string {
  if (!/^20\d\d-(0[1-9]|1[0-2])$/.test(text))
    throw new InvalidArgumentError("Expected a month like 2026-11.");
  return text;
}

type Environment = Readonly<Record<string, string | undefined>>;

async function runCost(run: Run, options: CostOptions, environment: Environment, now: Date) {
  const stacks = options.all === true ? stacksHere() : [options.stack];
  const month = options.month ?? now.toISOString().slice(0, 7);
  const noForecast = new Map<string, string>();
  const found: StackCost[] = [];
  for (const stack of stacks) {
    const values = readStack(stack);
    const own = environmentOf(stack, environment, options.all === true);
    const client = openHetzner(values, { signal: run.signal, report: run.progress }, own);
    const planned = await tradingDaysOf(calendarMonth(month), {
      values,
      environment: own,
      signal: run.signal,
      report: run,
    });
    if ("reason" in planned) noForecast.set(stack, planned.reason);
    const tradingDays = "days" in planned ? planned.days : undefined;
    const store = openBucket(stack, own);
    try {
      const cost = await readCost({ stack, values, client, store, tradingDays, month, now });
      if (cost.perHour === undefined && !noForecast.has(stack))
        noForecast.set(stack, "nothing is possible now, or without a price: see `trading plan`");
      found.push(cost);
    } finally {
      store.close();
    }
  }
  const report = { now, stacks: found, noForecast };
  run.print(options.json === true ? JSON.stringify(jsonOf(report)) : printCost(report));
  return found.some(({ problems }) => problems.length > 0) ? exitCodes.failed : exitCodes.ok;
}

/** Stacks with a configuration in the working directory. @throws UsageError when there is none */
function stacksHere(): string[] {
  const stacks = readdirSync(".")
    .map((file) => /^Pulumi\.([a-z0-9][a-z0-9-]{0,39})\.yaml$/.exec(file)?.[1])
    .filter((stack) => stack !== undefined)
    .sort();
  if (stacks.length === 0)
    throw new UsageError(`There is no Pulumi.<stack>.yaml in ${process.cwd()}. Run it where they lie.`);
  return stacks;
}

/** Secrets that a stack may have of its own, as `<name>_<STACK>`. */
const secretNames = ["HCLOUD_TOKEN", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"] as const;

function environmentOf(stack: string, environment: Environment, isOneOfMany: boolean): Environment {
  if (!isOneOfMany) return environment;
  const suffix = stack.toUpperCase().replaceAll("-", "_");
  const own = secretNames.map((name) => [name, environment[`${name}_${suffix}`]] as const);
  return {
    ...environment,
    ...Object.fromEntries(own.filter(([, value]) => value !== undefined && value !== "")),
  };
}
