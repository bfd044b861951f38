import assert from "node:assert/strict";
import { test } from "node:test";
import { Decimal } from "decimal.js";
import fc from "fast-check";
import {
  calendarDay,
  calendarMonth,
  costWithin,
  type Rate,
  startedHours,
  startedHoursWithin,
} from "./billing.ts";

const rate: Rate = { hourly: new Decimal("0.0569"), monthly: new Decimal("35.49") };
const use = (from: string, to: string) => ({ from: new Date(from), to: new Date(to) });
const november = calendarMonth("2026-11");

test("started hours: the first from the beginning on, a full hour is one", () => {
  assert.equal(startedHours(use("2026-11-02T13:30:00Z", "2026-11-02T13:30:00Z")), 1);
  assert.equal(startedHours(use("2026-11-02T13:30:00Z", "2026-11-02T14:30:00Z")), 1);
  assert.equal(startedHours(use("2026-11-02T13:30:00Z", "2026-11-02T14:30:00.001Z")), 2);
});

test("an hour belongs to the day and the month in which it starts", () => {
  const overMidnight = use("2026-11-30T22:30:00Z", "2026-12-01T01:00:00Z");
  assert.equal(startedHoursWithin(overMidnight, november), 2);
  assert.equal(startedHoursWithin(overMidnight, calendarMonth("2026-12")), 1);
  assert.equal(startedHoursWithin(overMidnight, calendarDay(new Date("2026-12-01T12:00:00Z"))), 1);
  assert.equal(costWithin(rate, overMidnight, november).toFixed(), "0.1138");
});

test("no month costs more than its cap, and the days that reach it first pay", () => {
  const always = use("2026-10-15T00:00:00Z", "2026-12-15T00:00:00Z");
  assert.equal(costWithin(rate, always, november).toFixed(), "35.49");
  const last = costWithin(rate, always, calendarDay(new Date("2026-11-30T00:00:00Z")));
  assert.equal(last.toFixed(), "0", "623.7 hours reach the cap");
  const first = costWithin(rate, always, calendarDay(new Date("2026-11-01T00:00:00Z")));
  assert.equal(first.toFixed(), "1.3656");
});

test("for any use: its days add up to its months", () => {
  const begin = Date.UTC(2026, 9, 20);
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 30 * 86_400 }),
      fc.integer({ min: 0, max: 70 * 86_400 }),
      (start, seconds) => {
        const from = new Date(begin + start * 1_000);
        const whole = { from, to: new Date(from.getTime() + seconds * 1_000) };
        const days = Array.from({ length: 30 }, (_, day) =>
          calendarDay(new Date(Date.UTC(2026, 10, day + 1))),
        );
        const byDay = days.reduce((sum, day) => sum.plus(costWithin(rate, whole, day)), new Decimal(0));
        assert.equal(byDay.toFixed(), costWithin(rate, whole, november).toFixed());
      },
    ),
    { numRuns: 50 },
  );
});
