/** An agenda for people. */
import { table } from "../table.ts";
import type { Agenda, AgendaDay, Asked } from "./agenda.ts";
import type { Phase, Schedule, TradingDay, WhyNot } from "./trading-day.ts";
import { zonedTime } from "./zoned-time.ts";

const exchangeZone = "America/New_York";

const reasons = {
  weekend: "weekend",
  "no-session": "the exchange is closed",
  "half-day-too-short": "half day: it would end before it begins",
  "month-is-full": "the month has had its days",
} as const satisfies Record<WhyNot, string>;

const phases = {
  closed: "closed now",
  opening: "being brought up now",
  open: "open now",
  closing: "being sealed and removed now",
} as const satisfies Record<Phase, string>;

/** See the module's description. */
export function printAgenda(agenda: Agenda, asked: Asked): string {
  const { stack, now, schedule, source, today, next, days } = agenda;
  const { timeZone } = schedule;
  const utc = zonedTime(now, "UTC");
  const head = [
    `${stack} opens at ${describeSchedule(schedule)}.`,
    `Calendar: ${source}.`,
    `Now: ${weekdayOf(utc.date)} ${utc.date} ${utc.time} UTC, ${zonedTime(now, timeZone).time} in ${timeZone}.`,
  ];
  if ("date" in asked) {
    const [only] = days as [AgendaDay];
    return [...head, "", describeDay(only), ...moments(only.day, timeZone)].join("\n");
  }
  const wait = duration(next.beginsAt.getTime() - now.getTime());
  return [
    ...head,
    "",
    `Today, ${describeDay(today)}${today.isTradingDay ? `, ${phases[today.phase]}` : ""}`,
    ...(next.date === today.date && wait === undefined
      ? []
      : [
          `Next: ${weekdayOf(next.date)} ${next.date}, ${wait === undefined ? "has begun" : `begins in ${wait}`}`,
        ]),
    ...moments(today.day ?? next, timeZone),
    "",
    printDays(days, timeZone),
  ].join("\n");
}

function describeSchedule({ open, timeZone, openHours, mostDaysPerMonth }: Schedule): string {
  const most =
    mostDaysPerMonth === undefined ? "" : `, on the first ${mostDaysPerMonth} trading days of a month`;
  return `${open} in ${timeZone} for ${openHours} h${most}`;
}

function describeDay({ date, whyNot, day, clockChanges }: AgendaDay): string {
  const notes = remarks(day, clockChanges);
  const what = whyNot === null ? "a trading day" : `no trading day (${reasons[whyNot]})`;
  return `${weekdayOf(date)} ${date}: ${what}${notes === "" ? "" : ` (${notes})`}`;
}

function moments(day: TradingDay | null, timeZone: string): string[] {
  if (day === null) return [];
  const { beginsAt, opensAt, bell, closesAt, bellClose, deadline } = day;
  const rows: [Date, string][] = [
    [beginsAt, "the cluster begins to come up"],
    [opensAt, "ready for trading"],
    [bell, "the exchange opens"],
    [bellClose, "the exchange closes"],
    [closesAt, "sealed and removed from here on"],
    [deadline, "people are told if it is still there"],
  ];
  rows.sort(([one], [other]) => one.getTime() - other.getTime());
  const heads = ["UTC", ...zonesOf(timeZone).map((zone) => zone.toUpperCase()), ""];
  const cells = rows.map(([at, what]) => {
    const { date, time } = zonedTime(at, "UTC");
    return [`${date} ${time}`, ...zonesOf(timeZone).map((zone) => zonedTime(at, zone).time), what];
  });
  return ["", table(heads, cells)];
}

/** The exchange's and the schedule's, which may be the same. */
function zonesOf(timeZone: string): string[] {
  return [...new Set([timeZone, exchangeZone])].filter((zone) => zone !== "UTC");
}

function printDays(days: readonly AgendaDay[], timeZone: string): string {
  const utc = (at: Date): string => zonedTime(at, "UTC").time;
  const rows = days.map(({ date, whyNot, day, clockChanges }) => [
    `${weekdayOf(date)} ${date}`,
    ...(day === null
      ? ["-", "-", "-", "-", "-"]
      : [
          utc(day.opensAt),
          utc(day.bell),
          utc(day.closesAt),
          utc(day.deadline),
          `${zonedTime(day.opensAt, timeZone).time} to ${zonedTime(day.closesAt, timeZone).time}`,
        ]),
    whyNot === null ? remarks(day, clockChanges) : reasons[whyNot],
  ]);
  return table(
    ["DATE", "OPENS (UTC)", "BELL", "CLOSES", "DEADLINE", `IN ${timeZone.toUpperCase()}`, ""],
    rows,
  );
}

function remarks(day: TradingDay | null, clockChanges: AgendaDay["clockChanges"]): string {
  const half = day?.closesEarly
    ? [`half day: the exchange closes at ${zonedTime(day.bellClose, exchangeZone).time}`]
    : [];
  const changes = clockChanges.map(
    ({ timeZone, from, to }) => `clocks changed: ${timeZone} ${from} to ${to}`,
  );
  return [...half, ...late(day), ...changes].join("; ");
}

/** Whether it misses the bell: clocks that change apart may do that. */
function late(day: TradingDay | null): string[] {
  if (day === null) return [];
  if (day.closesAt <= day.bell) return ["it closes before the exchange opens"];
  if (day.opensAt >= day.bellClose) return ["it opens after the exchange has closed"];
  const wait = duration(day.opensAt.getTime() - day.bell.getTime());
  return wait === undefined ? [] : [`it opens ${wait} after the bell`];
}

function weekdayOf(date: string): string {
  return new Date(`${date}T00:00:00Z`).toLocaleDateString("en-US", { weekday: "short", timeZone: "UTC" });
}

/** `2 d 3 h`, `3 h 12 min`; undefined: not ahead. */
function duration(ms: number): string | undefined {
  if (ms <= 0) return undefined;
  const minutes = Math.ceil(ms / 60_000);
  const [days, hours] = [Math.floor(minutes / 1_440), Math.floor((minutes % 1_440) / 60)];
  if (days > 0) return `${days} d ${hours} h`;
  return hours > 0 ? `${hours} h ${minutes % 60} min` : `${minutes} min`;
}
