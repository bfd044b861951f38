/**
 * Trading days of the New York Stock Exchange, by the exchange's own rules (Rule 7.2 and the published holidays),
 * exact for 2020 to 2030 as known in 2026. What the exchange decides at short notice (a day of mourning) cannot be
 * computed: those known are listed.
 */

/** First and last year that the rules below are right for. */
export const calendarYears = { first: 2020, last: 2030 } as const;

/** One trading day; times are wall-clock times in New York, "HH:MM". */
export interface TradingDay {
  /** ISO date. */
  date: string;
  open: "09:30";
  /** "16:00"; "13:00" on early closes. */
  close: string;
}

/** Closed at short notice: the day of mourning for President Carter. */
const extraordinary = new Set(["2025-01-09"]);

const iso = (date: Date) => date.toISOString().slice(0, 10);
const utc = (year: number, month: number, day: number) => new Date(Date.UTC(year, month - 1, day));
const weekday = (date: Date) => date.getUTCDay();
const addDays = (date: Date, days: number) => new Date(date.getTime() + days * 86_400_000);

/** The n-th given weekday (0 = Sunday) of a month; n = -1 is the last one. */
function nth(year: number, month: number, day: number, n: number): Date {
  if (n > 0) {
    const first = utc(year, month, 1);
    return addDays(first, ((day - weekday(first) + 7) % 7) + 7 * (n - 1));
  }
  const last = utc(year, month + 1, 0);
  return addDays(last, -((weekday(last) - day + 7) % 7));
}

/** A fixed date: moved to Friday when it is a Saturday, to Monday when it is a Sunday. */
function observed(date: Date): Date {
  const day = weekday(date);
  return day === 6 ? addDays(date, -1) : day === 0 ? addDays(date, 1) : date;
}

/** Easter Sunday of the Gregorian calendar (the anonymous algorithm, Meeus 1991). */
function easter(year: number): Date {
  const a = year % 19;
  const b = Math.floor(year / 100);
  const c = year % 100;
  const d = Math.floor(b / 4);
  const e = b % 4;
  const g = Math.floor((8 * b + 13) / 25);
  const h = (19 * a + b - d - g + 15) % 30;
  const i = Math.floor(c / 4);
  const k = c % 4;
  const l = (32 + 2 * e + 2 * i - h - k) % 7;
  const m = Math.floor((a + 11 * h + 22 * l) / 451);
  const month = Math.floor((h + l - 7 * m + 114) / 31);
  return utc(year, month, ((h + l - 7 * m + 114) % 31) + 1);
}

function holidays(year: number): Set<string> {
  const newYear = utc(year, 1, 1);
  const days = [
    // A New Year's Day on a Saturday is not made up for: the Friday before closes the accounting year.
    ...(weekday(newYear) === 6 ? [] : [observed(newYear)]),
    nth(year, 1, 1, 3), // Martin Luther King, Jr. Day
    nth(year, 2, 1, 3), // Washington's Birthday
    addDays(easter(year), -2), // Good Friday
    nth(year, 5, 1, -1), // Memorial Day
    ...(year >= 2022 ? [observed(utc(year, 6, 19))] : []), // Juneteenth
    observed(utc(year, 7, 4)), // Independence Day
    nth(year, 9, 1, 1), // Labor Day
    nth(year, 11, 4, 4), // Thanksgiving Day
    observed(utc(year, 12, 25)), // Christmas Day
  ];
  return new Set(days.map(iso));
}

/** 13:00 on the eve of Independence Day and of Christmas, Monday to Thursday, and on the day after Thanksgiving. */
function earlyCloses(year: number): Set<string> {
  const eves = [utc(year, 7, 3), utc(year, 12, 24)].filter(
    (date) => weekday(date) >= 1 && weekday(date) <= 4,
  );
  return new Set([...eves, addDays(nth(year, 11, 4, 4), 1)].map(iso));
}

/**
 * The trading days of a span.
 * @param start ISO date, inclusive; years before 2020 and after 2030 have no days here.
 * @param end ISO date, inclusive.
 */
export function tradingDays(start: string, end: string): TradingDay[] {
  const days: TradingDay[] = [];
  const from = start < `${calendarYears.first}-01-01` ? `${calendarYears.first}-01-01` : start;
  const to = end > `${calendarYears.last}-12-31` ? `${calendarYears.last}-12-31` : end;
  let year = 0;
  let closed = new Set<string>();
  let early = new Set<string>();
  for (let date = new Date(`${from}T00:00:00Z`); iso(date) <= to; date = addDays(date, 1)) {
    if (date.getUTCFullYear() !== year) {
      year = date.getUTCFullYear();
      closed = holidays(year);
      early = earlyCloses(year);
    }
    const day = iso(date);
    if (weekday(date) === 0 || weekday(date) === 6 || closed.has(day) || extraordinary.has(day)) continue;
    days.push({ date: day, open: "09:30", close: early.has(day) ? "13:00" : "16:00" });
  }
  return days;
}

/** What the exchange decides at short notice: that it is "closed", or when it closes, "HH:MM". */
export type Announcement = string;

/** The exchange's days by its rules, and what it has announced beside them. */
export class ExchangeDays {
  readonly #announced = new Map<string, Announcement>();

  /** @param date ISO date; also one that has no session by the rules. */
  announce(date: string, announcement: Announcement): void {
    this.#announced.set(date, announcement);
  }

  /** As {@link tradingDays}. */
  between(start: string, end: string): TradingDay[] {
    const days = new Map(tradingDays(start, end).map((day) => [day.date, day]));
    for (const [date, announcement] of this.#announced) {
      if (announcement === "closed") days.delete(date);
      else if (start <= date && date <= end) days.set(date, { date, open: "09:30", close: announcement });
    }
    return [...days.values()].sort((one, other) => one.date.localeCompare(other.date));
  }
}

const newYork = new Intl.DateTimeFormat("en-US", {
  timeZone: "America/New_York",
  timeZoneName: "longOffset",
  hourCycle: "h23",
  year: "numeric",
  month: "2-digit",
  day: "2-digit",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
});

/** An instant as New York's clocks show it, with its offset: "2025-07-03T09:30:00-04:00". */
export function newYorkTime(instant: Date): string {
  const parts = new Map(newYork.formatToParts(instant).map(({ type, value }) => [type, value]));
  const get = (type: Intl.DateTimeFormatPartTypes) => parts.get(type) ?? "";
  const offset = get("timeZoneName").replace("GMT", "");
  return `${get("year")}-${get("month")}-${get("day")}T${get("hour")}:${get("minute")}:${get("second")}${offset}`;
}

/** The instant at which New York's clocks show `time` ("HH:MM") on `date`. */
export function newYorkInstant(date: string, time: string): Date {
  // No trading hour is near a change of the clocks, so noon's offset is the day's.
  const offset = newYorkTime(new Date(`${date}T17:00:00Z`)).slice(19);
  return new Date(`${date}T${time}:00${offset}`);
}
