/** A trading day for people. */
import type { TradingDay } from "../calendar/trading-day.ts";

/** For example `2025-10-14, open from 2025-10-14 13:00 to 2025-10-14 15:00 UTC`. */
export function describeTradingDay({ date, opensAt, closesAt, closesEarly }: TradingDay): string {
  const half = closesEarly ? " (the exchange closes early)" : "";
  return `${date}, open from ${minuteOf(opensAt)} to ${minuteOf(closesAt)} UTC${half}`;
}

const minuteOf = (moment: Date): string => moment.toISOString().slice(0, 16).replace("T", " ");
