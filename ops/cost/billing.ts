/**
 * What Hetzner bills for something that exists for a while: each started hour counts, the first one from the beginning on;
 * an hour belongs to the calendar month (UTC) in which it starts; no month costs more than its cap. Off or running makes no
 * difference. https://docs.hetzner.com/cloud/billing/faq
 */
import { Decimal } from "decimal.js";

/** A price; all prices here are EUR net. */
export interface Rate {
  /** Per started hour. */
  hourly: Decimal;
  /** The most that one calendar month costs. */
  monthly: Decimal;
}

/** A time from its first moment to before its last one. */
export interface Period {
  from: Date;
  to: Date;
}

const hourMs = 3_600_000;

/** Hours that a time of use starts: at least one. */
export function startedHours({ from, to }: Period): number {
  return Math.max(1, Math.ceil((to.getTime() - from.getTime()) / hourMs));
}

/** How many of the hours that a use starts begin within a period. */
export function startedHoursWithin(use: Period, period: Period): number {
  const hours = startedHours(use);
  const before = (moment: Date): number =>
    Math.min(hours, Math.max(0, Math.ceil((moment.getTime() - use.from.getTime()) / hourMs)));
  return Math.max(0, before(period.to) - before(period.from));
}

/** The first moment of a calendar month (UTC), or of one that many months later. */
function monthOf(moment: Date, later = 0): Date {
  return new Date(Date.UTC(moment.getUTCFullYear(), moment.getUTCMonth() + later, 1));
}

/**
 * What a use costs by the hours that begin within a period. Where the cap of a month is reached, the hours that reach it
 * first pay, so that periods which follow each other add up to the month.
 * @param use what exists at present has `to` = now: its future is not counted.
 */
export function costWithin(rate: Rate, use: Period, period: Period): Decimal {
  let sum = new Decimal(0);
  for (let month = monthOf(period.from); month < period.to; month = monthOf(month, 1)) {
    const next = monthOf(month, 1);
    const until = (moment: Date): Decimal =>
      Decimal.min(rate.monthly, rate.hourly.times(startedHoursWithin(use, { from: month, to: moment })));
    const to = period.to < next ? period.to : next;
    const from = period.from > month ? period.from : month;
    sum = sum.plus(until(to)).minus(until(from));
  }
  return sum;
}

/** The calendar month (UTC) that `2026-11` names. */
export function calendarMonth(name: string): Period {
  const from = new Date(`${name}-01T00:00:00Z`);
  return { from, to: monthOf(from, 1) };
}

/** The calendar day (UTC) of a moment. */
export function calendarDay(moment: Date): Period {
  const from = new Date(`${moment.toISOString().slice(0, 10)}T00:00:00Z`);
  return { from, to: new Date(from.getTime() + 24 * hourMs) };
}
