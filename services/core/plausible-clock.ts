/**
 * Whether an event's own time can be true. A clock that is years off would pass for data of another day: strategies
 * would act on it, and files and reports by date would hold it where nobody looks.
 */
import type { Event } from "./envelope.ts";
import { fromInstant } from "./time.ts";

/** An event says that it happened at a time that cannot be. */
export class ImplausibleClockError extends Error {
  override readonly name = "ImplausibleClockError";
}

const dayMs = 24 * 3_600_000;

/**
 * How far ahead of our own clock a venue's may be. Clocks differ by seconds; a whole day forgives a time zone taken
 * for another one, which a person can still see through.
 */
const maximumAheadDays = 1;

/**
 * Compares when an event happened, by its source, with when we received it. What is old for good reason (a correction
 * of last week's trade) passes within `maximumAgeDays`; whether it is too old to trade on is the executor's question.
 * @param maximumAgeDays from the service's MAX_EVENT_AGE_DAYS, which historical sessions raise.
 * @throws ImplausibleClockError, for which the event belongs on the dead-letter topic.
 */
export function assertPlausibleClock(
  event: Pick<Event, "observed_at" | "ingested_at">,
  maximumAgeDays: number,
): void {
  const { observed_at, ingested_at } = event;
  const aheadDays = (fromInstant(observed_at) - fromInstant(ingested_at)) / dayMs;
  if (aheadDays >= -maximumAgeDays && aheadDays <= maximumAheadDays) return;
  const distance = `${Math.abs(aheadDays).toFixed(1)} days ${aheadDays > 0 ? "after" : "before"}`;
  throw new ImplausibleClockError(
    `observed_at ${observed_at} is ${distance} ` +
      `ingested_at ${ingested_at}, expected at most ${maximumAgeDays} before (MAX_EVENT_AGE_DAYS) and ` +
      `${maximumAheadDays} after. Look at the clocks of the venue and of the ingestor; for a historical session raise the limit.`,
  );
}
