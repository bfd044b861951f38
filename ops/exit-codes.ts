/** Exit codes of the `trading` command line, stable for scripts (docs/archive.md). */
export const exitCodes = {
  /** Done, and nothing is wrong. */
  ok: 0,
  /** It could not be done, or a check found a problem. */
  failed: 1,
  /** Wrong usage or configuration: nothing was begun. */
  usage: 2,
  /** Not done because it could destroy or repeat something; the message says what would allow it. */
  refused: 3,
  /** Ended by Ctrl-C or SIGTERM. */
  interrupted: 130,
} as const;

/** One of {@link exitCodes}. */
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];
