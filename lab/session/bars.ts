/**
 * Real prices: the S&P 500's daily bars from 2000-01-03 to 2020-04-17, as the npm package `vega-datasets` ships them.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

/** One trading day of the index. */
export interface DailyBar {
  /** ISO date. */
  date: string;
  open: number;
  high: number;
  low: number;
  close: number;
  /** Shares traded in the index's constituents. */
  volume: number;
}

/** The symbol under which the lab's feed carries the index. */
export const indexSymbol = "SPX";

let cached: readonly DailyBar[] | undefined;

/** All daily bars, oldest first; read once (400 kB). */
export function dailyBars(): readonly DailyBar[] {
  cached ??= readBars();
  return cached;
}

function readBars(): readonly DailyBar[] {
  // The package exports only its entry point; its data lie in a folder beside that one's.
  const entry = createRequire(import.meta.url).resolve("vega-datasets");
  const file = path.resolve(path.dirname(entry), "../data/sp500-2000.csv");
  const [header, ...lines] = readFileSync(file, "utf8").trimEnd().split(/\r?\n/);
  if (header !== "date,open,high,low,close,adjclose,volume") {
    throw new Error(
      `${file}: its first line is "${header}", expected "date,open,high,low,close,adjclose,volume"`,
    );
  }
  return lines.map((line, index) => {
    const [date = "", ...fields] = line.split(",");
    const [open = NaN, high = NaN, low = NaN, close = NaN, , volume = NaN] = fields.map(Number);
    if ([open, high, low, close, volume].some(Number.isNaN)) {
      throw new Error(`${file}:${index + 2}: found "${line}", expected a date and six numbers`);
    }
    return { date, open, high, low, close, volume };
  });
}
