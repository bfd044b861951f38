import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { baseUnits, ceil, compare, decimalString, floor, multiply } from "./decimal.ts";

const big = fc.bigInt({ min: 0n, max: 2n ** 256n - 1n });

test("amounts of 256 bits are multiplied and compared exactly", () => {
  fc.assert(
    fc.property(big, big, (a, b) => {
      assert.equal(multiply(String(a), String(b)), String(a * b));
      assert.equal(compare(String(a), String(b)), a < b ? -1 : a > b ? 1 : 0);
      assert.ok(baseUnits.safeParse(String(a)).success);
    }),
  );
});

test("rounding to whole units goes down or up, exactly", () => {
  fc.assert(
    fc.property(big, fc.integer({ min: 1, max: 999 }), (a, thousandths) => {
      const product = multiply(String(a), `0.${String(thousandths).padStart(3, "0")}`);
      const exact = a * BigInt(thousandths);
      assert.equal(floor(product), String(exact / 1_000n));
      assert.equal(ceil(product), String((exact + 999n) / 1_000n));
    }),
  );
});

test("only plain notation counts as a decimal number", () => {
  for (const good of ["0", "-1", "12.50", "0.000000000000000001"]) {
    assert.ok(decimalString.safeParse(good).success, good);
  }
  for (const wrong of ["", "01", "1.", ".5", "1e3", "+1", " 1", "NaN", "--1"]) {
    assert.ok(!decimalString.safeParse(wrong).success, wrong);
  }
  for (const wrong of ["-1", "1.0", "", "1".repeat(79)])
    assert.ok(!baseUnits.safeParse(wrong).success, wrong);
});
