import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { longestChain } from "./chain.ts";

const object = (first: number, last: number) => ({ first: BigInt(first), last: BigInt(last) });
const print = (chain: readonly { first: bigint; last: bigint }[]) =>
  chain.map(({ first, last }) => `${first}-${last}`);

test("objects follow each other without a gap; what does not connect is left out", () => {
  assert.deepEqual(print(longestChain([object(10, 19), object(0, 9), object(30, 39)], 0n)), ["0-9", "10-19"]);
  assert.deepEqual(print(longestChain([object(10, 19)], 0n)), []);
  assert.deepEqual(print(longestChain([object(10, 19)])), ["10-19"]);
  assert.deepEqual(print(longestChain([], 0n)), []);
});

test("of two archivers' cuts the one that leads furthest is taken, not the largest first object", () => {
  const objects = [object(0, 14), object(0, 9), object(10, 19), object(20, 29)];
  assert.deepEqual(print(longestChain(objects, 0n)), ["0-9", "10-19", "20-29"]);
});

test("whatever cuts there are, the chain is gapless and as long as possible", () => {
  const cut = fc.tuple(fc.nat(12), fc.nat(4)).map(([first, length]) => object(first, first + length));
  fc.assert(
    fc.property(fc.array(cut, { maxLength: 25 }), (objects) => {
      const chain = longestChain(objects, 0n);
      let next = 0n;
      for (const { first, last } of chain) {
        assert.equal(first, next);
        next = last + 1n;
      }
      // Everything that can be reached, the slow way.
      const reached = new Set([0n]);
      for (let grown = true; grown;) {
        const more = objects.filter(({ first, last }) => reached.has(first) && !reached.has(last + 1n));
        for (const { last } of more) reached.add(last + 1n);
        grown = more.length > 0;
      }
      assert.equal(
        next,
        [...reached].reduce((a, b) => (b > a ? b : a)),
      );
    }),
  );
});
