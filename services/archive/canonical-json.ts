/**
 * Is a text what `JSON.stringify(JSON.parse(text))` prints? Answered in one pass over its bytes for what events are
 * made of, which is five times as fast as parsing and printing, and the archiver asks it of every record.
 */

/** What {@link looksCanonical} found. */
export type Canonical =
  /** Certainly, and all of its bytes are ASCII. */
  | "ascii"
  /** Certainly, provided that it is UTF-8. */
  | "if-utf8"
  /** It may be or not: only parsing and printing tells. */
  | "unknown";

const maximumDepth = 64;
const maximumKeys = 1_024;
/** For each open object or array: is it an object, and which is the first of its keys on the stack of keys. */
const isObject = new Uint8Array(maximumDepth);
const firstKey = new Int32Array(maximumDepth);
/** Hashes of the keys of all open objects: a key that is there twice would be printed once. */
const keyHashes = new Int32Array(maximumKeys);
let keys = 0;
/** All bytes of texts that were seen, or'ed: above 0x7f when one of them was. */
let seen = 0;

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const colon = 0x3a;
const minus = 0x2d;
const point = 0x2e;
const zero = 0x30;
const nine = 0x39;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;

/** Never a wrong yes; texts with rare escapes, exponents, long numbers, keys that begin with a digit are "unknown". */
export function looksCanonical(text: Buffer): Canonical {
  keys = 0;
  seen = 0;
  const end = text.length;
  let depth = 0;
  let at = 0;
  for (;;) {
    if (at >= end) return "unknown";
    const first = text[at] as number;
    let isOpened = false;
    if (first === quote) at = stringEnd(text, at + 1, end);
    else if (first === openBrace || first === openBracket) {
      if (text[at + 1] === first + 2) at += 2;
      else {
        if (depth === maximumDepth) return "unknown";
        isObject[depth] = first === openBrace ? 1 : 0;
        firstKey[depth] = keys;
        depth++;
        at = first === openBrace ? keyEnd(text, at + 1, end, keys) : at + 1;
        isOpened = true;
      }
    } else if (first === minus || (first >= zero && first <= nine)) at = numberEnd(text, at, end);
    else at = literalEnd(text, at);
    if (at < 0) return "unknown";
    if (isOpened) continue;

    // Behind a value: what was open may end with it.
    for (;;) {
      if (depth === 0) return at !== end ? "unknown" : seen > 0x7f ? "if-utf8" : "ascii";
      if (at >= end) return "unknown";
      const next = text[at] as number;
      const inObject = isObject[depth - 1] === 1;
      if (next === comma) {
        at = inObject ? keyEnd(text, at + 1, end, firstKey[depth - 1] as number) : at + 1;
        if (at < 0) return "unknown";
        break;
      }
      if (next !== (inObject ? closeBrace : closeBracket)) return "unknown";
      depth--;
      keys = firstKey[depth] as number;
      at++;
    }
  }
}

/** Bytes that stand in a text as they are: one look for these, which most are. */
const isPlain = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x20 && byte !== quote && byte !== backslash ? 1 : 0,
);

/** @param at behind the opening quote. @returns the place behind the closing one, or -1. */
function stringEnd(text: Buffer, at: number, end: number): number {
  let bytes = 0;
  while (at < end) {
    const byte = text[at++] as number;
    bytes |= byte;
    if (isPlain[byte] === 1) continue;
    if (byte === quote) {
      seen |= bytes;
      return at;
    }
    if (byte === backslash) {
      if (!isShortEscape(text[at++])) return -1;
    } else return -1;
  }
  return -1;
}

/** A key and its colon. @param from where this object's keys begin on the stack. @returns the place behind, or -1. */
function keyEnd(text: Buffer, at: number, end: number, from: number): number {
  if (text[at++] !== quote) return -1;
  const first = text[at] ?? 0;
  // Keys that are numbers are printed first, in their order.
  if (first >= zero && first <= nine) return -1;
  let hash = 0;
  let bytes = 0;
  for (;;) {
    if (at >= end) return -1;
    const byte = text[at++] as number;
    if (byte <= backslash) {
      if (byte === quote) break;
      if (byte < 0x20) return -1;
      if (byte === backslash) {
        const escaped = text[at++];
        if (!isShortEscape(escaped)) return -1;
        hash = (Math.imul(hash, 31) + (escaped as number)) | 0;
      }
    }
    bytes |= byte;
    hash = (Math.imul(hash, 31) + byte) | 0;
  }
  seen |= bytes;
  if (text[at++] !== colon || keys === maximumKeys) return -1;
  for (let key = from; key < keys; key++) if (keyHashes[key] === hash) return -1;
  keyHashes[keys++] = hash;
  return at;
}

/** Escapes that are printed as they are written: \" \\ \b \f \n \r \t. Others are left to the parser. */
function isShortEscape(byte: number | undefined): boolean {
  return (
    byte === quote ||
    byte === backslash ||
    byte === 0x62 ||
    byte === 0x66 ||
    byte === 0x6e ||
    byte === 0x72 ||
    byte === 0x74
  );
}

/**
 * Numbers of at most 15 digits from 10^-6 on, without exponent, leading zeros or zeros at the end of a fraction: two
 * different ones are never the same double (ECMA-262, Number::toString; IEEE 754, 15 decimal digits), so the shortest
 * text for the double, which is what is printed, is the number as it stands.
 */
function numberEnd(text: Buffer, at: number, end: number): number {
  const isNegative = text[at] === minus;
  if (isNegative) at++;
  let digits = 0;
  let zeros = 0;
  const first = text[at] ?? 0;
  if (first === zero) {
    at++;
    if (isDigit(text[at])) return -1;
  } else {
    while (at < end && isDigit(text[at])) {
      at++;
      digits++;
    }
    if (digits === 0) return -1;
  }
  if (text[at] === point) {
    at++;
    const begin = at;
    if (digits === 0) {
      while (at < end && text[at] === zero) {
        at++;
        zeros++;
      }
    }
    while (at < end && isDigit(text[at])) {
      at++;
      digits++;
    }
    if (at === begin || text[at - 1] === zero || zeros > 5) return -1;
  } else if (isNegative && digits === 0) return -1;
  if (digits > 15) return -1;
  const next = text[at];
  // An exponent, in lower or upper case.
  return next === 0x65 || next === 0x45 ? -1 : at;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= zero && byte <= nine;
}

const literals = ["true", "false", "null"].map((literal) => Buffer.from(literal));

function literalEnd(text: Buffer, at: number): number {
  for (const literal of literals) {
    if (text[at] !== literal[0]) continue;
    for (let index = 1; index < literal.length; index++) if (text[at + index] !== literal[index]) return -1;
    return at + literal.length;
  }
  return -1;
}
