/** Processes of the Pulumi CLI on this machine, as far as the system tells of them (/proc). */
import { readdirSync, readFileSync } from "node:fs";

/** Command's name and parent of a process; see proc(5). Undefined when it is gone, or where there is no /proc. */
function look(pid: number): { name: string; parent: number } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const end = stat.lastIndexOf(")");
    return {
      name: stat.slice(stat.indexOf("(") + 1, end),
      parent: Number(stat.slice(end + 2).split(" ")[1]),
    };
  } catch {
    return undefined;
  }
}

/** Whether a process was started by this one, directly or not. Where there is no /proc: no. */
export function isChild(pid: number): boolean {
  for (let at = look(pid)?.parent; at !== undefined && at > 1; at = look(at)?.parent) {
    if (at === process.pid) return true;
  }
  return false;
}

/** The Pulumi CLIs that this process has started. */
export function childPulumis(): number[] {
  let all: string[];
  try {
    all = readdirSync("/proc");
  } catch {
    return [];
  }
  return all
    .map(Number)
    .filter((pid) => pid > 0 && look(pid)?.name.startsWith("pulumi") === true && isChild(pid));
}
