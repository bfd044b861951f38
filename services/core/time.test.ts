import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { fromInstant, instantString, toInstant } from "./time.ts";

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
