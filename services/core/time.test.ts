import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { businessDate, fromInstant, instantString, toInstant } from "./time.ts";

test("the business date is New York's, in winter and in summer", () => {
  assert.equal(businessDate(new Date("2025-10-14T03:59:59Z")), "2025-10-13");
  assert.equal(businessDate(new Date("2025-10-14T04:00:00Z")), "2025-10-14");
  assert.equal(businessDate(new Date("2025-01-15T04:59:59Z")), "2025-01-14");
  assert.equal(businessDate(new Date("2025-01-15T05:00:00Z")), "2025-01-15");
});

test("instants survive being written and read", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4_102_444_800_000 }), (milliseconds) => {
      const instant = toInstant(milliseconds);
      assert.ok(instantString.safeParse(instant).success);
      assert.equal(fromInstant(instant), milliseconds);
    }),
  );
});

test("nanoseconds are kept as text, other zones and formats are refused", () => {
  assert.ok(instantString.safeParse("2025-10-14T13:30:00.123456789Z").success);
  assert.equal(fromInstant("2025-10-14T13:30:00.123456789Z"), Date.UTC(2025, 9, 14, 13, 30, 0, 123));
  for (const wrong of [
    "2025-10-14T13:30:00+02:00",
    "2025-10-14",
    "2025-13-14T13:30:00Z",
    "2025-10-14T24:00:00Z",
  ]) {
    assert.ok(!instantString.safeParse(wrong).success, wrong);
  }
});
