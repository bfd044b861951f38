/** A stack's trading days, from its configuration and the environment. */
import { type StackConfig, type StackValues } from "../../stacks/config.ts";
import { valuesSchema } from "../../stacks/config-schema.ts";
import { UsageError } from "../run.ts";
import { AlpacaCalendar, type CalendarPatience } from "./alpaca-calendar.ts";
import { KnownSessions } from "./known-sessions.ts";
import type { SessionSource } from "./session-source.ts";
import {
  firstOfMonth,
  nextTradingDay,
  type Schedule,
  type Sessions,
  spanAround,
  type TradingDay,
  tradingDayAt,
  tradingDayOf,
} from "./trading-day.ts";
import { plusDays } from "./zoned-time.ts";

/** A stack's trading days. Sessions are asked for when they are needed, each month once. */
export interface Calendar {
  readonly schedule: Schedule;
  readonly source: SessionSource;
  /** The stack's day on a business date, `YYYY-MM-DD`; undefined: it has none. */
  dayOf(date: string): Promise<TradingDay | undefined>;
  /** The day whose time from `beginsAt` to `deadline` holds an instant. */
  dayAt(now: Date): Promise<TradingDay | undefined>;
  /** The first day that opens after an instant. @throws NoTradingDayError */
  nextDay(after: Date): Promise<TradingDay>;
  /** All days of a span of business dates, both inclusive. */
  days(first: string, last: string): Promise<TradingDay[]>;
}

/** Lays a schedule over sessions of any source; a rehearsal brings its own. */
export function calendarOf(schedule: Schedule, source: SessionSource): Calendar {
  const known = async (first: string, last: string): Promise<Sessions> => {
    const sessions = await source.sessions(firstOfMonth(first), last);
    return (date) => sessions.get(date);
  };
  const around = (instant: Date): Promise<Sessions> => {
    const { first, last } = spanAround(instant);
    return known(first, last);
  };
  return {
    schedule,
    source,
    dayOf: async (date) => tradingDayOf(date, schedule, await known(date, date)),
    dayAt: async (now) => tradingDayAt(now, schedule, await around(now)),
    nextDay: async (after) => nextTradingDay(after, schedule, await around(after)),
    days: async (first, last) => {
      const sessions = await known(first, last);
      const days: TradingDay[] = [];
      for (let date = first; date <= last; date = plusDays(date, 1)) {
        const day = tradingDayOf(date, schedule, sessions);
        if (day !== undefined) days.push(day);
      }
      return days;
    },
  };
}

/** A calendar that says whom it believed, and what it had to choose between. */
export interface OpenedCalendar extends Calendar {
  readonly source: KnownSessions;
}

/** Arguments of {@link openCalendar}. */
export interface CalendarArguments {
  /** The stack's values; where its secrets are among them, Alpaca's key is. */
  values: StackValues & { secrets?: Pick<StackConfig["secrets"], "alpacaKeyId" | "alpacaSecretKey"> };
  /** `APCA_API_KEY_ID`, `APCA_API_SECRET_KEY` and `APCA_API_BASE_URL`, as Alpaca's own clients read them. */
  environment: Readonly<Record<string, string | undefined>>;
  signal?: AbortSignal | undefined;
  /** Told which calendar is not to be had, and where Alpaca's and the stored rules differ. */
  report: { note(line: string): void };
  /** What differs from the usual patience with Alpaca. */
  patience?: Partial<CalendarPatience> | undefined;
}

/**
 * The calendar of a stack: Alpaca's where there is a key for it (from the environment, or else the stack's own), or else the stored
 * rules. Nothing is asked yet.
 * @throws UsageError when the stack has no schedule, or the environment is wrong
 */
export async function openCalendar(args: CalendarArguments): Promise<OpenedCalendar> {
  const { values, report } = args;
  const source = new KnownSessions(openAlpaca(args), (line) => report.note(line));
  return { ...calendarOf(scheduleOf(values), source), source };
}

/** What a stack's values say of its hours. @throws UsageError when they say nothing */
export function scheduleOf({ schedule, openHours }: Pick<StackValues, "schedule" | "openHours">): Schedule {
  if (schedule === undefined)
    throw new UsageError(
      "The stack's configuration has no trading:schedule, so nobody knows when it is open. Add it to Pulumi.<stack>.yaml:\n" +
        '  trading:schedule:\n    open: "09:00"\n    timeZone: America/New_York\nFor how long is said by trading:openHours.',
    );
  return { ...schedule, openHours };
}

const variables = {
  keyId: "APCA_API_KEY_ID",
  secretKey: "APCA_API_SECRET_KEY",
  endpoint: "APCA_API_BASE_URL",
} as const;

function openAlpaca(args: CalendarArguments): AlpacaCalendar | undefined {
  const { values, environment, signal, patience } = args;
  const given = (name: string): string | undefined => environment[name] || undefined;
  const [keyId, secretKey] = [given(variables.keyId), given(variables.secretKey)];
  const restUrl = valuesSchema.shape.venues.shape.alpaca.unwrap().shape.restUrl;
  const endpoint = restUrl.safeParse(given(variables.endpoint) ?? values.venues.alpaca.restUrl);
  const mistakes: string[] = [];
  if ((keyId === undefined) !== (secretKey === undefined)) {
    const [there, missing] =
      keyId === undefined ? [variables.secretKey, variables.keyId] : [variables.keyId, variables.secretKey];
    mistakes.push(`  ${missing}: is missing, but ${there} is set; expected both or neither`);
  }
  if (!endpoint.success) {
    mistakes.push(
      `  ${variables.endpoint}: found ${JSON.stringify(given(variables.endpoint))}, expected ${endpoint.error.issues[0]?.message}`,
    );
  }
  if (mistakes.length > 0 || !endpoint.success)
    throw new UsageError(`The environment is wrong:\n${mistakes.join("\n")}`);
  const { secrets } = values;
  const key =
    keyId !== undefined && secretKey !== undefined
      ? { keyId, secretKey }
      : secrets && { keyId: secrets.alpacaKeyId, secretKey: secrets.alpacaSecretKey };
  if (key === undefined) return undefined;
  return new AlpacaCalendar({ endpoint: endpoint.data, ...key, signal, patience });
}
