/** The venues' options on the command line of `npm run lab`. */
import type { ParseArgsConfig } from "node:util";
import type { AlpacaArguments } from "./alpaca/index.ts";
import { askFaults, faultKinds, type FaultPlan, mistakesOf } from "./faults.ts";
import { eventShapes } from "./near/events.ts";
import type { NearArguments } from "./near/index.ts";

/** What a venue that is started alone may be told. */
export type AlpacaOptions = Pick<
  AlpacaArguments,
  | "seed"
  | "faults"
  | "clientOrderIds"
  | "partialFills"
  | "marketHours"
  | "announcements"
  | "lingerMs"
  | "requestsPerMinute"
>;
export type NearOptions = Pick<NearArguments, "seed" | "faults" | "eventShape" | "settlementMs">;

/** For `parseArgs`. */
export const venueArguments = {
  seed: { type: "string" },
  faults: { type: "string" },
  "ask-faults": { type: "string" },
  "late-ms": { type: "string" },
  "client-order-ids": { type: "string" },
  "market-hours": { type: "string" },
  announce: { type: "string" },
  "partial-fills": { type: "boolean" },
  "linger-ms": { type: "string" },
  "requests-per-minute": { type: "string" },
  "event-shape": { type: "string" },
  "settlement-ms": { type: "string" },
} as const satisfies ParseArgsConfig["options"];

export const venueUsage = `  --seed N              alpaca, near: of the simulated market and of the faults (default 1)
  --faults LIST         alpaca, near: what goes wrong with orders, as kind=probability,...; kinds:
                        ${faultKinds.slice(0, 4).join(", ")},
                        ${faultKinds.slice(4).join(", ")}
  --ask-faults LIST     alpaca, near: what goes wrong with questions about orders; kinds:
                        ${askFaults.join(", ")}
  --late-ms N           alpaca, near: how late the news of late_result are (default 2000)
  --client-order-ids strict|documented
                        alpaca: a used id is refused for ever, or until its order is filled (default strict)
  --market-hours always|calendar
                        alpaca: open at any hour, or as the exchange is (default always)
  --announce LIST       alpaca: what the exchange decided at short notice, as date=closed or date=HH:MM (when it
                        closes), comma separated
  --partial-fills       alpaca: large orders are filled in parts
  --linger-ms N         alpaca: how long a stream that broke off causes 406 (default 0; really about 90000)
  --requests-per-minute N
                        alpaca: trading requests before 429 (default 200)
  --event-shape ${eventShapes.join("|")}
                        near: how events look (default mixed)
  --settlement-ms N     near: from an accepted offer to its settlement (default 50)`;

/** The parsed values of {@link venueArguments}. */
export type VenueValues = Partial<
  Record<Exclude<keyof typeof venueArguments, "partial-fills">, string> & { "partial-fills": boolean }
>;

const sharedNames = ["seed", "faults", "ask-faults", "late-ms"] as const;
const alpacaNames = [
  "client-order-ids",
  "market-hours",
  "announce",
  "partial-fills",
  "linger-ms",
  "requests-per-minute",
] as const;
const nearNames = ["event-shape", "settlement-ms"] as const;

/**
 * Checks the venues' options.
 * @param part what is to be started.
 * @param mistakes gets a sentence for everything that is wrong.
 */
export function readVenueOptions(
  part: string,
  values: VenueValues,
  mistakes: string[],
): { alpaca: AlpacaOptions; near: NearOptions } {
  const owners = { shared: ["alpaca", "near"], alpaca: ["alpaca"], near: ["near"] };
  const lists = { shared: sharedNames, alpaca: alpacaNames, near: nearNames };
  for (const owner of ["shared", "alpaca", "near"] as const)
    for (const name of lists[owner])
      if (values[name] !== undefined && !owners[owner].includes(part))
        mistakes.push(`--${name}: only for ${owners[owner].join(" and ")}`);

  const whole = (name: keyof VenueValues, lowest: number) => {
    const text = values[name];
    if (text === undefined) return undefined;
    const number = Number(text);
    if (!/^\d+$/.test(String(text)) || !Number.isSafeInteger(number) || number < lowest)
      mistakes.push(`--${name}: found ${JSON.stringify(text)}, expected a whole number from ${lowest}`);
    return number;
  };
  const choice = <Choice extends string>(name: keyof VenueValues, choices: readonly Choice[]) => {
    const text = values[name];
    const found = choices.find((known) => known === text);
    if (text !== undefined && found === undefined)
      mistakes.push(`--${name}: found ${JSON.stringify(text)}, expected ${choices.join(" or ")}`);
    return found;
  };
  const seed = whole("seed", 0);
  const lateMs = whole("late-ms", 0);
  const askRates = readRates("ask-faults", values["ask-faults"], mistakes);
  const plan: FaultPlan = {
    seed: seed ?? 1,
    rates: readRates("faults", values.faults, mistakes) ?? {},
    ...(askRates === undefined ? {} : { askRates }),
    ...(lateMs === undefined ? {} : { lateMs }),
  };
  for (const mistake of mistakesOf(plan)) mistakes.push(`the fault plan's ${mistake}`);
  const shared = { faults: plan, ...(seed === undefined ? {} : { seed }) };
  return {
    alpaca: given({
      ...shared,
      clientOrderIds: choice("client-order-ids", ["strict", "documented"]),
      marketHours: choice("market-hours", ["always", "calendar"]),
      announcements: readAnnouncements(values.announce, mistakes),
      partialFills: values["partial-fills"],
      lingerMs: whole("linger-ms", 0),
      requestsPerMinute: whole("requests-per-minute", 1),
    }),
    near: given({
      ...shared,
      eventShape: choice("event-shape", eventShapes),
      settlementMs: whole("settlement-ms", 0),
    }),
  };
}

/** "2025-01-09=closed,2025-07-02=13:00" as an object. */
function readAnnouncements(text: string | undefined, mistakes: string[]): Record<string, string> | undefined {
  if (text === undefined) return undefined;
  const pairs = text
    .split(",")
    .map((pair) => /^(\d{4}-\d\d-\d\d)=(closed|(?:1\d|2[0-3]):[0-5]\d)$/.exec(pair.trim()));
  if (pairs.includes(null))
    mistakes.push(
      `--announce: found ${JSON.stringify(text)}, expected date=closed or date=HH:MM from 10:00 on`,
    );
  return Object.fromEntries(
    pairs.flatMap((pair) => (pair === null ? [] : [[String(pair[1]), String(pair[2])] as const])),
  );
}

/** "a=0.1,b=0.2" as an object; which kinds there are is checked with the whole plan. */
function readRates(
  name: string,
  text: string | undefined,
  mistakes: string[],
): Record<string, number> | undefined {
  if (text === undefined) return undefined;
  const pairs = text.split(",").map((pair) => /^([a-z_]+)=(\d*\.?\d+)$/.exec(pair.trim()));
  if (pairs.includes(null))
    mistakes.push(`--${name}: found ${JSON.stringify(text)}, expected kind=probability,...`);
  return Object.fromEntries(
    pairs.flatMap((pair) => (pair === null ? [] : [[String(pair[1]), Number(pair[2])] as const])),
  );
}

type Given<Options> = { [Key in keyof Options]?: Exclude<Options[Key], undefined> };

/** Without what was not given, so that the venue's defaults hold. */
function given<Options extends object>(options: Options): Given<Options> {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as Given<Options>;
}
