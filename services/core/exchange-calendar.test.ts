import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  businessDateAt,
  CalendarError,
  newYorkDate,
  type Session,
  sessionAt,
  sessionFrom,
  sessionOf,
} from "./exchange-calendar.ts";

/** As the exchange published them (nyse.com, "Holidays & Trading Hours"). */
const published = {
  closed: [
    ...[
      "2020-01-01",
      "2020-01-20",
      "2020-02-17",
      "2020-04-10",
      "2020-05-25",
      "2020-07-03",
      "2020-09-07",
      "2020-11-26",
    ],
    ...[
      "2020-12-25",
      "2021-01-01",
      "2021-04-02",
      "2021-07-05",
      "2021-12-24",
      "2022-06-20",
      "2022-12-26",
      "2023-01-02",
    ],
    ...[
      "2024-03-29",
      "2025-01-09",
      "2025-04-18",
      "2025-06-19",
      "2026-04-03",
      "2026-06-19",
      "2026-07-03",
      "2026-12-25",
    ],
    ...["2027-03-26", "2027-06-18", "2027-07-05", "2027-12-24", "2028-04-14", "2028-12-25"],
  ],
  early: [
    ...[
      "2020-11-27",
      "2020-12-24",
      "2021-11-26",
      "2022-11-25",
      "2023-07-03",
      "2023-11-24",
      "2024-07-03",
      "2024-11-29",
    ],
    ...[
      "2024-12-24",
      "2025-07-03",
      "2025-11-28",
      "2025-12-24",
      "2026-11-27",
      "2026-12-24",
      "2027-11-26",
      "2028-07-03",
    ],
  ],
  // Days that a rule of thumb would take for holidays or early closes.
  whole: [
    ...[
      "2021-06-18",
      "2021-07-02",
      "2021-12-31",
      "2022-07-01",
      "2022-12-23",
      "2023-10-09",
      "2023-11-10",
      "2026-07-02",
    ],
    ...["2027-12-31", "2027-07-02", "2027-12-23"],
  ],
};

test("sessions, holidays and early closes are those that the exchange published", () => {
  for (const date of published.closed) assert.equal(sessionOf(date), undefined, date);
  for (const date of published.early) assert.equal(sessionOf(date)?.closesEarly, true, date);
  for (const date of published.whole) assert.equal(sessionOf(date)?.closesEarly, false, date);
});

test("hours are New York's, in winter and in summer", () => {
  const winter = sessionOf("2025-01-15");
  assert.equal(winter?.open.toISOString(), "2025-01-15T14:30:00.000Z");
  assert.equal(winter.close.toISOString(), "2025-01-15T21:00:00.000Z");
  const early = sessionOf("2025-07-03");
  assert.equal(early?.extendedOpen.toISOString(), "2025-07-03T08:00:00.000Z");
  assert.equal(early.close.toISOString(), "2025-07-03T17:00:00.000Z");
  assert.equal(early.extendedClose.toISOString(), "2025-07-03T21:00:00.000Z");
});

test("the business date is that of the session which goes on or comes next", () => {
  const cases = {
    "2025-10-14T03:59:59Z": "2025-10-14", // Monday 23:59:59 in New York: Monday's session has ended
    "2025-10-13T23:59:59Z": "2025-10-13", // 19:59:59, the last second of Monday's extended hours
    "2025-10-14T00:00:00Z": "2025-10-14", // 20:00
    "2025-10-14T13:30:00Z": "2025-10-14",
    "2025-10-18T00:00:00Z": "2025-10-20", // Friday 20:00
    "2025-10-19T12:00:00Z": "2025-10-20", // Sunday
    "2025-07-03T20:59:59Z": "2025-07-03", // before the end of extended hours after an early close
    "2025-07-03T21:00:00Z": "2025-07-07", // a holiday and a weekend follow
    "2025-01-09T15:00:00Z": "2025-01-10", // closed at short notice
    "2025-12-25T15:00:00Z": "2025-12-26",
  };
  for (const [instant, date] of Object.entries(cases))
    assert.equal(businessDateAt(new Date(instant)), date, instant);
});

const instants = fc.date({ min: new Date("2020-01-04"), max: new Date("2040-12-01"), noInvalidDate: true });

/** The last session before a date. */
function sessionBefore(date: string): Session {
  for (let at = Date.parse(date); ;) {
    at -= 24 * 3_600_000;
    const session = sessionOf(new Date(at).toISOString().slice(0, 10));
    if (session !== undefined) return session;
  }
}

test("every instant belongs to exactly one session, and sessions follow each other", () => {
  fc.assert(
    fc.property(instants, (instant) => {
      const session = sessionAt(instant);
      const before = sessionBefore(session.date);
      assert.ok(before.extendedClose <= instant && instant < session.extendedClose);
      assert.ok(before.extendedClose < session.extendedOpen);
      assert.ok(session.open < session.close && session.close < session.extendedClose);
      // A holiday beside a weekend: never more than four days without a session.
      assert.ok(session.open.getTime() - before.open.getTime() <= 5 * 24 * 3_600_000);
      assert.equal(sessionFrom(session.date).date, session.date);
      if (session.extendedOpen <= instant) assert.equal(session.date, newYorkDate(instant));
    }),
  );
});

test("dates that are none, and years that are not known, are refused by name", () => {
  for (const wrong of ["2025-02-30", "today", "2025-1-1", ""])
    assert.throws(() => sessionOf(wrong), CalendarError);
  assert.throws(() => sessionOf("2019-12-31"), /2019-12-31: .* 2020 to 2040/);
  assert.throws(() => businessDateAt(new Date("2041-01-01T12:00:00Z")), CalendarError);
});
