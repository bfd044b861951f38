/**
 * One archived record as one line of JSON (DESIGN §5). The rule is exactness: what stands in the line gives the very
 * bytes back that Kafka held. Lines end with "\n" only; U+2028 and the like may stand inside of them.
 *
 * The fields always come in the same order and the value comes last but for its encoding, so a reader in another
 * language can cut a JSON value's bytes out between the first `,"value":` and the final `,"value_encoding":` instead
 * of printing the parsed value the way JavaScript does.
 */
import { z } from "zod";

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
  /** kafkajs hands headers over grouped by name: their order across different names is not known. */
  headers: readonly ArchivedHeader[];
  value: Buffer | null;
}

/** A line does not hold a record. */
export class ArchiveLineError extends Error {
  override readonly name = "ArchiveLineError";
}

/** Deeper values are kept as text: other languages' JSON parsers stop at a few hundred levels. */
const maximumDepth = 200;

/**
 * Prints a record, without the line's end.
 * Values: `json` when parsing and printing gives the same bytes back, otherwise `utf8`, otherwise `base64`.
 */
export function encodeLine(record: ArchivedRecord): string {
  const [key, keyEncoding] = encodeText(record.key);
  const headers = record.headers.map(([name, value]) => [name, ...encodeText(value)]);
  const text = record.value === null ? null : exactText(record.value);
  const [value, valueEncoding] =
    typeof text === "string" && isCanonicalJson(text)
      ? [text, "json"]
      : [JSON.stringify(encodeText(record.value, text)[0]), encodeText(record.value, text)[1]];
  return (
    `{"topic":${JSON.stringify(record.topic)},"partition":${record.partition},"offset":"${record.offset}",` +
    `"timestamp":"${record.timestamp}","key":${JSON.stringify(key)},"key_encoding":"${keyEncoding}",` +
    `"headers":${JSON.stringify(headers)},"value":${value},"value_encoding":"${valueEncoding}"}`
  );
}

const decimal = z.string().regex(/^-?\d{1,19}$/, "expected a whole number in decimal digits");
const encoding = z.enum(["utf8", "base64", "null"]);
const lineSchema = z.strictObject({
  topic: z.string().min(1),
  partition: z.int().min(0),
  offset: decimal,
  timestamp: decimal,
  key: z.string().nullable(),
  key_encoding: encoding,
  headers: z.array(z.tuple([z.string(), z.string().nullable(), encoding])),
  value: z.unknown(),
  value_encoding: z.enum(["json", "utf8", "base64", "null"]),
});

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
  const parsed = lineSchema.safeParse(json);
  if (!parsed.success) {
    const mistakes = parsed.error.issues.map(
      (issue) => `${issue.path.join(".") || "line"}: ${issue.message}`,
    );
    throw new ArchiveLineError(mistakes.join("; "));
  }
  const { topic, partition, offset, timestamp, value, value_encoding } = parsed.data;
  return {
    topic,
    partition,
    offset,
    timestamp,
    key: decodeText("key", parsed.data.key, parsed.data.key_encoding),
    headers: parsed.data.headers.map(
      ([name, text, encoded]) => [name, decodeText(`header ${name}`, text, encoded)] as const,
    ),
    value:
      value_encoding === "json"
        ? Buffer.from(JSON.stringify(value))
        : decodeText("value", value, value_encoding),
  };
}

/** The bytes as text, or undefined when they are not UTF-8. */
function exactText(bytes: Buffer): string | undefined {
  const text = bytes.toString("utf8");
  return Buffer.from(text).equals(bytes) ? text : undefined;
}

function encodeText(
  bytes: Buffer | null,
  text = bytes === null ? null : exactText(bytes),
): [string | null, "utf8" | "base64" | "null"] {
  if (bytes === null || text === null) return [null, "null"];
  return text === undefined ? [bytes.toString("base64"), "base64"] : [text, "utf8"];
}

function decodeText(where: string, text: unknown, encoded: "utf8" | "base64" | "null"): Buffer | null {
  if (encoded === "null") {
    if (text !== null) throw new ArchiveLineError(`${where}: encoding null, but there is a value`);
    return null;
  }
  if (typeof text !== "string") throw new ArchiveLineError(`${where}: encoding ${encoded} needs a text`);
  const bytes = Buffer.from(text, encoded);
  // Node ignores what is not base64; an archive must not.
  if (encoded === "base64" && bytes.toString("base64") !== text) {
    throw new ArchiveLineError(`${where}: not base64`);
  }
  return bytes;
}

/** Numbers that are not printed as they were written, repeated keys, blanks, escapes: all print differently. */
function isCanonicalJson(text: string): boolean {
  if (nestsDeeperThan(maximumDepth, text)) return false;
  try {
    return JSON.stringify(JSON.parse(text)) === text;
  } catch {
    return false;
  }
}

/** Counts brackets, those inside of texts too: the answer may be a needless yes, never a wrong no. */
function nestsDeeperThan(limit: number, text: string): boolean {
  let depth = 0;
  let deepest = 0;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    // [ and {, then ] and }
    if (code === 91 || code === 123) deepest = Math.max(deepest, ++depth);
    else if (code === 93 || code === 125) depth = Math.max(0, depth - 1);
    if (deepest > limit) return true;
  }
  return false;
}
