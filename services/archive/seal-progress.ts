/** Tells in the bucket how far a seal is: that is all that those who wait for it can see. */
import { setTimeout as delay } from "node:timers/promises";
import { toInstant } from "../core/time.ts";
import type { ClusterArchive } from "./cluster-archive.ts";
import { type SealProgress } from "./documents.ts";
import { documents } from "./layout.ts";

/** What is told; the rest is added at the writing. */
export type SealStep = Omit<SealProgress, "requestId" | "updatedAt">;

/** Arguments of {@link SealProgressWriter}. */
export interface SealProgressWriterOptions {
  archive: ClusterArchive;
  requestId: string;
  /** Told about each write that failed; the next one tries again. */
  onError: (error: unknown) => void;
  /** Shortest time between two writes, in milliseconds. Default 500. */
  pauseMs?: number;
  /** Longest time between two writes, in milliseconds: a sign of life. Default 5,000. */
  heartbeatMs?: number;
}

/** Writes the progress when it changes and as a sign of life, one write at a time. */
export class SealProgressWriter {
  readonly #options: SealProgressWriterOptions;
  readonly #stopped = new AbortController();
  readonly #loop: Promise<void>;
  #latest: SealStep | undefined;
  #changed = new AbortController();

  constructor(options: SealProgressWriterOptions) {
    this.#options = options;
    this.#loop = this.#run();
  }

  /** Is written soon, unless something newer is reported before. */
  report(step: SealStep): void {
    this.#latest = step;
    this.#changed.abort();
  }

  /** Writes the outcome, the last word on this request. @throws ArchiveStoreError: then nothing was said. */
  async end(step: SealStep): Promise<void> {
    await this.stop();
    await this.#put(step);
  }

  /** Resolves when nothing is being written any more and nothing will be, but for {@link end}. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#loop;
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    const { onError, pauseMs = 500, heartbeatMs = 5_000 } = this.#options;
    const stopped = this.#stopped.signal;
    const pause = (ms: number, signal: AbortSignal): Promise<void> =>
      delay(ms, undefined, { signal }).catch(() => undefined);
    while (!stopped.aborted) {
      await pause(heartbeatMs, AbortSignal.any([stopped, this.#changed.signal]));
      this.#changed = new AbortController();
      if (stopped.aborted || this.#latest === undefined) continue;
      await this.#put(this.#latest).catch(onError);
      await pause(pauseMs, stopped);
    }
  }

  async #put(step: SealStep): Promise<void> {
    const { archive, requestId } = this.#options;
    const document: SealProgress = { requestId, ...step, updatedAt: toInstant(Date.now()) };
    await archive.write(documents.sealProgress, document);
  }
}
