import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { businessDateAt, sessionOf } from "../../services/core/exchange-calendar.ts";
import {
  nextTradingDay,
  NoTradingDayError,
  type Schedule,
  type TradingDay,
  tradingDayAt,
  tradingDayOf,
} from "./trading-day.ts";
import { plusDays } from "./zoned-time.ts";

const dev: Schedule = {
  open: "09:00",
  timeZone: "America/New_York",
  openHours: 2,
  mostDaysPerMonth: 22,
  earlyCloseMarginMinutes: 120,
  leadMinutes: 30,
  deadlineMinutes: 90,
};
const { mostDaysPerMonth: _, ...uncapped } = dev;
const prod: Schedule = { ...uncapped, open: "08:00", openHours: 10 };

/** The times of a day, in UTC. */
function times(day: TradingDay | undefined): Record<string, string> | undefined {
  if (day === undefined) return undefined;
  const { beginsAt, opensAt, bell, closesAt, deadline } = day;
  const all = { beginsAt, opensAt, bell, closesAt, deadline };
  return Object.fromEntries(Object.entries(all).map(([name, at]) => [name, at.toISOString().slice(0, 16)]));
}

function daysOf(first: string, last: string, schedule: Schedule): TradingDay[] {
  const days: TradingDay[] = [];
  for (let date = first; date <= last; date = plusDays(date, 1)) {
    const day = tradingDayOf(date, schedule, sessionOf);
    if (day !== undefined) days.push(day);
  }
  return days;
}

describe("a stack's day", () => {
  test("follows New York's clocks through the seasons", () => {
    assert.deepEqual(times(tradingDayOf("2025-03-07", dev, sessionOf)), {
      beginsAt: "2025-03-07T13:30",
      opensAt: "2025-03-07T14:00",
      bell: "2025-03-07T14:30",
      closesAt: "2025-03-07T16:00",
      deadline: "2025-03-07T17:30",
    });
    assert.deepEqual(times(tradingDayOf("2025-03-10", dev, sessionOf)), {
      beginsAt: "2025-03-10T12:30",
      opensAt: "2025-03-10T13:00",
      bell: "2025-03-10T13:30",
      closesAt: "2025-03-10T15:00",
      deadline: "2025-03-10T16:30",
    });
  });

  test("in another zone keeps that zone's time, whatever the bell does in between", () => {
    const prague = { ...dev, open: "15:00", timeZone: "Europe/Prague" };
    // New York has summer time, Prague has not yet: the bell comes an hour earlier there.
    const between = times(tradingDayOf("2025-03-28", prague, sessionOf));
    assert.deepEqual([between?.["opensAt"], between?.["bell"]], ["2025-03-28T14:00", "2025-03-28T13:30"]);
    const after = times(tradingDayOf("2025-03-31", prague, sessionOf));
    assert.deepEqual([after?.["opensAt"], after?.["bell"]], ["2025-03-31T13:00", "2025-03-31T13:30"]);
  });

  test("far to the east begins on the date that its own clocks show", () => {
    const tokyo = { ...dev, open: "22:00", timeZone: "Asia/Tokyo" };
    assert.equal(times(tradingDayOf("2025-10-14", tokyo, sessionOf))?.["opensAt"], "2025-10-14T13:00");
    const auckland = { ...dev, open: "02:00", timeZone: "Pacific/Auckland" };
    assert.equal(times(tradingDayOf("2025-10-14", auckland, sessionOf))?.["opensAt"], "2025-10-14T13:00");
  });

  test("ends some time after an early close, if that comes first", () => {
    const half = tradingDayOf("2025-11-28", prod, sessionOf);
    assert.equal(half?.closesEarly, true);
    assert.equal(half?.bellClose.toISOString(), "2025-11-28T18:00:00.000Z");
    assert.equal(times(half)?.["closesAt"], "2025-11-28T20:00");
    assert.equal(times(half)?.["deadline"], "2025-11-28T21:30");
    assert.equal(times(tradingDayOf("2025-11-26", prod, sessionOf))?.["closesAt"], "2025-11-26T23:00");
    assert.equal(times(tradingDayOf("2025-11-28", dev, sessionOf))?.["closesAt"], "2025-11-28T16:00");
  });

  test("is none when an early close ends it before it begins, and is not counted", () => {
    const afternoon = { ...dev, open: "15:00", mostDaysPerMonth: 19 };
    assert.equal(tradingDayOf("2025-11-28", afternoon, sessionOf), undefined);
    assert.notEqual(tradingDayOf("2025-11-26", afternoon, sessionOf), undefined);
    // November 2025 has 19 sessions, 18 of them whole.
    assert.equal(daysOf("2025-11-01", "2025-11-30", afternoon).length, 18);
    assert.equal(daysOf("2025-11-01", "2025-11-30", { ...afternoon, mostDaysPerMonth: 17 }).length, 17);
  });

  test("is none on weekends, holidays and closures at short notice", () => {
    for (const date of ["2025-10-18", "2025-10-19", "2025-11-27", "2025-12-25", "2025-04-18", "2025-01-09"])
      assert.equal(tradingDayOf(date, prod, sessionOf), undefined, date);
  });

  test("is none beyond the days that a month may have", () => {
    // October 2025 has 23 sessions.
    const days = daysOf("2025-10-01", "2025-10-31", dev);
    assert.equal(days.length, 22);
    assert.equal(days.at(-1)?.date, "2025-10-30");
    assert.equal(daysOf("2025-10-01", "2025-10-31", prod).length, 23);
    assert.equal(nextTradingDay(new Date("2025-10-30T20:00:00Z"), dev, sessionOf).date, "2025-11-03");
  });

  test("holds from its beginning to its deadline", () => {
    const at = (text: string) => tradingDayAt(new Date(text), dev, sessionOf)?.date;
    assert.equal(at("2025-10-14T12:29:59Z"), undefined);
    assert.equal(at("2025-10-14T12:30:00Z"), "2025-10-14");
    assert.equal(at("2025-10-14T16:30:00Z"), "2025-10-14");
    assert.equal(at("2025-10-14T16:30:01Z"), undefined);
    // Past midnight in New York it is still the day before.
    const late = { ...prod, open: "15:00", openHours: 9 };
    assert.equal(tradingDayAt(new Date("2025-10-15T05:00:00Z"), late, sessionOf)?.date, "2025-10-14");
  });

  test("cannot be found where the calendar knows no session", () => {
    assert.throws(
      () => nextTradingDay(new Date("2025-10-14T12:00:00Z"), dev, () => undefined),
      NoTradingDayError,
    );
  });
});

