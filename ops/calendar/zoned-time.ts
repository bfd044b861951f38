/** What the clocks of a time zone show at an instant, and at which instant they show a time. */

/** A reading of a zone's clocks. */
export interface ZonedTime {
  /** `YYYY-MM-DD` */
  readonly date: string;
  /** `HH:MM` */
  readonly time: string;
  /** Distance from UTC: `+02:00`, `-04:00`, `+00:00`. */
  readonly offset: string;
}

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

/** Making a formatter takes far longer than using it. */
const formatters = new Map<string, Intl.DateTimeFormat>();

function formatterOf(timeZone: string): Intl.DateTimeFormat {
  let formatter = formatters.get(timeZone);
  if (formatter === undefined) {
    formatter = new Intl.DateTimeFormat("en-US", {
      timeZone,
      timeZoneName: "longOffset",
      hourCycle: "h23",
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
    });
    formatters.set(timeZone, formatter);
  }
  return formatter;
}

/**
 * @param timeZone IANA name, for example `Europe/Prague`.
 * @throws RangeError for a zone that does not exist
 */
export function zonedTime(instant: Date, timeZone: string): ZonedTime {
  const parts = new Map(
    formatterOf(timeZone)
      .formatToParts(instant)
      .map(({ type, value }) => [type, value]),
  );
  const part = (type: Intl.DateTimeFormatPartTypes): string => parts.get(type) ?? "";
  const offset = part("timeZoneName").replace("GMT", "");
  return {
    date: `${part("year")}-${part("month")}-${part("day")}`,
    time: `${part("hour")}:${part("minute")}`,
    offset: offset === "" ? "+00:00" : offset,
  };
}

/**
 * The instant at which a zone's clocks show a time.
 * @param date `YYYY-MM-DD`
 * @param time `HH:MM`. Where clocks are put forward over it, the same distance behind the gap (02:30 becomes 03:30);
 *   where they are put back and show it twice, the first time.
 * @throws RangeError for a zone that does not exist
 */
export function zonedInstant(date: string, time: string, timeZone: string): Date {
  const asUtc = Date.parse(`${date}T${time}:00Z`);
  // Zones are less than a day away from UTC, and none changes its clocks twice in two days.
  const [before, after] = [-dayMs, dayMs].map((distance) => {
    const { offset } = zonedTime(new Date(asUtc + distance), timeZone);
    return Date.parse(`${date}T${time}:00${offset}`);
  }) as [number, number];
  if (before === after) return new Date(before);
  const shows = (instant: number): boolean => {
    const shown = zonedTime(new Date(instant), timeZone);
    return shown.date === date && shown.time === time;
  };
  const first = Math.min(...[before, after].filter(shows));
  return new Date(Number.isFinite(first) ? first : before);
}

/** The date some days later. @param date `YYYY-MM-DD` @param days may be negative. */
export function plusDays(date: string, days: number): string {
  return new Date(Date.parse(`${date}T00:00:00Z`) + days * dayMs).toISOString().slice(0, 10);
}
