/** Entry point of the job `prepare-day`. Exit code 0: done; 1: failed, may be tried again; 2: wrong environment. */
import { prepareDay } from "../archive/prepare-day.ts";
import { ConfigError } from "../core/config.ts";

for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => process.exit(1));
try {
  await prepareDay();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(error instanceof ConfigError ? 2 : 1);
}
