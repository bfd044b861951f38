/** The calendar that services go by and the one of the lab's Alpaca were written apart and must say the same. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { calendarYears, newYorkInstant, tradingDays } from "../lab/venues/alpaca/calendar.ts";
import { sessionOf } from "../services/core/exchange-calendar.ts";

test("both calendars have the same sessions with the same hours", () => {
  const theirs = new Map(
    tradingDays(`${calendarYears.first}-01-01`, `${calendarYears.last}-12-31`).map((day) => [day.date, day]),
  );
  assert.ok(theirs.size > 2_700);
  const end = Date.UTC(calendarYears.last + 1, 0, 1);
  for (let day = Date.UTC(calendarYears.first, 0, 1); day < end; day += 24 * 3_600_000) {
    const date = new Date(day).toISOString().slice(0, 10);
    const expected = theirs.get(date);
    const session = sessionOf(date);
    assert.deepEqual(session?.open, expected && newYorkInstant(date, expected.open), date);
    assert.deepEqual(session?.close, expected && newYorkInstant(date, expected.close), date);
  }
});
