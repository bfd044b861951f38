/** What `trading cost` says: as JSON with exact amounts, and for people. */
import { Decimal } from "decimal.js";
import { table } from "../table.ts";
import type { StackCost } from "./cost.ts";
import {
  type Comparison,
  compareWithSeed,
  isSeedStack,
  seedEstimate,
  seedSums,
  storageBase,
} from "./seed-estimate.ts";

/** Everything that the command found. */
export interface CostReport {
  /** Present moment. */
  now: Date;
  stacks: readonly StackCost[];
  /** Why there is no forecast of a stack, by its name. */
  noForecast: ReadonlyMap<string, string>;
}

/** A sum of what every stack must have; undefined when one has not. */
function total(
  stacks: readonly StackCost[],
  of: (stack: StackCost) => Decimal | undefined,
): Decimal | undefined {
  return stacks.reduce<Decimal | undefined>((sum, stack) => {
    const amount = of(stack);
    return sum === undefined || amount === undefined ? undefined : sum.plus(amount);
  }, new Decimal(0));
}

/** Against the seed; undefined where a stack is none of the seed's, or has no forecast. */
export function comparisonOf(stacks: readonly StackCost[]): Comparison | undefined {
  const compared = stacks.map(({ stack, usual, days, forecast }) => {
    if (!isSeedStack(stack) || days === undefined || forecast === undefined) return undefined;
    // The longest day is a usual one: half days are shorter.
    const usualHours = Math.max(0, ...days.map(({ hours }) => hours));
    return { stack, usual, usualHours, days, forecast: forecast.total };
  });
  const all = compared.filter((stack) => stack !== undefined);
  return all.length === compared.length ? compareWithSeed(all) : undefined;
}

const text = (amount: Decimal | undefined): string | null => amount?.toFixed() ?? null;

/** One JSON object; amounts are EUR net, decimal numbers as text. */
export function jsonOf({ now, stacks, noForecast }: CostReport) {
  const comparison = comparisonOf(stacks);
  return {
    now: now.toISOString(),
    currency: "EUR",
    stacks: stacks.map((stack) => ({
      stack: stack.stack,
      month: stack.month,
      today: text(stack.today),
      monthSoFar: text(stack.soFar),
      forecast: text(stack.forecast?.total),
      noForecast: noForecast.get(stack.stack) ?? null,
      planned: text(stack.planned),
      remainingDays: stack.forecast?.remainingDays ?? null,
      runningPerHour: text(stack.runningPerHour),
      choice: stack.choice ?? null,
      pricePerHour: text(stack.perHour),
      alwaysOn: text(stack.alwaysOn),
      clusters: stack.clusters.map(({ amount, ...cluster }) => ({ ...cluster, amount: text(amount) })),
      problems: stack.problems,
    })),
    monthSoFar: text(total(stacks, ({ soFar }) => soFar)),
    forecast: text(total(stacks, ({ forecast }) => forecast?.total)),
    alwaysOn: text(total(stacks, ({ alwaysOn }) => alwaysOn)),
    storageBase,
    seed: {
      total: seedEstimate.total,
      sums: seedSums(),
      comparison:
        comparison === undefined
          ? null
          : {
              of: comparison.of,
              from: text(comparison.from),
              steps: comparison.steps.map(({ reason, amount }) => ({ reason, amount: text(amount) })),
              to: text(comparison.to),
            },
    },
  };
}

/** Rounded for people; sums are of the exact amounts. */
const euro = (amount: Decimal | undefined, places = 2): string => amount?.toFixed(places) ?? "unknown";
const signed = (amount: Decimal): string => `${amount.isNegative() ? "" : "+"}${amount.toFixed(2)}`;

/** Some screens for people. */
export function printCost(report: CostReport): string {
  const { stacks, now } = report;
  const month = stacks[0]?.month ?? "";
  const lines = [
    `Servers and their IPv4 addresses, EUR net, per started hour up to the monthly cap, in ${month} until ${now.toISOString().slice(0, 16)}Z.`,
    "",
    ...summary(stacks),
    ...stacks.flatMap((stack) => clusters(stack, stacks.length > 1)),
    ...stacks.flatMap(({ stack }) => {
      const reason = report.noForecast.get(stack);
      return reason === undefined ? [] : [`No forecast for ${stack}: ${reason}`];
    }),
    "",
    `Apart: object storage, ${storageBase.monthly} a month for the whole account (list price of ${storageBase.asOf}; no API tells it).`,
    ...alwaysOn(stacks),
    ...seed(stacks),
  ];
  const problems = stacks.flatMap(({ stack, problems: own }) =>
    own.map((problem) => `  ${stack}: ${problem}`),
  );
  if (problems.length > 0) lines.push("", "NOT COMPLETE:", ...problems);
  return lines.join("\n");
}

