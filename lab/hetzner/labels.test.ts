import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { ApiError } from "./errors.ts";
import { isLabelKey, isLabelValue, labelMistakes, parseLabelSelector } from "./labels.ts";

const edge = fc.constantFrom(..."abzAZ059");
const inner = fc.constantFrom(..."abzAZ059-_.");
/** A label value by the rules of the document: built, not filtered, so that the check is not tested by itself. */
const value = fc.oneof(
  fc.constant(""),
  edge,
  fc
    .tuple(edge, fc.array(inner, { maxLength: 61 }), edge)
    .map(([first, middle, last]) => first + middle.join("") + last),
);
const name = value.filter((text) => text !== "");
const prefix = fc
  .array(
    fc.array(fc.constantFrom(..."abz019"), { minLength: 1, maxLength: 20 }).map((parts) => parts.join("")),
    { minLength: 1, maxLength: 4 },
  )
  .map((parts) => parts.join("."));
const key = fc.oneof(
  name,
  fc.tuple(prefix, name).map(([before, after]) => `${before}/${after}`),
);

describe("label syntax", () => {
  test("well-formed keys and values are taken", () => {
    fc.assert(fc.property(key, value, (one, other) => isLabelKey(one) && isLabelValue(other)));
  });

  test("a value with a wrong character anywhere is refused", () => {
    const wrong = fc.constantFrom(..." :/@+#ä\n\t=,");
    fc.assert(
      fc.property(value, wrong, fc.nat(), (text, character, position) => {
        const at = position % (text.length + 1);
        return !isLabelValue(text.slice(0, at) + character + text.slice(at));
      }),
    );
  });

  test("a value that begins or ends with a separator, or has 64 characters, is refused", () => {
    fc.assert(
      fc.property(name, fc.constantFrom("-", "_", "."), (text, separator) => {
        return !isLabelValue(separator + text) && !isLabelValue(text + separator);
      }),
    );
    assert.equal(isLabelValue("a".repeat(63)), true);
    assert.equal(isLabelValue("a".repeat(64)), false);
    assert.equal(isLabelKey(""), false);
    assert.equal(isLabelKey("A.b/c"), false);
    assert.equal(isLabelKey("a/b/c"), false);
    assert.equal(isLabelKey(`${"a.".repeat(127)}aa/c`), false);
  });

  test("all mistakes of a set come together", () => {
    const [field] = labelMistakes({
      "expires-at": "2026-01-01T00:00",
      "-key": "v",
      "hetzner.cloud/x": "",
      fine: "",
    });
    assert.equal(field?.name, "labels");
    assert.equal(field?.messages.length, 3);
    assert.deepEqual(labelMistakes({ "expires-at": "1767225600" }), []);
  });
});

describe("label selectors", () => {
  const labelSet = fc.dictionary(fc.constantFrom("a", "b", "c/d"), fc.constantFrom("", "1", "2"));

  test("each operator selects what its definition says", () => {
    fc.assert(
      fc.property(
        labelSet,
        fc.constantFrom("a", "b", "c/d"),
        fc.constantFrom("1", "2"),
        (labels, one, two) => {
          const selects = (selector: string) => parseLabelSelector(selector)(labels);
          const own = Object.hasOwn(labels, one) ? labels[one] : undefined;
          assert.equal(selects(one), own !== undefined);
          assert.equal(selects(`!${one}`), own === undefined);
          assert.equal(selects(`${one}=${two}`), own === two);
          assert.equal(selects(`${one}==${two}`), own === two);
          assert.equal(selects(`${one}!=${two}`), own !== two);
          assert.equal(selects(`${one} in (${two},x)`), own === two);
          assert.equal(selects(`${one} notin (${two}, x)`), own !== two);
        },
      ),
    );
  });

  test("a comma means and, also beside a set", () => {
    fc.assert(
      fc.property(labelSet, (labels) => {
        const parts = ["a", "b in (1,2)", "!c/d"];
        const each = parts.every((part) => parseLabelSelector(part)(labels));
        assert.equal(parseLabelSelector(parts.join(","))(labels), each);
        assert.equal(parseLabelSelector(parts.toReversed().join(" , "))(labels), each);
      }),
    );
  });

  test("anything parses to a selector or is refused as invalid input", () => {
    const noise = fc.string({ unit: fc.constantFrom(..."ab/=!,() in-.#") });
    fc.assert(
      fc.property(noise, (text) => {
        try {
          parseLabelSelector(text)({ a: "b" });
        } catch (error) {
          assert.ok(error instanceof ApiError);
          assert.equal(error.code, "invalid_input");
        }
      }),
      { numRuns: 500 },
    );
    for (const wrong of ["", ",", "a=b=c", "a in b", "a in (b", "a b", "=a", "a,,b", "-a", "a=-b"]) {
      assert.throws(() => parseLabelSelector(wrong), ApiError, wrong);
    }
  });
});
