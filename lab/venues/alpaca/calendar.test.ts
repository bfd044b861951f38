import assert from "node:assert/strict";
import { test } from "node:test";
import { newYorkInstant, newYorkTime, tradingDays } from "./calendar.ts";

/** Weekdays without trading, as the exchange published them. */
const closedDays: Record<number, string[]> = {
  2020: ["01-01", "01-20", "02-17", "04-10", "05-25", "07-03", "09-07", "11-26", "12-25"],
  2021: ["01-01", "01-18", "02-15", "04-02", "05-31", "07-05", "09-06", "11-25", "12-24"],
  2022: ["01-17", "02-21", "04-15", "05-30", "06-20", "07-04", "09-05", "11-24", "12-26"],
  2023: ["01-02", "01-16", "02-20", "04-07", "05-29", "06-19", "07-04", "09-04", "11-23", "12-25"],
  2024: ["01-01", "01-15", "02-19", "03-29", "05-27", "06-19", "07-04", "09-02", "11-28", "12-25"],
  2025: ["01-01", "01-09", "01-20", "02-17", "04-18", "05-26", "06-19", "07-04", "09-01", "11-27", "12-25"],
  2026: ["01-01", "01-19", "02-16", "04-03", "05-25", "06-19", "07-03", "09-07", "11-26", "12-25"],
  2027: ["01-01", "01-18", "02-15", "03-26", "05-31", "06-18", "07-05", "09-06", "11-25", "12-24"],
  2028: ["01-17", "02-21", "04-14", "05-29", "06-19", "07-04", "09-04", "11-23", "12-25"],
};
/** Days that end at 13:00, as the exchange published them. */
const earlyDays: Record<number, string[]> = {
  2020: ["11-27", "12-24"],
  2021: ["11-26"],
  2022: ["11-25"],
  2023: ["07-03", "11-24"],
  2024: ["07-03", "11-29", "12-24"],
  2025: ["07-03", "11-28", "12-24"],
  2026: ["11-27", "12-24"],
  2027: ["11-26"],
  2028: ["07-03", "11-24"],
};

test("holidays and early closes are the published ones", () => {
  for (const year of Object.keys(closedDays).map(Number)) {
    const days = tradingDays(`${year}-01-01`, `${year}-12-31`);
    const open = new Set(days.map(({ date }) => date));
    const closed: string[] = [];
    for (let at = Date.UTC(year, 0, 1); at < Date.UTC(year + 1, 0, 1); at += 86_400_000) {
      const date = new Date(at);
      const day = date.toISOString().slice(0, 10);
      if (date.getUTCDay() % 6 !== 0 && !open.has(day)) closed.push(day.slice(5));
    }
    assert.deepEqual(closed, closedDays[year], String(year));
    assert.deepEqual(
      days.filter(({ close }) => close === "13:00").map(({ date }) => date.slice(5)),
      earlyDays[year],
      String(year),
    );
  }
});

test("spans are inclusive, and empty outside the years that the rules are right for", () => {
  assert.deepEqual(
    tradingDays("2025-07-02", "2025-07-07").map(({ date }) => date),
    ["2025-07-02", "2025-07-03", "2025-07-07"],
  );
  assert.deepEqual(tradingDays("2019-01-01", "2019-12-31"), []);
  assert.deepEqual(tradingDays("2031-01-01", "2031-12-31"), []);
});

test("New York's clocks change with the season", () => {
  assert.equal(newYorkInstant("2025-01-15", "09:30").toISOString(), "2025-01-15T14:30:00.000Z");
  assert.equal(newYorkInstant("2025-07-15", "09:30").toISOString(), "2025-07-15T13:30:00.000Z");
  assert.equal(newYorkTime(new Date("2025-07-15T13:30:00Z")), "2025-07-15T09:30:00-04:00");
  // The first trading day after the change in March.
  assert.equal(newYorkInstant("2025-03-10", "16:00").toISOString(), "2025-03-10T20:00:00.000Z");
});
