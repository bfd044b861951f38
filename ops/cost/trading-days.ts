/** The trading days of a month, for the forecast. */
import { type CalendarArguments, openCalendar } from "../calendar/calendar.ts";
import type { TradingDay } from "../calendar/trading-day.ts";
import type { Period } from "./billing.ts";

const dayMs = 86_400_000;

/**
 * The days of a calendar month on which the stack is open.
 * @returns the reason when the stack has no schedule
 * @throws UsageError when the environment is wrong; CalendarError for a month that no calendar knows
 */
export async function tradingDaysOf(
  month: Period,
  args: CalendarArguments,
): Promise<{ days: TradingDay[] } | { reason: string }> {
  if (args.values.schedule === undefined) return { reason: "the stack has no trading:schedule" };
  const calendar = await openCalendar(args);
  const dateOf = (moment: Date): string => moment.toISOString().slice(0, 10);
  // A day belongs to the month in which its servers come up; that may be on the evening before its date.
  const days = await calendar.days(dateOf(new Date(month.from.getTime() - dayMs)), dateOf(month.to));
  return { days: days.filter(({ beginsAt }) => beginsAt >= month.from && beginsAt < month.to) };
}
