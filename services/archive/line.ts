/**
 * One archived record as one line of JSON (DESIGN §5). The rule is exactness: what stands in the line gives the very
 * bytes back that Kafka held. Lines end with "\n" only; U+2028 and the like may stand inside of them.
 *
 * The fields always come in the same order and the value comes last but for its encoding, so a reader in another
 * language can cut a JSON value's bytes out between the first `,"value":` and the final `,"value_encoding":` instead
 * of printing the parsed value the way JavaScript does.
 */
import { LineBuffer } from "./line-buffer.ts";

/** One header; Kafka allows several with one name. */
export type ArchivedHeader = readonly [name: string, value: Buffer | null];

/** A record as it was in Kafka. */
export interface ArchivedRecord {
  topic: string;
  partition: number;
  /** Decimal. */
  offset: string;
  /** Kafka's record timestamp, milliseconds since 1970, decimal. */
  timestamp: string;
  key: Buffer | null;
  /** In their order. */
  headers: readonly ArchivedHeader[];
  value: Buffer | null;
}

/** A line does not hold a record. */
export class ArchiveLineError extends Error {
  override readonly name = "ArchiveLineError";
}

/**
 * Prints a record, without the line's end.
 * Values: `json` when parsing and printing gives the same bytes back, otherwise `utf8`, otherwise `base64`; what is large
 * may stand as `utf8` though it is such JSON, and as `base64` though it is text (see line-buffer.ts).
 */
export function encodeLine(record: ArchivedRecord): string {
  const lines = new LineBuffer();
  lines.append(record);
  return Buffer.concat(lines.pieces).toString("utf8", 0, lines.bytes - 1);
}

const encodings = new Set<unknown>(["utf8", "base64", "null"]);
type TextEncoding = "utf8" | "base64" | "null";
const fields = [
  "topic",
  "partition",
  "offset",
  "timestamp",
  "key",
  "key_encoding",
  "headers",
  "value",
  "value_encoding",
];
const isDecimal = (text: unknown): text is string => typeof text === "string" && /^-?\d{1,19}$/.test(text);

/**
 * Reads a line back.
 * @throws ArchiveLineError that names what is wrong with it.
 */
export function decodeLine(line: string): ArchivedRecord {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch (error) {
    throw new ArchiveLineError(`not JSON: ${(error as Error).message}`);
  }
  const { topic, partition, offset, timestamp, key, key_encoding, headers, value, value_encoding } =
    checkedFields(json);
  return {
    topic,
    partition,
    offset,
    timestamp,
    key: decodeText("key", key, key_encoding),
    headers:
      headers.length === 0
        ? noHeaders
        : headers.map(
            ([name, text, encoded]) => [name, decodeText(`header ${name}`, text, encoded)] as const,
          ),
    value:
      value_encoding === "json"
        ? Buffer.from(JSON.stringify(value))
        : decodeText("value", value, value_encoding),
  };
}

interface LineFields {
  topic: string;
  partition: number;
  offset: string;
  timestamp: string;
  key: unknown;
  key_encoding: TextEncoding;
  headers: readonly [string, unknown, TextEncoding][];
  value: unknown;
  value_encoding: TextEncoding | "json";
}

/** By hand: a schema library takes three times as long as everything else, for each of millions of lines. */
function checkedFields(json: unknown): LineFields {
  if (json === null || typeof json !== "object" || Array.isArray(json)) {
    throw new ArchiveLineError("the line is no JSON object");
  }
  const line = json as Partial<Record<string, unknown>>;
  const mistakes: string[] = [];
  const check = (field: string, isRight: boolean, expected: string): void => {
    if (!isRight) mistakes.push(`${field}: expected ${expected}`);
  };
  check("topic", typeof line["topic"] === "string" && line["topic"] !== "", "a topic's name");
  const partition = line["partition"];
  check("partition", Number.isInteger(partition) && (partition as number) >= 0, "a number from 0 on");
  check("offset", isDecimal(line["offset"]), "a whole number in decimal digits, as text");
  check("timestamp", isDecimal(line["timestamp"]), "a whole number in decimal digits, as text");
  check("key", "key" in line, "a text or null");
  check("key_encoding", encodings.has(line["key_encoding"]), "utf8, base64 or null");
  check("headers", isHeaders(line["headers"]), "a list of [name, value, encoding]");
  check("value", "value" in line, "a value");
  const valueEncoding = line["value_encoding"];
  check(
    "value_encoding",
    valueEncoding === "json" || encodings.has(valueEncoding),
    "json, utf8, base64 or null",
  );
  const names = Object.keys(line);
  if (names.length !== fields.length) {
    for (const name of names) if (!fields.includes(name)) mistakes.push(`${name}: is not a field of a line`);
  }
  if (mistakes.length > 0) throw new ArchiveLineError(mistakes.join("; "));
  return line as unknown as LineFields;
}

function isHeaders(headers: unknown): boolean {
  return (
    Array.isArray(headers) &&
    headers.every(
      (header: unknown) =>
        Array.isArray(header) &&
        header.length === 3 &&
        typeof header[0] === "string" &&
        encodings.has(header[2]),
    )
  );
}

const noHeaders: readonly ArchivedHeader[] = [];

function decodeText(where: string, text: unknown, encoded: TextEncoding): Buffer | null {
  if (encoded === "null") {
    if (text !== null) throw new ArchiveLineError(`${where}: encoding null, but there is a value`);
    return null;
  }
  if (typeof text !== "string") throw new ArchiveLineError(`${where}: encoding ${encoded} needs a text`);
  const bytes = Buffer.from(text, encoded);
  // Node ignores what is not base64; an archive must not.
  if (encoded === "base64" && !isBase64(text)) throw new ArchiveLineError(`${where}: not base64`);
  return bytes;
}

const base64Pattern = /^[A-Za-z0-9+/]*={0,2}$/;
const stepCharacters = 64 * 1024;

/** In the one form that encoders print: padded, and without bits that mean nothing. */
function isBase64(text: string): boolean {
  if (text.length % 4 !== 0) return false;
  const last = text.slice(-4);
  if (Buffer.from(last, "base64").toString("base64") !== last) return false;
  // Piece by piece: a pattern over many millions of characters needs as much stack.
  for (let at = 0; at < text.length; at += stepCharacters) {
    const isEnd = at + stepCharacters >= text.length;
    const step = text.slice(at, at + stepCharacters);
    if (!base64Pattern.test(step) || (!isEnd && step.endsWith("="))) return false;
  }
  return true;
}
