import assert from "node:assert/strict";
import { test } from "node:test";
import { outlivesTheNight } from "./service.ts";

test("only an order whose deadline lies behind the next session's opening may be left resting", () => {
  // A Friday's close; the next session opens on Monday at 9:30 in New York.
  const close = Date.parse("2025-10-17T20:05:00Z");
  const may = (deadline: string): boolean => outlivesTheNight({ deadline }, close);
  assert.equal(may("2025-10-17T20:06:00.000Z"), false);
  assert.equal(may("2025-10-20T13:30:00.000Z"), false);
  assert.equal(may("2025-10-20T13:30:00.001Z"), true);
  // At noon of a session it is the next day's that counts: nobody may be there this afternoon.
  assert.equal(
    outlivesTheNight({ deadline: "2025-10-17T19:00:00.000Z" }, Date.parse("2025-10-17T16:00:00Z")),
    false,
  );
});
