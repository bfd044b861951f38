/** What a process uses, from /proc (proc(5)): Linux only, as the lab. */
import { readFileSync } from "node:fs";

/** Clock ticks a second: 100 on every Linux that Node runs on (`getconf CLK_TCK`). */
const ticksPerSecond = 100;

/** Use so far. */
export interface Usage {
  /** Seconds of one core, since the process began. */
  cpuSeconds: number;
  /** Resident memory, in MiB. */
  rssMiB: number;
  /** The most resident memory since the process began, in MiB. */
  peakRssMiB: number;
}

/** Reads what `pid` uses. @throws Error when there is no such process. */
export function usageOf(pid: number): Usage {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const mebibytes = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1]) / 1_024;
  return {
    // Fields 14 and 15: time in user and in kernel mode.
    cpuSeconds: (Number(fields[11]) + Number(fields[12])) / ticksPerSecond,
    rssMiB: mebibytes("VmRSS"),
    peakRssMiB: mebibytes("VmHWM"),
  };
}
