import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { applyIgnoreChanges, difference, parsePath } from "./differences.ts";
import {
  asSecret,
  containsSecret,
  equal,
  fromStruct,
  masked,
  plain,
  type PropertyMap,
  type PropertyValue,
  toStruct,
  withSecrets,
} from "./properties.ts";
import type { ResourceDefinition } from "./provider.ts";
import { SecretMask } from "./secret-mask.ts";
import { parseDuration } from "./duration.ts";
import { aliasUrns, makeUrn, parseUrn, rootStackType } from "./urn.ts";
import { z } from "zod";

// No property is called __proto__, and protobuf's own reader would take one for the object's prototype.
const map = fc
  .dictionary(fc.string({ minLength: 1 }), fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<PropertyValue>)
  .filter((properties) => !JSON.stringify(properties).includes('"__proto__"')) as fc.Arbitrary<PropertyMap>;

test("a map survives the wire, with its secrets", () => {
  fc.assert(
    fc.property(map, (properties) => {
      const sent = Object.fromEntries(
        Object.entries(properties).map(([key, value]) => [key, asSecret(value)]),
      );
      const received = fromStruct(toStruct(sent), "test");
      assert.deepEqual(Object.keys(received).sort(), Object.keys(properties).sort());
      for (const [key, value] of Object.entries(received)) {
        assert.ok(containsSecret(value));
        assert.ok(equal(plain(value), properties[key]));
        assert.equal(masked(value), "[secret]");
      }
    }),
    { numRuns: 100 },
  );
});

test("equality is blind to wrapping and key order, and to nothing else", () => {
  assert.ok(equal({ a: asSecret(1), b: [2] }, { b: [asSecret(2)], a: 1 }));
  assert.ok(!equal({ a: 1 }, { a: "1" }));
  assert.ok(!equal([1, 2], [2, 1]));
  assert.ok(equal(undefined, null));
});

test("secret inputs make the outputs of the same name secret", () => {
  const inputs = { open: "a", hidden: asSecret("b"), nested: { deep: asSecret("c"), flat: "d" } };
  const outputs = withSecrets(
    { open: "a", hidden: "b", nested: { deep: "c", flat: "d" }, made: "e" },
    inputs,
    new Set(["made"]),
  );
  assert.deepEqual(masked(outputs), {
    open: "a",
    hidden: "[secret]",
    nested: { deep: "[secret]", flat: "d" },
    made: "[secret]",
  });
});

test("the mask finds secrets, their lines and their base64 and JSON forms, and leaves addresses alone", () => {
  const mask = new SecretMask();
  mask.addFrom({
    connection: asSecret({
      host: "127.0.0.99",
      port: 22,
      privateKey: "first-line-of-key\nsecond-line-of-key",
    }),
  });
  mask.add('quote"in-it');
  assert.equal(mask.apply("to 127.0.0.99: second-line-of-key!"), "to 127.0.0.99: [secret]!");
  assert.equal(mask.apply(Buffer.from('quote"in-it').toString("base64")), "[secret]");
  assert.equal(mask.apply(JSON.stringify({ a: 'quote"in-it' })), '{"a":"[secret]"}');
});

test("paths are read as Pulumi writes them", () => {
  assert.deepEqual(parsePath('a.b[0]["c.d"][*].e'), ["a", "b", 0, "c.d", "*", "e"]);
});

test("ignored paths keep their old value, or stay absent", () => {
  const old = {
    labels: { a: "1", b: "2" },
    list: [{ x: 1 }, { x: 2 }],
    secret: asSecret({ in: "old", out: "old" }),
  };
  const fresh = {
    labels: { a: "9", c: "3" },
    list: [{ x: 8 }, { x: 9 }],
    secret: asSecret({ in: "new", out: "new" }),
    added: 1,
  };
  const result = applyIgnoreChanges(fresh, old, ["labels.a", "list[*].x", "secret.in", "added"]);
  assert.deepEqual(plain(result), {
    labels: { a: "1", c: "3" },
    list: [{ x: 1 }, { x: 2 }],
    secret: { in: "old", out: "new" },
  });
  assert.ok(containsSecret(result["secret"] ?? null));
  assert.deepEqual(applyIgnoreChanges(fresh, old, ["*"]), old);
});

test("what must be replaced follows from the definition and from replaceOnChanges", () => {
  const definition: ResourceDefinition = {
    inputs: z.any(),
    replaceOn: ["image"],
    create: async () => ({ id: "", outputs: {} }),
    update: async () => ({}),
    delete: async () => undefined,
  };
  const old = { image: "a", size: 1, triggers: ["x"] };
  assert.deepEqual(difference(definition, old, { ...old, size: 2 }, ["triggers[*]"]), {
    changed: ["size"],
    replace: [],
  });
  assert.deepEqual(difference(definition, old, { ...old, image: "b" }, []).replace, ["image"]);
  assert.deepEqual(difference(definition, old, { ...old, triggers: ["y"] }, ["triggers[*]"]).replace, [
    "triggers",
  ]);
  assert.deepEqual(
    difference(definition, old, { size: 1, image: asSecret("a"), triggers: ["x"] }, []).changed,
    [],
  );
  assert.deepEqual(difference({ ...definition, replaceOn: "all" }, old, { ...old, size: 2 }, []).replace, [
    "size",
  ]);
});

test("durations are Go's", () => {
  assert.deepEqual(["300ms", "90s", "1h30m", "1.5h"].map(parseDuration), [300, 90_000, 5_400_000, 5_400_000]);
  for (const wrong of ["", "5", "5 m", "m", "-1s"])
    assert.throws(() => parseDuration(wrong), /is not a duration/);
});

test("URNs and inherited aliases", () => {
  const identity = { project: "p", stack: "s" };
  const stack = makeUrn(identity, undefined, rootStackType, "p-s");
  const group = makeUrn(identity, stack, "t:m:Group", "new");
  const urn = makeUrn(identity, group, "t:m:Child", "new-child");
  assert.equal(urn, "urn:pulumi:s::p::t:m:Group$t:m:Child::new-child");
  assert.deepEqual(parseUrn("urn:pulumi:s::p::t:m:X::a::b").name, "a::b");
  const former = makeUrn(identity, stack, "t:m:Group", "old");
  const child = { type: "t:m:Child", name: "new-child", parent: group };
  assert.deepEqual(aliasUrns(identity, child, [], [former]), [
    makeUrn(identity, former, "t:m:Child", "old-child"),
  ]);
  assert.ok(
    aliasUrns(identity, child, [{ name: "other", noParent: true }], []).includes(
      "urn:pulumi:s::p::t:m:Child::other",
    ),
  );
});
