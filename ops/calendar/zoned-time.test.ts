import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { plusDays, zonedInstant, zonedTime } from "./zoned-time.ts";

const iso = (date: string, time: string, zone: string): string =>
  zonedInstant(date, time, zone).toISOString();

test("clocks change with the season, in each zone at its own time", () => {
  // New York changed on 9 March 2025, Prague on 30 March.
  assert.equal(iso("2025-03-07", "09:00", "America/New_York"), "2025-03-07T14:00:00.000Z");
  assert.equal(iso("2025-03-10", "09:00", "America/New_York"), "2025-03-10T13:00:00.000Z");
  assert.equal(iso("2025-03-28", "15:00", "Europe/Prague"), "2025-03-28T14:00:00.000Z");
  assert.equal(iso("2025-03-31", "15:00", "Europe/Prague"), "2025-03-31T13:00:00.000Z");
  assert.equal(iso("2025-10-14", "00:30", "Asia/Kolkata"), "2025-10-13T19:00:00.000Z");
  assert.equal(iso("2025-10-14", "12:00", "UTC"), "2025-10-14T12:00:00.000Z");
});

test("a time that clocks pass over is as far behind the gap; one that they show twice is the first", () => {
  assert.equal(iso("2025-03-09", "02:30", "America/New_York"), "2025-03-09T07:30:00.000Z");
  assert.equal(iso("2025-11-02", "01:30", "America/New_York"), "2025-11-02T05:30:00.000Z");
  assert.equal(iso("2025-03-30", "02:30", "Europe/Prague"), "2025-03-30T01:30:00.000Z");
  assert.equal(iso("2025-10-26", "02:30", "Europe/Prague"), "2025-10-26T00:30:00.000Z");
  // Half an hour's change.
  assert.equal(iso("2025-10-05", "02:10", "Australia/Lord_Howe"), "2025-10-04T15:40:00.000Z");
});

test("every instant is found again by what clocks show, except in the hour that they show twice", () => {
  const zones = [
    "America/New_York",
    "Europe/Prague",
    "Asia/Tokyo",
    "Australia/Lord_Howe",
    "Pacific/Kiritimati",
  ];
  const minutes = { min: Date.UTC(2020, 0, 1) / 60_000, max: Date.UTC(2040, 0, 1) / 60_000 };
  fc.assert(
    fc.property(fc.integer(minutes), fc.constantFrom(...zones), (minute, zone) => {
      const instant = new Date(minute * 60_000);
      const { date, time, offset } = zonedTime(instant, zone);
      assert.equal(new Date(`${date}T${time}:00${offset}`).getTime(), instant.getTime());
      const again = zonedInstant(date, time, zone);
      if (again.getTime() === instant.getTime()) return;
      assert.ok(again < instant && instant.getTime() - again.getTime() <= 3_600_000);
      assert.deepEqual([date, time], [zonedTime(again, zone).date, zonedTime(again, zone).time]);
    }),
  );
});

test("days are added over the ends of months and years", () => {
  assert.equal(plusDays("2024-02-28", 1), "2024-02-29");
  assert.equal(plusDays("2025-01-01", -1), "2024-12-31");
});

test("a zone that does not exist is refused", () => {
  assert.throws(() => zonedInstant("2025-01-01", "09:00", "America/Springfield"), RangeError);
});
