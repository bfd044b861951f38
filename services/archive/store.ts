/**
 * The archive bucket: any S3 service, with the settings that Hetzner Object Storage needs. Every request is bounded
 * in time and retried a few times; what stays wrong becomes an error that says what to do.
 */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { createHash } from "node:crypto";
import type { TimeAnswer } from "../core/clock-skew.ts";
import { mapConcurrently } from "./concurrency.ts";

// The SDK says at each client's making what it will need in 2027; package.json says which Node we support.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= "true";

/** Where the bucket is and who we are there. */
export interface StoreSettings {
  /** For example `https://fsn1.your-objectstorage.com`. */
  endpoint: string;
  /** For Hetzner the location, `fsn1`. */
  region: string;
  bucket: string;
  accessKeyId: string;
  secretAccessKey: string;
  /**
   * Longest time without an answer for one try of one request, in milliseconds; an upload gets a second more for
   * each 50 kB that it sends, and a body that is read may take this long between two of its pieces. Default 30,000.
   */
  requestTimeoutMs?: number;
  /** Tries of one request, with growing pauses. Default 4. */
  attempts?: number;
}

/** The bucket cannot be used. The subclasses say why; the message says what to do. */
export class ArchiveStoreError extends Error {
  override readonly name: string = "ArchiveStoreError";
}
/** The keys are wrong or may not do this. */
export class ArchiveCredentialsError extends ArchiveStoreError {
  override readonly name = "ArchiveCredentialsError";
}
/** There is no such bucket. */
export class ArchiveBucketMissingError extends ArchiveStoreError {
  override readonly name = "ArchiveBucketMissingError";
}
/** Nobody answers, or too late. */
export class ArchiveUnreachableError extends ArchiveStoreError {
  override readonly name = "ArchiveUnreachableError";
}

/** The bucket takes no more: its quota or the provider's disks are full. */
export class ArchiveBucketFullError extends ArchiveStoreError {
  override readonly name = "ArchiveBucketFullError";
}

/** What is known of an object without reading it. */
export interface ObjectHead {
  bytes: number;
  /** Without quotation marks. */
  etag: string;
  /** Lower-case names. */
  metadata: Readonly<Record<string, string>>;
}

/** An object with what was noted at its writing. */
export interface StoredObject {
  body: Buffer;
  /** Without quotation marks. */
  etag: string;
  /** Lower-case names. */
  metadata: Readonly<Record<string, string>>;
}

/** One entry of a listing. */
export interface ListedObject {
  key: string;
  bytes: number;
  /** Without quotation marks. */
  etag: string;
  /** When it was written, milliseconds since 1970; 0 when the server does not tell. */
  modified: number;
}

/** Arguments of {@link ArchiveStore.put}. */
export interface PutOptions {
  contentType: string;
  /** Lower-case names, ASCII values. */
  metadata?: Record<string, string>;
}

/** Larger objects are written in parts, so that a fault costs a part and not the whole. */
const multipartAbove = 16 * 1024 * 1024;
const partBytes = 8 * 1024 * 1024;
/** A slower upload is given up and tried again. */
const slowestUploadBytesPerMs = 50;
/** Objects removed at the same time. */
const removals = 8;
/** What servers say when they are full: Ceph (Hetzner), MinIO and others. */
const fullErrors = new Set([
  "QuotaExceeded",
  "QuotaExceededException",
  "InsufficientStorage",
  "InsufficientCapacity",
  "StorageFull",
  "XMinioStorageFull",
]);

/** The archive bucket. Close it when done. */
export class ArchiveStore {
  readonly settings: Omit<StoreSettings, "secretAccessKey">;
  readonly #client: S3Client;
  readonly #timeoutMs: number;

