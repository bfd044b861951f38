/** What services' code logs while a command runs, for the person in front of it. */
import { createLogger, type Logger } from "../services/core/log.ts";
import type { Run } from "./run.ts";

/** A logger whose warnings and errors become lines on standard error. */
export function createRunLogger(run: Run): Logger {
  return createLogger({
    service: "trading",
    level: "warn",
    destination: {
      write(line: string) {
        const { level, msg, err } = JSON.parse(line) as {
          level: string;
          msg?: string;
          err?: { message?: string };
        };
        run.note([`${level}:`, msg, err?.message].filter(Boolean).join(" "));
      },
    },
  });
}
