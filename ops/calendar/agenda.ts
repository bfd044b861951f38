/** What `trading calendar` knows of a stack's days; with `--json` it is printed as it is. */
import { calendarYears } from "../../services/core/exchange-calendar.ts";
import type { OpenedCalendar } from "./calendar.ts";
import {
  firstOfMonth,
  type Phase,
  phaseAt,
  type Schedule,
  type TradingDay,
  type WhyNot,
  whyNoTradingDay,
} from "./trading-day.ts";
import { plusDays, zonedTime } from "./zoned-time.ts";

/** Clocks that differ from what they were on the trading day before. */
export interface ClockChange {
  timeZone: string;
  /** Distance from UTC: `-05:00`. */
  from: string;
  to: string;
}

/** A date and what it is to the stack. */
export interface AgendaDay {
  /** `YYYY-MM-DD` */
  date: string;
  isTradingDay: boolean;
  /** null for a trading day. */
  whyNot: WhyNot | null;
  day: TradingDay | null;
  /** Since the trading day before: of the exchange's zone and of the schedule's. */
  clockChanges: ClockChange[];
}

/** See the module's description. Moments are RFC 3339 in UTC when printed. */
export interface Agenda {
  stack: string;
  now: Date;
  schedule: Schedule;
  /** Whose calendar it is. */
  source: string;
  /** A sentence for each date at which Alpaca and the stored rules differ. */
  differences: readonly string[];
  /** The day that goes on; otherwise the date in New York. */
  today: AgendaDay & { phase: Phase };
  /** The first day that opens after `now`. */
  next: TradingDay;
  days: AgendaDay[];
}

/** Which dates are asked for: one, those of a month, or as many as hold the next so many trading days. */
export type Asked = { date: string } | { month: string } | { tradingDays: number };

const exchangeZone = "America/New_York";
/** No two sessions were ever so far apart since 1933. */
const furthestApart = 10;
/** No month has fewer sessions. */
const fewestSessions = 18;

/** The last date of a span in which there are so many trading days, as far as holidays are known. */
function lastOfSpan(today: string, count: number, { mostDaysPerMonth = fewestSessions }: Schedule): string {
  const months = Math.ceil(count / Math.min(mostDaysPerMonth, fewestSessions)) + 1;
  const last = plusDays(today, months * 31);
  const latest = `${calendarYears.last}-12-31`;
  return last < latest ? last : latest;
}

/** @throws CalendarError for years that the exchange's rules are not known for */
export async function readAgenda(
  stack: string,
  calendar: OpenedCalendar,
  now: Date,
  asked: Asked,
): Promise<Agenda> {
  const { schedule, source } = calendar;
  const current = await calendar.dayAt(now);
  const date = current?.date ?? zonedTime(now, exchangeZone).date;
  const [today] = (await agendaDays(calendar, date, date)) as [AgendaDay];
  const next = await calendar.nextDay(now);
  const days = await askedDays(calendar, date, asked);
  return {
    stack,
    now,
    schedule,
    source: source.name,
    differences: source.differences,
    today: { ...today, phase: phaseAt(now, current) },
    next,
    days,
  };
}

async function askedDays(calendar: OpenedCalendar, today: string, asked: Asked): Promise<AgendaDay[]> {
  if ("date" in asked) return agendaDays(calendar, asked.date, asked.date);
  if ("month" in asked) {
    const first = `${asked.month}-01`;
    return withoutWeekends(
      await agendaDays(calendar, first, plusDays(firstOfMonth(plusDays(first, 31)), -1)),
    );
  }
  const { tradingDays: count } = asked;
  const all = withoutWeekends(await agendaDays(calendar, today, lastOfSpan(today, count, calendar.schedule)));
  const last = all.filter(({ isTradingDay }) => isTradingDay)[count - 1];
  return last === undefined ? all : all.slice(0, all.indexOf(last) + 1);
}

const withoutWeekends = (days: readonly AgendaDay[]): AgendaDay[] =>
  days.filter(({ whyNot }) => whyNot !== "weekend");

/** All dates of a span, both inclusive. */
async function agendaDays(calendar: OpenedCalendar, first: string, last: string): Promise<AgendaDay[]> {
  const { schedule, source } = calendar;
  const earliest = `${calendarYears.first}-01-01`;
  const lookBack = plusDays(first, -furthestApart);
  const from = lookBack < earliest ? earliest : lookBack;
  const known = await source.sessions(firstOfMonth(from), last);
  const trading = new Map((await calendar.days(from, last)).map((day) => [day.date, day]));
  let before = [...trading.values()].filter((day) => day.date < first).at(-1);
  const days: AgendaDay[] = [];
  for (let date = first; date <= last; date = plusDays(date, 1)) {
    const day = trading.get(date);
    days.push({
      date,
      isTradingDay: day !== undefined,
      whyNot: whyNoTradingDay(date, schedule, (other) => known.get(other)) ?? null,
      day: day ?? null,
      clockChanges: day === undefined || before === undefined ? [] : clockChanges(before, day, schedule),
    });
    before = day ?? before;
  }
  return days;
}

function clockChanges(before: TradingDay, day: TradingDay, { timeZone }: Schedule): ClockChange[] {
  return [...new Set([exchangeZone, timeZone])].flatMap((zone) => {
    const [from, to] = [before, day].map(({ opensAt }) => zonedTime(opensAt, zone).offset) as [
      string,
      string,
    ];
    return from === to ? [] : [{ timeZone: zone, from, to }];
  });
}
