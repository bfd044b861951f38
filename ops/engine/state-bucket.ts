/**
 * Objects that several machines share, in any S3 bucket that honours conditional writes (`If-Match`, `If-None-Match: *`; Ceph,
 * which Hetzner Object Storage is, has had them since 2018, AWS since 2024). Whoever reads an object and writes it back on
 * the condition that it is still the one that was read never destroys what somebody else has written since.
 */
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
} from "@aws-sdk/client-s3";

// The SDK says at each client's making what it will need in 2027; package.json says which Node we support.
process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= "true";

/** Where the bucket is and who we are there. */
export interface StateBucketSettings {
  /** For example `https://fsn1.your-objectstorage.com`; undefined: AWS. */
  endpoint?: string | undefined;
  /** For Hetzner the location, `fsn1`. */
  region: string;
  bucket: string;
  /** Default: the bucket's name is part of the path, which every S3 server understands. */
  virtualHosts?: boolean;
  /** Undefined: where AWS's tools look for them (profiles, a machine's role). */
  credentials?:
    { accessKeyId: string; secretAccessKey: string; sessionToken?: string | undefined } | undefined;
}

/** The bucket cannot be used; the message says why and what to do. */
export class StateBucketError extends Error {
  override readonly name = "StateBucketError";
}

/** An object as it was read. */
export interface SharedObject {
  text: string;
  etag: string;
  /** Milliseconds since it was written, by the server's own clock alone, to a second. */
  ageMs: number;
}

/** When a write is to be carried out. */
export type WriteCondition = { ifMatch: string } | "if-absent";

/** A bucket as far as a shared state needs one. */
export interface StateBucket {
  /** For people: `s3://bucket`. */
  readonly name: string;
  /** @returns undefined when there is no such object. @throws StateBucketError */
  get(key: string): Promise<SharedObject | undefined>;
  /**
   * Writes an object, if the condition holds. Each text must differ from all before it: a repeated request whose first
   * answer was lost is recognised by its text.
   * @returns the ETag; undefined when the condition does not hold. @throws StateBucketError
   */
  put(key: string, text: string, condition: WriteCondition): Promise<string | undefined>;
  /** Keys below a prefix. @throws StateBucketError */
  list(prefix: string): Promise<string[]>;
  /** Removes an object; what is not there counts as removed. @throws StateBucketError */
  remove(key: string): Promise<void>;
  close(): void;
}

/** Longest time without an answer for one try of one request, in ms. */
const requestTimeoutMs = 15_000;
const attempts = 4;

/** Opens the bucket; nothing is sent yet. Close it when done. */
export function openStateBucket(settings: StateBucketSettings): StateBucket {
  const { bucket: Bucket, endpoint, region, credentials, virtualHosts = false } = settings;
  const name = `s3://${Bucket}`;
  const client = new S3Client({
    region,
    forcePathStyle: !virtualHosts,
    maxAttempts: attempts,
    // Hetzner's servers do not know the checksums that the SDK adds by default.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    requestHandler: {
      connectionTimeout: 5_000,
      requestTimeout: requestTimeoutMs,
      throwOnRequestTimeout: true,
    },
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(credentials === undefined ? {} : { credentials: identityOf(credentials) }),
  });
  const told = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw failure(`${name} (${endpoint ?? `AWS, ${region}`})`, what, error);
    }
  };

  const get = (Key: string): Promise<SharedObject | undefined> =>
    told(`read ${Key}`, async () => {
      const command = new GetObjectCommand({ Bucket, Key });
      let date: string | undefined;
      command.middlewareStack.add(
        (next) => async (args) => {
          const result = await next(args);
          date = (result.response as { headers?: Record<string, string> }).headers?.["date"];
          return result;
        },
        { step: "deserialize", name: "serverDate", priority: "low" },
      );
      try {
        const { Body, ETag = "", LastModified } = await client.send(command);
        const text = (await Body?.transformToString()) ?? "";
        const now = Date.parse(date ?? "");
        // By this machine's clock a living run might count as dead.
        if (Number.isNaN(now)) throw new Error(`its answer has no time (header Date: ${date ?? "none"})`);
        return { text, etag: ETag, ageMs: Math.max(0, now - (LastModified?.getTime() ?? now)) };
      } catch (error) {
        if (isNamed(error, ["NoSuchKey", "NotFound"])) return undefined;
        throw error;
      }
    });

  return {
    name,
    get,
    put: (Key, text, condition) =>
      told(`write ${Key}`, async () => {
        const conditional = condition === "if-absent" ? { IfNoneMatch: "*" } : { IfMatch: condition.ifMatch };
        for (let tries = 0; ; tries++) {
          try {
            const { ETag } = await client.send(
              new PutObjectCommand({
                Bucket,
                Key,
                Body: text,
                ContentType: "application/json",
                ...conditional,
              }),
            );
            return ETag ?? "";
          } catch (error) {
            // Two at once: whose write it was, the next request tells.
            if (isNamed(error, ["ConditionalRequestConflict"]) && tries < attempts) continue;
            if (!isNamed(error, ["PreconditionFailed", "NoSuchKey"])) throw error;
            const found = await get(Key);
            return found?.text === text ? found.etag : undefined;
          }
        }
      }),
    list: (Prefix) =>
      told(`list ${Prefix}`, async () => {
        const keys: string[] = [];
        let ContinuationToken: string | undefined;
        do {
          const page = await client.send(new ListObjectsV2Command({ Bucket, Prefix, ContinuationToken }));
          for (const { Key } of page.Contents ?? []) if (Key !== undefined) keys.push(Key);
          ContinuationToken = page.IsTruncated === true ? page.NextContinuationToken : undefined;
        } while (ContinuationToken !== undefined);
        return keys;
      }),
    remove: (Key) =>
      told(`remove ${Key}`, async () => void (await client.send(new DeleteObjectCommand({ Bucket, Key })))),
    close: () => client.destroy(),
  };
}

function identityOf({
  accessKeyId,
  secretAccessKey,
  sessionToken,
}: NonNullable<StateBucketSettings["credentials"]>) {
  return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
}

function isNamed(error: unknown, names: readonly string[]): boolean {
  return error instanceof S3ServiceException && names.includes(error.name);
}

function failure(where: string, what: string, error: unknown): StateBucketError {
  const { name, message } = error as Error;
  const advice = isNamed(error, ["NoSuchBucket"])
    ? "There is no such bucket: make it, or correct its name or its endpoint."
    : isNamed(error, ["InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "RequestTimeTooSkewed"])
      ? "The keys are refused: check them, what they may do in this bucket, and this machine's clock."
      : error instanceof S3ServiceException && (error.$metadata.httpStatusCode ?? 500) < 500
        ? "docs/state.md says which settings a state's bucket needs."
        : "Check the network and the provider's status, then run it again.";
  return new StateBucketError(
    `The state's bucket ${where}: could not ${what}: ${name}: ${message}. ${advice}`,
    {
      cause: error,
    },
  );
}
