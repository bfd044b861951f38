/**
 * A machine in the checks of shared states: commands in processes of their own (test/infrastructure/kills-child.ts), with a
 * working directory that no other machine has, which can be killed and frozen.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import path from "node:path";
import { projectDirectory } from "../../lab/directories.ts";
import type { EngineOptions } from "../../lab/engine/index.ts";
import type { ChildOptions, KillableCommand } from "../infrastructure/kills-child.ts";
import { until } from "../until.ts";

/** A command under way. */
export interface MachineRun {
  readonly child: ChildProcess;
  /** What the engine told, line by line. */
  readonly events: readonly string[];
  /** What it said on standard error. */
  said(): string;
  /** Waits for its end. @returns the exit code; null when a signal ended it */
  ended(): Promise<number | null>;
  /** Waits until the engine has told so many lines. */
  told(lines: number): Promise<void>;
}

/** See the module's description. */
export class Machine {
  readonly directory: string;
  readonly #engine: ChildOptions["engine"];
  readonly #children = new Set<ChildProcess>();

  /**
   * @param root folder for its working directory
   * @param engine the program, and the state that it shares with other machines
   */
  constructor(root: string, engine: EngineOptions) {
    this.directory = mkdtempSync(path.join(root, "machine-"));
    const { signal: _signal, onEvent: _onEvent, clock: _clock, ...plain } = engine;
    this.#engine = plain;
  }

  start(command: KillableCommand): MachineRun {
    const options: ChildOptions = {
      command,
      adoptsPending: true,
      engine: this.#engine,
      engineSpeed: 20,
      patience: { firstDelayMs: 20, maxDelayMs: 200, pollMs: 20 },
    };
    mkdirSync(this.directory, { recursive: true });
    const file = path.join(this.directory, "options.json");
    writeFileSync(file, JSON.stringify(options), { mode: 0o600 });
    const script = path.join(projectDirectory, "test", "infrastructure", "kills-child.ts");
    const child = spawn(process.execPath, ["--import", import.meta.resolve("tsx"), script, file], {
      cwd: this.directory,
      env: { ...process.env, LAB_DIRECTORY: path.join(this.directory, ".lab") },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#children.add(child);
    const events: string[] = [];
    let said = "";
    let rest = "";
    child.stdout.on("data", (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split("\n");
      rest = lines.pop() ?? "";
      events.push(...lines);
    });
    child.stderr.on("data", (chunk: Buffer) => (said = (said + chunk.toString()).slice(-8_000)));
    const closed = once(child, "close") as Promise<[number | null]>;
    return {
      child,
      events,
      said: () => said,
      ended: async () => (await closed)[0],
      told: async (lines) => {
        await until(`${command} tells ${lines} lines; it said: ${said}`, () => {
          if (child.exitCode !== null) throw new Error(`${command} ended early: ${said}`);
          return events.length >= lines;
        });
      },
    };
  }

  /** Runs a command to its end. @throws Error with what it said unless it went well */
  async run(command: KillableCommand): Promise<void> {
    const run = this.start(command);
    const code = await run.ended();
    if (code !== 0) throw new Error(`${command} ended with ${code}:\n${run.said()}`);
  }

  /** Ends what is left of its commands. */
  stop(): void {
    for (const child of this.#children) child.kill("SIGKILL");
  }
}
