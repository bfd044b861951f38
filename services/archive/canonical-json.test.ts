import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { looksCanonical } from "./canonical-json.ts";

/** The definition: parsing and printing gives the text back. */
function isCanonical(text: string): boolean {
  try {
    return JSON.stringify(JSON.parse(text)) === text;
  } catch {
    return false;
  }
}

const neverAWrongYes = (text: string): void => {
  if (looksCanonical(Buffer.from(text)) !== "unknown") assert.ok(isCanonical(text), text);
};

test("what events are made of is recognised", () => {
  for (const [text, found] of [
    ['{"symbol":"AAPL","bid":254.12,"size":100,"ok":true,"no":null,"deep":[{"a":[]},{}]}', "ascii"],
    ['"a\\"b\\\\c\\n"', "ascii"],
    ["[0,-1,0.5,-0.25,0.000001,123456789012345,12345678.1234567]", "ascii"],
    ['{"__proto__":1,"a":{"a":1},"b":{"a":1}}', "ascii"],
    ['{"ž":"\u2028€"}', "if-utf8"],
    ["", "unknown"],
    ['{"a":1,"a":2}', "unknown"],
    ['{"b":1,"1":2}', "unknown"],
    ["-0", "unknown"],
    ["1.0", "unknown"],
    ["01", "unknown"],
    ["0.0000001", "unknown"],
    ["1234567890123456", "unknown"],
    ["1e5", "unknown"],
    ["[1] ", "unknown"],
    ["[1,]", "unknown"],
    ["[1}", "unknown"],
    ['{"a"}', "unknown"],
    ["tru", "unknown"],
    ['"\t"', "unknown"],
    ['"\\u0041"', "unknown"],
    ["[".repeat(100) + "]".repeat(100), "unknown"],
  ] as const) {
    assert.equal(looksCanonical(Buffer.from(text)), found, text);
    neverAWrongYes(text);
  }
});

test("never a wrong yes, whatever the bytes are", () => {
  const pieces = fc.constantFrom(
    ..."{}[],:\"\\-+.0123456789eEtfn \n'ab\u20ac",
    '"a":',
    '"b":1',
    "true",
    "null",
    "false",
    '"a"',
    "0.1",
    "1e5",
  );
  const text = fc.array(pieces, { maxLength: 25 }).map((parts) => parts.join(""));
  fc.assert(fc.property(text, neverAWrongYes), { numRuns: 5_000 });
  fc.assert(fc.property(fc.json(), neverAWrongYes), { numRuns: 1_000 });
  // One byte of a good text is another one.
  const damaged = fc.tuple(fc.jsonValue(), fc.nat(), fc.nat(127)).map(([value, at, byte]) => {
    const bytes = Buffer.from(JSON.stringify(value));
    bytes[at % bytes.length] = byte;
    return bytes.toString();
  });
  fc.assert(fc.property(damaged, neverAWrongYes), { numRuns: 3_000 });
});

test("numbers: what is taken for canonical is what JavaScript prints", () => {
  const digits = fc.stringMatching(/^-?[0-9]{1,18}(\.[0-9]{1,18})?$/);
  fc.assert(fc.property(digits, neverAWrongYes), { numRuns: 10_000 });
  const printed = fc.double({ noNaN: true, noDefaultInfinity: true }).map(String);
  fc.assert(fc.property(printed, neverAWrongYes), { numRuns: 3_000 });
});
