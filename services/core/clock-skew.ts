/** How far two clocks are apart, from what a server says of its time. */
import { setTimeout as delay } from "node:timers/promises";

/** What a server said of its time, and between which two moments of our own clock; all in milliseconds since 1970. */
export interface TimeAnswer {
  theirs: number;
  askedAt: number;
  answeredAt: number;
}

/** HTTP's `Date` counts whole seconds. */
export const httpDateResolutionMs = 1_000;

/**
 * By how much our clock is ahead of theirs, in milliseconds (negative: behind), as far as that is certain: their time
 * belongs to some moment between question and answer, and to some moment of the unit that it was cut to.
 */
export function certainSkewMs({ theirs, askedAt, answeredAt }: TimeAnswer, resolutionMs: number): number {
  const ahead = askedAt - (theirs + resolutionMs);
  const behind = answeredAt - theirs;
  return ahead > 0 ? ahead : behind < 0 ? behind : 0;
}

/** Looks spread over a second: what falls shortly before or after their clock's tick tells the most. */
const looks = 4;
const betweenLooksMs = 270;

/** Asks a few times. @returns the largest {@link certainSkewMs}. @throws whatever `ask` throws; the signal's reason */
export async function measureSkewMs(
  ask: () => Promise<TimeAnswer>,
  signal: AbortSignal,
  resolutionMs = httpDateResolutionMs,
): Promise<number> {
  let most = 0;
  for (let look = 0; look < looks; look += 1) {
    if (look > 0) await delay(betweenLooksMs, undefined, { signal });
    const skew = certainSkewMs(await ask(), resolutionMs);
    if (Math.abs(skew) > Math.abs(most)) most = skew;
  }
  return most;
}
