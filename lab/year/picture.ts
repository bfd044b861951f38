/** The year as a table and a picture, for a terminal and as SVG. */
import { table } from "../../ops/table.ts";
import type { DayRecord } from "./span.ts";
import { byMonth, causesOf, totalsOf } from "./totals.ts";

/** How a day is shown. */
export type Shade = "none" | "fine" | "faults" | "told" | "broken";

/** The worst that can be said of a day. */
export function shadeOf(day: DayRecord): Shade {
  if (day.findings.length > 0) return "broken";
  if (day.tradingDay === null) return "none";
  if ((day.verdict?.told.length ?? 0) > 0) return "told";
  return day.faults.length > 0 ? "faults" : "fine";
}

const marks: Readonly<Record<Shade, string>> = { none: "·", fine: "█", faults: "▓", told: "o", broken: "!" };

/** What the marks mean. */
export const legend =
  "█ as planned   ▓ with faults, in time   o not in time, people were told   ! a promise broken   · no trading day";

/** A line a month, a mark a day. */
export function terminalPicture(days: readonly DayRecord[]): string[] {
  return [
    ...[...byMonth(days)].map(([month, ofMonth]) => {
      const marked = new Map(ofMonth.map((day) => [Number(day.date.slice(8)), marks[shadeOf(day)]]));
      const row = Array.from({ length: 31 }, (_, index) => marked.get(index + 1) ?? " ").join("");
      return `${month}  ${row}`;
    }),
    legend,
  ];
}

const euro = (amount: number): string => amount.toFixed(2);

/** Rows of {@link monthTable}, the heading first. */
export function monthRows(days: readonly DayRecord[]): string[][] {
  const row = (name: string, ofMonth: readonly DayRecord[]): string[] => {
    const totals = totalsOf(ofMonth);
    const over = ofMonth.reduce(
      (sum, { cost }) => sum + cost.extras.reduce((all, extra) => all + extra.euro, 0),
      0,
    );
    return [
      name,
      ...[totals.days, totals.opened, totals.told, totals.faults].map(String),
      ...[totals.euro, totals.ideal, over].map(euro),
      String(totals.findings),
    ];
  };
  return [
    ["month", "days", "opened", "told", "faults", "EUR", "ideal", "over", "findings"],
    ...[...byMonth(days)].map(([month, ofMonth]) => row(month, ofMonth)),
    row("all", days),
  ];
}

/** Figures by month. */
export function monthTable(days: readonly DayRecord[]): string {
  const [heading = [], ...rows] = monthRows(days);
  return table(heading, rows);
}

/** What was paid above the ideal, and why. */
export function causeTable(days: readonly DayRecord[]): string {
  const causes = causesOf(days);
  if (causes.length === 0) return "Nothing was paid above the calendar's ideal.";
  return table(
    ["above the calendar's ideal", "days", "started hours", "EUR"],
    causes.map((cause) => [cause.cause, String(cause.days), String(cause.hours), cause.euro.toFixed(4)]),
  );
}

const cell = 14;
const labelWidth = 44;

/** A column a week, a row a weekday, from Monday; each day has its story as a tooltip. */
export function heatMap(days: readonly DayRecord[], story: (day: DayRecord) => string): string {
  const [first] = days;
  if (first === undefined) return "";
  const dayMs = 24 * 3_600_000;
  const weekdayOf = (date: string): number => (new Date(`${date}T00:00:00Z`).getUTCDay() + 6) % 7;
  const origin = Date.parse(first.date) - weekdayOf(first.date) * dayMs;
  const columnOf = (date: string): number => Math.floor((Date.parse(date) - origin) / (7 * dayMs));
  const columns = Math.max(...days.map(({ date }) => columnOf(date))) + 1;
  const squares = days.map((day) => {
    const x = labelWidth + columnOf(day.date) * cell;
    const y = 16 + weekdayOf(day.date) * cell;
    return (
      `<rect x="${x}" y="${y}" width="${cell - 2}" height="${cell - 2}" rx="2" class="${shadeOf(day)}">` +
      `<title>${escapeHtml(story(day))}</title></rect>`
    );
  });
  const months = [...byMonth(days)].map(([month, [begin]]) => {
    const x = labelWidth + columnOf(begin?.date ?? first.date) * cell;
    return `<text x="${x}" y="11">${month.slice(5)}</text>`;
  });
  const weekdays = ["Mon", "Wed", "Fri"].map(
    (name, index) => `<text x="0" y="${16 + (index * 2 + 1) * cell - 4}">${name}</text>`,
  );
  const size = `width="${labelWidth + columns * cell}" height="${16 + 7 * cell}"`;
  return `<svg ${size} role="img">${months.join("")}${weekdays.join("")}${squares.join("")}</svg>`;
}

/** Text for HTML. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
