import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { canonicalJson, type Manifest, manifestChecksum } from "./documents.ts";

test("canonical JSON does not depend on the order of keys, but on everything else", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
      const shuffled = JSON.parse(
        JSON.stringify(value, (_key, part: unknown) =>
          part !== null && typeof part === "object" && !Array.isArray(part)
            ? Object.fromEntries(Object.entries(part).reverse())
            : part,
        ),
      ) as unknown;
      assert.equal(canonicalJson(shuffled), canonicalJson(value));
      assert.deepEqual(JSON.parse(canonicalJson(value)), JSON.parse(JSON.stringify(value)));
    }),
  );
  assert.notEqual(canonicalJson([1, 2]), canonicalJson([2, 1]));
  assert.equal(
    canonicalJson({ b: { d: 1, c: 2 }, a: [{ z: 1, y: 2 }] }),
    '{"a":[{"y":2,"z":1}],"b":{"c":2,"d":1}}',
  );
});

test("the checksum covers every field but itself", () => {
  const manifest = {
    format: 2,
    generation: 1,
    topics: [{ topic: "t" }],
    checksum: "old",
  } as unknown as Manifest;
  assert.equal(manifestChecksum({ ...manifest, checksum: "new" } as Manifest), manifestChecksum(manifest));
  assert.notEqual(manifestChecksum({ ...manifest, generation: 2 }), manifestChecksum(manifest));
});
