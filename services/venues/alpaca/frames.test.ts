import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FrameError, sliceArray } from "./frames.ts";

/** JSON texts with blanks, as a careless sender might write them. */
const blank = fc.constantFrom("", " ", "\n\t", "  ");
const element = fc.oneof(
  fc.json(),
  fc.constantFrom('{"i":9007199254740993,"p":1.10}', '{"S":"A]\\"},[B"}', "[[],{}]", '"\\\\"', "1e400"),
);

test("each element keeps its exact source text", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(blank, element, blank)), blank, (parts, around) => {
      const frame = `${around}[${parts.map((part) => part.join("")).join(",")}]${around}`;
      assert.deepEqual(
        sliceArray(frame),
        parts.map(([, text]) => text.trim()),
      );
    }),
  );
});

test("what is no array is refused", () => {
  for (const frame of ["", "{}", "[", "[1", '["]', "[1]]", "[1][2]", "[1,]", "[,1]", '[{"a":1]', "null"]) {
    assert.throws(() => sliceArray(frame), FrameError, frame);
  }
});

test("any text is either sliced or refused", () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'[]{},"\\a1 ') }), (text) => {
      try {
        sliceArray(`[${text}]`);
      } catch (error) {
        assert.ok(error instanceof FrameError);
      }
    }),
  );
});
