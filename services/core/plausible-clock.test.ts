import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { assertPlausibleClock, ImplausibleClockError } from "./plausible-clock.ts";
import { toInstant } from "./time.ts";

const ingested = Date.parse("2026-02-27T15:00:00Z");
const dayMs = 24 * 3_600_000;
const event = (observedMs: number) => ({
  observed_at: toInstant(observedMs),
  ingested_at: toInstant(ingested),
});

test("a clock within the limits passes, one beyond them is named with both times", () => {
  fc.assert(
    fc.property(
      fc.double({ min: -4_000, max: 4_000, noNaN: true }),
      fc.integer({ min: 1, max: 3_650 }),
      (days, age) => {
        const observed = Math.round(ingested + days * dayMs);
        const check = () => assertPlausibleClock(event(observed), age);
        if (observed >= ingested - age * dayMs && observed <= ingested + dayMs) check();
        else assert.throws(check, ImplausibleClockError);
      },
    ),
  );
  for (const [years, words] of [
    [10, /observed_at 2036-.* days after ingested_at 2026-02-27T15:00:00.000Z/],
    [-10, /observed_at 2016-.* days before ingested_at .*at most 7 before \(MAX_EVENT_AGE_DAYS\)/],
  ] as const) {
    assert.throws(() => assertPlausibleClock(event(ingested + years * 365.25 * dayMs), 7), words);
  }
});

test("a leap second is a time", () => {
  assertPlausibleClock({ observed_at: "2016-12-31T23:59:60.5Z", ingested_at: "2017-01-01T00:00:01Z" }, 1);
});
