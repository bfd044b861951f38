/** The time in which providers wait: between two looks at an action, before a repetition. */
import { setTimeout as delay } from "node:timers/promises";

/** A clock that providers pause by. */
export interface EngineClock {
  /**
   * Waits; ends early, without an error, when the signal comes.
   * @param milliseconds of this clock
   */
  pause(milliseconds: number, signal?: AbortSignal): Promise<unknown>;
}

/** The time of day. */
export const realClock: EngineClock = {
  pause: (milliseconds, signal) =>
    delay(milliseconds, undefined, signal === undefined ? {} : { signal }).catch(() => undefined),
};