/** Schedules of US and European zones, each short enough that days do not overlap. */
const schedules = fc
  .record({
    open: fc.tuple(fc.integer({ min: 0, max: 23 }), fc.integer({ min: 0, max: 59 })),
    timeZone: fc.constantFrom(
      "America/New_York",
      "America/Los_Angeles",
      "Europe/Prague",
      "Europe/London",
      "UTC",
    ),
    openHours: fc.integer({ min: 1, max: 18 }),
    mostDaysPerMonth: fc.option(fc.integer({ min: 1, max: 23 }), { nil: undefined }),
    earlyCloseMarginMinutes: fc.integer({ min: 0, max: 600 }),
    leadMinutes: fc.integer({ min: 5, max: 100 }),
    deadlineMinutes: fc.integer({ min: 15, max: 200 }),
  })
  .map(({ open, mostDaysPerMonth, ...others }): Schedule => ({
    ...others,
    open: open.map((part) => String(part).padStart(2, "0")).join(":"),
    ...(mostDaysPerMonth === undefined ? {} : { mostDaysPerMonth }),
  }));
/** Months with both changes of the clocks in the US and in Europe, with half days and with holidays. */
const months = fc.constantFrom(
  "2025-03",
  "2025-10",
  "2025-11",
  "2026-03",
  "2026-07",
  "2026-11",
  "2026-12",
  "2027-03",
);

/** As a person would read it off a clock there; not by what is tested. */
const clock = (at: Date, timeZone: string): string =>
  at.toLocaleTimeString("en-GB", { timeZone, hour: "2-digit", minute: "2-digit" });

describe("on every schedule", () => {
  test("each day is in order, begins by the stack's clocks, has a session and is one of so many in its month", () => {
    fc.assert(
      fc.property(schedules, months, (schedule, month) => {
        const days = daysOf(`${month}-01`, `${month}-31`.replace("11-31", "11-30"), schedule);
        for (const day of days) {
          assert.ok(day.beginsAt < day.opensAt && day.opensAt < day.closesAt && day.closesAt <= day.deadline);
          assert.equal(clock(day.opensAt, schedule.timeZone), schedule.open);
          const session = sessionOf(day.date);
          assert.ok(session !== undefined, day.date);
          assert.deepEqual([day.bell, day.bellClose], [session.open, session.close]);
          if (!day.closesEarly && !sessionOf(plusDays(day.date, -1))?.closesEarly)
            assert.equal(businessDateAt(day.opensAt), day.date);
        }
        assert.ok(days.length <= (schedule.mostDaysPerMonth ?? 23));
      }),
      { numRuns: 30 },
    );
  });

  test("days do not overlap, each moment of one belongs to it, and the next one is the first that opens later", () => {
    fc.assert(
      fc.property(schedules, months, fc.double({ min: 0, max: 1, noNaN: true }), (schedule, month, part) => {
        const days = daysOf(`${month}-01`, plusDays(`${month}-01`, 45), schedule);
        days.forEach((day, index) => {
          const next = days[index + 1];
          if (next !== undefined) assert.ok(day.deadline < next.beginsAt);
        });
        const day = days[Math.floor(part * (days.length - 1))] as TradingDay;
        const [begin, end] = [day.beginsAt.getTime(), day.deadline.getTime()];
        for (const at of [begin, begin + Math.floor(part * (end - begin)), end])
          assert.deepEqual(tradingDayAt(new Date(at), schedule, sessionOf), day);
        assert.notEqual(tradingDayAt(new Date(begin - 1), schedule, sessionOf)?.date, day.date);
        assert.notEqual(tradingDayAt(new Date(end + 1), schedule, sessionOf)?.date, day.date);
        for (const after of [new Date(day.opensAt.getTime() - 1), day.opensAt, day.deadline]) {
          const next = nextTradingDay(after, schedule, sessionOf);
          assert.ok(next.opensAt > after);
          const expected = days.find(({ opensAt }) => opensAt > after);
          if (expected !== undefined) assert.deepEqual(next, expected);
        }
      }),
      { numRuns: 30 },
    );
  });
});
