/** Waiting for a moment of the calendar: told now and then, and ended by the run's signal. */
import { setTimeout as delay } from "node:timers/promises";
import type { ClusterParts } from "../cluster/parts.ts";

/** Passes a while; a rehearsal of many days moves its clock ahead instead. Rejects with the signal's reason. */
export type Pause = (milliseconds: number, signal: AbortSignal) => Promise<void>;

/** The machine's own time. */
export const realPause: Pause = async (milliseconds, signal) => {
  await delay(milliseconds, undefined, { signal }).catch(() => signal.throwIfAborted());
};

/** Longest time between two looks at the clock: a machine that slept wakes up late. */
const longestPauseMs = 30_000;

/** How often it is told, in milliseconds: hours may pass. */
const toldEveryMs = 300_000;

/** Waits until a moment; at once when it is past. @param what for people: what is waited for. */
export async function waitUntil(
  { now, reporter, signal }: Pick<ClusterParts, "now" | "reporter" | "signal">,
  moment: Date,
  what: string,
  pause: Pause,
): Promise<void> {
  const left = (): number => moment.getTime() - now().getTime();
  if (left() > 0)
    reporter.note(`waiting for ${what} at ${moment.toISOString()}, ${inWords(left())} from now`);
  let toldAt = left();
  for (let rest = left(); rest > 0; rest = left()) {
    if (toldAt - rest >= toldEveryMs) {
      toldAt = rest;
      reporter.note(`waiting for ${what}: ${inWords(rest)} left`);
    }
    await pause(Math.min(rest, longestPauseMs), signal);
    signal.throwIfAborted();
  }
}

/** A span of time for people: `1 h 5 min`, `12 min`, `40 s`. */
export function inWords(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1_000));
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
