import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  containsAddress,
  containsRange,
  formatAddress,
  formatRange,
  isNetworkRange,
  lastAddress,
  overlaps,
  parseAddress,
  parseRange,
  type Range,
} from "./addresses.ts";

const address = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const range: fc.Arbitrary<Range> = fc
  .tuple(address, fc.integer({ min: 0, max: 32 }))
  .map(([number, bits]) => {
    const size = 2 ** (32 - bits);
    return { first: Math.floor(number / size) * size, bits };
  });

test("addresses and ranges survive being written and read", () => {
  fc.assert(fc.property(address, (number) => parseAddress(formatAddress(number)) === number));
  fc.assert(
    fc.property(range, (one) => {
      assert.deepEqual(parseRange(formatRange(one)), one);
      assert.ok(isNetworkRange(formatRange(one)));
    }),
  );
});

test("a range contains its ends and overlaps exactly what shares an address with it", () => {
  fc.assert(
    fc.property(range, range, (one, other) => {
      assert.ok(containsAddress(one, one.first) && containsAddress(one, lastAddress(one)));
      assert.ok(!containsAddress(one, lastAddress(one) + 1));
      // Ranges with masks lie in each other or apart.
      assert.equal(overlaps(one, other), containsRange(one, other) || containsRange(other, one));
      assert.equal(overlaps(one, other), overlaps(other, one));
    }),
  );
});

test("what is no range is refused: host bits, missing or wrong masks", () => {
  for (const text of ["10.0.0.1/8", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "a/8", "10.0.0.0/8/8", ""]) {
    assert.equal(parseRange(text), undefined, text);
    assert.equal(isNetworkRange(text), false, text);
  }
  for (const text of ["::/0", "2001:db8::/32", "fe80::1/128", "0.0.0.0/0"])
    assert.ok(isNetworkRange(text), text);
  for (const text of ["2001:db8::1/32", "::/129", "::1", "::g/64"])
    assert.equal(isNetworkRange(text), false, text);
});
