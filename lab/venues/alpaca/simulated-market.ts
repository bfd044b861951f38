/**
 * A market that never stops: quotes and trades of a few well-known symbols, wandering at random from rough prices,
 * reproducible but for the times. Not real prices. Bars come every two seconds instead of every minute.
 */
import { createRandom } from "../../session/index.ts";

/** Symbols and the prices at which they begin. */
export const simulatedSymbols: Readonly<Record<string, number>> = {
  AAPL: 230,
  AMZN: 220,
  GOOGL: 190,
  META: 600,
  MSFT: 450,
  NVDA: 140,
  SPY: 600,
  TSLA: 300,
};

/** The one symbol of the `test` feed. */
export const testSymbols: Readonly<Record<string, number>> = { FAKEPACA: 135 };

/** Between two steps of the market. */
export const stepMs = 100;
const stepsPerBar = 20;

interface Bar {
  o: number;
  h: number;
  l: number;
  c: number;
  v: number;
  n: number;
  value: number;
  startedAt: number;
}

const cents = (price: number) => Math.round(price * 100) / 100;

/**
 * The market, step by step.
 * @param begin symbols and first prices.
 * @param now epoch milliseconds of a step.
 * @returns each step's messages as JSON texts: a quote per symbol, a trade for about half of them, and at every
 *   twentieth step a bar per symbol that traded.
 */
export function createMarket(
  begin: Readonly<Record<string, number>>,
  seed: number,
): (now: number) => string[] {
  const random = createRandom(seed, `simulated market ${Object.keys(begin).join(" ")}`);
  const prices = new Map(Object.entries(begin));
  const bars = new Map<string, Bar>();
  let step = 0;
  let trade = 1;
  return (now) => {
    const messages: string[] = [];
    const t = `${new Date(now).toISOString().slice(0, -1)}${String(random.integer(0, 999_999)).padStart(6, "0")}Z`;
    for (const [symbol, before] of prices) {
      const price = Math.max(1, cents(before * (1 + (random.next() - 0.5) * 0.0005)));
      prices.set(symbol, price);
      const half = random.integer(1, 4) / 100;
      messages.push(
        JSON.stringify({
          T: "q",
          S: symbol,
          bx: "V",
          bp: cents(price - half),
          bs: random.integer(1, 9),
          ax: "V",
          ap: cents(price + half),
          as: random.integer(1, 9),
          c: ["R"],
          z: "C",
          t,
        }),
      );
      if (random.next() < 0.5) continue;
      const size = random.integer(1, 300);
      messages.push(
        JSON.stringify({ T: "t", S: symbol, i: trade++, x: "V", p: price, s: size, c: ["@"], z: "C", t }),
      );
      const bar = bars.get(symbol) ?? {
        o: price,
        h: price,
        l: price,
        c: price,
        v: 0,
        n: 0,
        value: 0,
        startedAt: now,
      };
      bars.set(symbol, {
        ...bar,
        h: Math.max(bar.h, price),
        l: Math.min(bar.l, price),
        c: price,
        v: bar.v + size,
        n: bar.n + 1,
        value: bar.value + price * size,
      });
    }
    if (++step % stepsPerBar === 0) {
      for (const [S, { value, startedAt, ...bar }] of bars) {
        const started = new Date(startedAt).toISOString().replace(/\.\d+/, "");
        messages.push(JSON.stringify({ T: "b", S, ...bar, vw: cents(value / bar.v), t: started }));
      }
      bars.clear();
    }
    return messages;
  };
}
