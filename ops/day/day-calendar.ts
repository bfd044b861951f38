/** The calendar as opening and closing need it. */
import type { TradingDay } from "../calendar/trading-day.ts";

/** When a stack is to be open. */
export interface DayCalendar {
  /** The day whose time from `beginsAt` to `deadline` holds a moment. */
  tradingDayAt(now: Date): TradingDay | undefined | Promise<TradingDay | undefined>;
  /** The first day that opens after a moment. */
  nextTradingDay(after: Date): TradingDay | Promise<TradingDay>;
}

/** For people and in JSON. */
export function describeTradingDay({ date, opensAt, closesAt, closesEarly }: TradingDay): string {
  const half = closesEarly ? " (the exchange closes early)" : "";
  return `${date}, open from ${minuteOf(opensAt)} to ${minuteOf(closesAt)} UTC${half}`;
}

const minuteOf = (moment: Date): string => moment.toISOString().slice(0, 16).replace("T", " ");
