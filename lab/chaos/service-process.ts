/** One pod of a service as a process: it is started again at once whenever it ends, as Kubernetes would. */
import { createWriteStream, type WriteStream } from "node:fs";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { projectDirectory } from "../directories.ts";
import type { LabProcess, ProcessRegistry } from "../processes.ts";

/** What a pod is to be. */
export interface ServiceProcessArguments {
  /** Name of the pod, for example `executor-alpaca-1`. */
  name: string;
  /** Name of the deployable. */
  service: string;
  /** Where it trades; undefined for services that don't. */
  venue: string | undefined;
  /** Its program, below the repository's root. */
  entry: string;
  environment: Readonly<Record<string, string>>;
  registry: ProcessRegistry;
  logDirectory: string;
  /** Told when it ends although nobody ended it. */
  onCrash(name: string, code: number | null): void;
}

/** A pod's grace period before SIGKILL, in milliseconds. */
const graceMs = 30_000;
/** Between a crash and the next start: doubled each time, as Kubernetes does, so that a broken service costs little. */
const crashPauseMs = { first: 500, longest: 10_000 };

/** See the module's description. */
export class ServiceProcess {
  readonly name: string;
  readonly service: string;
  readonly venue: string | undefined;
  readonly #args: ServiceProcessArguments;
  readonly #log: WriteStream;
  #process: LabProcess | undefined;
  /** True while we end it, so that its exit is no crash. */
  #ending = false;
  #stopped = false;
  /** Actions of the plan on one process wait for each other. */
  #turn: Promise<unknown> = Promise.resolve();
  #ready: Promise<void> = Promise.resolve();
  /** Whether the process that runs now has said that it is ready. */
  isReady = false;
  /** How often it was started. */
  starts = 0;
  /** Crashes since it was last ready. */
  #crashes = 0;
  /** When it was frozen, in milliseconds since the epoch. */
  readonly freezes: { from: number; to: number }[] = [];
  /** When it was killed, in milliseconds since the epoch. */
  readonly kills: number[] = [];

  constructor(args: ServiceProcessArguments) {
    this.name = args.name;
    this.service = args.service;
    this.venue = args.venue;
    this.#args = args;
    this.#log = createWriteStream(path.join(args.logDirectory, `${args.name}.log`));
  }

  /** Resolves when the process that runs now has said that it is ready; never rejects. */
  get ready(): Promise<void> {
    return this.#ready;
  }

  /** Starts it; resolves when the process exists. */
  async start(): Promise<void> {
    const { registry, name, entry, environment } = this.#args;
    this.#log.write(`--- start ${++this.starts} at ${new Date().toISOString()}\n`);
    const started = await registry.start(name, process.execPath, ["--import", "tsx", entry], {
      cwd: projectDirectory,
      env: { PATH: process.env["PATH"], ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#process = started;
    const { stdout, stderr } = started.child;
    stderr?.on("data", (chunk: Buffer) => this.#log.write(chunk));
    this.isReady = false;
    this.#ready = new Promise((resolve) => {
      let tail = "";
      stdout?.on("data", (chunk: Buffer) => {
        this.#log.write(chunk);
        if (this.isReady || this.#process !== started) return;
        tail = (tail + chunk.toString("utf8")).slice(-20_000);
        this.isReady = tail.includes('"msg":"ready"');
        if (!this.isReady) return;
        this.#crashes = 0;
        resolve();
      });
      void started.exited.then(() => resolve());
    });
    void started.exited.then((code) => this.#ended(started, code));
  }

  /** kill -9, and the new one at once. Resolves when the new process exists. */
  kill(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#end("SIGKILL");
      if (!this.#stopped) await this.start();
    });
  }

  /** SIGTERM, and the new one when it has ended. Resolves when the new one is ready. @returns its exit code. */
  replace(): Promise<number | null> {
    return this.#inTurn(async () => {
      const code = await this.#end("SIGTERM");
      if (!this.#stopped) await this.start();
      await this.#ready;
      return code;
    });
  }

  /** Stops its clock for so long. Resolves when it runs again. */
  freeze(milliseconds: number, signal: AbortSignal): Promise<void> {
    return this.#inTurn(async () => {
      const frozen = this.#process;
      if (frozen === undefined) return;
      const from = Date.now();
      signalGroup(frozen.pid, "SIGSTOP");
      await delay(milliseconds, undefined, { signal }).catch(() => undefined);
      this.freezes.push({ from, to: Date.now() });
      signalGroup(frozen.pid, "SIGCONT");
    });
  }

  /** Ends it in order and for good. @returns its exit code, null when a signal ended it. */
  stop(): Promise<number | null> {
    this.#stopped = true;
    return this.#inTurn(() => this.#end("SIGTERM"));
  }

  #inTurn<Result>(act: () => Promise<Result>): Promise<Result> {
    const result = this.#turn.then(act);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  async #end(signal: "SIGTERM" | "SIGKILL"): Promise<number | null> {
    const running = this.#process;
    if (running === undefined) return null;
    this.#ending = true;
    if (signal === "SIGKILL") this.kills.push(Date.now());
    signalGroup(running.pid, signal);
    const killer = setTimeout(() => signalGroup(running.pid, "SIGKILL"), graceMs);
    const code = await running.exited;
    clearTimeout(killer);
    this.#process = undefined;
    this.#ending = false;
    return code;
  }

  #ended(ended: LabProcess, code: number | null): void {
    if (this.#process !== ended || this.#ending || this.#stopped) return;
    this.#args.onCrash(this.name, code);
    void this.#inTurn(async () => {
      // Somebody else may have started it again while this waited for its turn.
      if (this.#process !== ended || this.#stopped) return;
      this.#process = undefined;
      await delay(Math.min(crashPauseMs.longest, crashPauseMs.first * 2 ** this.#crashes++));
      // The run may have ended meanwhile; then nothing is started any more.
      if (!this.#stopped) await this.start().catch(() => undefined);
    });
  }
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
