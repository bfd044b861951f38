/** Whether this process and all that it started have nothing to do but wait. */
import { existsSync } from "node:fs";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { family } from "./family.ts";

/** Model time needs Linux, for what /proc tells of threads. */
export class ModelTimeUnavailableError extends Error {
  constructor() {
    super("model time needs Linux with /proc, which tells what every thread does. Run it there.");
  }
}

/** Something runs on and on, so that no moment can be told at which everything waits. */
export class NeverQuietError extends Error {
  /** @param awake what was seen to run most often */
  constructor(awake: string, afterMs: number) {
    super(
      `model time cannot go on: after ${afterMs / 1_000} s of real time something still runs, mostly ${awake}. ` +
        "Only what waits for the model's clock may stay; stop what polls by real time.",
    );
  }
}

/** What the watcher answers to a deadline in real milliseconds. */
export type Look = { quiet: true } | { quiet: false; awake: string; afterMs: number };

/** Node before 22.18 runs TypeScript with tsx only, whose `--import` does not reach into threads. */
const entry = `import { register } from ${JSON.stringify(import.meta.resolve("tsx/esm/api"))};
register();
await import(${JSON.stringify(new URL("./watcher.ts", import.meta.url).href)});`;

/**
 * Watches the threads of this process and of all its descendants. Those that ran before the watch began are servers, which
 * wake by themselves: they are quiet when they sleep, the others when they have not run between several looks.
 */
export class QuietWatch {
  readonly #worker: Worker;

  /** @throws ModelTimeUnavailableError where there is no /proc */
  constructor() {
    if (!existsSync("/proc/thread-self")) throw new ModelTimeUnavailableError();
    this.#worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(entry)}`), {
      execArgv: [],
      // Told from here: until the worker runs, what is to be watched may have been started.
      workerData: family().slice(1),
    });
    this.#worker.unref();
  }

  /**
   * Resolves when no thread has run for several looks: whoever waits, waits for the time or for the outside.
   * @param deadlineMs real time; default: five minutes, in which the most loaded machine starts a program
   * @throws NeverQuietError when that does not come about before the deadline
   */
  async quiet(deadlineMs = 300_000): Promise<void> {
    this.#worker.ref();
    try {
      const answer = once(this.#worker, "message");
      this.#worker.postMessage(deadlineMs);
      const [look] = (await answer) as [Look];
      if (!look.quiet) throw new NeverQuietError(look.awake, look.afterMs);
    } finally {
      this.#worker.unref();
    }
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}
