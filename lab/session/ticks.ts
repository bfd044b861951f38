/**
 * A day of the index as messages of Alpaca's stream. The bar is real; the quotes and trades before it are made:
 * they wander from the open to the close inside the bar's range, always in the same way for the same seed.
 */
import type { DailyBar } from "./bars.ts";
import { createRandom } from "./random.ts";

/** How one day is told. */
export interface DayArguments {
  bar: DailyBar;
  symbol: string;
  /** How many quotes and trades come before the bar; 0 or more. */
  ticks: number;
  seed: number;
}

/** 09:30 in New York in winter time; the date is what matters, the feed is historical. */
const openMs = 14.5 * 3_600_000;
const sessionMs = 6.5 * 3_600_000;

const cents = (price: number) => Math.round(price * 100) / 100;

/**
 * The day's messages in order of time: quotes and trades alternate, the bar is last.
 * @returns exactly `ticks + 1` JSON texts, as the venue would put them into a frame's array.
 */
export function dayMessages({ bar, symbol, ticks, seed }: DayArguments): string[] {
  const random = createRandom(seed, `ticks ${symbol} ${bar.date}`);
  const midnight = Date.parse(`${bar.date}T00:00:00Z`);
  // Prices in cents inside the range: rounding must not leave it.
  const low = Math.ceil(bar.low * 100) / 100;
  const high = Math.max(low, Math.floor(bar.high * 100) / 100);
  const inside = (price: number) => Math.min(high, Math.max(low, cents(price)));

  const messages: string[] = [];
  let traded = 0;
  let tradedValue = 0;
  for (let tick = 0; tick < ticks; tick++) {
    const progress = (tick + 0.5) / ticks;
    const drift = bar.open + (bar.close - bar.open) * progress;
    const price = inside(drift + (bar.high - bar.low) * 0.5 * (random.next() - 0.5));
    // Alpaca prints nanoseconds; the last digits are made as well.
    const at = new Date(midnight + openMs + Math.floor(progress * sessionMs)).toISOString();
    const t = `${at.slice(0, -1)}${String(random.integer(0, 999_999)).padStart(6, "0")}Z`;
    if (tick % 2 === 0) {
      const half = random.integer(1, 25) / 100;
      messages.push(
        JSON.stringify({
          T: "q",
          S: symbol,
          bx: "V",
          bp: inside(price - half),
          bs: random.integer(1, 20),
          ax: "V",
          ap: inside(price + half),
          as: random.integer(1, 20),
          c: ["R"],
          z: "B",
          t,
        }),
      );
    } else {
      const size = random.integer(1, 500);
      traded++;
      tradedValue += price;
      messages.push(
        JSON.stringify({
          T: "t",
          S: symbol,
          i: random.integer(1, 2 ** 48),
          x: "V",
          p: price,
          s: size,
          c: ["@"],
          z: "B",
          t,
        }),
      );
    }
  }
  messages.push(
    JSON.stringify({
      T: "b",
      S: symbol,
      o: bar.open,
      h: bar.high,
      l: bar.low,
      c: bar.close,
      v: bar.volume,
      // Not in the source: trades counted and averaged over what this day's feed made; without trades, the typical price.
      n: traded,
      vw: cents(traded === 0 ? (bar.high + bar.low + bar.close) / 3 : tradedValue / traded),
      t: new Date(midnight + openMs).toISOString().replace(".000Z", "Z"),
    }),
  );
  return messages;
}
