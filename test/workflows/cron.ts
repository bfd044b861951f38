/** Cron lines as forges read them: five fields in UTC, of numbers, ranges, lists and steps. */

/** The fields' bounds: minute, hour, day of month, month, day of week (0 and 7 are Sunday; here only 0). */
const bounds = [
  [0, 59],
  [0, 23],
  [1, 31],
  [1, 12],
  [0, 6],
] as const;

function valuesOf(field: string, [lowest, highest]: readonly [number, number]): Set<number> {
  const values = new Set<number>();
  for (const part of field.split(",")) {
    const [, range = "", step = "1"] = /^(\*|\d+(?:-\d+)?)(?:\/(\d+))?$/.exec(part) ?? [];
    const [first, last = first] = range === "*" ? [lowest, highest] : range.split("-").map(Number);
    if (
      range === "" ||
      first === undefined ||
      last === undefined ||
      first < lowest ||
      last > highest ||
      first > last
    )
      throw new Error(`cron field "${field}": "${part}" is not within ${lowest}-${highest}`);
    for (let value = first; value <= last; value += Number(step)) values.add(value);
  }
  return values;
}

/**
 * The moments of a UTC date at which a line fires, in order.
 * @param date `YYYY-MM-DD`
 * @throws Error for a line that is none, or that restricts both kinds of days (cron then takes either)
 */
export function firings(cron: string, date: string): Date[] {
  const fields = cron.trim().split(/\s+/);
  if (fields.length !== bounds.length) throw new Error(`"${cron}": expected five fields`);
  if (fields[2] !== "*" && fields[4] !== "*") throw new Error(`"${cron}": days of month and of week`);
  const [minutes, hours, days, months, weekdays] = fields.map((field, index) =>
    valuesOf(field, bounds[index] as readonly [number, number]),
  ) as [Set<number>, Set<number>, Set<number>, Set<number>, Set<number>];
  const midnight = new Date(`${date}T00:00:00Z`);
  if (
    !days.has(midnight.getUTCDate()) ||
    !months.has(midnight.getUTCMonth() + 1) ||
    !weekdays.has(midnight.getUTCDay())
  )
    return [];
  return [...hours]
    .flatMap((hour) => [...minutes].map((minute) => (hour * 60 + minute) * 60_000))
    .sort((one, other) => one - other)
    .map((offset) => new Date(midnight.getTime() + offset));
}
