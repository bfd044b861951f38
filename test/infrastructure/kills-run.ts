/** Runs a command in a process of its own and kills it at a chosen moment. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { watch, writeFileSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import type { Bundle } from "./kills-bundle.ts";
import type { ChildOptions, KillableCommand } from "./kills-child.ts";
import type { InfrastructureWorld } from "./world.ts";

/** What is counted; each of these happens many times in a run, spread over all of it in its own way. */
export const clocks = ["request", "write", "event", "bucket", "ms"] as const;
export type KillClock = (typeof clocks)[number];

/** When to kill. */
export interface KillMoment {
  clock: KillClock;
  /** At the n-th answer of the API, write of the state, event of the engine, request to the bucket, or after n ms. */
  nth: number;
  /** Then waits so many ms. */
  delayMs: number;
  /** Kills the whole process group, program included, as when a machine goes; otherwise the engine's process alone. */
  group: boolean;
}

/** How a run ended. */
export interface ChildEnd {
  killed: boolean;
  /** Null when a signal ended it. */
  code: number | null;
  /** What it said on standard error, the last of it. */
  said: string;
  /** How often each clock ticked. */
  ticks: Record<KillClock, number>;
}

/** Tells a world's kill clocks: who makes the world calls `request` for every answer of its API. */
export class Ticks {
  #listener: (clock: KillClock) => void = () => undefined;

  tick(clock: KillClock): void {
    this.#listener(clock);
  }

  /** One at a time. @param listener told of every tick; undefined: nobody is. */
  listen(listener: (clock: KillClock) => void = () => undefined): void {
    this.#listener = listener;
  }
}

/** Longest run on a busy machine, in ms. */
const deadlineMs = 300_000;
const engineSpeed = 20;
const patience = { firstDelayMs: 20, maxDelayMs: 200, pollMs: 20 };

/** Arguments of {@link runCommand}. */
export interface CommandArguments {
  world: InfrastructureWorld;
  ticks: Ticks;
  bundle: Bundle;
  command: KillableCommand;
  adoptsPending: boolean;
  /** Undefined: it runs to its end. */
  moment?: KillMoment | undefined;
}

/** See the module's description. @throws Error when it does not end. */
export async function runCommand({
  world,
  ticks,
  bundle,
  command,
  adoptsPending,
  moment,
}: CommandArguments): Promise<ChildEnd> {
  const options: ChildOptions = {
    command,
    adoptsPending,
    engine: { ...world.engineOptions(), projectDirectory: bundle.projectDirectory },
    engineSpeed,
    patience,
  };
  const folder = path.dirname(world.stateFile);
  const file = path.join(folder, "kills-child.json");
  writeFileSync(file, JSON.stringify(options), { mode: 0o600 });
  const child = spawn(process.execPath, [bundle.child, file], {
    cwd: bundle.projectDirectory,
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  const counted: Record<KillClock, number> = { request: 0, write: 0, event: 0, bucket: 0, ms: 0 };
  let killed = false;
  const kill = (): void => {
    if (killed || child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    killed = true;
    process.kill(moment?.group === true ? -child.pid : child.pid, "SIGKILL");
  };
  const timers: NodeJS.Timeout[] = [];
  const due = (clock: KillClock): void => {
    counted[clock]++;
    if (moment?.clock !== clock || counted[clock] !== moment.nth) return;
    if (moment.delayMs === 0) kill();
    else timers.push(setTimeout(kill, moment.delayMs));
  };
  ticks.listen(due);
  const seen = world.bucket.add({ kind: "meanwhile", before: () => due("bucket") });
  // Each write of the state is a new file that takes the old one's place.
  const watcher = watch(folder, (_event, name) => {
    if (name === path.basename(world.stateFile)) due("write");
  });
  const started = performance.now();
  if (moment?.clock === "ms") timers.push(setTimeout(kill, moment.nth + moment.delayMs));
  let said = "";
  createInterface({ input: child.stdout }).on("line", () => due("event"));
  child.stderr.on("data", (chunk: Buffer) => (said = (said + chunk.toString()).slice(-6_000)));
  let late = false;
  timers.push(
    setTimeout(() => {
      late = true;
      child.kill("SIGKILL");
    }, deadlineMs),
  );
  const [code] = (await once(child, "close")) as [number | null];
  for (const timer of timers) clearTimeout(timer);
  ticks.listen();
  seen.remove();
  watcher.close();
  counted.ms = performance.now() - started;
  if (late) throw new Error(`${command} did not end within ${deadlineMs / 1_000} s. It said:\n${said}`);
  return { killed: killed && code === null, code, said, ticks: counted };
}
