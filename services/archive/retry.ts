/** Waiting for the bucket. Tries again for ever what the bucket does not do: it may be down for minutes, or full until somebody makes room. */
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "../core/log.ts";

const firstPauseMs = 500;
const longestPauseMs = 15_000;

/** Arguments of {@link untilItWorks}. */
export interface RetryOptions {
  /** For the log: `store <object>`. */
  what: string;
  logger: Logger;
  /** Ends the tries. */
  signal: AbortSignal;
  /** Told of each failure: the archiver is alive, and whoever waits may want to know why. */
  onFailure: (error: Error) => void;
}

/** @returns what `work` returns once it works. @throws the signal's reason. */
export async function untilItWorks<T>(work: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { what, logger, signal, onFailure } = options;
  for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    signal.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      onFailure(error as Error);
      logger.error({ err: error, what, pauseMs }, "the bucket does not do it, trying again");
      await delay(pauseMs, undefined, { signal });
    }
  }
}

/** What `work` resolves to, unless the signal comes first: `work` then goes on by itself. @throws the signal's reason. */
export function orAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason as Error);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