function summary(stacks: readonly StackCost[]): string[] {
  const row = (name: string, own: readonly StackCost[], choice: string): string[] => {
    const isEstimated = own.some(({ clusters: all }) => all.some(({ estimates }) => estimates.length > 0));
    const sum = (of: (stack: StackCost) => Decimal | undefined, mark = ""): string => {
      const amount = total(own, of);
      return amount === undefined ? "-" : mark + euro(amount);
    };
    const mark = isEstimated ? "~" : "";
    return [
      name,
      sum(({ today }) => today, mark),
      sum(({ soFar }) => soFar, mark),
      sum(({ forecast }) => forecast?.total, mark),
      sum(({ planned }) => planned),
      euro(
        total(own, ({ runningPerHour }) => runningPerHour),
        4,
      ),
      choice,
    ];
  };
  const rows = stacks.map((stack) => row(stack.stack, [stack], stack.choice ?? "nothing is possible now"));
  if (stacks.length > 1) rows.push(row("all", stacks, ""));
  return [table(["STACK", ">TODAY", ">MONTH", ">FORECAST", ">AS PLANNED", ">NOW/HOUR", "WOULD GET"], rows)];
}

function clusters({ stack, clusters: own }: StackCost, isOneOfMany: boolean): string[] {
  if (own.length === 0) return [];
  const rows = own.map(({ cluster, servers, startedHours: hours, amount, isRunning, estimates }) => [
    `${isOneOfMany ? `${stack}/` : ""}${cluster}`,
    String(servers),
    String(hours),
    `${estimates.length > 0 ? "~" : ""}${euro(amount, 4)}`,
    isRunning ? "running" : "gone",
  ]);
  const estimates = own.flatMap(({ cluster, estimates: reasons }) =>
    reasons.map((reason) => `  ~ ${cluster}: ${reason}`),
  );
  return [
    "",
    table(["CLUSTER", ">SERVERS", ">STARTED HOURS", ">EUR", "STATE"], rows),
    ...(estimates.length > 0 ? ["Estimated:", ...estimates] : []),
  ];
}

function alwaysOn(stacks: readonly StackCost[]): string[] {
  const always = total(stacks, (stack) => stack.alwaysOn);
  const forecast = total(stacks, (stack) => stack.forecast?.total);
  if (always === undefined) return [];
  const part =
    forecast === undefined || always.isZero()
      ? ""
      : `; the forecast is ${forecast.dividedBy(always).times(100).toFixed(1)} % of it`;
  return [`Always on, the same servers would cost ${euro(always)} this month${part}.`];
}

function seed(stacks: readonly StackCost[]): string[] {
  const comparison = comparisonOf(stacks);
  const sums = seedSums().map((line) => `  ${line}`);
  if (comparison === undefined) return [];
  const { of, from, steps, to } = comparison;
  const rows = [
    [`seed 000: ${of}`, euro(from)],
    ...steps.map(({ reason, amount }) => [`  ${reason}`, signed(amount)]),
    [stacks.length > 1 ? "forecast of the month and storage" : "forecast of the month", euro(to)],
  ];
  return [
    "",
    `Against seed 000, which states ${seedEstimate.total} for both stacks:`,
    table(["REASON", ">EUR"], rows),
    "",
    prices(stacks),
    "",
    "The seed's own figures:",
    ...sums,
  ];
}

/** The seed's server types and those of today. */
function prices(stacks: readonly StackCost[]): string {
  const then = seedEstimate.servers.map(({ count, serverType, monthly }) => [
    "seed 000",
    `${count} ${serverType}`,
    monthly,
    "-",
    "-",
  ]);
  const now = stacks.flatMap(({ stack, usual }) =>
    [...new Set(usual.map(({ serverType }) => serverType))].map((type) => {
      const own = usual.filter(({ serverType }) => serverType === type);
      const [first] = own;
      const [rate, ipv4] = [first?.rate, first?.ipv4];
      return [
        stack,
        `${own.length} ${type}`,
        text(rate?.monthly) ?? "-",
        text(rate?.hourly) ?? "-",
        text(ipv4?.hourly) ?? "-",
      ];
    }),
  );
  return table(["PRICES", "SERVERS", ">EACH A MONTH", ">AN HOUR", ">IPV4 AN HOUR"], [...then, ...now]);
}
