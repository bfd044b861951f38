/**
 * When a stack is open: its schedule laid over the exchange's sessions. Pure; whoever asks brings the sessions and
 * the present moment.
 */
import type { StackValues } from "../../stacks/config.ts";
import type { SessionTimes } from "./session-source.ts";
import { plusDays, zonedInstant, zonedTime } from "./zoned-time.ts";

/** The stack's `trading:schedule`, with its `trading:openHours`. */
export type Schedule = NonNullable<StackValues["schedule"]> & Pick<StackValues, "openHours">;

/** The session of a date in New York; undefined: none. */
export type Sessions = (date: string) => SessionTimes | undefined;

/** A day on which a stack is open. beginsAt < opensAt < closesAt <= deadline. */
export interface TradingDay {
  /** Business date, in New York: `YYYY-MM-DD`. */
  readonly date: string;
  /** Regular opening of the exchange. */
  readonly bell: Date;
  /** Regular close of the exchange: 16:00 in New York, 13:00 on a half day. */
  readonly bellClose: Date;
  /** Whether the exchange closes before its usual time. */
  readonly closesEarly: boolean;
  /** When a job begins to bring the cluster up. */
  readonly beginsAt: Date;
  /** When the cluster is to be ready for trading. */
  readonly opensAt: Date;
  /** When it is sealed and removed. */
  readonly closesAt: Date;
  /** When people are told if it is still there. */
  readonly deadline: Date;
}

/** No month has as many sessions. */
const everyDay = 31;
/** The exchange was never closed for longer than eleven days (1914 apart); a cap may leave out a week more. */
const furthestDays = 62;
const minuteMs = 60_000;

const exchangeZone = "America/New_York";
/** End of the extended hours, and so of a business date (services/core/exchange-calendar.ts). */
const businessDateEnds = "20:00";

/**
 * The stack's day on a date, if it has one.
 * It is open from the last `open` before 20:00 in New York, where the business date ends (so a zone far to the east may
 * show another date), for `openHours`; on a half day until `earlyCloseMarginMinutes` after the exchange's close, if that
 * comes first. A half day that ends before it would begin, and what is more than `mostDaysPerMonth`, is none.
 * @param date business date, `YYYY-MM-DD`
 * @param sessions known from the first of the date's month on
 */
export function tradingDayOf(date: string, schedule: Schedule, sessions: Sessions): TradingDay | undefined {
  const day = openDayOf(date, schedule, sessions);
  const { mostDaysPerMonth = everyDay } = schedule;
  if (day === undefined || mostDaysPerMonth >= everyDay) return day;
  let before = 0;
  for (let other = firstOfMonth(date); other < date; other = plusDays(other, 1)) {
    const session = sessions(other);
    // Only a half day can have a session and still be none.
    if (session === undefined || (session.closesEarly && openDayOf(other, schedule, sessions) === undefined))
      continue;
    before += 1;
  }
  return before < mostDaysPerMonth ? day : undefined;
}

/** Without regard to how many there may be in a month. */
function openDayOf(date: string, schedule: Schedule, sessions: Sessions): TradingDay | undefined {
  const session = sessions(date);
  if (session === undefined) return undefined;
  const { open, timeZone, openHours, earlyCloseMarginMinutes, leadMinutes, deadlineMinutes } = schedule;
  const { open: bell, close: bellClose, closesEarly } = session;
  const later = (instant: Date, minutes: number): Date => new Date(instant.getTime() + minutes * minuteMs);
  const opensAt = openingOf(date, open, timeZone);
  const regular = later(opensAt, openHours * 60);
  const shortened = later(bellClose, earlyCloseMarginMinutes);
  const closesAt = closesEarly && shortened < regular ? shortened : regular;
  if (closesAt <= opensAt) return undefined;
  return {
    date,
    bell,
    bellClose,
    closesEarly,
    beginsAt: later(opensAt, -leadMinutes),
    opensAt,
    closesAt,
    deadline: later(closesAt, deadlineMinutes),
  };
}

