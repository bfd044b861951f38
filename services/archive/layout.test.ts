import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { archivePrefix, codecs, costKey, objectName, parseCostKey, parseObjectName } from "./layout.ts";

test("names are the documented ones", () => {
  const identity = { stack: "dev", businessDate: "2025-10-14", clusterId: "abcdefghijklmnopqrstuA" };
  assert.equal(archivePrefix(identity), "dev/2025-10-14/abcdefghijklmnopqrstuA/");
  assert.equal(
    objectName({ topic: "raw.near-intents.quote", partition: 2, first: 0n, last: 1_234n }, "gzip"),
    "raw.near-intents.quote/2/00000000000000000000-00000000000000001234.ndjson.gz",
  );
});

test("what a cluster costs lies beside the days, and its name is read back", () => {
  const identity = { stack: "dev", businessDate: "2025-10-14", clusterId: "abcdefghijklmnopqrstuA" };
  assert.equal(costKey(identity), "dev/costs/2025-10-14_abcdefghijklmnopqrstuA.json");
  assert.deepEqual(parseCostKey(costKey(identity)), identity);
  assert.equal(parseCostKey("dev/2025-10-14/abcdefghijklmnopqrstuA/opened.json"), undefined);
  assert.equal(parseCostKey("dev/costs/readme.json"), undefined);
});

test("names are read back, and sort as offsets do", () => {
  const offset = fc.bigInt(0n, 2n ** 63n - 1n);
  const range = fc
    .tuple(fc.stringMatching(/^[a-zA-Z0-9._-]{1,60}$/), fc.nat(999), offset, offset)
    .map(([topic, partition, a, b]) => ({ topic, partition, first: a < b ? a : b, last: a < b ? b : a }));
  fc.assert(
    fc.property(range, fc.constantFrom(...codecs), (one, codec) =>
      assert.deepEqual(parseObjectName(objectName(one, codec)), one),
    ),
  );
  fc.assert(
    fc.property(offset, offset, (a, b) => {
      const name = (first: bigint) =>
        objectName({ topic: "t", partition: 0, first, last: 2n ** 63n }, "gzip");
      assert.equal(name(a) < name(b), a < b);
    }),
  );
});

test("other objects are no ranges", () => {
  const good = "t/0/00000000000000000000-00000000000000000009.ndjson.gz";
  assert.ok(parseObjectName(good));
  for (const name of [
    "manifest.json",
    `x/${good}`,
    good.replace("0009", "9"),
    good.replace("/0/", "/a/"),
    "t/0/",
  ]) {
    assert.equal(parseObjectName(name), undefined, name);
  }
  assert.equal(
    parseObjectName("t/0/00000000000000000009-00000000000000000000.ndjson.gz"),
    undefined,
    "backwards",
  );
});
