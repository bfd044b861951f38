/**
 * One command in a process of its own, so that it can be killed: `trading open` and `trading close` without their command
 * line, and plain `up` and `destroy`, run by the lab's engine. Argument: a JSON file with {@link ChildOptions}; each event
 * of the engine is a line on standard output, what went wrong stands on standard error.
 */
import { readFileSync, writeSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import type { EngineOptions } from "../../lab/engine/index.ts";
import { labStackEngine } from "../../lab/stack-engine.ts";
import { closeCluster } from "../../ops/cluster/close.ts";
import { openCluster } from "../../ops/cluster/open.ts";
import { openParts } from "../../ops/cluster/parts.ts";
import { exitCodes } from "../../ops/exit-codes.ts";
import type { StackEngine, StackEvent } from "../../ops/engine/stack-engine.ts";
import type { HetznerPatience } from "../../ops/hetzner/client.ts";
import { RefusedError } from "../../ops/run.ts";

export type KillableCommand = "up" | "destroy" | "open" | "close";

/** What the process is told. */
export interface ChildOptions {
  command: KillableCommand;
  engine: Omit<EngineOptions, "signal" | "onEvent" | "clock">;
  /** See `labStackEngine`. */
  adoptsPending: boolean;
  /** How many times faster than for real the engine's pauses pass. */
  engineSpeed: number;
  patience: Partial<HetznerPatience>;
}

const { command, engine, adoptsPending, engineSpeed, patience } = JSON.parse(
  readFileSync(process.argv[2] ?? "", "utf8"),
) as ChildOptions;
const signal = new AbortController().signal;
const tell = (event: StackEvent): void => {
  // At once: a killed process has no time to flush.
  if (event.kind === "resource") writeSync(1, `${event.status} ${event.operation} ${event.name}\n`);
};
const pause = (milliseconds: number, ended?: AbortSignal): Promise<unknown> =>
  delay(milliseconds / engineSpeed, undefined, ended === undefined ? {} : { signal: ended }).catch(
    () => undefined,
  );
const plain = labStackEngine({ ...engine, clock: { pause } }, adoptsPending);
const told = (run: Parameters<StackEngine["up"]>[0]): typeof run => ({
  ...run,
  onEvent: (event) => {
    tell(event);
    run.onEvent?.(event);
  },
});
const stackEngine: StackEngine = {
  ...plain,
  up: (run) => plain.up(told(run)),
  destroy: (run) => plain.destroy(told(run)),
};

try {
  if (command === "up") await stackEngine.up({ signal });
  else if (command === "destroy") await stackEngine.destroy({ signal });
  else {
    const note = (line: string): void => void writeSync(2, `${line}\n`);
    const parts = await openParts({
      stack: engine.stack,
      projectDirectory: engine.projectDirectory,
      environment: engine.environment ?? {},
      engine: stackEngine,
      patience,
      reporter: { note, progress: () => undefined },
      signal,
    });
    await (command === "open" ? openCluster(parts) : closeCluster(parts));
    parts.close();
  }
} catch (error) {
  writeSync(2, `${(error as Error).stack ?? String(error)}\n`);
  process.exitCode = error instanceof RefusedError ? exitCodes.refused : exitCodes.failed;
}
