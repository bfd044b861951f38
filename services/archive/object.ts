/** The content of one object: gzip of lines. Writing notes hashes beside it, reading checks everything there is. */
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";
import { type OffsetRange, objectName } from "./layout.ts";
import { type ArchivedRecord, decodeLine, encodeLine } from "./line.ts";
import { RecordHash } from "./record-hash.ts";

const compress = promisify(gzip);
const decompress = promisify(gunzip);

/** An object does not hold what it should. */
export class ArchiveObjectError extends Error {
  override readonly name = "ArchiveObjectError";

  constructor(object: string, what: string) {
    super(`${object}: ${what}`);
  }
}

/** An object ready to be stored. */
export interface PreparedObject {
  /** Relative to the archive's prefix. */
  name: string;
  body: Buffer;
  /** Hashes that a reader compares with: of the body, and of the records as they came out of Kafka. */
  metadata: Record<string, string>;
}

/** Collects the records of one object. */
export class ObjectBuilder {
  readonly #hash = new RecordHash();
  readonly #lines: Buffer[] = [];
  #bytes = 0;

  get records(): number {
    return this.#hash.records;
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
  async build(range: OffsetRange): Promise<PreparedObject> {
    const body = await compress(Buffer.concat(this.#lines), { level: 1 });
    return {
      name: objectName(range),
      body,
      metadata: {
        records: String(this.#hash.records),
        "records-sha256": this.#hash.digest(),
        sha256: sha256(body),
      },
    };
  }
}

/** What an object must be. */
export interface ExpectedObject {
  sha256: string;
  records: number;
  recordsSha256: string;
}

/** What was noted at the object's writing; undefined when it is incomplete, so the object is not the archiver's. */
export function expectedOf(metadata: Readonly<Record<string, string>>): ExpectedObject | undefined {
  const { sha256: hash, records, "records-sha256": recordsSha256 } = metadata;
  if (hash === undefined || records === undefined || recordsSha256 === undefined) return undefined;
  return { sha256: hash, records: Number(records), recordsSha256 };
}

/**
 * Unpacks an object and checks it: its hash, number and hash of its records, each record's topic, partition and place
 * in the range, ascending offsets.
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
  if (sha256(body) !== expected.sha256) fail("its bytes are not those that were written (SHA-256 differs)");
  const text = await decompress(body).then(
    (bytes) => bytes.toString("utf8"),
    (error: unknown) => fail(`cannot be unpacked: ${String(error)}`),
  );
  const lines = text.split("\n");
  if (lines.pop() !== "") fail("its last line has no end");
  const hash = new RecordHash();
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
    hash.add(record);
    return record;
  });
  if (expected.records !== records.length) {
    fail(`holds ${records.length} records instead of ${expected.records}`);
  }
  if (expected.recordsSha256 !== hash.digest()) fail("its records are not those that Kafka gave");
  return records;
}

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
