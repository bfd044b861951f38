/** A year in figures. */
import type { DayRecord } from "./span.ts";
import type { Finding } from "./judge.ts";

/** Figures of some days. EUR are net. */
export interface Totals {
  /** Trading days. */
  days: number;
  /** Open at the bell. */
  opened: number;
  /** Not open at the bell, or not gone at the deadline, and somebody was told. */
  told: number;
  faults: number;
  euro: number;
  ideal: number;
  findings: number;
}

/** Adds days up. */
export function totalsOf(days: readonly DayRecord[]): Totals {
  const trading = days.filter(({ tradingDay }) => tradingDay !== null);
  const sum = (value: (day: DayRecord) => number): number =>
    days.reduce((total, day) => total + value(day), 0);
  return {
    days: trading.length,
    opened: trading.filter(({ verdict }) => verdict?.opened === true).length,
    told: trading.filter(({ verdict }) => (verdict?.told.length ?? 0) > 0).length,
    faults: sum(({ faults }) => faults.length),
    euro: sum(({ cost }) => cost.euro),
    ideal: sum(({ cost }) => cost.ideal),
    findings: sum(({ findings }) => findings.length),
  };
}

/** By month, `2026-01`, in order. */
export function byMonth(days: readonly DayRecord[]): Map<string, DayRecord[]> {
  const months = new Map<string, DayRecord[]>();
  for (const day of days) {
    const month = day.date.slice(0, 7);
    months.set(month, [...(months.get(month) ?? []), day]);
  }
  return months;
}

/** What was paid above the ideal, by category and the faults behind it, the most first. */
export interface CauseTotal {
  cause: string;
  days: number;
  hours: number;
  euro: number;
}

/** Adds up what was paid above the ideal. */
export function causesOf(days: readonly DayRecord[]): CauseTotal[] {
  const causes = new Map<string, CauseTotal>();
  for (const { cost } of days) {
    for (const { category, because, hours, euro } of cost.extras) {
      const kinds = [...new Set(because.map((fault) => fault.split(" ", 1)[0] ?? ""))].sort();
      const cause = `${category}: ${kinds.join(" + ") || "NO CAUSE"}`;
      const total = causes.get(cause) ?? { cause, days: 0, hours: 0, euro: 0 };
      causes.set(cause, {
        cause,
        days: total.days + 1,
        hours: total.hours + hours,
        euro: total.euro + euro,
      });
    }
  }
  return [...causes.values()].sort((a, b) => b.euro - a.euro);
}

/** Paid above the ideal, in percent of it. Days that were open for less than planned do not make up for others. */
export function overIdealPercent(days: readonly DayRecord[]): number {
  const ideal = days.reduce((sum, { cost }) => sum + cost.ideal, 0);
  const over = days.reduce(
    (sum, { cost }) => sum + cost.extras.reduce((extras, { euro }) => extras + euro, 0),
    0,
  );
  return ideal === 0 ? 0 : (100 * over) / ideal;
}

/** The last line of a run. */
export function lastLine(days: readonly DayRecord[], findings: readonly Finding[]): string {
  const totals = totalsOf(days);
  const count = (kind: Finding["kind"]): number => findings.filter((finding) => finding.kind === kind).length;
  const figures =
    `days=${totals.days} opened=${totals.opened} unsealed_removed=${count("unsealed-removed")} ` +
    `leaked=${count("leaked")} cost_over_ideal=${overIdealPercent(days).toFixed(1)}%`;
  if (findings.length === 0) return `year: ok ${figures}`;
  const others = (["not-opened-untold", "still-there-untold", "unexplained-cost"] as const)
    .filter((kind) => count(kind) > 0)
    .map((kind) => ` ${kind.replaceAll("-", "_")}=${count(kind)}`);
  return `year: failed ${figures}${others.join("")}`;
}
