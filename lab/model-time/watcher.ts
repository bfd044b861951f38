/**
 * Worker of quiet.ts: looks at the threads of a process and of all its descendants until none of them runs. A process
 * that has been given something to read is made runnable by the kernel in the same moment, so a thread that sleeps through
 * several looks, without having run between them, has nothing to do.
 */
import { readdirSync, readlinkSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { family, readOrNothing } from "./family.ts";
import type { Look } from "./quiet.ts";

/** Milliseconds of real time between two looks. */
const lookEveryMs = 2;
/** Looks in a row that must have seen the same. */
const looks = 6;

const ownThread = readlinkSync("/proc/thread-self").split("/").at(-1) ?? "";
/** Servers that ran before the watch: their own timers wake them all the time, so that only being awake counts. */
const servers = new Set(workerData as readonly string[]);
const sleeper = new Int32Array(new SharedArrayBuffer(4));

/** The kernel's threads that hand packets over where a processor is busy: what they hold has reached nobody yet. */
const packetThreads = readdirSync("/proc").filter(
  (pid) => /^\d+$/.test(pid) && readOrNothing(`/proc/${pid}/comm`).startsWith("ksoftirqd/"),
);

function threadsOf(pid: string): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

/** What the threads of some processes do. */
interface Sight {
  /** One that runs or would like to, for a message; undefined when all sleep. */
  awake?: string;
  /** How often each thread, but for those of servers, was given a processor. */
  switches: string;
}

function sight(pids: readonly string[]): Sight {
  // First, since what it hands over meanwhile wakes a thread that is looked at after it.
  const isHandingOver = packetThreads.some((pid) =>
    /^\d+ \(\S+\) [RD]/.test(readOrNothing(`/proc/${pid}/stat`)),
  );
  const parts: string[] = [];
  for (const pid of pids) {
    for (const thread of threadsOf(pid)) {
      if (thread === ownThread) continue;
      const status = readOrNothing(`/proc/${pid}/task/${thread}/status`);
      const state = /^State:\s+(\w)/m.exec(status)?.[1];
      // Z: ended, and not yet asked for by its parent; it does nothing any more.
      if (state !== undefined && !"SZ".includes(state)) {
        const name = /^Name:\s+(.*)$/m.exec(status)?.[1] ?? "?";
        return { awake: `thread ${thread} (${name}) of process ${pid}, state ${state}`, switches: "" };
      }
      if (servers.has(pid)) continue;
      const switches = [...status.matchAll(/ctxt_switches:\s+(\d+)/g)].map(([, count]) => count);
      parts.push(`${thread}:${switches.join("+")}`);
    }
  }
  if (isHandingOver) return { awake: "the kernel, which hands packets over", switches: "" };
  return { switches: parts.join(" ") };
}

/** Looks until nothing has run for a while, or the deadline is over. */
function look(deadlineMs: number): Look {
  const deadline = performance.now() + deadlineMs;
  const seenAwake = new Map<string, number>();
  let same = 0;
  let before = "";
  let pids = family();
  while (performance.now() < deadline) {
    const now = sight(pids);
    if (now.awake !== undefined) seenAwake.set(now.awake, (seenAwake.get(now.awake) ?? 0) + 1);
    same = now.awake === undefined && now.switches === before ? same + 1 : 0;
    if (same >= looks) {
      const after = family();
      if (after.join() === pids.join()) return { quiet: true };
      pids = after;
      same = 0;
    } else if (same === 0) pids = family();
    before = now.switches;
    Atomics.wait(sleeper, 0, 0, lookEveryMs);
  }
  const [most] = [...seenAwake].sort(([, one], [, other]) => other - one);
  return { quiet: false, awake: most?.[0] ?? "threads that ran between two looks", afterMs: deadlineMs };
}

parentPort?.on("message", (deadlineMs: number) => parentPort?.postMessage(look(deadlineMs)));
