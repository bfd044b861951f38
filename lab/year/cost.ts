/** What each day cost by the simulated account's bill, against what the calendar asks for, and why it was more. */
import type { TradingDay } from "../../ops/calendar/trading-day.ts";
import { newYorkDate } from "../../services/core/exchange-calendar.ts";
import type { BillItem } from "../hetzner/index.ts";
import { type DayFault, describeFault, type FaultKind } from "./faults.ts";

/** The first choice of capacity, at which an ideal day is priced. EUR net per started hour. */
export interface IdealPrice {
  /** All servers and addresses. */
  total: number;
  /** By what bills, `<kind> <name>`. */
  each: ReadonlyMap<string, number>;
}

/** Why a day cost more than the calendar's ideal. */
const categories = ["overtime", "dearer", "made-again"] as const;
/**
 * `overtime`: billed longer than the calendar says. `dearer`: another type or location than the first choice. `made-again`:
 * a server that had been made before that day, whose first hour is paid twice.
 */
export type Category = (typeof categories)[number];

/** What can cause which. */
const causes: Readonly<Record<Category, readonly FaultKind[]>> = {
  overtime: [
    "cron-late",
    "cron-dropped",
    "runner-killed",
    "s3-down",
    "hetzner-errors",
    "action-failed",
    "state-lost",
    "seal-refused",
  ],
  dearer: ["stock-out", "sold-out"],
  "made-again": [
    "runner-killed",
    "stock-out",
    "sold-out",
    "s3-down",
    "hetzner-errors",
    "action-failed",
    "state-lost",
  ],
};

/** A sum above the ideal. */
export interface Extra {
  category: Category;
  /** EUR net. */
  euro: number;
  /** Started hours of single resources. */
  hours: number;
  /** The faults of the day that can cause it; empty: nobody knows. */
  because: string[];
}

/** A day's sum. All EUR are net. */
export interface DayCost {
  date: string;
  euro: number;
  ideal: number;
  extras: Extra[];
}

const hourMs = 3_600_000;
/** Seal and destroy, once the closing time has come. */
const closingMs = 15 * 60_000;
/** Below a ten-thousandth of a cent: the rounding of sums. */
const negligible = 1e-6;

/** Started hours between two moments; at least one. */
function startedHours(from: number, to: number): number {
  return Math.max(1, Math.ceil((to - from) / hourMs));
}

/** What a trading day costs when nothing goes wrong. */
export function idealOf(day: TradingDay, price: IdealPrice): number {
  return startedHours(day.beginsAt.getTime(), day.closesAt.getTime() + closingMs) * price.total;
}

/** Splits a bill by the date in New York on which each item began. */
export function itemsByDate(items: readonly BillItem[]): Map<string, BillItem[]> {
  const byDate = new Map<string, BillItem[]>();
  for (const item of items) {
    const date = newYorkDate(item.created);
    byDate.set(date, [...(byDate.get(date) ?? []), item]);
  }
  return byDate;
}

/**
 * A day's bill against its ideal.
 * @param day undefined when it is no trading day: then all of it is too much
 * @param until where the bill ends, for what is still there
 */
export function costOfDay(
  date: string,
  day: TradingDay | undefined,
  items: readonly BillItem[],
  faults: readonly DayFault[],
  price: IdealPrice,
  until: Date,
): DayCost {
  const ideal = day === undefined ? 0 : idealOf(day, price);
  const end = day === undefined ? 0 : day.closesAt.getTime() + closingMs;
  const sums: Record<Category, { euro: number; hours: number }> = {
    overtime: { euro: 0, hours: 0 },
    dearer: { euro: 0, hours: 0 },
    "made-again": { euro: 0, hours: 0 },
  };
  let euro = 0;
  const made = new Map<string, number>();
  for (const item of [...items].sort((a, b) => a.created.getTime() - b.created.getTime())) {
    const from = item.created.getTime();
    const hours = startedHours(from, (item.ended ?? until).getTime());
    const inTime = from >= end ? 0 : Math.min(hours, startedHours(from, end));
    euro += hours * item.pricePerHour;
    sums.overtime.hours += hours - inTime;
    sums.overtime.euro += (hours - inTime) * item.pricePerHour;
    const name = nameOf(item);
    const ideally = price.each.get(name) ?? 0;
    if (item.pricePerHour > ideally + negligible && inTime > 0) {
      sums.dearer.hours += inTime;
      sums.dearer.euro += inTime * (item.pricePerHour - ideally);
    }
    made.set(name, (made.get(name) ?? 0) + inTime * Math.min(item.pricePerHour, ideally));
  }
  const idealHours = price.total === 0 ? 0 : Math.round(ideal / price.total);
  for (const [name, spent] of made) {
    const ideally = price.each.get(name) ?? 0;
    const over = spent - idealHours * ideally;
    if (over <= negligible) continue;
    sums["made-again"].euro += over;
    sums["made-again"].hours += Math.round(over / ideally);
  }
  const extras = categories.flatMap((category): Extra[] => {
    if (sums[category].euro <= negligible) return [];
    const because = faults.filter(({ kind }) => causes[category].includes(kind)).map(describeFault);
    return [{ category, ...sums[category], because }];
  });
  return { date, euro, ideal, extras };
}

/** An item's name in {@link IdealPrice.each}: addresses are named by their server, or at random. */
export function nameOf({ kind, name }: Pick<BillItem, "kind" | "name">): string {
  return kind === "server" ? `server ${name}` : "address";
}
