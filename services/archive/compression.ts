/**
 * How objects are compressed: gzip, or zstd with Node's own zlib where it has it (22.15 and newer) and with
 * zstd as WebAssembly otherwise (slower, and in the calling thread).
 */
import { once } from "node:events";
import type { Transform } from "node:stream";
import * as zlib from "node:zlib";
import type { Codec } from "./layout.ts";

/** Fast rather than small: an archiver must keep up with brokers that do little else. */
const gzipLevel = 1;
const zstdLevel = 1;
const pieceBytes = 256 * 1024;

/** What of zlib is in Node 22.15 and newer only. */
interface ZlibWithZstd {
  createZstdCompress(options: { chunkSize: number; params: Record<number, number> }): Transform;
  createZstdDecompress(options: { chunkSize: number }): Transform;
  constants: { ZSTD_c_compressionLevel: number };
}

const zstdOfNode: ZlibWithZstd | undefined =
  "createZstdCompress" in zlib ? (zlib as unknown as ZlibWithZstd) : undefined;

/** Compresses in the thread pool. @param chunks the content in pieces; must not change until the promise resolves. */
export async function pack(codec: Codec, chunks: readonly Buffer[]): Promise<Buffer> {
  if (codec === "gzip") {
    return transformed(zlib.createGzip({ level: gzipLevel, chunkSize: pieceBytes }), chunks);
  }
  if (zstdOfNode !== undefined) {
    const params = { [zstdOfNode.constants.ZSTD_c_compressionLevel]: zstdLevel };
    return transformed(zstdOfNode.createZstdCompress({ chunkSize: pieceBytes, params }), chunks);
  }
  const zstd = await loadZstd();
  return toBuffer(zstd.compress(Buffer.concat(chunks), zstdLevel));
}

/** Unpacks piece by piece. @throws Error of zlib when the body is not what the codec makes. */
export async function* unpack(codec: Codec, body: Buffer): AsyncGenerator<Buffer> {
  if (codec === "zstd" && zstdOfNode === undefined) {
    yield toBuffer((await loadZstd()).decompress(body));
    return;
  }
  const stream =
    codec === "gzip"
      ? zlib.createGunzip({ chunkSize: pieceBytes })
      : (zstdOfNode as ZlibWithZstd).createZstdDecompress({ chunkSize: pieceBytes });
  stream.end(body);
  for await (const piece of stream) yield piece as Buffer;
}

async function transformed(stream: Transform, chunks: readonly Buffer[]): Promise<Buffer> {
  const pieces: Buffer[] = [];
  stream.on("data", (piece: Buffer) => pieces.push(piece));
  const ended = once(stream, "end");
  for (const chunk of chunks) stream.write(chunk);
  stream.end();
  await ended;
  return Buffer.concat(pieces);
}

/** Loaded when it is needed only: most archives are gzip. */
async function loadZstd(): Promise<{
  compress(data: Uint8Array, level: number): Uint8Array;
  decompress(data: Uint8Array): Uint8Array;
}> {
  const { Zstd } = await import("@hpcc-js/wasm-zstd");
  return Zstd.load();
}

const toBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
