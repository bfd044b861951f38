/** Surroundings for a provider's operation in a test. */
import { mkdtempSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { ProcessRegistry } from "../../processes.ts";
import { realClock } from "../clock.ts";
import type { OperationContext } from "../provider.ts";

/** @param given what the test wants different; logs are dropped by default */
export function testContext(given: Partial<OperationContext> = {}): OperationContext {
  return {
    signal: new AbortController().signal,
    environment: { PATH: process.env["PATH"] ?? "/usr/bin:/bin" },
    workingDirectory: process.cwd(),
    processes: new ProcessRegistry(mkdtempSync(path.join(os.tmpdir(), "engine-processes-"))),
    clock: realClock,
    log: () => undefined,
    ...given,
  };
}
