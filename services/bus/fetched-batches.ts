/**
 * Record batches as a fetch brings them (Kafka protocol, record batch version 2), made plain one batch after the other, so
 * that no more than one is unpacked at a time. Transaction markers and records of aborted transactions are left out.
 */
import { decompressFrameSync } from "lz4-napi";
import zlib from "node:zlib";
import { crc32c } from "./crc32c.ts";
import type { AbortedTransaction, FetchedLog } from "./fetch.ts";
import type { LogHeader, LogRecord } from "./kafka-log.ts";

/** What came from a broker cannot be read; the message says where. */
export class FetchedDataError extends Error {
  override readonly name = "FetchedDataError";
}

/** The committed records of one batch. */
export interface CommittedBatch {
  /** Read from the bytes as they are asked for, so they live shortly. @throws FetchedDataError where they are none. */
  records: Iterable<LogRecord>;
  /** The offset behind the batch, whatever is left of it. */
  end: bigint;
}

// Places in a batch.
const lengthAt = 8;
const headBytes = 12;
const magicAt = 16;
const checksumAt = 17;
const attributesAt = 21;
const lastOffsetDeltaAt = 23;
const baseTimestampAt = 27;
const maximumTimestampAt = 35;
const producerIdAt = 43;
const countAt = 57;
const recordsAt = 61;

const codecMask = 0x7;
const appendTimeFlag = 0x8;
const transactionalFlag = 0x10;
const controlFlag = 0x20;

/** The offset behind the last whole batch; undefined when there is none. Reads the heads only. */
export function endOfBatches(batches: Buffer): bigint | undefined {
  let end: bigint | undefined;
  for (let at = 0; batches.length - at >= recordsAt;) {
    const next = at + headBytes + batches.readInt32BE(at + lengthAt);
    if (next > batches.length || next < at + recordsAt) break;
    end = batches.readBigInt64BE(at) + BigInt(batches.readInt32BE(at + lastOffsetDeltaAt)) + 1n;
    at = next;
  }
  return end;
}

/**
 * The committed records of what a fetch brought, batch by batch; what is cut off at the end comes with a later fetch.
 * Keys, values and headers point into the fetched or unpacked bytes.
 * @throws FetchedDataError for a wrong checksum, an unknown compression or bytes that are no records.
 */
export function* committedBatches(fetched: FetchedLog): Generator<CommittedBatch> {
  const { topic, partition, batches } = fetched;
  const aborted = new OpenAborts(fetched.abortedTransactions);
  for (let at = 0; batches.length - at >= recordsAt;) {
    const bytes = headBytes + batches.readInt32BE(at + lengthAt);
    if (at + bytes > batches.length) return;
    if (bytes < recordsAt)
      throw new FetchedDataError(`${topic}/${partition}: a batch of ${bytes} bytes came`);
    const batch = batches.subarray(at, at + bytes);
    const baseOffset = batch.readBigInt64BE(0);
    const where = `${topic}/${partition} at offset ${baseOffset}`;
    checkBatch(batch, where);
    const lastOffset = baseOffset + BigInt(batch.readInt32BE(lastOffsetDeltaAt));
    yield { records: recordsOf(batch, lastOffset, aborted, topic, partition, where), end: lastOffset + 1n };
    at += bytes;
  }
}

/** Which producers are inside of a transaction that will turn out aborted. */
class OpenAborts {
  /** By first offset: brokers list them in the order of their markers. */
  readonly #coming: readonly AbortedTransaction[];
  #next = 0;
  readonly #open = new Set<bigint>();

  constructor(aborted: readonly AbortedTransaction[]) {
    this.#coming = [...aborted].sort((a, b) => (a.firstOffset < b.firstOffset ? -1 : 1));
  }

  /** Takes in the transactions that begin up to the end of a batch. */
  reach(lastOffset: bigint): void {
    for (let abort = this.#coming[this.#next]; abort !== undefined; abort = this.#coming[++this.#next]) {
      if (abort.firstOffset > lastOffset) return;
      this.#open.add(abort.producerId);
    }
  }