  constructor(settings: StoreSettings) {
    const { accessKeyId, secretAccessKey, endpoint, region } = settings;
    const { secretAccessKey: _secret, ...shown } = settings;
    this.settings = shown;
    this.#timeoutMs = settings.requestTimeoutMs ?? 30_000;
    this.#client = new S3Client({
      endpoint,
      region,
      forcePathStyle: true,
      credentials: { accessKeyId, secretAccessKey },
      maxAttempts: settings.attempts ?? 4,
      // Hetzner's servers do not know the checksums that the SDK adds by default.
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
      requestHandler: {
        connectionTimeout: Math.min(5_000, this.#timeoutMs),
        requestTimeout: this.#timeoutMs,
        throwOnRequestTimeout: true,
      },
    });
  }

  /**
   * Writes an object, in parts above 16 MiB; the same key is written over. The server checks each body it receives
   * against its MD5 (Content-MD5).
   * @returns its ETag, without quotation marks. @throws ArchiveStoreError
   */
  async put(key: string, body: Buffer | string, options: PutOptions): Promise<{ etag: string }> {
    const bytes = typeof body === "string" ? Buffer.from(body) : body;
    if (bytes.length > multipartAbove) return this.#putInParts(key, bytes, options);
    const { ETag } = await this.#send(
      `write ${key}`,
      (call) =>
        this.#client.send(
          new PutObjectCommand({
            ...this.#at(key),
            ...described(options),
            Body: bytes,
            ContentMD5: md5(bytes),
          }),
          call,
        ),
      bytes.length,
    );
    return { etag: plainEtag(ETag) };
  }

  /** Writes a document as JSON. @throws ArchiveStoreError */
  async putJson(key: string, document: unknown): Promise<{ etag: string }> {
    return this.put(key, `${JSON.stringify(document, null, 2)}\n`, { contentType: "application/json" });
  }

  /** Reads an object; undefined when there is none. @throws ArchiveStoreError */
  async get(key: string): Promise<StoredObject | undefined> {
    return this.#run(`read ${key}`, async (progress, call) => {
      try {
        const found = await this.#client.send(new GetObjectCommand(this.#at(key)), call);
        const chunks: Buffer[] = [];
        for await (const chunk of (found.Body ?? []) as AsyncIterable<Buffer>) {
          progress();
          chunks.push(chunk);
        }
        const body = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
        return { body, etag: plainEtag(found.ETag), metadata: found.Metadata ?? {} };
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    });
  }

  /**
   * What the bucket's server says of its time, in whole seconds.
   * @param now our own clock, in milliseconds since 1970.
   * @throws ArchiveStoreError, also when its answer has no date.
   */
  async askTime(now: () => number = Date.now): Promise<TimeAnswer> {
    const command = new HeadBucketCommand({ Bucket: this.settings.bucket });
    let askedAt = NaN;
    let theirs = NaN;
    command.middlewareStack.add(
      (next) => async (args) => {
        // Of the try that was answered.
        askedAt = now();
        const answer = await next(args);
        const { headers } = answer.response as { headers?: Record<string, string> };
        theirs = Date.parse(headers?.["date"] ?? "");
        return answer;
      },
      { step: "deserialize", priority: "low" },
    );
    await this.#send("ask for the time", (call) => this.#client.send(command, call));
    const answeredAt = now();
    if (Number.isNaN(theirs)) throw new ArchiveStoreError(`${this.settings.endpoint} answers without a date`);
    return { theirs, askedAt, answeredAt };
  }

  /** What is known of an object without reading it; undefined when there is none. @throws ArchiveStoreError */
  async head(key: string): Promise<ObjectHead | undefined> {
    return this.#send(`look at ${key}`, async (call) => {
      try {
        const found = await this.#client.send(new HeadObjectCommand(this.#at(key)), call);
        return {
          bytes: found.ContentLength ?? 0,
          etag: plainEtag(found.ETag),
          metadata: found.Metadata ?? {},
        };
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    });
  }

  /** Reads a JSON document; undefined when there is none. @throws ArchiveStoreError, SyntaxError */
  async getJson(key: string): Promise<unknown> {
    const found = await this.get(key);
    return found === undefined ? undefined : JSON.parse(found.body.toString("utf8"));
  }

  /** Everything below a prefix, in order of keys. @throws ArchiveStoreError */
  async list(prefix: string): Promise<ListedObject[]> {
    const listed: ListedObject[] = [];
    for await (const { Contents } of this.#pages(prefix)) {
      for (const { Key, Size, ETag, LastModified } of Contents ?? []) {
        if (Key === undefined) continue;
        listed.push({
          key: Key,
          bytes: Size ?? 0,
          etag: plainEtag(ETag),
          modified: LastModified?.getTime() ?? 0,
        });
      }
    }
    return listed;
  }

  /**
   * What stands right below a prefix that ends with "/" (or is empty), up to the next "/", in order.
   * @returns prefixes with a slash at their end. @throws ArchiveStoreError
   */
  async folders(prefix: string): Promise<string[]> {
    const folders: string[] = [];
    for await (const { CommonPrefixes } of this.#pages(prefix, "/")) {
      for (const { Prefix } of CommonPrefixes ?? []) if (Prefix !== undefined) folders.push(Prefix);
    }
    return folders;
  }

  /** Removes objects; what is not there counts as removed. The archiver's key need not allow it. @throws ArchiveStoreError */
  async remove(keys: readonly string[]): Promise<void> {
    await mapConcurrently(keys, removals, (key) =>
      this.#send(`remove ${key}`, (call) => this.#client.send(new DeleteObjectCommand(this.#at(key)), call)),
    );
  }

  /** Removes the parts of uploads below a prefix that were never completed. @returns how many. @throws ArchiveStoreError */
  async removeUnfinishedUploads(prefix: string): Promise<number> {
    let removed = 0;
    let marker: { KeyMarker?: string; UploadIdMarker?: string } | undefined = {};
    while (marker !== undefined) {
      const { bucket: Bucket } = this.settings;
      const command = new ListMultipartUploadsCommand({ Bucket, Prefix: prefix, ...marker });
      const page: ListMultipartUploadsCommandOutput = await this.#send(
        `list the uploads below ${prefix}`,
        (call) => this.#client.send(command, call),
      );
      const { Uploads, IsTruncated, NextKeyMarker, NextUploadIdMarker } = page;
      await mapConcurrently(Uploads ?? [], removals, async ({ Key, UploadId }) => {
        if (Key === undefined || UploadId === undefined) return;
        await this.#abort(Key, UploadId);
        removed++;
      });
      marker =
        IsTruncated === true && NextKeyMarker !== undefined
          ? {
              KeyMarker: NextKeyMarker,
              ...(NextUploadIdMarker === undefined ? {} : { UploadIdMarker: NextUploadIdMarker }),
            }
          : undefined;
    }
    return removed;
  }

  close(): void {
    this.#client.destroy();
  }

  #at(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.settings.bucket, Key: key };
  }

  async #putInParts(key: string, body: Buffer, options: PutOptions): Promise<{ etag: string }> {
    const { UploadId } = await this.#send(`begin to write ${key}`, (call) =>
      this.#client.send(new CreateMultipartUploadCommand({ ...this.#at(key), ...described(options) }), call),
    );
    if (UploadId === undefined) throw new ArchiveStoreError(`Could not write ${key}: the upload got no id`);
    try {
      const parts: { PartNumber: number; ETag: string | undefined }[] = [];
      for (let at = 0; at < body.length; at += partBytes) {
        const part = body.subarray(at, at + partBytes);
        const PartNumber = parts.length + 1;
        const { ETag } = await this.#send(
          `write part ${PartNumber} of ${key}`,
          (call) =>
            this.#client.send(
              new UploadPartCommand({
                ...this.#at(key),
                UploadId,
                PartNumber,
                Body: part,
                ContentMD5: md5(part),
              }),
              call,
            ),
          part.length,
        );
        parts.push({ PartNumber, ETag });
      }
      const { ETag } = await this.#send(`complete ${key}`, (call) =>
        this.#client.send(
          new CompleteMultipartUploadCommand({
            ...this.#at(key),
            UploadId,
            MultipartUpload: { Parts: parts },
          }),
          call,
        ),
      );
      return { etag: plainEtag(ETag) };
    } catch (error) {
      // The parts would be paid for, unseen by any listing of objects; what went wrong matters more than this.
      await this.#abort(key, UploadId).catch(() => undefined);
      throw error;
    }
  }

  async #abort(key: string, UploadId: string): Promise<void> {
    const command = new AbortMultipartUploadCommand({ ...this.#at(key), UploadId });
    await this.#send(`abort the upload of ${key}`, (call) =>
      this.#client.send(command, call).catch((error: unknown) => {
        if (!(error instanceof S3ServiceException && error.name === "NoSuchUpload")) throw error;
      }),
    );
  }

  async *#pages(prefix: string, Delimiter?: string) {
    let ContinuationToken: string | undefined;
    do {
      const { bucket: Bucket } = this.settings;
      const command = new ListObjectsV2Command({ Bucket, Prefix: prefix, Delimiter, ContinuationToken });
      const page = await this.#send(`list ${prefix}`, (call) => this.#client.send(command, call));
      yield page;
      ContinuationToken = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (ContinuationToken !== undefined);
  }

  #send<T>(what: string, request: (call: Call) => Promise<T>, uploadBytes = 0): Promise<T> {
    return this.#run(what, (_progress, call) => request(call), uploadBytes);
  }

  /** All tries of a request together are bounded too, and so is a body that stops coming. */
  async #run<T>(
    what: string,
    request: (progress: () => void, call: Call) => Promise<T>,
    uploadBytes = 0,
  ): Promise<T> {
    const requestTimeout = this.#timeoutMs + uploadBytes / slowestUploadBytesPerMs;
    const abort = new AbortController();
    const { promise: late, reject } = withRejection();
    const giveUp = (): void => {
      const error = new Error(`no answer within ${(requestTimeout * 2) / 1_000} s`);
      abort.abort(error);
      reject(error);
    };
    const timer = setTimeout(giveUp, requestTimeout * 2);
    try {
      const call = { abortSignal: abort.signal, requestTimeout };
      return await Promise.race([request(() => timer.refresh(), call), late]);
    } catch (error) {
      throw this.#explain(what, error);
    } finally {
      clearTimeout(timer);
    }
  }

  #explain(what: string, error: unknown): Error {
    const { endpoint, bucket, accessKeyId } = this.settings;
    const where = `the archive bucket "${bucket}" at ${endpoint}`;
    const { name, message } = error as Error;
    const options = { cause: error };
    if (error instanceof S3ServiceException) {
      const status = error.$metadata.httpStatusCode ?? 0;
      if (name === "NoSuchBucket") {
        return new ArchiveBucketMissingError(
          `There is no bucket "${bucket}" at ${endpoint} (could not ${what}). Create it, or correct the stack's archive setting.`,
          options,
        );
      }
      // Before the keys: Ceph answers 403 to a full quota.
      if (status === 507 || fullErrors.has(name)) {
        return new ArchiveBucketFullError(
          `${where.charAt(0).toUpperCase()}${where.slice(1)} is full (could not ${what}: ${name}: ${message}). ` +
            "Raise its quota or remove old archives (trading archive prune); nothing is lost while the cluster runs.",
          options,
        );
      }
      if (status === 401 || status === 403) {
        return new ArchiveCredentialsError(
          `The keys are refused by ${where} (could not ${what}: ${name}, access key ${accessKeyId}). ` +
            "Check archiveAccessKeyId and archiveSecretAccessKey, and this machine's clock.",
          options,
        );
      }
      if (status < 500 && status !== 429) {
        return new ArchiveStoreError(`Could not ${what} in ${where}: ${name}: ${message}`, options);
      }
    }
    return new ArchiveUnreachableError(
      `Could not ${what}: ${where} does not answer (${name}: ${message}). ` +
        "Check the network and the provider's status, then try again.",
      options,
    );
  }
}

/** Options of one request to the SDK. */
interface Call {
  abortSignal: AbortSignal;
  requestTimeout: number;
}

function withRejection(): { promise: Promise<never>; reject: (error: Error) => void } {
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<never>((_resolve, rejectPromise) => {
    reject = rejectPromise;
  });
  return { promise, reject };
}

function described({ contentType, metadata }: PutOptions) {
  return { ContentType: contentType, ...(metadata === undefined ? {} : { Metadata: metadata }) };
}

function md5(bytes: Buffer): string {
  return createHash("md5").update(bytes).digest("base64");
}

function plainEtag(etag: string | undefined): string {
  return etag?.replaceAll('"', "") ?? "";
}

/** A HEAD's answer has no body, so the SDK knows its status only; 404 then does not tell a bucket that is missing. */
function isMissing(error: unknown): boolean {
  return error instanceof S3ServiceException && (error.name === "NoSuchKey" || error.name === "NotFound");
}