/** The last time that a zone's clocks show `open` before the business date ends. */
function openingOf(date: string, open: string, timeZone: string): Date {
  const end = zonedInstant(date, businessDateEnds, exchangeZone);
  for (let { date: local } = zonedTime(end, timeZone); ; local = plusDays(local, -1)) {
    const opening = zonedInstant(local, open, timeZone);
    if (opening < end) return opening;
  }
}

/**
 * The first day that opens after an instant, strictly.
 * @throws NoTradingDayError when no day of the next two months is one
 */
export function nextTradingDay(after: Date, schedule: Schedule, sessions: Sessions): TradingDay {
  const { date: today } = zonedTime(after, exchangeZone);
  // What opens this evening may belong to tomorrow, never to yesterday.
  for (let days = 0; days <= furthestDays; days += 1) {
    const day = tradingDayOf(plusDays(today, days), schedule, sessions);
    if (day !== undefined && day.opensAt > after) return day;
  }
  throw new NoTradingDayError(after);
}

/** The day whose time from `beginsAt` to `deadline`, both included, holds an instant. Where two do, the later one. */
export function tradingDayAt(now: Date, schedule: Schedule, sessions: Sessions): TradingDay | undefined {
  const { date: today } = zonedTime(now, exchangeZone);
  return [1, 0, -1, -2]
    .map((days) => tradingDayOf(plusDays(today, days), schedule, sessions))
    .find((day) => day !== undefined && day.beginsAt <= now && now <= day.deadline);
}

/** Why a date is no day of a stack. */
export type WhyNot = "weekend" | "no-session" | "half-day-too-short" | "month-is-full";

/** @returns undefined for a trading day. The arguments are those of {@link tradingDayOf}. */
export function whyNoTradingDay(date: string, schedule: Schedule, sessions: Sessions): WhyNot | undefined {
  if (tradingDayOf(date, schedule, sessions) !== undefined) return undefined;
  if (openDayOf(date, schedule, sessions) !== undefined) return "month-is-full";
  if (sessions(date) !== undefined) return "half-day-too-short";
  const weekday = new Date(`${date}T00:00:00Z`).getUTCDay();
  return weekday === 0 || weekday === 6 ? "weekend" : "no-session";
}

/**
 * What a stack is doing by its calendar: `opening` from `beginsAt`, `open` from `opensAt`, `closing` from `closesAt` to the
 * deadline; `closed` at all other times.
 */
export type Phase = "closed" | "opening" | "open" | "closing";

/** @param day as {@link tradingDayAt} finds it; undefined: none holds `now` */
export function phaseAt(now: Date, day: TradingDay | undefined): Phase {
  if (day === undefined || now < day.beginsAt || now > day.deadline) return "closed";
  if (now < day.opensAt) return "opening";
  return now < day.closesAt ? "open" : "closing";
}

/** The sessions that {@link tradingDayAt} and {@link nextTradingDay} look at for an instant, both inclusive. */
export function spanAround(instant: Date): { first: string; last: string } {
  const { date } = zonedTime(instant, exchangeZone);
  return { first: firstOfMonth(plusDays(date, -2)), last: plusDays(date, furthestDays) };
}

/** The first of a date's month, from which on {@link tradingDayOf} must know the sessions. */
export function firstOfMonth(date: string): string {
  return `${date.slice(0, 7)}-01`;
}

/** The exchange has no session for longer than ever. */
export class NoTradingDayError extends Error {
  override readonly name = "NoTradingDayError";

  constructor(after: Date) {
    super(
      `no trading day in the ${furthestDays} days after ${after.toISOString()}: the calendar that was asked knows no session ` +
        "there, or trading:schedule leaves out all of them. `trading calendar` shows which calendar was asked.",
    );
  }
}
