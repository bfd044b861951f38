import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Backoff } from "./backoff.ts";

test("pauses double up to the longest, with jitter of half, and begin anew after a success", () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0, max: 0.999, noNaN: true }), { minLength: 1, maxLength: 50 }),
      (dice) => {
        let at = 0;
        const backoff = new Backoff({ first: 100, longest: 5_000 }, () => dice[at] ?? 0);
        for (at = 0; at < dice.length; at += 1) {
          const full = Math.min(5_000, 100 * 2 ** at);
          const pause = backoff.next();
          assert.ok(pause >= full / 2 && pause <= full, `${pause} of ${full}`);
        }
        backoff.reset();
        assert.ok(backoff.next() <= 100);
      },
    ),
  );
});
