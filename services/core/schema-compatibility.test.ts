import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { describeIncompatibility, incompatibilities, type JsonSchema } from "./schema-compatibility.ts";

const schemaOf = (type: z.ZodType): JsonSchema => z.toJSONSchema(type);
const changes = (older: z.ZodType, newer: z.ZodType): string[] =>
  incompatibilities(schemaOf(older), schemaOf(newer)).map(describeIncompatibility);

const text = z.string();
/** The change is somewhere inside, so that paths are seen, too. */
const inside = (type: z.ZodType) => z.strictObject({ payload: z.strictObject({ field: type, other: text }) });

const circle = z.strictObject({ kind: z.literal("circle"), radius: text });
const square = z.strictObject({ kind: z.literal("square"), side: text });
const shape = z.discriminatedUnion("kind", [circle, square]);

/** Name, older type, newer type, what is said of it. */
const incompatible: [string, z.ZodType, z.ZodType, RegExp][] = [
  ["another type", text, z.number(), /payload\.field: the type was string and is number/],
  ["a number that must be whole", z.number(), z.int(), /the type was number and is integer/],
  [
    "no null any more",
    text.nullable(),
    text,
    /payload\.field: the type null was accepted and is not any more/,
  ],
  ["an enum value less", z.enum(["a", "b"]), z.enum(["a"]), /payload\.field: "b" was accepted/],
  [
    "an enum instead of text",
    text,
    z.enum(["a"]),
    /payload\.field: only "a" is accepted, before it was more/,
  ],
  ["another constant", z.literal("a"), z.literal("b"), /only "b" is accepted, before it was "a"/],
  ["a pattern", text, text.regex(/^a$/), /payload\.field: the pattern is \^a\$, before it was free/],
  ["another pattern", text.regex(/^a$/), text.regex(/^b$/), /the pattern is \^b\$, before it was \^a\$/],
  ["a pattern that a constant breaks", z.literal("x"), text.regex(/^a$/), /"x" was accepted/],
  ["a format", text, z.uuid(), /the format is uuid, before it was free/],
  ["a shortest length", text, text.min(1), /minLength is 1, before it was not bounded/],
  ["a longer shortest length", text.min(1), text.min(2), /minLength is 2, before it was 1/],
  ["a shorter longest length", text.max(9), text.max(8), /maxLength is 8, before it was 9/],
  ["a higher minimum", z.number().min(0), z.number().min(1), /minimum is 1, before it was 0/],
  ["a lower maximum", z.number().max(2), z.number().max(1), /maximum is 1, before it was 2/],
  ["an exclusive bound", z.number(), z.number().gt(0), /exclusiveMinimum is 0, before it was not bounded/],
  ["only multiples", z.number(), z.number().multipleOf(5), /multipleOf is 5, before it was free/],
  ["narrower items", z.array(text), z.array(text.min(1)), /payload\.field\[\]: minLength is 1/],
  ["at least one item", z.array(text), z.array(text).min(1), /payload\.field: minItems is 1/],
  ["fewer items", z.array(text).max(3), z.array(text).max(2), /maxItems is 2, before it was 3/],
  ["a narrower place", z.tuple([text, text]), z.tuple([text, text.min(1)]), /payload\.field\[1\]: minLength/],
  [
    "narrower values of a map",
    z.record(text, text),
    z.record(text, text.min(1)),
    /payload\.field\.\*: minLength/,
  ],
  ["narrower names of a map", z.record(text, text), z.record(text.min(2), text), /\(names\): minLength/],
  [
    "a new required field",
    z.strictObject({}),
    z.strictObject({ more: text }),
    /payload\.field\.more: is a new required field; make it optional or add version N\+1 with an upcaster/,
  ],
  [
    "an optional field that is required now",
    z.strictObject({ more: text.optional() }),
    z.strictObject({ more: text }),
    /payload\.field\.more: was optional and is required/,
  ],
  [
    "a field less, where unknown fields are refused",
    z.strictObject({ more: text.optional() }),
    z.strictObject({}),
    /payload\.field\.more: was removed, and unknown fields are refused; keep it as an optional field/,
  ],
  ["unknown fields refused", z.looseObject({}), z.strictObject({}), /unknown fields were accepted/],
  [
    "a type for what was free before",
    z.looseObject({}),
    z.looseObject({ more: text.optional() }),
    /payload\.field\.more: the type was any and is string/,
  ],
  ["a member less", shape, circle, /the member with kind "square" was accepted|only "circle"/],
  [
    "a member less of three",
    z.discriminatedUnion("kind", [circle, square, z.strictObject({ kind: z.literal("dot") })]),
    shape,
    /payload\.field: the member with kind "dot" was accepted and is not any more/,
  ],
  [
    "a changed member",
    shape,
    z.discriminatedUnion("kind", [circle, square.extend({ side: text.min(1) })]),
    /payload\.field\.side: minLength is 1/,
  ],
  ["nothing at all", text, z.never(), /not|nothing/],
];

for (const [name, older, newer, message] of incompatible) {
  test(`refused: ${name}`, () => {
    const found = changes(inside(older), inside(newer));
    assert.ok(
      found.some((each) => message.test(each)),
      found.join("\n"),
    );
    for (const each of found)
      assert.match(each, /^payload\.field.*: .*; .* or add version N\+1 with an upcaster$/);
  });
}

const compatible: [string, z.ZodType, z.ZodType][] = [
  ["the same", shape, shape],
  ["a new optional field", z.strictObject({}), z.strictObject({ more: text.optional() })],
  [
    "a required field that is optional now",
    z.strictObject({ a: text }),
    z.strictObject({ a: text.optional() }),
  ],
  ["a field less, where unknown fields are accepted", z.looseObject({ a: text }), z.looseObject({})],
  ["unknown fields accepted", z.strictObject({}), z.looseObject({})],
  ["a further enum value", z.enum(["a"]), z.enum(["a", "b"])],
  ["any text instead of an enum", z.enum(["a", "b"]), text],
  ["a constant among several", z.literal("a"), z.enum(["a", "b"])],
  ["a constant that keeps the pattern", z.literal("aa"), text.regex(/^a+$/).min(2)],
  ["null in addition", text, text.nullable()],
  ["a union in addition", text, z.union([z.number(), text])],
  ["a further member", circle, shape],
  ["a pattern less", text.regex(/^a$/), text],
  ["wider bounds", text.min(2).max(3), text.min(1).max(4)],
  [
    "a number that need not be whole",
    z.int(),
    z.number().min(Number.MIN_SAFE_INTEGER).max(Number.MAX_SAFE_INTEGER),
  ],
  ["wider items", z.array(text.min(1)).min(1), z.array(text)],
  ["everything", shape, z.unknown()],
  ["another description", text.describe("a"), text.describe("b")],
];

for (const [name, older, newer] of compatible) {
  test(`accepted: ${name}`, () => assert.deepEqual(changes(inside(older), inside(newer)), []));
}

test("every change is found at once, and a keyword that is not understood is not passed over", () => {
  const older = z.strictObject({ a: text, b: z.enum(["x", "y"]), c: text.optional() });
  const newer = z.strictObject({ a: text.min(1), b: z.enum(["x"]), c: text });
  assert.equal(changes(older, newer).length, 3);
  const [found] = incompatibilities({ type: "object" }, { type: "object", minProperties: 1 });
  assert.match(found?.what ?? "", /minProperties cannot be compared/);
});
