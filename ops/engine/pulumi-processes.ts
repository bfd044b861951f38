/** Processes of the Pulumi CLI on this machine. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

/** A process; its name may be cut short, and may be a path. */
interface Process {
  name: string;
  parent: number;
}

/** All processes of this machine, by their ids. */
export type Processes = ReadonlyMap<number, Process>;

/** As Linux tells of them in /proc; see proc(5). @returns undefined where there is none */
function processesOfProc(): Processes | undefined {
  let names: string[];
  try {
    names = readdirSync("/proc");
  } catch {
    return undefined;
  }
  const found = new Map<number, Process>();
  for (const pid of names.map(Number)) {
    if (!(pid > 0)) continue;
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
      const end = stat.lastIndexOf(")");
      found.set(pid, {
        name: stat.slice(stat.indexOf("(") + 1, end),
        parent: Number(stat.slice(end + 2).split(" ")[1]),
      });
    } catch {
      // It is gone.
    }
  }
  return found.size === 0 ? undefined : found;
}

/** As POSIX's ps tells of them, for example on macOS. */
export function processesOfPs(): Processes {
  let listed: string;
  try {
    listed = execFileSync("ps", ["-A", "-o", "pid=,ppid=,comm="], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
      timeout: 5_000,
    });
  } catch {
    return new Map();
  }
  const lines = listed.matchAll(/^\s*(\d+)\s+(\d+)\s+(.+?)\s*$/gm);
  return new Map(
    [...lines].map(([, pid, parent, name = ""]) => [Number(pid), { name, parent: Number(parent) }]),
  );
}

function allProcesses(): Processes {
  return processesOfProc() ?? processesOfPs();
}

/** Whether a process was started by this one, directly or not. */
export function isChild(pid: number, all = allProcesses()): boolean {
  for (let at = all.get(pid)?.parent; at !== undefined && at > 1; at = all.get(at)?.parent) {
    if (at === process.pid) return true;
  }
  return false;
}

/** The Pulumi CLIs, with their plugins, that this process has started. */
export function childPulumis(all = allProcesses()): number[] {
  return [...all]
    .filter(([pid, { name }]) => (name.split("/").at(-1) ?? name).startsWith("pulumi") && isChild(pid, all))
    .map(([pid]) => pid);
}
