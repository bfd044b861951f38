/**
 * Errors of the lab that are the caller's to mend: the message says what was wrong, where, what was expected
 * and what to do. Anything else that is thrown is a fault of the lab and keeps its stack.
 */

/** Exit codes of `npm start`, stable for scripts (README). */
export const exitCodes = {
  /** All promises held. */
  ok: 0,
  /** A promise did not hold, or a part of the day failed. */
  failed: 1,
  /** Wrong usage or configuration, or a missing tool. */
  usage: 2,
  /** Another day, or another part with the same data, runs in this clone. */
  busy: 3,
  /** Ended by Ctrl-C or SIGTERM. */
  interrupted: 130,
} as const;

export class LabError extends Error {
  override readonly name = "LabError";
  readonly exitCode: number;

  /** @param exitCode one of {@link exitCodes}; what the command ends with. */
  constructor(message: string, exitCode: number = exitCodes.failed) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** The message a person should read: a lab error's or a typed error's text alone, a fault with its stack. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const isFault = error.name === "Error" || error.name === "TypeError" || error.name === "ReferenceError";
  return isFault && error.stack !== undefined ? error.stack : error.message;
}
