import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { parseCidr } from "./cidr.ts";

test("networks are taken apart", () => {
  assert.deepEqual(parseCidr("203.0.113.0/24"), { family: 4, prefix: 24, hostBitsAreZero: true });
  assert.deepEqual(parseCidr("203.0.113.7/24"), { family: 4, prefix: 24, hostBitsAreZero: false });
  assert.deepEqual(parseCidr("0.0.0.0/0"), { family: 4, prefix: 0, hostBitsAreZero: true });
  assert.deepEqual(parseCidr("2001:db8::/32"), { family: 6, prefix: 32, hostBitsAreZero: true });
  assert.deepEqual(parseCidr("2001:db8::1/32"), { family: 6, prefix: 32, hostBitsAreZero: false });
  assert.deepEqual(parseCidr("::/0"), { family: 6, prefix: 0, hostBitsAreZero: true });
  assert.deepEqual(parseCidr("::ffff:192.0.2.1/128"), { family: 6, prefix: 128, hostBitsAreZero: true });
});

test("what is not a network is none", () => {
  for (const text of [
    "",
    "203.0.113.7",
    "203.0.113.0/33",
    "203.0.113/24",
    "256.0.0.0/8",
    "::/129",
    "a/8",
    "10.0.0.0/ 8",
    "10.0.0.0/-1",
  ]) {
    assert.equal(parseCidr(text), undefined, text);
  }
});

test("an IPv4 address has no bits behind its prefix exactly when masking changes nothing", () => {
  fc.assert(
    fc.property(fc.nat(0xffffffff), fc.integer({ min: 0, max: 32 }), (bits, prefix) => {
      const address = [24, 16, 8, 0].map((shift) => (bits >>> shift) & 255).join(".");
      const masked = prefix === 0 ? 0 : (bits & (0xffffffff << (32 - prefix))) >>> 0;
      assert.equal(parseCidr(`${address}/${prefix}`)?.hostBitsAreZero, masked === bits >>> 0);
    }),
  );
});
