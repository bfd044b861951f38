import assert from "node:assert/strict";
import { test } from "node:test";
import { Decimal } from "decimal.js";
import fc from "fast-check";
import { decimalString } from "../../core/decimal.ts";
import { ExactNumber, parseExact, plainDecimal } from "./exact-json.ts";

test("numbers keep their text", () => {
  const text = '{"i":9007199254740993,"p":126.550,"e":[1e2,-0.5E-3],"s":"1.10","n":null}';
  assert.deepEqual(parseExact(text), {
    i: new ExactNumber("9007199254740993"),
    p: new ExactNumber("126.550"),
    e: [new ExactNumber("1e2"), new ExactNumber("-0.5E-3")],
    s: "1.10",
    n: null,
  });
});

test("what JSON.parse refuses is refused, and what it reads is read alike", () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.json(),
        fc.string({ unit: fc.constantFrom(...'{}[]":,\\u0019eE+-. tn') }),
        fc.constantFrom('{"a":01}', '{"a":1.}', '{"a":1,}', "[1 2]", "-", '"\u0001"', '{"a":1e}', ""),
      ),
      (text) => {
        let expected: unknown;
        try {
          expected = JSON.parse(text);
        } catch {
          assert.throws(() => parseExact(text), SyntaxError);
          return;
        }
        let read: unknown;
        try {
          read = parseExact(text);
        } catch (error) {
          // Two values of one name: nobody can tell which one is meant.
          assert.match((error as Error).message, /Duplicate key/);
          return;
        }
        assert.equal(JSON.stringify(asDoubles(read)), JSON.stringify(asDoubles(expected)));
      },
    ),
  );
});

/** As JSON.parse would have given it, but for keys like `__proto__`, which are left out on both sides. */
function asDoubles(value: unknown): unknown {
  if (value instanceof ExactNumber) return Number(value.text);
  if (Array.isArray(value)) return value.map(asDoubles);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([name]) => name !== "__proto__");
  return Object.fromEntries(entries.map(([name, inner]) => [name, asDoubles(inner)]));
}

const digits = (most: number) => fc.stringMatching(new RegExp(`^\\d{1,${most}}$`));
const whole = digits(25).map((text) => text.replace(/^0+(?=\d)/, ""));
const jsonNumber = fc
  .tuple(
    fc.constantFrom("", "-"),
    whole,
    fc.option(digits(20), { nil: undefined }),
    fc.option(fc.integer({ min: -130, max: 130 }), { nil: undefined }),
    fc.constantFrom("e", "E", "e+"),
  )
  .map(([sign, before, after, exponent, letter]) => {
    const power = exponent === undefined ? "" : `${exponent < 0 ? letter.charAt(0) : letter}${exponent}`;
    return `${sign}${before}${after === undefined ? "" : `.${after}`}${power}`;
  });

test("plain notation keeps the value and the digits, and fits the schema of events", () => {
  const Exact = Decimal.clone({ precision: 500, toExpNeg: -9e15, toExpPos: 9e15 });
  let refused = 0;
  fc.assert(
    fc.property(jsonNumber, (text) => {
      const plain = plainDecimal(text);
      const value = new Exact(text);
      if (plain === undefined) {
        refused += 1;
        const [before = "", after = ""] = value.abs().toFixed().split(".");
        const [, , given = "", power = "0"] = /^(-?\d+)(?:\.(\d+))?(?:[eE](.+))?$/.exec(text) ?? [];
        const fractionDigits = Math.max(after.length, given.length - Number(power));
        assert.ok(value.lt(0) || before.length > 100 || fractionDigits > 99 || value.isZero(), text);
        return;
      }
      assert.ok(decimalString.safeParse(plain).success, plain);
      assert.ok(new Exact(plain).eq(value), `${text} became ${plain}`);
      assert.equal(plainDecimal(plain), plain);
    }),
    { numRuns: 1_000 },
  );
  assert.ok(refused > 0, "the property has seen numbers that no event can hold");
});

test("the digits of the venue are kept, exponents are written out", () => {
  for (const [text, plain] of [
    ["126.550", "126.550"],
    ["9007199254740993", "9007199254740993"],
    ["1e2", "100"],
    ["1.50e1", "15.0"],
    ["5e-3", "0.005"],
    ["0.05E+1", "0.5"],
    ["-0.0", "0.0"],
    ["0", "0"],
    ["-0.01", undefined],
    ["1e101", undefined],
    ["1e-100", undefined],
    ["1e999999999", undefined],
    ["1e-999999999", undefined],
    ["abc", undefined],
    ["", undefined],
  ] as const) {
    assert.equal(plainDecimal(text), plain, text);
  }
});
