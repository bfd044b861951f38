/**
 * The calendar of the New York Stock Exchange, by its Rule 7.2: which days have a session, when it opens and closes,
 * and to which business date a moment belongs. Holidays follow from rules; what the exchange decided at short notice
 * is listed. The rules are right for 2020 to 2030 as published until 2026 and used until 2040.
 *
 * A business date is the date of a session, never of a weekend or holiday: it begins where the extended hours of the
 * session before end (20:00 in New York, 17:00 after an early close) and lasts until its own end. So the evening, the
 * weekend and a holiday belong to the session that comes next, as what is traded then is settled with it.
 */

/** Years that can be asked for. */
export const calendarYears = { first: 2020, last: 2040 } as const;

/** A date outside of {@link calendarYears}, or no date. */
export class CalendarError extends Error {
  override readonly name = "CalendarError";
}

/** One day of trading. */
export interface Session {
  /** Date in New York, for example `2025-10-14`. */
  readonly date: string;
  /** Regular hours: from 09:30 to 16:00 in New York, or to 13:00. */
  readonly open: Date;
  readonly close: Date;
  /** Whether it closes at 13:00. */
  readonly closesEarly: boolean;
  /** Extended hours: from 04:00 to 20:00 in New York; to 17:00 when it closes early. */
  readonly extendedOpen: Date;
  readonly extendedClose: Date;
}

/** Closed at short notice. */
const specialClosures = new Set([
  "2025-01-09", // day of mourning for President Carter
]);

const dayMs = 24 * 3_600_000;
const isoDate = (date: Date): string => date.toISOString().slice(0, 10);
const utcDate = (year: number, month: number, day: number): Date => new Date(Date.UTC(year, month - 1, day));
const plusDays = (date: Date, days: number): Date => new Date(date.getTime() + days * dayMs);

const [sunday, monday, thursday, saturday] = [0, 1, 4, 6];

/** The n-th given weekday of a month. */
function nthWeekday(n: number, weekday: number, year: number, month: number): Date {
  const first = utcDate(year, month, 1);
  return plusDays(first, ((weekday - first.getUTCDay() + 7) % 7) + 7 * (n - 1));
}

function lastWeekday(weekday: number, year: number, month: number): Date {
  const last = utcDate(year, month + 1, 0);
  return plusDays(last, -((last.getUTCDay() - weekday + 7) % 7));
}

/** A holiday on a Saturday is observed on Friday, one on a Sunday on Monday. */
function observed(date: Date): Date {
  if (date.getUTCDay() === saturday) return plusDays(date, -1);
  return date.getUTCDay() === sunday ? plusDays(date, 1) : date;
}

/** Easter Sunday by the paschal full moon of the Gregorian calendar (Gauss's rule as in Knuth, TAOCP 1.3.2). */
function easter(year: number): Date {
  const golden = (year % 19) + 1;
  const century = Math.floor(year / 100) + 1;
  const leapYearsDropped = Math.floor((3 * century) / 4) - 12;
  const moonCorrection = Math.floor((8 * century + 5) / 25) - 5;
  const sundayNumber = Math.floor((5 * year) / 4) - leapYearsDropped - 10;
  let epact = (((11 * golden + 20 + moonCorrection - leapYearsDropped) % 30) + 30) % 30;
  if ((epact === 25 && golden > 11) || epact === 24) epact += 1;
  let day = 44 - epact;
  if (day < 21) day += 30;
  day += 7 - ((sundayNumber + day) % 7);
  return utcDate(year, 3, day);
}

function holidaysOf(year: number): Set<string> {
  const newYear = utcDate(year, 1, 1);
  return new Set(
    [
      // On a Saturday it is not made up for: the Friday before is the last day of the accounting year.
      ...(newYear.getUTCDay() === saturday ? [] : [observed(newYear)]),
      nthWeekday(3, monday, year, 1), // Martin Luther King, Jr. Day
      nthWeekday(3, monday, year, 2), // Washington's Birthday
      plusDays(easter(year), -2), // Good Friday
      lastWeekday(monday, year, 5), // Memorial Day
      ...(year >= 2022 ? [observed(utcDate(year, 6, 19))] : []), // Juneteenth
      observed(utcDate(year, 7, 4)), // Independence Day
      nthWeekday(1, monday, year, 9), // Labor Day
      nthWeekday(4, thursday, year, 11), // Thanksgiving Day
      observed(utcDate(year, 12, 25)), // Christmas Day
    ].map(isoDate),
  );
}

