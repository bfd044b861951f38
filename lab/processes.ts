/**
 * Child processes of the lab. Each runs in a process group of its own, so that Ctrl-C reaches only the
 * lab itself, which then stops them in order. Every group is recorded on disk while it lives: if the lab is
 * killed hard, the next run ends what was left, and only that: a pid counts only with its start time, and only
 * when the process that started it is gone too.
 */
import { type ChildProcess, spawn, type SpawnOptions } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** A running child and the way to end it. */
export interface LabProcess {
  readonly name: string;
  readonly pid: number;
  readonly child: ChildProcess;
  /** Resolves with the exit code (128 + signal number is not used: null when a signal ended it). */
  readonly exited: Promise<number | null>;
  /** SIGTERM to the group, SIGKILL after `graceMs` (default 5,000). Resolves when the process is gone. */
  stop(graceMs?: number): Promise<void>;
}

/** Start time of a process in clock ticks since boot: field 22 of /proc/<pid>/stat, see proc(5). */
export function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}

/** A record's text; absent when its owner has just removed it. */
function readRecord(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** The children of one run of the lab. */
export class ProcessRegistry {
  readonly #directory: string;
  readonly #processes = new Set<LabProcess>();
  #isClosed = false;

  /** @param directory where the pids are recorded, for example `.lab/processes`. */
  constructor(directory: string) {
    this.#directory = directory;
    mkdirSync(directory, { recursive: true });
  }

  /**
   * Ends the process groups that an earlier run recorded and did not end.
   * @returns the names of what was ended.
   */
  async endLeftovers(): Promise<string[]> {
    const ended: string[] = [];
    for (const file of readdirSync(this.#directory)) {
      const record = path.join(this.#directory, file);
      const pid = Number(file);
      const [started, ownerPid, ownerStarted, name] = readRecord(record)?.split(" ") ?? [];
      if (name === undefined || startTime(Number(ownerPid)) === ownerStarted) continue;
      if (startTime(pid) === started) {
        signalGroup(pid, "SIGKILL");
        while (startTime(pid) === started) await delay(20);
        ended.push(name);
      }
      rmSync(record, { force: true });
    }
    return ended;
  }

  /**
   * Starts a command without a shell, in its own process group.
   * @throws Error when the command cannot be started at all (for example, not found).
   */
  async start(
    name: string,
    command: string,
    args: readonly string[],
    options: SpawnOptions = {},
  ): Promise<LabProcess> {
    if (this.#isClosed) throw new Error(`${name}: the lab is ending, nothing is started any more`);
    const child = spawn(command, args, { stdio: "ignore", ...options, detached: true });
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", (error) => reject(new Error(`${name}: cannot start ${command}: ${error.message}`)));
    });
    const pid = child.pid;
    if (pid === undefined) throw new Error(`${name}: ${command} has no pid`);
    const record = path.join(this.#directory, String(pid));
    writeFileSync(
      record,
      `${startTime(pid) ?? "gone"} ${process.pid} ${startTime(process.pid) ?? "unknown"} ${name}`,
    );
    const exited = new Promise<number | null>((resolve) => {
      child.once("exit", (code) => {
        this.#processes.delete(started);
        rmSync(record, { force: true });
        resolve(code);
      });
    });
    const started: LabProcess = {
      name,
      pid,
      child,
      exited,
      stop: async (graceMs = 5_000) => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        signalGroup(pid, "SIGTERM");
        const killer = setTimeout(() => signalGroup(pid, "SIGKILL"), graceMs);
        await exited;
        clearTimeout(killer);
      },
    };
    this.#processes.add(started);
    if (this.#isClosed) {
      await started.stop(0);
      throw new Error(`${name}: the lab is ending, nothing is started any more`);
    }
    return started;
  }

  /** Stops everything that still runs, all at once. */
  async stopAll(graceMs?: number): Promise<void> {
    while (this.#processes.size > 0)
      await Promise.all([...this.#processes].map((running) => running.stop(graceMs)));
  }

  /** As `stopAll`, and nothing is started any more: what is about to start meets an error. */
  async close(graceMs?: number): Promise<void> {
    this.#isClosed = true;
    await this.stopAll(graceMs);
  }
}
