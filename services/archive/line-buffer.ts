/** Lines of records, written one behind the other into a few large buffers: the content of an object before compression. */
import { isUtf8 } from "node:buffer";
import { looksCanonical } from "./canonical-json.ts";
import type { ArchivedRecord } from "./line.ts";

/** Pieces begin small, because most of a thousand partitions hold little, and double up to the largest. */
const smallestPiece = 4 * 1024;
const largestPiece = 512 * 1024;
/** Larger values are JSON only where one pass over their bytes shows it: parsing them would take several times their size. */
const parsedUpTo = 1024 * 1024;
/** Larger texts that consist of escapes mainly are shorter as base64. */
const escapedUpTo = 64 * 1024;
/** Deeper values are kept as text: other languages' JSON parsers stop at a few hundred levels. */
const maximumDepth = 200;
/** Bytes of base64 made at a time, a multiple of 3. */
const base64Step = 48 * 1024;

const part = (text: string): Buffer => Buffer.from(text);
const timestampPart = part('","timestamp":"');
const keyPart = part('","key":');
const nullPart = part("null");
/** What stands between a key and headers, between headers and value, or, without headers, between key and value. */
const headersPart = part(',"headers":');
const valuePart = part(',"value":');
const keyEncodings = {
  utf8: part(',"key_encoding":"utf8"'),
  base64: part(',"key_encoding":"base64"'),
  null: part(',"key_encoding":"null"'),
};
const keyEncodingsWithoutHeaders = {
  utf8: part(',"key_encoding":"utf8","headers":[],"value":'),
  base64: part(',"key_encoding":"base64","headers":[],"value":'),
  null: part(',"key_encoding":"null","headers":[],"value":'),
};
const lineEnds = {
  json: part(',"value_encoding":"json"}\n'),
  utf8: part(',"value_encoding":"utf8"}\n'),
  base64: part(',"value_encoding":"base64"}\n'),
  null: part(',"value_encoding":"null"}\n'),
};
const quote = 0x22;
const backslash = 0x5c;

const nothing = Buffer.alloc(0);

/** Pieces for reuse: freed by the garbage collector alone, they would pile up to several times what is in use. */
const spare: Buffer[] = [];
const maximumSpare = 32;

/** See the module's description. */
export class LineBuffer {
  readonly #full: Buffer[] = [];
  #piece: Buffer = nothing;
  #at = 0;
  #bytes = 0;
  /** The line's beginning, up to the offset: the same for all records of a partition. */
  #head: Buffer = Buffer.alloc(0);
  #headTopic = "";
  #headPartition = -1;

  /** Size of all lines. */
  get bytes(): number {
    return this.#bytes + this.#at;
  }

  /** Gives the memory back for other lines: neither the buffer nor its pieces must be used any more. */
  release(): void {
    for (const piece of [...this.#full, this.#piece]) {
      if (piece.buffer.byteLength === largestPiece && spare.length < maximumSpare) {
        spare.push(Buffer.from(piece.buffer));
      }
    }
    this.#full.length = 0;
    this.#piece = nothing;
    this.#at = 0;
    this.#bytes = 0;
  }

  /** The lines in pieces; nothing must be appended any more. */
  get pieces(): readonly Buffer[] {
    return [...this.#full, this.#piece.subarray(0, this.#at)];
  }

  /** Writes the record's line with its end. */
  append(record: ArchivedRecord): void {
    const { key, value } = record;
    if (record.topic !== this.#headTopic || record.partition !== this.#headPartition) this.#newHead(record);
    // Everything but headers, and what needs escapes or base64: those make room for themselves.
    this.#reserve(this.#head.length + (key?.length ?? 0) + (value?.length ?? 0) + 240);
    this.#copy(this.#head);
    this.#ascii(record.offset);
    this.#copy(timestampPart);
    this.#ascii(record.timestamp);
    this.#copy(keyPart);
    const keyEncoding = this.#text(key);
    if (record.headers.length === 0) this.#copy(keyEncodingsWithoutHeaders[keyEncoding]);
    else {
      this.#copy(keyEncodings[keyEncoding]);
      this.#headers(record.headers);
      this.#reserve(16);
      this.#copy(valuePart);
    }
    this.#reserve((value?.length ?? 0) + 64);
    let encoding: keyof typeof lineEnds;
    if (value !== null && isCanonicalJson(value)) {
      this.#copy(value);
      encoding = "json";
    } else encoding = this.#text(value);
    this.#reserve(64);
    this.#copy(lineEnds[encoding]);
  }

  #newHead({ topic, partition }: ArchivedRecord): void {
    this.#head = part(`{"topic":${JSON.stringify(topic)},"partition":${partition},"offset":"`);
    this.#headTopic = topic;
    this.#headPartition = partition;
  }

  #headers(headers: ArchivedRecord["headers"]): void {
    this.#copy(headersPart);
    let separator = "[[";
    for (const [name, value] of headers) {
      const begin = part(`${separator}${JSON.stringify(name)},`);
      this.#reserve(begin.length + (value?.length ?? 0) + 64);
      this.#copy(begin);
      const encoding = this.#text(value);
      this.#reserve(16);
      this.#ascii(`,"${encoding}"]`);
      separator = ",[";
    }
    this.#reserve(1);
    this.#ascii("]");
  }

  /** Writes a JSON string (or null) and tells how it stands there. */
  #text(content: Buffer | null): "utf8" | "base64" | "null" {
    if (content === null) {
      this.#copy(nullPart);
      return "null";
    }
    const escapes = bytesOfEscapes(content);
    const isText = isUtf8(content);
    if (isText && (content.length <= escapedUpTo || escapes < content.length / 3)) {
      this.#reserve(content.length + escapes + 64);
      this.#byte(quote);
      if (escapes === 0) this.#copy(content);
      else this.#escaped(content);
      this.#byte(quote);
      return "utf8";
    }
    this.#reserve(Math.ceil(content.length / 3) * 4 + 64);
    this.#byte(quote);
    for (let from = 0; from < content.length; from += base64Step) {
      const text = content.toString("base64", from, Math.min(from + base64Step, content.length));
      this.#at += this.#piece.write(text, this.#at, "latin1");
    }
    this.#byte(quote);
    return "base64";
  }

