/** When the lab's market is open, and what its clock says. */
import { ExchangeDays, newYorkInstant, newYorkTime, type TradingDay } from "./calendar.ts";

/**
 * "always": orders are executed at any hour, and day orders never expire, because the lab replays a day at any hour.
 * "calendar": the exchange's real hours, 2020 to 2030.
 */
export type MarketHoursMode = "always" | "calendar";

/** First and last minute of trading outside regular hours, New York time: "HH:MM". */
export function session({ close }: Pick<TradingDay, "close">): { open: string; close: string } {
  const [hours = "", minutes = ""] = close.split(":");
  return { open: "04:00", close: `${Math.min(Number(hours) + 4, 20)}:${minutes}` };
}

/** The market's hours. */
export class MarketHours {
  readonly #mode: MarketHoursMode;
  readonly #now: () => number;
  readonly exchange: ExchangeDays;

  /**
   * @param now the venue's time, milliseconds since the epoch.
   * @param exchange its days. Default: those of its rules.
   */
  constructor(mode: MarketHoursMode, now: () => number, exchange = new ExchangeDays()) {
    this.#mode = mode;
    this.#now = now;
    this.exchange = exchange;
  }

  /** The venue's time. */
  get now(): Date {
    return new Date(this.#now());
  }

  /** Whether an order may be executed now. @param extended whether it may be outside regular hours too. */
  isOpen(extended: boolean): boolean {
    if (this.#mode === "always") return true;
    const { now } = this;
    const [day] = this.#days(1);
    if (day === undefined || day.date !== newYorkTime(now).slice(0, 10)) return false;
    const { open, close } = extended ? session(day) : day;
    return newYorkInstant(day.date, open) <= now && now < newYorkInstant(day.date, close);
  }

  /** When a day order ends by itself that is given now; undefined when it never does. */
  dayEnd(extended: boolean): Date | undefined {
    if (this.#mode === "always") return undefined;
    return this.#days(10)
      .map((day) => newYorkInstant(day.date, extended ? session(day).close : day.close))
      .find((end) => end > this.now);
  }

  /** `GET /v2/clock`. The next opening and close are the exchange's real ones, also of a market that never closes. */
  clock(): { timestamp: string; is_open: boolean; next_open: string; next_close: string } {
    const { now } = this;
    const days = this.#days(15);
    const next = (times: Date[], after: Date) => times.find((time) => time > after) ?? after;
    const close = next(
      days.map((day) => newYorkInstant(day.date, day.close)),
      now,
    );
    const opens = days.map((day) => newYorkInstant(day.date, day.open));
    const isOpen = this.isOpen(false);
    return {
      timestamp: newYorkTime(now),
      is_open: isOpen,
      next_open: newYorkTime(next(opens, this.#mode === "always" ? close : now)),
      next_close: newYorkTime(close),
    };
  }

  /** Today in New York, if the exchange opens today, and the trading days after it. */
  #days(count: number): TradingDay[] {
    const today = newYorkTime(this.now).slice(0, 10);
    // No ten trading days take longer than three weeks.
    const end = new Date(Date.parse(today) + count * 3 * 86_400_000);
    return this.exchange.between(today, end.toISOString().slice(0, 10)).slice(0, count);
  }
}
