/** The trading days of a month, for the forecast. */
import type { StackValues } from "../../stacks/config-schema.ts";
import { sessionOf } from "../../services/core/exchange-calendar.ts";
import { type TradingDay, tradingDayOf } from "../calendar/trading-day.ts";
import { plusDays } from "../calendar/zoned-time.ts";
import type { Period } from "./billing.ts";

/**
 * The days of a calendar month on which the stack is open, by the exchange's rules: what a month costs does not hang on
 * whether anybody answers.
 * @returns the reason when the stack has no schedule, or the rules do not reach the month
 */
export function tradingDaysOf(
  month: Period,
  { schedule, openHours }: Pick<StackValues, "schedule" | "openHours">,
): { days: TradingDay[] } | { reason: string } {
  if (schedule === undefined) return { reason: "the stack has no trading:schedule" };
  const days: TradingDay[] = [];
  const first = month.from.toISOString().slice(0, 10);
  try {
    // A business date may begin on the evening before.
    for (let date = plusDays(first, -1); new Date(date) <= month.to; date = plusDays(date, 1)) {
      const day = tradingDayOf(date, { ...schedule, openHours }, sessionOf);
      if (day !== undefined && day.beginsAt >= month.from && day.beginsAt < month.to) days.push(day);
    }
  } catch (error) {
    return { reason: (error as Error).message };
  }
  return { days };
}
