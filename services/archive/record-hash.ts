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

/** Takes records in, one after the other, and tells the chain's state and their number. */
export class RecordHash {
  readonly #state = Buffer.alloc(stateBytes);
  #records: number;

  /** @param from where to go on; default: in front of the first record. */
  constructor(from: Readonly<ChainPoint> = chainStart) {
    this.#state.write(from.sha256, "hex");
    this.#records = from.records;
  }

  /** How many records are behind the start of the chain. */
  get records(): number {
    return this.#records;
  }

  add(record: Omit<ArchivedRecord, "offset">): void {
    const texts = [record.topic, String(record.partition), record.timestamp];
    let bytes = (record.key?.length ?? 0) + (record.value?.length ?? 0) + 64;
    for (const text of texts) bytes += 4 + text.length * 3;
    for (const [name, value] of record.headers) bytes += 8 + name.length * 3 + (value?.length ?? 0);
    if (bytes > largestAtOnce) return this.#addInPieces(record, texts);
    this.#state.copy(scratch);
    let end = stateBytes;
    for (const text of texts) end = writeText(text, end);
    end = writeBytes(record.key, end);
    end = writeBytes(record.value, end);
    end = writeText(String(record.headers.length), end);
    for (const [name, value] of record.headers) end = writeBytes(value, writeText(name, end));
    this.#advance(hashOnce("sha256", scratch.subarray(0, end), "buffer"));
  }

  /** The state behind what was added, hexadecimal. */
  digest(): string {
    return this.#state.toString("hex");
  }

  /** Where the chain is now. */
  get point(): ChainPoint {
    return { records: this.#records, sha256: this.digest() };
  }

  #addInPieces(record: Omit<ArchivedRecord, "offset">, texts: readonly string[]): void {
    const hash = createHash("sha256").update(this.#state);
    const field = (content: Buffer | null): void => {
      const length = Buffer.allocUnsafe(4);
      length.writeUInt32BE(content === null ? 0xffffffff : content.length);
      hash.update(length);
      if (content !== null) hash.update(content);
    };
    for (const text of texts) field(Buffer.from(text));
    field(record.key);
    field(record.value);
    field(Buffer.from(String(record.headers.length)));
    for (const [name, value] of record.headers) {
      field(Buffer.from(name));
      field(value);
    }
    this.#advance(hash.digest());
  }

  #advance(state: Buffer): void {
    state.copy(this.#state);
    this.#records++;
  }
}

function writeText(text: string, at: number): number {
  const length = scratch.write(text, at + 4);
  scratch.writeUInt32BE(length, at);
  return at + 4 + length;
}

function writeBytes(content: Buffer | null, at: number): number {
  if (content === null) {
    scratch.writeUInt32BE(0xffffffff, at);
    return at + 4;
  }
  scratch.writeUInt32BE(content.length, at);
  content.copy(scratch, at + 4);
  return at + 4 + content.length;
}