  has(producerId: bigint): boolean {
    return this.#open.has(producerId);
  }

  close(producerId: bigint): void {
    this.#open.delete(producerId);
  }
}

function checkBatch(batch: Buffer, where: string): void {
  const magic = batch.readInt8(magicAt);
  if (magic !== 2) {
    throw new FetchedDataError(`${where}: record batches of version ${magic} are not supported, only 2`);
  }
  if (crc32c(batch.subarray(attributesAt)) !== batch.readUInt32BE(checksumAt)) {
    throw new FetchedDataError(
      `${where}: the batch's checksum (CRC-32C) is wrong: it was damaged on the broker's disk or on the way`,
    );
  }
}

function recordsOf(
  batch: Buffer,
  lastOffset: bigint,
  aborted: OpenAborts,
  topic: string,
  partition: number,
  where: string,
): Iterable<LogRecord> {
  const attributes = batch.readInt16BE(attributesAt);
  const producerId = batch.readBigInt64BE(producerIdAt);
  const isControl = (attributes & controlFlag) !== 0;
  aborted.reach(lastOffset);
  if (!isControl && (attributes & transactionalFlag) !== 0 && aborted.has(producerId)) return [];
  const bytes = unpack(batch.subarray(recordsAt), attributes & codecMask, where);
  const records = new BatchRecords(bytes, batch, attributes, topic, partition, where);
  if (!isControl) return records;
  const [marker] = records;
  // Key of a marker: version, then type, 2 bytes each; type 0 is abort.
  if (marker?.key?.readInt16BE(2) === 0) aborted.close(producerId);
  return [];
}

/** By the codec's number in the attributes. */
const codecNames = ["none", "gzip", "snappy", "lz4", "zstd"];

function unpack(bytes: Buffer, codec: number, where: string): Buffer {
  try {
    if (codec === 0) return bytes;
    if (codec === 1) return zlib.gunzipSync(bytes);
    if (codec === 3) return decompressFrameSync(bytes);
    const { zstdDecompressSync } = zlib as { zstdDecompressSync?: (bytes: Buffer) => Buffer };
    if (codec === 4 && zstdDecompressSync !== undefined) return zstdDecompressSync(bytes);
  } catch (error) {
    throw new FetchedDataError(`${where}: the batch cannot be unpacked: ${(error as Error).message}`);
  }
  throw new FetchedDataError(
    `${where}: records are compressed with ${codecNames[codec] ?? `codec ${codec}`}, which this Node ` +
      `(${process.version}) cannot unpack; gzip and lz4 always work, zstd from Node 22.15 on. ` +
      "Set compression.type of the topic, or the compression of its producer, to lz4 and write the records again.",
  );
}

/** A record's place in its batch is told by small numbers; sums stay exact up to here. */
const wideNumber = 2n ** 52n;

class BatchRecords implements Iterable<LogRecord> {
  readonly #bytes: Buffer;
  readonly #count: number;
  readonly #topic: string;
  readonly #partition: number;
  readonly #where: string;
  readonly #baseOffset: number;
  readonly #baseTimestamp: bigint;
  /** The same when sums with it stay exact, otherwise undefined. */
  readonly #smallBaseTimestamp: number | undefined;
  /** Set when the broker's time counts, for all records of the batch alike. */
  readonly #appendTime: string | undefined;
  /** Many records have the time of the one before. */
  #lastZigzag = -1;
  #lastTimestamp = "";
  #at = 0;

