/** Whether this process and all that it started have nothing to do but wait. */
import { existsSync } from "node:fs";
import { once } from "node:events";
import { Worker } from "node:worker_threads";

/** Model time needs Linux, for what /proc tells of threads. */
export class ModelTimeUnavailableError extends Error {
  constructor() {
    super("model time needs Linux with /proc, which tells what every thread does. Run it there.");
  }
}

/** Node before 22.18 runs TypeScript with tsx only, whose `--import` does not reach into threads. */
const entry = `import { register } from ${JSON.stringify(import.meta.resolve("tsx/esm/api"))};
register();
await import(${JSON.stringify(new URL("./watcher.ts", import.meta.url).href)});`;

/** Watches the threads of this process and of its descendants, without those that ran before the watch began. */
export class QuietWatch {
  readonly #worker: Worker;

  /** @throws ModelTimeUnavailableError where there is no /proc */
  constructor() {
    if (!existsSync("/proc/thread-self")) throw new ModelTimeUnavailableError();
    this.#worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(entry)}`), { execArgv: [] });
    this.#worker.unref();
  }

  /** Resolves when no thread has run for several looks: whoever waits, waits for the time or for the outside. */
  async quiet(): Promise<void> {
    this.#worker.ref();
    try {
      const answer = once(this.#worker, "message");
      this.#worker.postMessage("look");
      await answer;
    } finally {
      this.#worker.unref();
    }
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}
