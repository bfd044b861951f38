/** The content of one object: compressed lines. Writing notes hashes beside it, reading checks everything there is. */
import { hash } from "node:crypto";
import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";
import { type Codec, codecOf, type OffsetRange, objectName } from "./layout.ts";
import { type ArchivedRecord, decodeLine, encodeLine } from "./line.ts";
import { type ChainPoint, chainStart, RecordHash } from "./record-hash.ts";

const compress = promisify(gzip);
const decompress = promisify(gunzip);

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
}

/** An object ready to be stored. */
export interface PreparedObject {
  /** Relative to the archive's prefix. */
  name: string;
  body: Buffer;
  expected: ExpectedObject;
}

/** Collects the records of one object. */
export class ObjectBuilder {
  readonly #before: Readonly<ChainPoint>;
  readonly #hash: RecordHash;
  readonly #lines: Buffer[] = [];
  #bytes = 0;

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
    return this.#bytes;
  }

  add(record: ArchivedRecord): void {
    // Hashed before it is printed: a mistake of the printing would show when the object is read back.
    this.#hash.add(record);
    const line = Buffer.from(`${encodeLine(record)}\n`);
    this.#lines.push(line);
    this.#bytes += line.length;
  }

  /** Ends the object. The same records of the same range give the same bytes. */
  async build(range: OffsetRange, codec: Codec): Promise<PreparedObject> {
    const body = await compress(Buffer.concat(this.#lines), { level: 1 });
    return {
      name: objectName(range, codec),
      body,
      expected: {
        sha256: hash("sha256", body),
        records: this.records,
        before: this.#before,
        recordsSha256: this.#hash.digest(),
      },
    };
  }
}

/** An object's metadata in the bucket, readable for anybody with an S3 client. */
export function metadataOf({
  sha256,
  records,
  before,
  recordsSha256,
}: ExpectedObject): Record<string, string> {
  return {
    records: String(records),
    sha256,
    "records-before": String(before.records),
    "records-sha256-before": before.sha256,
    "records-sha256": recordsSha256,
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
  };
}

/** The chain behind an object. */
export function pointBehind({ records, before, recordsSha256 }: ExpectedObject): ChainPoint {
  return { records: before.records + records, sha256: recordsSha256 };
}

/**
 * Unpacks an object and checks it: its hash, number and chain of its records, each record's topic, partition and place
 * in the range, ascending offsets.
 * @param name relative to the archive's prefix, as {@link objectName} makes it.
 * @returns its records.
 * @throws ArchiveObjectError that says what is wrong.
 */
export async function readObject(
  name: string,
  range: OffsetRange,
  body: Buffer,
  expected: ExpectedObject,
): Promise<ArchivedRecord[]> {
  const fail = (what: string): never => {
    throw new ArchiveObjectError(name, what);
  };
  if (hash("sha256", body) !== expected.sha256) {
    fail("its bytes are not those that were written (SHA-256 differs)");
  }
  if (codecOf(name) !== "gzip") fail("zstd is not supported");
  const text = await decompress(body).then(
    (bytes) => bytes.toString("utf8"),
    (error: unknown) => fail(`cannot be unpacked: ${String(error)}`),
  );
  const lines = text.split("\n");
  if (lines.pop() !== "") fail("its last line has no end");
  const chain = new RecordHash(expected.before);
  let previous = range.first - 1n;
  const records = lines.map((line, index) => {
    let record: ArchivedRecord;
    try {
      record = decodeLine(line);
    } catch (error) {
      return fail(`line ${index + 1}: ${(error as Error).message}`);
    }
    const offset = BigInt(record.offset);
    if (record.topic !== range.topic || record.partition !== range.partition) {
      fail(`line ${index + 1} is of ${record.topic}/${record.partition}`);
    }
    if (offset <= previous || offset > range.last) {
      fail(`line ${index + 1}: offset ${offset} is not in order or not in the object's range`);
    }
    previous = offset;
    chain.add(record);
    return record;
  });
  if (expected.records !== records.length) {
    fail(`holds ${records.length} records instead of ${expected.records}`);
  }
  if (expected.recordsSha256 !== chain.digest()) fail("its records are not those that Kafka gave");
  return records;
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
