import assert from "node:assert/strict";
import { createPublicKey, verify } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { decodeBase58, encodeBase58 } from "./base58.ts";
import { nep413Hash, nonceV1, readSigner, signNep413, uniqueOf, type SignedData } from "./signing.ts";

/** Verifies as the contract does. */
function isValid({ payload, public_key, signature }: SignedData): boolean {
  const key = createPublicKey({
    key: Buffer.concat([
      Buffer.from("302a300506032b6570032100", "hex"),
      decodeBase58(public_key.slice("ed25519:".length)),
    ]),
    format: "der",
    type: "spki",
  });
  const digest = nep413Hash({ ...payload, nonce: Buffer.from(payload.nonce, "base64") });
  return verify(null, digest, key, decodeBase58(signature.slice("ed25519:".length)));
}

/**
 * Both sides of a swap that settled on NEAR mainnet, transaction 8rEAAvvj1SNB7fn7aczUo79k4niyNVtDWkm6FMyDWAUb:
 * what the contract accepted, our hash must accept.
 */
const settled: SignedData[] = [
  {
    standard: "nep413",
    payload: {
      nonce: "XCkavXk45BCln15mDa50zMN+uWXqv6nVTFbY4vi3b9Y=",
      message:
        '{"signer_id":"1d3c4c1898200faa3273e06b1834098ec635c88e538aeceb095d18321861a970","deadline":"2025-09-23T14:42:10.476Z","intents":[{"intent":"token_diff","diff":{"nep141:17208628f84f5d6ad33f0da3bbbeb27ffcb398eac501a31bd6ad2011e36133a1":"999999000","nep141:wrap.near":"-327580166752348350287445024"}}]}',
      recipient: "intents.near",
    },
    signature:
      "ed25519:Scq7yw8YPWEwni9Rvy8R9pEFUCmscUSkRAu2LB9grPcr6L1NoNELBtiZZ58wm1cDrsgWForeaADkHnVmaqE6ULP",
    public_key: "ed25519:6Eb6wkNagkMg5EfZjo2AmStrUrxPKWLSHYDqVX7ofxtV",
  },
  {
    standard: "nep413",
    payload: {
      nonce: "7vX4hxEe9Hu5veUyivPWPxDHpYNsXzi7EG8bc05EIlA=",
      message:
        '{"signer_id":"foxboss.near","deadline":"2025-09-23T14:42:10.476Z","intents":[{"intent":"token_diff","diff":{"nep141:17208628f84f5d6ad33f0da3bbbeb27ffcb398eac501a31bd6ad2011e36133a1":"-1000000000","nep141:wrap.near":"327579839172181597939094736"}}]}',
      recipient: "intents.near",
    },
    signature:
      "ed25519:5Md212LF1YcemtoGCUPfB9sv1pijraj2VkKrFJscawXA7XXuVg6hvWTPcAvz2CuBH8Ns16Rmik1n7r9ySyyQJqWY",
    public_key: "ed25519:ESzYnUQTyVsNpk2u8ZHZ6q2MF8MHsuoKFRC4aqYAvcJD",
  },
];

test("signatures that mainnet accepted are valid for our hash, and not for another message", () => {
  for (const data of settled) {
    assert.ok(isValid(data));
    assert.ok(!isValid({ ...data, payload: { ...data.payload, recipient: "intents.far" } }));
  }
});

test("a nonce of version 1 is as the contract's README has it", () => {
  const nonce = nonceV1(
    Buffer.from("252812b3", "hex"),
    2_280_047_743_000,
    Buffer.from("027015ec13dc11864973138fe6812f", "hex"),
  );
  assert.equal(nonce.toString("base64"), "Vij2xgAlKBKzADZykFdbpB8CcBXsE9wRhklzE4/mgS8=");
  assert.throws(() => nonceV1(Buffer.alloc(3), 1, Buffer.alloc(15)), /4 and 15 bytes/);
});

test("each command has its own 15 bytes, always the same", () => {
  fc.assert(
    fc.property(fc.uuid(), fc.uuid(), (a, b) => {
      assert.equal(uniqueOf(a).length, 15);
      assert.equal(uniqueOf(a).equals(uniqueOf(b)), a === b);
    }),
  );
});

// RFC 8032 §7.1, test 1.
const seed = Buffer.from("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "hex");
const publicKey = Buffer.from("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "hex");

test("a private key is read with or without its public half", () => {
  for (const bytes of [seed, Buffer.concat([seed, publicKey])]) {
    const signer = readSigner("solver.near", `ed25519:${encodeBase58(bytes)}`);
    assert.equal(signer.publicKey, `ed25519:${encodeBase58(publicKey)}`);
  }
});

test("a wrong private key is refused without being shown", () => {
  const other = Buffer.concat([seed, Buffer.alloc(32, 1)]);
  for (const key of [
    "abc",
    "ed25519:0",
    `ed25519:${encodeBase58(seed.subarray(1))}`,
    `ed25519:${encodeBase58(other)}`,
  ]) {
    assert.throws(
      () => readSigner("solver.near", key),
      (error: Error) => !error.message.includes(key.slice(8)) || key.length < 12,
    );
  }
});

test("what we sign is valid, and the same each time", () => {
  const signer = readSigner("solver.near", `ed25519:${encodeBase58(seed)}`);
  fc.assert(
    fc.property(fc.string(), fc.uint8Array({ minLength: 32, maxLength: 32 }), (message, bytes) => {
      const nonce = Buffer.from(bytes);
      const { data, hash } = signNep413(signer, message, nonce, "intents.near");
      assert.ok(isValid(data));
      assert.equal(hash, encodeBase58(nep413Hash({ message, nonce, recipient: "intents.near" })));
      assert.deepEqual(signNep413(signer, message, nonce, "intents.near"), { data, hash });
    }),
    { numRuns: 30 },
  );
});

test("a callback URL is part of what is signed", () => {
  const payload = { message: "m", nonce: Buffer.alloc(32), recipient: "r" };
  assert.notDeepEqual(nep413Hash(payload), nep413Hash({ ...payload, callbackUrl: "https://example.com" }));
  assert.throws(() => nep413Hash({ ...payload, nonce: Buffer.alloc(31) }), /32 bytes/);
});
