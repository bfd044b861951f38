/**
 * The hash of records, in order: SHA-256 over topic, partition, timestamp, key, value and headers of each, not over
 * offsets, so that it is the same for a cluster that the records were restored into.
 *
 * Each record adds these fields, and each field is its length in bytes (4 bytes, big-endian) and the bytes; a null
 * is the length ff ff ff ff alone: topic, partition in decimal digits, timestamp in decimal digits, key, value, number
 * of headers in decimal digits, then name and value of each header.
 *
 * In Python, from the lines of a partition's objects in the order of their names:
 *
 *     import base64, hashlib, json, struct, sys
 *     h = hashlib.sha256()
 *     def add(b):
 *         h.update(b"\xff\xff\xff\xff" if b is None else struct.pack(">I", len(b)) + b)
 *     def plain(v, encoding):
 *         return None if encoding == "null" else base64.b64decode(v) if encoding == "base64" else v.encode()
 *     for line in sys.stdin.buffer:
 *         r, e = json.loads(line), json.loads(line)["value_encoding"]
 *         value = line[line.index(b',"value":') + 9 : line.rindex(b',"value_encoding":')]
 *         for field in (r["topic"], str(r["partition"]), r["timestamp"]): add(field.encode())
 *         add(plain(r["key"], r["key_encoding"]))
 *         add(value if e == "json" else plain(r["value"], e))
 *         add(str(len(r["headers"])).encode())
 *         for name, v, encoding in r["headers"]: add(name.encode()); add(plain(v, encoding))
 *     print(h.hexdigest())
 */
import { createHash } from "node:crypto";
import type { ArchivedRecord } from "./line.ts";

/** Takes records in, one after the other, and tells their hash and number. */
export class RecordHash {
  readonly #hash = createHash("sha256");
  #records = 0;

  /** How many records were added. */
  get records(): number {
    return this.#records;
  }

  add(record: Omit<ArchivedRecord, "offset">): void {
    const parts: Buffer[] = [];
    const field = (content: Buffer | string | null): void => {
      const bytes = typeof content === "string" ? Buffer.from(content) : content;
      const length = Buffer.allocUnsafe(4);
      length.writeUInt32BE(bytes === null ? 0xffffffff : bytes.length);
      parts.push(length);
      if (bytes !== null) parts.push(bytes);
    };
    field(record.topic);
    field(String(record.partition));
    field(record.timestamp);
    field(record.key);
    field(record.value);
    field(String(record.headers.length));
    for (const [name, value] of record.headers) {
      field(name);
      field(value);
    }
    this.#hash.update(Buffer.concat(parts));
    this.#records++;
  }

  /** Hexadecimal. Call once, at the end. */
  digest(): string {
    return this.#hash.digest("hex");
  }
}