  constructor(
    bytes: Buffer,
    batch: Buffer,
    attributes: number,
    topic: string,
    partition: number,
    where: string,
  ) {
    this.#bytes = bytes;
    this.#count = batch.readInt32BE(countAt);
    if (this.#count < 0) throw new FetchedDataError(`${where}: the batch tells ${this.#count} records`);
    this.#topic = topic;
    this.#partition = partition;
    this.#where = where;
    const baseOffset = batch.readBigInt64BE(0);
    if (baseOffset >= wideNumber) {
      throw new FetchedDataError(`${where}: offsets above 2^52 are not supported`);
    }
    this.#baseOffset = Number(baseOffset);
    this.#baseTimestamp = batch.readBigInt64BE(baseTimestampAt);
    const isSmall = this.#baseTimestamp > -wideNumber && this.#baseTimestamp < wideNumber;
    this.#smallBaseTimestamp = isSmall ? Number(this.#baseTimestamp) : undefined;
    this.#appendTime =
      (attributes & appendTimeFlag) === 0 ? undefined : String(batch.readBigInt64BE(maximumTimestampAt));
  }

  *[Symbol.iterator](): Generator<LogRecord> {
    this.#at = 0;
    for (let index = 0; index < this.#count; index++) yield this.#next();
    if (this.#at !== this.#bytes.length) this.#fail();
  }

  #next(): LogRecord {
    const length = this.#varint();
    const end = this.#at + length;
    if (length <= 0 || end > this.#bytes.length) this.#fail();
    // The record's attributes are not used.
    this.#at++;
    const timestamp = this.#timestamp();
    const offset = this.#baseOffset + this.#varint();
    const key = this.#field();
    const value = this.#field();
    const headers = this.#headers();
    if (this.#at !== end) this.#fail();
    return {
      topic: this.#topic,
      partition: this.#partition,
      offset: String(offset),
      timestamp,
      key,
      headers,
      value,
    };
  }

  #timestamp(): string {
    const from = this.#at;
    let size = 0;
    while (((this.#bytes[this.#at++] ?? 0) & 0x80) !== 0) size++;
    if (this.#appendTime !== undefined) return this.#appendTime;
    // Up to seven groups of seven bits are exact in a number.
    if (size < 7 && this.#smallBaseTimestamp !== undefined) {
      let zigzag = 0;
      for (let index = size, at = from + size; index >= 0; index--, at--) {
        zigzag = zigzag * 128 + ((this.#bytes[at] as number) & 0x7f);
      }
      if (zigzag !== this.#lastZigzag) {
        const delta = zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
        this.#lastZigzag = zigzag;
        this.#lastTimestamp = String(this.#smallBaseTimestamp + delta);
      }
      return this.#lastTimestamp;
    }
    let zigzag = 0n;
    for (let at = from + size; at >= from; at--) {
      zigzag = (zigzag << 7n) | BigInt((this.#bytes[at] ?? 0) & 0x7f);
    }
    zigzag = BigInt.asUintN(64, zigzag);
    return String(BigInt.asIntN(64, this.#baseTimestamp + ((zigzag >> 1n) ^ -(zigzag & 1n))));
  }

  /** Zigzag and base 128, least significant first; 32 bits, signed. */
  #varint(): number {
    const bytes = this.#bytes;
    let byte = bytes[this.#at++] ?? 0;
    let zigzag = byte & 0x7f;
    for (let shift = 7; byte >= 0x80 && shift < 35; shift += 7) {
      byte = bytes[this.#at++] ?? 0;
      zigzag |= (byte & 0x7f) << shift;
    }
    return (zigzag >>> 1) ^ -(zigzag & 1);
  }

  #field(): Buffer | null {
    const length = this.#varint();
    if (length < 0) return null;
    const from = this.#at;
    this.#at += length;
    return this.#bytes.subarray(from, this.#at);
  }

  #headers(): readonly LogHeader[] {
    const count = this.#varint();
    if (count === 0) return noHeaders;
    const headers: LogHeader[] = [];
    for (let index = 0; index < count; index++) {
      const length = this.#varint();
      const name = this.#bytes.toString("utf8", this.#at, this.#at + length);
      this.#at += length;
      headers.push([name, this.#field()]);
      if (this.#at > this.#bytes.length) this.#fail();
    }
    return headers;
  }

  #fail(): never {
    throw new FetchedDataError(`${this.#where}: the batch's content is not a list of records`);
  }
}

const noHeaders: readonly LogHeader[] = [];
