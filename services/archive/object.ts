/** The content of one object: compressed lines. Writing notes hashes beside it, reading checks everything there is. */
import { hash } from "node:crypto";
import { pack, unpack } from "./compression.ts";
import { type Codec, codecOf, type OffsetRange, objectName } from "./layout.ts";
import { type ArchivedRecord, decodeLine } from "./line.ts";
import { LineBuffer } from "./line-buffer.ts";
import { PlainLineReader } from "./plain-line.ts";
import { type ChainPoint, chainStart, RecordHash } from "./record-hash.ts";

/** An object does not hold what it should. */
export class ArchiveObjectError extends Error {
  override readonly name = "ArchiveObjectError";

  constructor(object: string, what: string) {
    super(`${object}: ${what}`);
  }
}

/** What an object must be. */
export interface ExpectedObject {
  /** Of the body as stored. */
  sha256: string;
  records: number;
  /** Its partition's chain in front of its first record and behind its last one. */
  before: Readonly<ChainPoint>;
  recordsSha256: string;
  /** Kafka's id of the topic: one that is deleted and created again has another. Not part of a manifest. */
  topicId?: string | undefined;
}

/** An object ready to be stored. */
export interface PreparedObject {
  /** Relative to the archive's prefix. */
  name: string;
  body: Buffer;
  expected: ExpectedObject;
  /** Offsets of its first and last record, null without records. */
  firstOffset: string | null;
  lastOffset: string | null;
}

/** Collects the records of one object. */
export class ObjectBuilder {
  readonly #before: Readonly<ChainPoint>;
  readonly #hash: RecordHash;
  readonly #lines = new LineBuffer();
  #firstOffset: string | null = null;
  #lastOffset: string | null = null;

  /** @param before the partition's chain in front of the object. */
  constructor(before: Readonly<ChainPoint>) {
    this.#before = before;
    this.#hash = new RecordHash(before);
  }

  get records(): number {
    return this.#hash.records - this.#before.records;
  }

  /** The chain behind what was added. */
  get point(): ChainPoint {
    return this.#hash.point;
  }

  /** Size before compression. */
  get bytes(): number {
    return this.#lines.bytes;
  }

  add(record: ArchivedRecord): void {
    // Hashed before it is printed: a mistake of the printing would show when the object is read back.
    this.#hash.add(record);
    this.#lines.append(record);
    this.#firstOffset ??= record.offset;
    this.#lastOffset = record.offset;
  }

  /** Ends the object: the builder must not be used any more. The same records of the same range give the same bytes. */
  async build(range: OffsetRange, codec: Codec, topicId?: string): Promise<PreparedObject> {
    const body = await pack(codec, this.#lines.pieces);
    this.#lines.release();
    return {
      name: objectName(range, codec),
      body,
      expected: {
        sha256: hash("sha256", body),
        records: this.records,
        before: this.#before,
        recordsSha256: this.#hash.digest(),
        topicId,
      },
      firstOffset: this.#firstOffset,
      lastOffset: this.#lastOffset,
    };
  }
}

/** An object's metadata in the bucket, readable for anybody with an S3 client. */
export function metadataOf({
  sha256,
  records,
  before,
  recordsSha256,
  topicId,
}: ExpectedObject): Record<string, string> {
  return {
    records: String(records),
    sha256,
    "records-before": String(before.records),
    "records-sha256-before": before.sha256,
    "records-sha256": recordsSha256,
    ...(topicId === undefined ? {} : { "topic-id": topicId }),
  };
}

/** What was noted at the object's writing; undefined when it is incomplete, so the object is not the archiver's. */
export function expectedOf(metadata: Readonly<Record<string, string>>): ExpectedObject | undefined {
  const { sha256, records, "records-sha256": recordsSha256 } = metadata;
  const { "records-before": recordsBefore, "records-sha256-before": sha256Before } = metadata;
  const isCount = (text: string | undefined): text is string => /^\d{1,15}$/.test(text ?? "");
  const isHash = (text: string | undefined): text is string => /^[0-9a-f]{64}$/.test(text ?? "");
  if (!isCount(records) || !isCount(recordsBefore)) return undefined;
  if (!isHash(sha256) || !isHash(recordsSha256) || !isHash(sha256Before)) return undefined;
  return {
    sha256,
    records: Number(records),
    before: { records: Number(recordsBefore), sha256: sha256Before },
    recordsSha256,
    topicId: metadata["topic-id"],
  };
}

/** The chain behind an object. */
export function pointBehind({ records, before, recordsSha256 }: ExpectedObject): ChainPoint {
  return { records: before.records + records, sha256: recordsSha256 };
}

/** What an object turned out to hold. */
export interface ObjectContent {
  /** Of the body as stored. */
  sha256: string;
  records: number;
  /** The chain behind its last record, when it goes on from the point that was given. */
  recordsSha256: string;
  /** Offsets of its first and last record, null without records. */
  firstOffset: string | null;
  lastOffset: string | null;
}

/**
 * Unpacks an object, never holding more than a piece of it and one line, and checks each line: is it a record of the
 * range's topic and partition, in order and in the range.
 * @param name relative to the archive's prefix, as {@link objectName} makes it.
 * @param before the partition's chain in front of the object.
 * @param onRecord told of each record, in order.
 * @throws ArchiveObjectError that says what is wrong.
 */
export async function scanObject(
  name: string,
  range: OffsetRange,
  body: Buffer,
  before: Readonly<ChainPoint>,
  onRecord: (record: ArchivedRecord) => void = () => undefined,
): Promise<ObjectContent> {
  const chain = new RecordHash(before);
  let lines = 0;
  let previous = range.first - 1n;
  let firstOffset: string | null = null;
  let lastOffset: string | null = null;
  const fail = (what: string): never => {
    throw new ArchiveObjectError(name, what);
  };
  const plainLines = new PlainLineReader(range.topic, range.partition);
  const onLine = (line: Buffer): void => {
    lines++;
    let record: ArchivedRecord;
    try {
      record = plainLines.read(line) ?? decodeLine(line.toString());
    } catch (error) {
      return fail(`line ${lines}: ${(error as Error).message}`);
    }
    const offset = BigInt(record.offset);
    if (record.topic !== range.topic || record.partition !== range.partition) {
      fail(`line ${lines} is of ${record.topic}/${record.partition}`);
    }
    if (offset <= previous || offset > range.last) {
      fail(`line ${lines}: offset ${offset} is not in order or not in the object's range`);
    }
    previous = offset;
    firstOffset ??= record.offset;
    lastOffset = record.offset;
    chain.add(record);
    onRecord(record);
  };
  const splitter = new LineSplitter(onLine);
  try {
    for await (const piece of unpack(codecOf(name), body)) splitter.add(piece);
  } catch (error) {
    if (error instanceof ArchiveObjectError) throw error;
    fail(`cannot be unpacked: ${String(error)}`);
  }
  if (!splitter.isComplete) fail("its last line has no end");
  const records = chain.records - before.records;
  return { sha256: hash("sha256", body), records, recordsSha256: chain.digest(), firstOffset, lastOffset };
}

/** Cuts pieces at "\n". */
class LineSplitter {
  readonly #onLine: (line: Buffer) => void;
  /** Pieces of a line whose end has not come. */
  #open: Buffer[] = [];

