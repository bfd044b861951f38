/** What a month will have cost at its end: what has been used, and the trading days that are left. */
import { Decimal } from "decimal.js";
import type { TradingDay } from "../calendar/trading-day.ts";
import { costWithin, type Period, startedHours } from "./billing.ts";
import { removalMinutes, type ServerUse, type UsualServers } from "./uses.ts";

/** The time that a day's servers are there when all goes as planned. */
export interface PlannedDay extends Period {
  /** Business date. */
  date: string;
  /** Started hours of each server. */
  hours: number;
}

/** From when a job begins to bring up until everything is removed. */
export function plannedDay({
  date,
  beginsAt,
  closesAt,
}: Pick<TradingDay, "date" | "beginsAt" | "closesAt">): PlannedDay {
  const to = new Date(closesAt.getTime() + removalMinutes * 60_000);
  return { date, from: beginsAt, to, hours: startedHours({ from: beginsAt, to }) };
}

/** What servers with their addresses cost by the hours that begin within a period; what has no price costs nothing here. */
export function costOf(
  uses: readonly Pick<ServerUse, "rate" | "ipv4" | "from" | "to">[],
  period: Period,
): Decimal {
  let sum = new Decimal(0);
  for (const use of uses) {
    for (const rate of [use.rate, use.ipv4]) {
      if (rate !== undefined) sum = sum.plus(costWithin(rate, use, period));
    }
  }
  return sum;
}

/** What a stack's usual servers cost by the hour; undefined when one of them has no price. */
export function hourlyOf(servers: UsualServers): { servers: Decimal; ipv4: Decimal } | undefined {
  const sum = { servers: new Decimal(0), ipv4: new Decimal(0) };
  for (const { rate, ipv4 } of servers) {
    if (rate === undefined) return undefined;
    sum.servers = sum.servers.plus(rate.hourly);
    sum.ipv4 = sum.ipv4.plus(ipv4?.hourly ?? 0);
  }
  return sum;
}

/** See {@link forecastMonth}. */
export interface Forecast {
  /** EUR net for the whole month. */
  total: Decimal;
  /** Days that are still to come or still go on. */
  remainingDays: number;
  /** What is to come in them. */
  remaining: Decimal;
}

/** Arguments of {@link forecastMonth}. */
export interface ForecastArguments {
  month: Period;
  /** What was used until now. */
  uses: readonly ServerUse[];
  /** All of the month. */
  days: readonly PlannedDay[];
  usual: UsualServers;
  now: Date;
}

/**
 * Adds what is to come to what was used. Servers that are there stay until their day is over; a day whose servers are
 * gone already brings nothing more; servers that belong to no day that goes on or comes are taken to go now.
 */
export function forecastMonth({ month, uses, days, usual, now }: ForecastArguments): Forecast {
  let remaining = new Decimal(0);
  const left = days.filter(({ to }) => to > now);
  for (const day of left) {
    const own = uses.filter(({ cluster }) => cluster.startsWith(`${day.date}/`));
    const running = own.filter(({ isRunning }) => isRunning);
    if (running.length > 0) {
      const longer = running.map((use) => ({ ...use, to: day.to }));
      remaining = remaining.plus(costOf(longer, month)).minus(costOf(running, month));
    } else if (own.length === 0) {
      const from = day.from > now ? day.from : now;
      const planned = usual.map((server) => ({ ...server, from, to: day.to }));
      remaining = remaining.plus(costOf(planned, month));
    }
  }
  return { total: costOf(uses, month).plus(remaining), remainingDays: left.length, remaining };
}
