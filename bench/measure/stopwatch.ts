/** Wall clock and processor time of this process over one span. */
import type { Throughput } from "../worker-options.ts";

/** Begins now. */
export function startStopwatch(): (records: number) => Throughput {
  const started = performance.now();
  const cpu = process.cpuUsage();
  return (records) => {
    const { user, system } = process.cpuUsage(cpu);
    return { records, seconds: (performance.now() - started) / 1_000, cpuSeconds: (user + system) / 1e6 };
  };
}
