/**
 * Reads the lines that nearly all lines are, from their bytes: a key without escapes, no headers, a value that is JSON.
 * Four times as fast as parsing, checking and printing, which is what `decodeLine` does with every other line.
 */
import { isUtf8 } from "node:buffer";
import { looksCanonical } from "./canonical-json.ts";
import type { ArchivedHeader, ArchivedRecord } from "./line.ts";

const part = (text: string): Buffer => Buffer.from(text, "latin1");
const timestampPart = part('","timestamp":"');
const keyPart = part('","key":');
const nullKeyPart = part('null,"key_encoding":"null"');
const keyEncodingPart = part('","key_encoding":"utf8"');
const valuePart = part(',"headers":[],"value":');
const endPart = part(',"value_encoding":"json"}');
const quote = 0x22;
const backslash = 0x5c;
/** As many digits as `decodeLine` takes. */
const mostDigits = 19;
const noHeaders: readonly ArchivedHeader[] = [];

/** See the module's description; for the lines of one partition. */
export class PlainLineReader {
  readonly #topic: string;
  readonly #partition: number;
  readonly #head: Buffer;
  #line: Buffer = Buffer.alloc(0);
  #at = 0;

  constructor(topic: string, partition: number) {
    this.#topic = topic;
    this.#partition = partition;
    this.#head = Buffer.from(`{"topic":${JSON.stringify(topic)},"partition":${partition},"offset":"`);
  }

  /**
   * @param line without its end.
   * @returns what `decodeLine` would, with key and value pointing into the line; undefined when the line has to be read
   *   by it: because it is another kind of line, or none.
   */
  read(line: Buffer): ArchivedRecord | undefined {
    this.#line = line;
    this.#at = 0;
    if (!this.#skip(this.#head)) return undefined;
    const offset = this.#digits();
    if (offset === "" || !this.#skip(timestampPart)) return undefined;
    const timestamp = this.#digits();
    if (timestamp === "" || !this.#skip(keyPart)) return undefined;
    const key = this.#key();
    if (key === undefined || !this.#skip(valuePart)) return undefined;
    const valueEnd = line.length - endPart.length;
    if (valueEnd <= this.#at || line.compare(endPart, 0, endPart.length, valueEnd) !== 0) return undefined;
    const value = line.subarray(this.#at, valueEnd);
    const found = looksCanonical(value);
    if (found === "unknown" || (found === "if-utf8" && !isUtf8(value))) return undefined;
    return {
      topic: this.#topic,
      partition: this.#partition,
      offset,
      timestamp,
      key,
      headers: noHeaders,
      value,
    };
  }

  #skip(expected: Buffer): boolean {
    const line = this.#line;
    let at = this.#at;
    for (let index = 0; index < expected.length; index++) if (line[at++] !== expected[index]) return false;
    this.#at = at;
    return true;
  }

  /** Empty when there are none, or too many. */
  #digits(): string {
    const line = this.#line;
    const from = this.#at;
    let at = from;
    for (let byte = line[at]; byte !== undefined && byte >= 0x30 && byte <= 0x39; byte = line[++at]);
    this.#at = at;
    return at - from > mostDigits ? "" : line.toString("latin1", from, at);
  }

  /** With its encoding. */
  #key(): Buffer | null | undefined {
    const line = this.#line;
    if (line[this.#at] !== quote) return this.#skip(nullKeyPart) ? null : undefined;
    const from = this.#at + 1;
    let at = from;
    let isAscii = true;
    for (let byte = line[at]; byte !== quote; byte = line[++at]) {
      if (byte === undefined || byte === backslash || byte < 0x20) return undefined;
      if (byte > 0x7f) isAscii = false;
    }
    this.#at = at;
    if (!this.#skip(keyEncodingPart)) return undefined;
    const key = line.subarray(from, at);
    return isAscii || isUtf8(key) ? key : undefined;
  }
}
