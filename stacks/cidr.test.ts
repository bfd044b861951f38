import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { type Cidr, coverTheInternet, parseCidr } from "./cidr.ts";

test("networks are taken apart", () => {
  const taken = (text: string) => {
    const { family, prefix, hostBitsAreZero } = parseCidr(text) as Cidr;
    return { family, prefix, hostBitsAreZero };
  };
  assert.deepEqual(taken("203.0.113.0/24"), { family: 4, prefix: 24, hostBitsAreZero: true });
  assert.deepEqual(taken("203.0.113.7/24"), { family: 4, prefix: 24, hostBitsAreZero: false });
  assert.deepEqual(taken("0.0.0.0/0"), { family: 4, prefix: 0, hostBitsAreZero: true });
  assert.deepEqual(taken("2001:db8::/32"), { family: 6, prefix: 32, hostBitsAreZero: true });
  assert.deepEqual(taken("2001:db8::1/32"), { family: 6, prefix: 32, hostBitsAreZero: false });
  assert.deepEqual(taken("::/0"), { family: 6, prefix: 0, hostBitsAreZero: true });
  assert.deepEqual(taken("::ffff:192.0.2.1/128"), { family: 6, prefix: 128, hostBitsAreZero: true });
});

test("a network reaches from its first address to its last", () => {
  const { first, last } = parseCidr("203.0.113.7/24") as Cidr;
  assert.deepEqual([first, last], [0xcb007100n, 0xcb0071ffn]);
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

const cover = (...texts: string[]) => coverTheInternet(texts.map((text) => parseCidr(text) as Cidr));

test("networks that together leave nearly nobody out are as good as the whole internet", () => {
  assert.equal(cover("0.0.0.0/0"), true);
  assert.equal(cover("::/0"), true);
  assert.equal(cover("0.0.0.0/1", "128.0.0.0/1"), true);
  assert.equal(cover("2000::/3"), true, "all that IPv6 has given out");
  assert.equal(cover("0.0.0.0/2", "203.0.113.0/24"), true);
  assert.equal(cover("203.0.113.0/24", "2001:db8::/32", "10.0.0.0/8", "127.0.0.0/8"), false);
  assert.equal(cover("16.0.0.0/4"), false, "a sixteenth, and not more");
  assert.equal(cover("16.0.0.0/4", "32.0.0.0/32"), true, "one address more");
  assert.equal(cover("16.0.0.0/4", "17.0.0.0/8", "16.0.0.0/4"), false, "what is named twice counts once");
  assert.equal(cover("fc00::/7"), false, "local addresses are none of the internet's");
  assert.equal(cover(), false);
});

const network4 = fc
  .tuple(fc.nat(0xffffffff), fc.integer({ min: 1, max: 8 }))
  .map(([bits, prefix]) => `${[24, 16, 8, 0].map((shift) => (bits >>> shift) & 255).join(".")}/${prefix}`);

test("a union is judged by the addresses in it, however it is cut and ordered", () => {
  // The networks are no smaller than /8, so that 256 blocks tell exactly how much is covered.
  fc.assert(
    fc.property(fc.array(network4, { maxLength: 12 }), (texts) => {
      const blocks = new Set<number>();
      for (const text of texts) {
        const [address = "", prefix = ""] = text.split("/");
        const size = 2 ** (8 - Number(prefix));
        const from = Math.floor(Number(address.split(".")[0]) / size) * size;
        for (let block = from; block < from + size; block += 1) blocks.add(block);
      }
      assert.equal(cover(...texts), blocks.size > 16);
      assert.equal(cover(...texts.toReversed()), blocks.size > 16);
    }),
  );
});

test("cutting a network in two changes nothing, in either family", () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: 0n, max: 0xffffn }),
      fc.integer({ min: 0, max: 12 }),
      fc.boolean(),
      (bits, prefix, isOld) => {
        const width = isOld ? 32n : 128n;
        const network = (first: bigint, length: number) => {
          const masked = (first >> (width - BigInt(length))) << (width - BigInt(length));
          const hex = masked.toString(16).padStart(Number(width) / 4, "0");
          const text = isOld
            ? (hex.match(/../g) ?? []).map((byte) => parseInt(byte, 16)).join(".")
            : (hex.match(/..../g) ?? []).join(":");
          return `${text}/${length}`;
        };
        const address = bits << (width - 16n);
        const other = address ^ (1n << (width - BigInt(prefix) - 1n));
        assert.equal(
          cover(network(address, prefix)),
          cover(network(address, prefix + 1), network(other, prefix + 1)),
        );
      },
    ),
  );
});
