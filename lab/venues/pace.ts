/** Sending at a steady rate, however coarse the timers are. */
import { setTimeout as delay } from "node:timers/promises";

/** How a replay is to run. */
export interface PlayOptions {
  /** Messages a second; default: as fast as the subscriber takes them. */
  ratePerSecond?: number;
  /** Aborted: the replay stops and rejects with the signal's reason. */
  signal?: AbortSignal;
}

/** Milliseconds between two looks at the clock. */
const tickMs = 10;
/** Most messages sent without looking at the clock, the signal or the socket. */
const burst = 250;

/**
 * Calls `send` with ever more messages, never ahead of the rate. Time that `send` spends waiting (for a subscriber,
 * for a full socket) is not made up for later.
 * @param total how many messages there are.
 * @param send sends messages `from` (inclusive) to `to` (exclusive) and resolves when it may go on.
 */
export async function paced(
  total: number,
  { ratePerSecond = Infinity, signal }: PlayOptions,
  send: (from: number, to: number) => Promise<void>,
): Promise<void> {
  if (!(ratePerSecond > 0))
    throw new RangeError(`ratePerSecond: found ${ratePerSecond}, expected more than 0`);
  let done = 0;
  let allowance = 0;
  let last = performance.now();
  while (done < total) {
    signal?.throwIfAborted();
    const now = performance.now();
    // After a pause (a busy machine, a waiting `send`) at most a tenth of a second is caught up with.
    allowance = Math.min(allowance + ((now - last) / 1_000) * ratePerSecond, Math.max(1, ratePerSecond / 10));
    if (ratePerSecond === Infinity) allowance = burst;
    last = now;
    const count = Math.min(Math.floor(allowance), burst, total - done);
    if (count === 0) {
      await delay(Math.min(1_000, Math.max(tickMs, ((1 - allowance) / ratePerSecond) * 1_000)), undefined, {
        signal,
      });
      continue;
    }
    await send(done, done + count);
    done += count;
    allowance -= count;
    // Lets incoming messages (answers, closes) be handled between two bursts.
    await new Promise(setImmediate);
  }
}
