/**
 * The archive bucket: any S3 service, with the settings that Hetzner Object Storage needs. Every request is bounded
 * in time and retried a few times; what stays wrong becomes an error that says what to do.
 */
import {
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
} from "@aws-sdk/client-s3";

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
  /** Longest time for one try of one request, in milliseconds. Default 30,000. */
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

/** An object with what was noted at its writing. */
export interface StoredObject {
  body: Buffer;
  /** Lower-case names. */
  metadata: Readonly<Record<string, string>>;
}

/** One entry of a listing. */
export interface ListedObject {
  key: string;
  bytes: number;
}

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

  /** Writes an object; the same key is written over. @throws ArchiveStoreError */
  async put(
    key: string,
    body: Buffer | string,
    options: { contentType: string; metadata?: Record<string, string> },
  ) {
    await this.#run(`write ${key}`, (abortSignal) =>
      this.#client.send(
        new PutObjectCommand({
          Bucket: this.settings.bucket,
          Key: key,
          Body: body,
          ContentType: options.contentType,
          ...(options.metadata === undefined ? {} : { Metadata: options.metadata }),
        }),
        { abortSignal },
      ),
    );
  }

  /** Writes a document as JSON. @throws ArchiveStoreError */
  async putJson(key: string, document: unknown): Promise<void> {
    await this.put(key, `${JSON.stringify(document, null, 2)}\n`, { contentType: "application/json" });
  }

  /** Reads an object; undefined when there is none. @throws ArchiveStoreError */
  async get(key: string): Promise<StoredObject | undefined> {
    return this.#run(`read ${key}`, async (abortSignal) => {
      try {
        const found = await this.#client.send(
          new GetObjectCommand({ Bucket: this.settings.bucket, Key: key }),
          {
            abortSignal,
          },
        );
        const body = Buffer.from((await found.Body?.transformToByteArray()) ?? []);
        return { body, metadata: found.Metadata ?? {} };
      } catch (error) {
        if (error instanceof S3ServiceException && error.name === "NoSuchKey") return undefined;
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
    let token: string | undefined;
    do {
      const page = await this.#run(`list ${prefix}`, (abortSignal) =>
        this.#client.send(
          new ListObjectsV2Command({
            Bucket: this.settings.bucket,
            Prefix: prefix,
            ContinuationToken: token,
          }),
          { abortSignal },
        ),
      );
      for (const { Key, Size } of page.Contents ?? []) {
        if (Key !== undefined) listed.push({ key: Key, bytes: Size ?? 0 });
      }
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
    return listed;
  }

  close(): void {
    this.#client.destroy();
  }

  /** All tries of a request together are bounded too, and so is a body that stops coming. */
  async #run<T>(what: string, request: (abortSignal: AbortSignal) => Promise<T>): Promise<T> {
    const limit = AbortSignal.timeout(this.#timeoutMs * 2);
    const late = new Promise<never>((_resolve, reject) => {
      limit.addEventListener("abort", () => reject(limit.reason as Error));
    });
    try {
      return await Promise.race([request(limit), late]);
    } catch (error) {
      throw this.#explain(what, error);
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
