import assert from "node:assert/strict";
import { test } from "node:test";
import { median, quantile, spread, summarize } from "./statistics.ts";

test("median of odd and even numbers of values, in any order", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.ok(Number.isNaN(median([])));
});

test("quantiles take an existing value and never leave the list", () => {
  const sorted = Array.from({ length: 100 }, (_, index) => index + 1);
  assert.equal(quantile(sorted, 0.5), 51);
  assert.equal(quantile(sorted, 0.99), 100);
  assert.equal(quantile(sorted, 1), 100);
  assert.ok(Number.isNaN(quantile([], 0.5)));
});

test("spread is relative to the median", () => {
  assert.equal(spread([9, 10, 11]), 0.2);
  assert.equal(spread([5]), 0);
});

test("a summary sorts first", () => {
  assert.deepEqual(summarize([5, 1, 9]), { samples: 3, p50: 5, p99: 9, max: 9 });
});
