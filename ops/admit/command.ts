/** Runs somebody's command while an admission is open. */
import { spawn } from "node:child_process";
import { constants } from "node:os";
import { UsageError } from "../run.ts";

/** A command that was asked to end and does not is killed then. */
const killAfterMs = 60_000;

/**
 * Runs a command with this process's input and output until it ends.
 * @param signal asks it to end
 * @returns its exit code; 128 + the signal's number when a signal ended it
 * @throws UsageError when it cannot be started
 */
export function runCommand(command: readonly string[], signal: AbortSignal): Promise<number> {
  const [file = "", ...args] = command;
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: "inherit" });
    let killer: NodeJS.Timeout | undefined;
    const end = (): void => {
      // A terminal's Ctrl-C reaches the command by itself, and many take a second one for "at once".
      if (!process.stdin.isTTY) child.kill("SIGTERM");
      killer = setTimeout(() => child.kill("SIGKILL"), killAfterMs);
    };
    signal.addEventListener("abort", end, { once: true });
    const done = (): void => {
      signal.removeEventListener("abort", end);
      clearTimeout(killer);
    };
    child.on("error", (error: NodeJS.ErrnoException) => {
      done();
      const reason = error.code === "ENOENT" ? "there is no such command" : error.message;
      reject(new UsageError(`${file} cannot be run: ${reason}`));
    });
    child.on("exit", (code, by) => {
      done();
      resolve(code ?? 128 + (by === null ? 0 : constants.signals[by]));
    });
    if (signal.aborted) end();
  });
}
