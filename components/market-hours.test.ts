import assert from "node:assert/strict";
import test from "node:test";
import { marketHours } from "./market-hours.ts";

const moment = (seconds: number) => new Date(seconds * 1000).toISOString();

test("half past nine to four in New York, in summer, in winter and on the days the clocks change", () => {
  for (const [date, opens, closes] of [
    ["2025-07-01", "13:30", "20:00"],
    ["2025-12-01", "14:30", "21:00"],
    ["2025-03-10", "13:30", "20:00"],
    ["2025-03-07", "14:30", "21:00"],
    ["2025-11-03", "14:30", "21:00"],
    // A Sunday on which the clocks change in the night.
    ["2025-11-02", "14:30", "21:00"],
  ] as const) {
    const hours = marketHours(date);
    assert.equal(moment(hours.opensAt), `${date}T${opens}:00.000Z`);
    assert.equal(moment(hours.closesAt), `${date}T${closes}:00.000Z`);
  }
});
