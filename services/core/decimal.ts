/** Exact decimal numbers as strings: amounts never pass through binary floating point. */
import { Decimal } from "decimal.js";
import { z } from "zod";

/** 200 significant digits: more than the product of two 256-bit integers has (155). */
const Exact = Decimal.clone({ precision: 200, toExpNeg: -9e15, toExpPos: 9e15 });

/** A decimal number in plain notation without superfluous zeros in front: `-12.50`, `0`, `340282366920938463463`. */
export const decimalString = z
  .string()
  .regex(/^-?(0|[1-9]\d{0,99})(\.\d{1,99})?$/, "expected a decimal number in plain notation, as a string");

/** A token amount in base units: a whole number ≥ 0 of at most 78 digits (256 bits). */
export const baseUnits = z
  .string()
  .regex(/^(0|[1-9]\d{0,77})$/, "expected a whole number of base units, as a string");

/** a × b, exactly. */
export function multiply(a: string, b: string): string {
  return new Exact(a).times(b).toFixed();
}

/** a + b, exactly. */
export function add(a: string, b: string): string {
  return new Exact(a).plus(b).toFixed();
}

/** a − b, exactly. */
export function subtract(a: string, b: string): string {
  return new Exact(a).minus(b).toFixed();
}

/** The largest whole number ≤ a. */
export function floor(a: string): string {
  return new Exact(a).floor().toFixed();
}

/** The smallest whole number ≥ a. */
export function ceil(a: string): string {
  return new Exact(a).ceil().toFixed();
}

/** −1, 0 or 1 as a is less than, equal to or greater than b. */
export function compare(a: string, b: string): -1 | 0 | 1 {
  return new Exact(a).comparedTo(b) as -1 | 0 | 1;
}
