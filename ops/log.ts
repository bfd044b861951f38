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
        const { level, module, msg, err } = JSON.parse(line) as {
          level: string;
          module?: string;
          msg?: string;
          err?: { message?: string };
        };
        // Answers with an error that is repeated where that helps, and thrown where it does not.
        if (module === "kafkajs" && level === "warn") return;
        run.note([`${level}:`, msg, err?.message].filter(Boolean).join(" "));
      },
    },
  });
}
