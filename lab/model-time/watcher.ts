/**
 * Worker of quiet.ts: looks at the threads of a process and of its descendants until none of them runs. A process
 * that has been given something to read is made runnable by the kernel in the same moment, so a thread that sleeps through
 * several looks, without having run between them, has nothing to do.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { parentPort } from "node:worker_threads";

/** Milliseconds of real time between two looks. */
const lookEveryMs = 2;
/** Looks in a row that must have seen the same. */
const looks = 6;

const ownThread = readlinkSync("/proc/thread-self").split("/").at(-1) ?? "";
const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** The kernel's threads that hand packets over where a processor is busy: what they hold has reached nobody yet. */
const packetThreads = readdirSync("/proc").filter(
  (pid) => /^\d+$/.test(pid) && readOrNothing(`/proc/${pid}/comm`).startsWith("ksoftirqd/"),
);

/** This process and what it started since the watch began, by asking every process for its parent. */
function family(unwatched: ReadonlySet<string>): string[] {
  const children = new Map<string, string[]>();
  for (const pid of readdirSync("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    const stat = readOrNothing(`/proc/${pid}/stat`);
    // The name stands in brackets and may hold anything; the state and the parent follow it.
    const parent = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1];
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  const found = [String(process.pid)];
  for (const pid of found) found.push(...(children.get(pid) ?? []).filter((child) => !unwatched.has(child)));
  return found;
}

/** What ran before is a server of the surroundings, with timers of its own. */
const surroundings = new Set(family(new Set()).slice(1));

function readOrNothing(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}

function threadsOf(pid: string): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

/** How often each thread was given a processor; undefined when one is running or would like to. */
function sight(pids: readonly string[]): string | undefined {
  const parts: string[] = [];
  for (const pid of packetThreads) {
    if (/^\d+ \(\S+\) [RD]/.test(readOrNothing(`/proc/${pid}/stat`))) return undefined;
  }
  for (const pid of pids) {
    for (const thread of threadsOf(pid)) {
      if (thread === ownThread) continue;
      const status = readOrNothing(`/proc/${pid}/task/${thread}/status`);
      const state = /^State:\s+(\w)/m.exec(status)?.[1];
      // Z: ended, and not yet asked for by its parent; it does nothing any more.
      if (state !== undefined && !"SZ".includes(state)) return undefined;
      const switches = [...status.matchAll(/ctxt_switches:\s+(\d+)/g)].map(([, count]) => count);
      parts.push(`${thread}:${switches.join("+")}`);
    }
  }
  return parts.join(" ");
}

function waitUntilQuiet(): void {
  let same = 0;
  let before: string | undefined;
  let pids = family(surroundings);
  for (;;) {
    const now = sight(pids);
    same = now !== undefined && now === before ? same + 1 : 0;
    if (same >= looks) {
      const after = family(surroundings);
      if (after.join() === pids.join()) return;
      pids = after;
      same = 0;
    } else if (same === 0) pids = family(surroundings);
    before = now;
    Atomics.wait(sleeper, 0, 0, lookEveryMs);
  }
}

parentPort?.on("message", () => {
  waitUntilQuiet();
  parentPort?.postMessage("quiet");
});