/** The day after Thanksgiving, and the eves of Independence Day and Christmas when both days are weekdays. */
function earlyClosesOf(year: number): Set<string> {
  const eves = [utcDate(year, 7, 3), utcDate(year, 12, 24)].filter(
    (eve) => eve.getUTCDay() >= monday && eve.getUTCDay() <= thursday,
  );
  return new Set([...eves, plusDays(nthWeekday(4, thursday, year, 11), 1)].map(isoDate));
}

const years = new Map<number, { holidays: Set<string>; earlyCloses: Set<string> }>();

function yearOf(year: number): { holidays: Set<string>; earlyCloses: Set<string> } {
  let known = years.get(year);
  if (known === undefined) {
    known = { holidays: holidaysOf(year), earlyCloses: earlyClosesOf(year) };
    years.set(year, known);
  }
  return known;
}

const newYork = new Intl.DateTimeFormat("en-CA", {
  timeZone: "America/New_York",
  year: "numeric",
  month: "2-digit",
  day: "2-digit",
});
const newYorkOffset = new Intl.DateTimeFormat("en-US", {
  timeZone: "America/New_York",
  timeZoneName: "longOffset",
});

/** The date that calendars in New York show at an instant, weekend or not. */
export function newYorkDate(instant: Date): string {
  return newYork.format(instant);
}

/** The session of a date. @returns undefined on weekends and holidays. @throws CalendarError */
export function sessionOf(date: string): Session | undefined {
  const midnight = new Date(`${date}T00:00:00Z`);
  if (!/^\d{4}-\d\d-\d\d$/.test(date) || Number.isNaN(midnight.getTime()) || isoDate(midnight) !== date) {
    throw new CalendarError(`"${date}": expected a date like 2025-10-14`);
  }
  const year = midnight.getUTCFullYear();
  if (year < calendarYears.first || year > calendarYears.last) {
    throw new CalendarError(
      `${date}: the exchange's calendar is known for ${calendarYears.first} to ${calendarYears.last}. ` +
        "Check the exchange's holidays of that year and extend services/core/exchange-calendar.ts.",
    );
  }
  const { holidays, earlyCloses } = yearOf(year);
  if ([sunday, saturday].includes(midnight.getUTCDay()) || holidays.has(date) || specialClosures.has(date)) {
    return undefined;
  }
  // The clocks change on Sundays at 2 in the morning, so noon's offset is that of the whole session.
  const parts = newYorkOffset.formatToParts(new Date(`${date}T17:00:00Z`));
  const offset = parts.find(({ type }) => type === "timeZoneName")?.value.replace("GMT", "") ?? "";
  const at = (time: string): Date => new Date(`${date}T${time}:00${offset}`);
  const closesEarly = earlyCloses.has(date);
  return {
    date,
    open: at("09:30"),
    close: at(closesEarly ? "13:00" : "16:00"),
    closesEarly,
    extendedOpen: at("04:00"),
    extendedClose: at(closesEarly ? "17:00" : "20:00"),
  };
}

/** The first session on a date or after it. @throws CalendarError */
export function sessionFrom(date: string): Session {
  for (let day = date; ; day = isoDate(plusDays(new Date(`${day}T00:00:00Z`), 1))) {
    const session = sessionOf(day);
    if (session !== undefined) return session;
  }
}

/** The first session after a date. @throws CalendarError */
export function sessionAfter(date: string): Session {
  return sessionFrom(isoDate(plusDays(new Date(`${date}T00:00:00Z`), 1)));
}

/** The session that an instant belongs to: the first one whose extended hours have not ended. @throws CalendarError */
export function sessionAt(instant: Date): Session {
  const session = sessionFrom(newYorkDate(instant));
  if (instant < session.extendedClose) return session;
  return sessionAfter(session.date);
}

/** The business date that an instant belongs to, for example `2025-10-14`. @throws CalendarError */
export function businessDateAt(instant: Date): string {
  return sessionAt(instant).date;
}
