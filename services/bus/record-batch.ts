/**
 * A batch of records as Kafka stores it (record batch version 2, KIP-98; compressed with lz4). kafkajs's own encoder is
 * not used where records have to be written exactly as they were: it cannot write a header without a value, puts
 * headers of one name together and those whose names are numbers first, and computes with timestamps as decimals.
 */
import { compressFrameSync } from "lz4-napi";
import { crc32c } from "./crc32c.ts";
import type { LogRecord } from "./kafka-log.ts";

/** What of a record goes into a batch. */
export type BatchRecord = Pick<LogRecord, "timestamp" | "key" | "headers" | "value">;

/** Who writes, and the place of the batch in the order of what it writes to the partition. */
export interface BatchProducer {
  producerId: bigint;
  producerEpoch: number;
  baseSequence: number;
}

/** From the first offset to the checksum: 8 + 4 + 4 + 1 + 4 bytes. */
const checksumAt = 17;
/** Everything the checksum is of begins here. */
const attributesAt = checksumAt + 4;
/** Attributes, last offset delta, two timestamps, producer id and epoch, sequence, number of records. */
const recordsAt = attributesAt + 2 + 4 + 8 + 8 + 8 + 2 + 4 + 4;
const magic = 2;
const lz4 = 3;
/** An upper bound of what a record needs beside key, value and headers: seven numbers of at most 10 bytes. */
const recordOverhead = 70;

/** Collects records and makes a batch of them. */
export class RecordBatchBuilder {
  #buffer: Buffer;
  #end = 0;
  #records = 0;
  #firstTimestamp = 0n;
  #maximumTimestamp = 0n;

  /** @param bytes expected size before compression; more is allowed. */
  constructor(bytes = 64 * 1024) {
    this.#buffer = Buffer.allocUnsafe(bytes);
  }

  get records(): number {
    return this.#records;
  }

  /** Size before compression, in bytes. */
  get bytes(): number {
    return this.#end;
  }

  add(record: BatchRecord): void {
    const timestamp = BigInt(record.timestamp);
    if (this.#records === 0) {
      this.#firstTimestamp = timestamp;
      this.#maximumTimestamp = timestamp;
    } else if (timestamp > this.#maximumTimestamp) this.#maximumTimestamp = timestamp;
    const delta = timestamp - this.#firstTimestamp;
    let body = 1 + bigVarintSize(delta) + varintSize(this.#records) + varintSize(record.headers.length);
    body += bytesSize(record.key) + bytesSize(record.value);
    for (const [name, value] of record.headers) body += textSize(name) + bytesSize(value);
    this.#reserve(body + recordOverhead);
    this.#writeVarint(body);
    this.#buffer[this.#end++] = 0;
    this.#writeBigVarint(delta);
    this.#writeVarint(this.#records);
    this.#writeBytes(record.key);
    this.#writeBytes(record.value);
    this.#writeVarint(record.headers.length);
    for (const [name, value] of record.headers) {
      this.#writeVarint(Buffer.byteLength(name));
      this.#end += this.#buffer.write(name, this.#end);
      this.#writeBytes(value);
    }
    this.#records++;
  }

  /** The batch, complete but for the offsets that the broker gives; the builder is empty again afterwards. */
  build({ producerId, producerEpoch, baseSequence }: BatchProducer): Buffer {
    const compressed = compressFrameSync(this.#buffer.subarray(0, this.#end));
    const batch = Buffer.allocUnsafe(recordsAt + compressed.length);
    let at = batch.writeBigInt64BE(0n, 0);
    at = batch.writeInt32BE(batch.length - 12, at);
    // The leader's epoch is the broker's to fill in.
    at = batch.writeInt32BE(-1, at);
    batch.writeInt8(magic, at);
    at = batch.writeInt16BE(lz4, attributesAt);
    at = batch.writeInt32BE(this.#records - 1, at);
    at = batch.writeBigInt64BE(this.#firstTimestamp, at);
    at = batch.writeBigInt64BE(this.#maximumTimestamp, at);
    at = batch.writeBigInt64BE(producerId, at);
    at = batch.writeInt16BE(producerEpoch, at);
    at = batch.writeInt32BE(baseSequence, at);
    batch.writeInt32BE(this.#records, at);
    batch.set(compressed, recordsAt);
    batch.writeUInt32BE(crc32c(batch.subarray(attributesAt)), checksumAt);
    this.#end = 0;
    this.#records = 0;
    return batch;
  }

  #reserve(bytes: number): void {
    if (this.#end + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#end + bytes));
    this.#buffer.copy(larger, 0, 0, this.#end);
    this.#buffer = larger;
  }

  #writeBytes(bytes: Buffer | null): void {
    if (bytes === null) return this.#writeVarint(-1);
    this.#writeVarint(bytes.length);
    this.#buffer.set(bytes, this.#end);
    this.#end += bytes.length;
  }

  /** Zigzag and base 128, least significant first. @param value 32 bits, signed. */
  #writeVarint(value: number): void {
    let rest = ((value << 1) ^ (value >> 31)) >>> 0;
    while (rest > 0x7f) {
      this.#buffer[this.#end++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    this.#buffer[this.#end++] = rest;
  }

  /** @param value 64 bits, signed. */
  #writeBigVarint(value: bigint): void {
    if (isSmall(value)) return this.#writeVarint(Number(value));
    let rest = zigzag(value);
    while (rest > 0x7fn) {
      this.#buffer[this.#end++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.#buffer[this.#end++] = Number(rest);
  }
}

const isSmall = (value: bigint): boolean => value >= -0x4000_0000n && value < 0x4000_0000n;
const zigzag = (value: bigint): bigint => BigInt.asUintN(64, (value << 1n) ^ (value >> 63n));

function varintSize(value: number): number {
  let size = 1;
  for (let rest = ((value << 1) ^ (value >> 31)) >>> 0; rest > 0x7f; rest >>>= 7) size++;
  return size;
}

function bigVarintSize(value: bigint): number {
  if (isSmall(value)) return varintSize(Number(value));
  let size = 1;
  for (let rest = zigzag(value); rest > 0x7fn; rest >>= 7n) size++;
  return size;
}

function bytesSize(bytes: Buffer | null): number {
  return bytes === null ? 1 : varintSize(bytes.length) + bytes.length;
}

function textSize(text: string): number {
  const bytes = Buffer.byteLength(text);
  return varintSize(bytes) + bytes;
}