  constructor(onLine: (line: Buffer) => void) {
    this.#onLine = onLine;
  }

  get isComplete(): boolean {
    return this.#open.length === 0;
  }

  add(piece: Buffer): void {
    let from = 0;
    for (let end = piece.indexOf(0x0a); end >= 0; end = piece.indexOf(0x0a, from)) {
      const rest = piece.subarray(from, end);
      from = end + 1;
      if (this.#open.length === 0) {
        this.#onLine(rest);
        continue;
      }
      const line = Buffer.concat([...this.#open, rest]);
      this.#open = [];
      this.#onLine(line);
    }
    if (from < piece.length) this.#open.push(piece.subarray(from));
  }
}

/**
 * Unpacks an object and checks it: its hash, number and chain of its records, and what {@link scanObject} checks.
 * @returns its records.
 * @throws ArchiveObjectError that says what is wrong.
 */
export async function readObject(
  name: string,
  range: OffsetRange,
  body: Buffer,
  expected: ExpectedObject,
): Promise<ArchivedRecord[]> {
  // First, so that bytes that are not ours are not even unpacked.
  const mistake = wrongBody(hash("sha256", body), expected);
  if (mistake !== undefined) throw new ArchiveObjectError(name, mistake);
  const records: ArchivedRecord[] = [];
  const content = await scanObject(name, range, body, expected.before, (record) => records.push(record));
  const wrong = wrongContent(content, expected);
  if (wrong !== undefined) throw new ArchiveObjectError(name, wrong);
  return records;
}

function wrongBody(sha256: string, expected: ExpectedObject): string | undefined {
  return sha256 === expected.sha256
    ? undefined
    : "its bytes are not those that were written (SHA-256 differs)";
}

/** What differs between an object and what it must be; undefined when nothing does. */
export function wrongContent(content: ObjectContent, expected: ExpectedObject): string | undefined {
  if (content.records !== expected.records) {
    return `holds ${content.records} records instead of ${expected.records}`;
  }
  if (content.recordsSha256 !== expected.recordsSha256) return "its records are not those that Kafka gave";
  return wrongBody(content.sha256, expected);
}

/** What the objects of a manifest must be: each continues the chain of the one before it. */
export function expectedOfListed<T extends { sha256: string; records: number; recordsSha256: string }>(
  objects: readonly T[],
): { object: T; expected: ExpectedObject }[] {
  let before: Readonly<ChainPoint> = chainStart;
  return objects.map((object) => {
    const { sha256, records, recordsSha256 } = object;
    const expected = { sha256, records, before, recordsSha256 };
    before = pointBehind(expected);
    return { object, expected };
  });
}
