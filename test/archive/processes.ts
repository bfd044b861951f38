/** The archive's programs, started as in production: each a process of its own, told by its environment. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { until } from "../until.ts";

const root = path.join(import.meta.dirname, "../..");

/** How a process ended. */
export interface Ended {
  /** Null when a signal ended it. */
  code: number | null;
  /** The end of what it wrote to standard output and standard error. */
  log: string;
}

/** A program that was started. */
export interface Program {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** What it has written so far, standard output and standard error; at most the last 400,000 characters. */
  log(): string;
  /** Resolves when the log matches. @throws Error with the log's end when it ends or the time is over before. */
  logged(pattern: RegExp, deadlineMs?: number): Promise<RegExpExecArray>;
  /** SIGKILL, and waits until it is gone. */
  kill(): Promise<void>;
  /** SIGTERM, and waits until it is gone. */
  stop(): Promise<Ended>;
}

/** Everything that {@link startProgram} started and that still runs. */
const running = new Set<ChildProcess>();

/** Ends what still runs, at once. */
export async function endPrograms(): Promise<void> {
  await Promise.all(
    [...running].map(async (child) => {
      const closed = once(child, "close");
      child.kill("SIGKILL");
      await closed;
    }),
  );
}

/** Starts a TypeScript file of the repository. @param entry relative to the repository's root. */
export function startProgram(
  entry: string,
  environment: Record<string, string>,
  args: readonly string[] = [],
): Program {
  const child = spawn(process.execPath, ["--import", "tsx", entry, ...args], {
    cwd: root,
    env: { PATH: process.env.PATH ?? "", ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  running.add(child);
  let log = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      log = (log + chunk.toString()).slice(-400_000);
      if (process.env.TEST_LOG_LEVEL !== undefined) process.stderr.write(chunk);
    });
  }
  let closed: Ended | undefined;
  const ended = once(child, "close").then(([code]) => {
    running.delete(child);
    return (closed = { code: code as number | null, log });
  });
  const tail = () => log.slice(-4_000);
  return {
    child,
    ended,
    log: () => log,
    logged: async (pattern, deadlineMs = 60_000) => {
      try {
        return await until(
          `${entry} logs ${String(pattern)}`,
          () => {
            const match = pattern.exec(log);
            if (match === null && closed !== undefined) throw new Error(`ended with ${String(closed.code)}`);
            return match;
          },
          deadlineMs,
        );
      } catch (error) {
        throw new Error(`${(error as Error).message}. Its log ends with:\n${tail()}`, { cause: error });
      }
    },
    kill: async () => {
      child.kill("SIGKILL");
      await ended;
    },
    stop: () => {
      child.kill("SIGTERM");
      return ended;
    },
  };
}
