/**
 * The hash of records in order, as a chain: the state behind no record is 32 zero bytes, the state behind a record is
 * SHA-256 of the state before it and the record's fields. A state is 32 bytes that can be written down, so whoever
 * knows the state behind an object goes on from there, and the hash does not depend on how records are cut into
 * objects. Offsets do not count, so it is the same for a cluster that the records were restored into.
 *
 * The fields are topic, partition in decimal digits, timestamp in decimal digits, key, value, number of headers in
 * decimal digits, then name and value of each header. Each is its length in bytes (4 bytes, big-endian) and the bytes; a
 * null is the length ff ff ff ff alone.
 *
 * In Python, from the lines of a partition's objects in the order of their names:
 *
 *     import base64, hashlib, json, struct, sys
 *     def field(b):
 *         return b"\xff\xff\xff\xff" if b is None else struct.pack(">I", len(b)) + b
 *     def plain(v, encoding):
 *         return None if encoding == "null" else base64.b64decode(v) if encoding == "base64" else v.encode()
 *     state = bytes(32)
 *     for line in sys.stdin.buffer:
 *         r = json.loads(line)
 *         value = line[line.index(b',"value":') + 9 : line.rindex(b',"value_encoding":')]
 *         value = value if r["value_encoding"] == "json" else plain(r["value"], r["value_encoding"])
 *         fields = [r["topic"].encode(), str(r["partition"]).encode(), r["timestamp"].encode()]
 *         fields += [plain(r["key"], r["key_encoding"]), value, str(len(r["headers"])).encode()]
 *         for name, v, encoding in r["headers"]: fields += [name.encode(), plain(v, encoding)]
 *         state = hashlib.sha256(state + b"".join(map(field, fields))).digest()
 *     print(state.hex())
 */
import { createHash, hash as hashOnce } from "node:crypto";
import type { ArchivedRecord } from "./line.ts";

/** A place in a partition's chain: how many records are in front of it, and the state behind them. */
export interface ChainPoint {
  records: number;
  /** Hexadecimal. */
  sha256: string;
}

/** In front of a partition's first record. */
export const chainStart: Readonly<ChainPoint> = { records: 0, sha256: "0".repeat(64) };

const stateBytes = 32;
/** Larger records are hashed piece by piece instead of in one buffer. */
const largestAtOnce = 256 * 1024;
/** One record's input, built here: nothing is awaited while it is in use, so all chains share it. */
const scratch = Buffer.allocUnsafeSlow(stateBytes + largestAtOnce);
/** Its beginnings by their length, for usual records: making one anew costs as much as copying the value. */
const usualBytes = 4 * 1024;
const beginnings = new Array<Buffer | undefined>(usualBytes + 1).fill(undefined);

/** Takes records in, one after the other, and tells the chain's state and their number. */
export class RecordHash {
  /** A character for each byte: faster to get and to write than bytes or digits. */
  #state: string;
  #records: number;
  /** The fields that all records of a partition have in common: topic and partition. */
  #head: Buffer = Buffer.alloc(0);
  #headTopic = "";
  #headPartition = -1;

  /** @param from where to go on; default: in front of the first record. */
  constructor(from: Readonly<ChainPoint> = chainStart) {
    this.#state = Buffer.from(from.sha256, "hex").toString("latin1");
    this.#records = from.records;
  }

  /** How many records are behind the start of the chain. */
  get records(): number {
    return this.#records;
  }

  add(record: Omit<ArchivedRecord, "offset">): void {
    if (record.topic !== this.#headTopic || record.partition !== this.#headPartition) this.#newHead(record);
    const { key, value, headers } = record;
    let bytes = this.#head.length + (key?.length ?? 0) + (value?.length ?? 0) + 64;
    for (const [name, content] of headers) bytes += 8 + name.length * 3 + (content?.length ?? 0);
    if (bytes > largestAtOnce) return this.#addInPieces(record);
    scratch.write(this.#state, 0, "latin1");
    scratch.set(this.#head, stateBytes);
    let end = writeDigits(record.timestamp, stateBytes + this.#head.length);
    end = writeBytes(key, end);
    end = writeBytes(value, end);
    end = headers.length === 0 ? writeZero(end) : writeDigits(String(headers.length), end);
    for (const [name, content] of headers) end = writeBytes(content, writeText(name, end));
    const input =
      end > usualBytes ? scratch.subarray(0, end) : (beginnings[end] ??= scratch.subarray(0, end));
    this.#advance(hashOnce("sha256", input, "binary"));
  }

  /** The state behind what was added, hexadecimal. */
  digest(): string {
    return Buffer.from(this.#state, "latin1").toString("hex");
  }

  /** Where the chain is now. */
  get point(): ChainPoint {
    return { records: this.#records, sha256: this.digest() };
  }

  #newHead({ topic, partition }: Pick<ArchivedRecord, "topic" | "partition">): void {
    const end = writeText(String(partition), writeText(topic, 0));
    this.#head = Buffer.from(scratch.subarray(0, end));
    this.#headTopic = topic;
    this.#headPartition = partition;
  }

  #addInPieces(record: Omit<ArchivedRecord, "offset">): void {
    const hash = createHash("sha256").update(Buffer.from(this.#state, "latin1")).update(this.#head);
    const field = (content: Buffer | null): void => {
      const length = Buffer.allocUnsafe(4);
      length.writeUInt32BE(content === null ? 0xffffffff : content.length);
      hash.update(length);
      if (content !== null) hash.update(content);
    };
    field(Buffer.from(record.timestamp));
    field(record.key);
    field(record.value);
    field(Buffer.from(String(record.headers.length)));
    for (const [name, value] of record.headers) {
      field(Buffer.from(name));
      field(value);
    }
    this.#advance(hash.digest("binary"));
  }

  #advance(state: string): void {
    this.#state = state;
    this.#records++;
  }
}

/** As `writeUInt32BE` does, whose checks cost more than the bytes. */
function writeLength(length: number, at: number): void {
  scratch[at] = length >>> 24;
  scratch[at + 1] = length >>> 16;
  scratch[at + 2] = length >>> 8;
  scratch[at + 3] = length;
}

/** The field "0". */
function writeZero(at: number): number {
  writeLength(1, at);
  scratch[at + 4] = 0x30;
  return at + 5;
}

/** A field of ASCII, which a number's digits are. */
function writeDigits(text: string, at: number): number {
  const { length } = text;
  writeLength(length, at);
  for (let index = 0; index < length; index++) scratch[at + 4 + index] = text.charCodeAt(index);
  return at + 4 + length;
}

function writeText(text: string, at: number): number {
  const length = scratch.write(text, at + 4);
  writeLength(length, at);
  return at + 4 + length;
}

function writeBytes(content: Buffer | null, at: number): number {
  if (content === null) {
    writeLength(0xffffffff, at);
    return at + 4;
  }
  writeLength(content.length, at);
  scratch.set(content, at + 4);
  return at + 4 + content.length;
}
