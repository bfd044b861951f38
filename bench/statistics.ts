/** The few statistics the benchmarks need. */

/**
 * The value below which `share` of the values lie; NaN without values.
 * @param sorted ascending.
 * @param share 0 to 1.
 */
export function quantile(sorted: readonly number[], share: number): number {
  if (sorted.length === 0) return Number.NaN;
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] as number;
}

/** The middle value; of an even number of values the mean of the two in the middle. NaN without values. */
export function median(values: readonly number[]): number {
  if (values.length === 0) return Number.NaN;
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] as number;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] as number) + upper) / 2;
}

/** How far apart the values are: (largest − smallest) / median, 0 for one value. NaN without values. */
export function spread(values: readonly number[]): number {
  return (Math.max(...values) - Math.min(...values)) / median(values);
}

/** Latencies as the report shows them. @param milliseconds in any order; sorted in place. */
export function summarize(milliseconds: number[]) {
  milliseconds.sort((a, b) => a - b);
  return {
    samples: milliseconds.length,
    p50: quantile(milliseconds, 0.5),
    p99: quantile(milliseconds, 0.99),
    max: milliseconds.at(-1) ?? Number.NaN,
  };
}
