/**
 * How every command of the `trading` command line runs: Ctrl-C reaches it as a signal, work that takes long shows
 * on standard error how far it is, errors become a message and an exit code, and standard output holds the result alone.
 */
import { type ExitCode, exitCodes } from "./exit-codes.ts";

/** The command line or the configuration is wrong; the message says what was expected. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** It was not done because it could destroy or repeat something; the message says what would allow it. */
export class RefusedError extends Error {
  override readonly name = "RefusedError";
}

/** What a running command works with. */
export interface Run {
  /** Aborted by the first Ctrl-C, SIGTERM or SIGHUP; the second one ends the process at once. */
  readonly signal: AbortSignal;
  /**
   * Says how far the work is: shown on standard error once it takes longer than 2 s, then every 2 s at most; where that is
   * no terminal, as in CI, in steps that grow to 10 s.
   */
  readonly progress: (line: string) => void;
  /** A line for people on standard error, shown at once: a warning, what will be done. */
  readonly note: (line: string) => void;
  /** The result, on standard output. */
  readonly print: (text: string) => void;
}

/** Ctrl-C, what ends a CI job, a terminal that was closed. */
const interrupts = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/**
 * A second signal within this time (ms) is the first one: a terminal and a shell signal npm and the command, and npm passes
 * on to the command what it got.
 */
export const sameSignalMs = 500;
/** Work that takes longer shows how far it is, this often. */
const progressEveryMs = 2_000;
/** The same in a log that somebody reads afterwards, at most. */
const loggedEveryMs = 10_000;
/** What a command may differ in from the others. */
export interface RunOptions {
  /** How long (ms) it may take after the first Ctrl-C: what hangs must not hold up whoever wants out. Default: 10,000. */
  interruptGraceMs?: number;
}

/**
 * Makes the handler of a command.
 * @param work does it and tells the exit code; what it throws becomes a message on standard error and exit code 2
 *   (UsageError), 3 (RefusedError) or 1.
 * @returns to be given to commander's `action`; it never rejects.
 */
export function runs<Args extends unknown[]>(
  work: (run: Run, ...args: Args) => Promise<ExitCode>,
  { interruptGraceMs = 10_000 }: RunOptions = {},
): (...args: Args) => Promise<void> {
  return async (...args) => {
    const abort = new AbortController();
    let interruptedAt = 0;
    const interrupt = (signal: NodeJS.Signals): void => {
      if (abort.signal.aborted) {
        if (performance.now() - interruptedAt >= sameSignalMs) process.exit(exitCodes.interrupted);
        return;
      }
      interruptedAt = performance.now();
      process.stderr.write(`\n${signal}: stopping; once more ends at once\n`);
      abort.abort(new Error(`interrupted by ${signal}`));
      setTimeout(() => process.exit(exitCodes.interrupted), interruptGraceMs).unref();
    };
    for (const name of interrupts) process.on(name, interrupt);
    let shownAt = performance.now();
    let everyMs = progressEveryMs;
    const note = (line: string): void => void process.stderr.write(`${line}\n`);
    const run: Run = {
      signal: abort.signal,
      note,
      progress: (line) => {
        if (performance.now() - shownAt < everyMs) return;
        shownAt = performance.now();
        if (process.stderr.isTTY !== true) everyMs = Math.min(everyMs * 1.5, loggedEveryMs);
        note(line);
      },
      print: (text) => void process.stdout.write(`${text}\n`),
    };
    try {
      process.exitCode = await work(run, ...args);
    } catch (error) {
      note(abort.signal.aborted ? describeInterrupted(error) : describe(error));
      process.exitCode =
        error instanceof UsageError
          ? exitCodes.usage
          : error instanceof RefusedError
            ? exitCodes.refused
            : exitCodes.failed;
    } finally {
      for (const name of interrupts) process.off(name, interrupt);
    }
    if (abort.signal.aborted) process.exitCode = exitCodes.interrupted;
  };
}

/** Whether the program itself made the error, for people. */
function isForeseen(error: Error): boolean {
  return !["Error", "TypeError", "RangeError", "ReferenceError", "AbortError", "TimeoutError"].includes(
    error.name,
  );
}

/** A typed error's text alone; what nobody foresaw keeps its stack. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return isForeseen(error) ? error.message : (error.stack ?? error.message);
}

/** With what the interrupted work says about how it ended: what stays, how to go on. */
function describeInterrupted(error: unknown): string {
  return error instanceof Error && isForeseen(error) ? `interrupted: ${error.message}` : "interrupted";
}
