/**
 * Reads Alpaca's JSON without passing its numbers through binary floating point: ids exceed 2^53, and a price is
 * what was written, not the nearest double.
 */
import { parse } from "lossless-json";
import { z } from "zod";

/** A JSON number, as it was written: `126.550`, `1e2`. */
export class ExactNumber {
  /** As JSON's grammar allows it. */
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

const exactNumbers = { parseNumber: (text: string) => new ExactNumber(text) };

/**
 * Parses JSON; numbers become {@link ExactNumber}.
 * @throws SyntaxError when it is no JSON, or when an object has two different values of one name.
 */
export function parseExact(text: string): unknown {
  return parse(text, null, exactNumbers);
}

/** As many digits before and behind the point as the schemas of events take. */
const mostWholeDigits = 100;
const mostFractionDigits = 99;

const plain = /^(?:0|[1-9]\d{0,99})(?:\.\d{1,99})?$/;
const number = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;

/**
 * A number that is not negative, in plain notation. Its digits are kept, zeros at the end too, since they tell the
 * venue's precision: `126.550` stays, `1e2` is `100`, `1.50e1` is `15.0`, `-0.0` is `0.0`. Equal numbers may
 * therefore be different texts; the same message always gives the same text.
 * @param text a number by JSON's grammar; leading zeros and `+` are not.
 * @returns undefined when it is negative, no such number, or has too many digits for an event.
 */
export function plainDecimal(text: string): string | undefined {
  if (plain.test(text)) return text;
  const [, sign, whole = "", fraction = "", exponentText = "0"] = number.exec(text) ?? [];
  if (sign === undefined) return undefined;
  const digits = whole + fraction;
  if (sign === "-" && /[1-9]/.test(digits)) return undefined;
  const exponent = Number(exponentText);
  // Where the point stands among the digits; checked before zeros are written out.
  const point = whole.length + exponent;
  if (point > mostWholeDigits + digits.length || digits.length - point > mostFractionDigits) return undefined;
  const padded = digits.padEnd(point, "0").padStart(digits.length + Math.max(0, 1 - point), "0");
  const at = Math.max(1, point);
  const wholePart = padded.slice(0, at).replace(/^0+(?=\d)/, "");
  const fractionPart = padded.slice(at);
  const result = fractionPart === "" ? wholePart : `${wholePart}.${fractionPart}`;
  return plain.test(result) ? result : undefined;
}

/** Schema of a JSON number that is not negative; gives it as {@link plainDecimal} does. */
export const exactQuantity = z.unknown().transform((value, context): string => {
  const text = value instanceof ExactNumber ? plainDecimal(value.text) : undefined;
  if (text !== undefined) return text;
  context.addIssue(`expected a number that is not negative, found ${describe(value)}`);
  return z.NEVER;
});

/** Schema of a JSON number that is a whole number, not negative, for example an id: its digits. */
export const exactWhole = z.unknown().transform((value, context): string => {
  const text = value instanceof ExactNumber ? plainDecimal(value.text) : undefined;
  if (text !== undefined && !text.includes(".")) return text;
  context.addIssue(`expected a whole number that is not negative, found ${describe(value)}`);
  return z.NEVER;
});

function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value instanceof ExactNumber) return value.text.slice(0, 40);
  return (JSON.stringify(value) ?? "nothing").slice(0, 40);
}
