import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeBase58, encodeBase58 } from "./base58.ts";

test("base58 gives the published values", () => {
  // From draft-msporny-base58, "Test Vectors".
  assert.equal(encodeBase58(Buffer.from("Hello World!")), "2NEpo7TZRRrLZSi2U");
  assert.equal(
    encodeBase58(Buffer.from("The quick brown fox jumps over the lazy dog.")),
    "USm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z",
  );
  assert.equal(encodeBase58(Buffer.from("0000287fb4cd", "hex")), "11233QC4");
});

test("bytes survive", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      assert.deepEqual(decodeBase58(encodeBase58(bytes)), Buffer.from(bytes));
    }),
  );
});

test("a foreign character is named by position only: the text may be a key", () => {
  assert.throws(() => decodeBase58("abc0def"), { message: "not base58: character 4" });
});