  /** As `JSON.stringify` prints it. */
  #escaped(content: Buffer): void {
    const piece = this.#piece;
    let at = this.#at;
    for (let index = 0; index < content.length; index++) {
      const byte = content[index] as number;
      const escape = byte === quote || byte === backslash || byte < 0x20 ? escapeOf[byte] : undefined;
      if (escape === undefined) {
        piece[at++] = byte;
        continue;
      }
      for (let digit = 0; digit < escape.length; digit++) piece[at++] = escape.charCodeAt(digit);
    }
    this.#at = at;
  }

  #reserve(bytes: number): void {
    if (this.#piece.length - this.#at >= bytes) return;
    if (this.#at > 0) this.#full.push(this.#piece.subarray(0, this.#at));
    this.#bytes += this.#at;
    const wanted = Math.min(largestPiece, Math.max(smallestPiece, this.#piece.length * 2));
    // Not from Node's shared pool: a piece is freed as a whole.
    const size = Math.max(wanted, bytes);
    this.#piece = (size === largestPiece ? spare.pop() : undefined) ?? Buffer.allocUnsafeSlow(size);
    this.#at = 0;
  }

  #copy(bytes: Buffer): void {
    this.#piece.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  #byte(byte: number): void {
    this.#piece[this.#at++] = byte;
  }

  #ascii(text: string): void {
    const piece = this.#piece;
    let at = this.#at;
    for (let index = 0; index < text.length; index++) piece[at++] = text.charCodeAt(index);
    this.#at = at;
  }
}

/** How JSON prints a quote, a backslash and control characters. */
const escapeOf = Array.from({ length: 128 }, (_, code) => {
  const printed = JSON.stringify(String.fromCharCode(code)).slice(1, -1);
  return printed.length > 1 ? printed : undefined;
});
const extraOf = Uint8Array.from(escapeOf, (escape) => (escape === undefined ? 0 : escape.length - 1));

/** By how much the content grows when it is printed as a JSON string. */
function bytesOfEscapes(content: Buffer): number {
  let extra = 0;
  for (let index = 0; index < content.length; index++) extra += extraOf[content[index] as number] ?? 0;
  return extra;
}

/** Parsing and printing gives the same bytes back. */
function isCanonicalJson(value: Buffer): boolean {
  const found = looksCanonical(value);
  if (found === "ascii") return true;
  if (!isUtf8(value)) return false;
  if (found === "if-utf8") return true;
  if (value.length > parsedUpTo || !beginsLikeJson(value[0]) || nestsDeeperThan(maximumDepth, value))
    return false;
  const text = value.toString();
  try {
    return JSON.stringify(JSON.parse(text)) === text;
  } catch {
    return false;
  }
}

/** Most texts that are no JSON show it at once: throwing and catching would take longer than everything else. */
function beginsLikeJson(byte: number | undefined): boolean {
  return byte !== undefined && '{["-0123456789tfn'.includes(String.fromCharCode(byte));
}

/** Counts brackets, those inside of texts too: the answer may be a needless yes, never a wrong no. */
function nestsDeeperThan(limit: number, text: Buffer): boolean {
  let depth = 0;
  for (let index = 0; index < text.length; index++) {
    const code = text[index] as number;
    // [ and {, then ] and }
    if (code === 0x5b || code === 0x7b) {
      if (++depth > limit) return true;
    } else if (code === 0x5d || code === 0x7d) depth = Math.max(0, depth - 1);
  }
  return false;
}
