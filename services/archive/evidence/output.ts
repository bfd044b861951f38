/** Files of evidence on their way into the bucket: compressed and stored piece by piece, so that memory stays bounded. */
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { ClusterArchive } from "../cluster-archive.ts";
import type { ManifestEvidence } from "../documents.ts";

/** So much text is compressed at a time, in bytes. */
const pieceBytes = 1024 * 1024;
/** A stored object is closed when it has so many bytes, compressed; the file goes on in the next one. */
const objectBytes = 4 * 1024 * 1024;
/** More than this of one file is not evidence any more, in bytes before compression. */
const fileBytes = 2 * 1024 * 1024 * 1024;

const compress = promisify(gzip);

/** What one source has collected. */
export class EvidenceOutput {
  readonly #archive: ClusterArchive;
  readonly #folder: string;
  readonly files: ManifestEvidence[] = [];
  /** What could not be had, one sentence each. */
  readonly problems: string[] = [];

  /** @param folder relative to the archive's prefix, with a slash at its end. */
  constructor(archive: ClusterArchive, folder: string) {
    this.#archive = archive;
    this.#folder = folder;
  }

  /** Notes something that is missing. */
  missing(problem: string): void {
    this.problems.push(problem);
  }

  /**
   * Begins a file of lines. Nothing is stored of a file without content.
   * @param name relative to the folder; `extension` without a dot, `.gz` is added to it.
   */
  file(name: string, extension: string): EvidenceFile {
    return new EvidenceFile(this, name, extension);
  }

  /** Stores an object. @throws ArchiveStoreError */
  async store(name: string, body: Buffer | string, contentType: string): Promise<void> {
    const bytes = Buffer.from(body);
    const full = this.#folder + name;
    const { etag } = await this.#archive.store.put(this.#archive.prefix + full, bytes, { contentType });
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    this.files.push({ name: full, bytes: bytes.length, sha256, etag });
  }
}

/** A file, written in order by one writer; see {@link EvidenceOutput.file}. */
export class EvidenceFile {
  readonly #output: EvidenceOutput;
  readonly #name: string;
  readonly #extension: string;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  /** Compressed pieces: gzip files may be put one behind the other. */
  #pieces: Buffer[] = [];
  #compressedBytes = 0;
  #objects = 0;
  #total = 0;

  constructor(output: EvidenceOutput, name: string, extension: string) {
    this.#output = output;
    this.#name = name;
    this.#extension = extension;
  }

  /** Whether no more is taken. */
  get isFull(): boolean {
    return this.#total >= fileBytes;
  }

  /** Adds text. @throws ArchiveStoreError */
  async write(data: Buffer | string): Promise<void> {
    if (this.isFull) return;
    const bytes = typeof data === "string" ? Buffer.from(data) : data;
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
    this.#total += bytes.length;
    if (this.isFull) this.#output.missing(`${this.#name}: what comes after ${fileBytes} bytes`);
    if (this.#pendingBytes >= pieceBytes) await this.#compress(false);
  }

  /** Stores what is left. @throws ArchiveStoreError */
  async end(): Promise<void> {
    await this.#compress(true);
    if (this.#compressedBytes > 0) await this.#store();
  }

  async #compress(all: boolean): Promise<void> {
    const text = Buffer.concat(this.#pending);
    // Objects begin with a line, unless it is a very long one.
    const cut = all ? text.length : text.lastIndexOf(0x0a) + 1 || text.length;
    const rest = text.subarray(cut);
    this.#pending = rest.length === 0 ? [] : [rest];
    this.#pendingBytes = rest.length;
    if (cut === 0) return;
    const piece = await compress(text.subarray(0, cut));
    this.#pieces.push(piece);
    this.#compressedBytes += piece.length;
    if (this.#compressedBytes >= objectBytes) await this.#store();
  }

  async #store(): Promise<void> {
    this.#objects++;
    const part = this.#objects === 1 ? "" : `.part-${this.#objects}`;
    const body = Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.#compressedBytes = 0;
    await this.#output.store(`${this.#name}${part}.${this.#extension}.gz`, body, "application/gzip");
  }
}

/** A name that is safe in a key of the bucket. */
export function safeName(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9._-]+/g, "_");
}
