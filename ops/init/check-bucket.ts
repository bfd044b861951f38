/** Looks at the bucket that keeps every day, with the keys that the archiver gets. */
import {
  GetBucketVersioningCommand,
  GetObjectLockConfigurationCommand,
  S3Client,
  S3ServiceException,
} from "@aws-sdk/client-s3";
import { randomUUID } from "node:crypto";
import {
  ArchiveBucketMissingError,
  ArchiveCredentialsError,
  ArchiveStore,
  ArchiveStoreError,
  ArchiveUnreachableError,
} from "../../services/archive/store.ts";
import type { CheckContext } from "./check.ts";
import { type Finding, findingsOf } from "./finding.ts";

const finding = findingsOf("archive");
const keyKeys = ["archiveAccessKeyId", "archiveSecretAccessKey"];
const placeKeys = ["archive.endpoint", "archive.region", "archive.bucket"];

/** Always the same: a key that may not delete leaves one object of some bytes, however often this runs. */
export const probeKey = "trading-init-check";

const requestTimeoutMs = 10_000;

/** See the module's description. */
export async function checkBucket(context: CheckContext): Promise<Finding[]> {
  const { draft, probe, progress } = context;
  const text = (name: string) => draft.text(["archive", name]) ?? "";
  const settings = {
    endpoint: text("endpoint"),
    region: text("region"),
    bucket: text("bucket"),
    accessKeyId: draft.secret("archiveAccessKeyId"),
    secretAccessKey: draft.secret("archiveSecretAccessKey"),
  };
  const store = new ArchiveStore({ ...settings, requestTimeoutMs, attempts: 2 });
  try {
    progress(`Asking for the bucket ${settings.bucket} at ${settings.endpoint}`);
    const stacks = (await store.folders("")).map((folder) => folder.replace(/\/$/, ""));
    const holds = stacks.length === 0 ? "it is empty" : `it holds archives of ${stacks.join(", ")}`;
    return [
      finding("ok", `The bucket ${settings.bucket} is there, and the keys list it; ${holds}.`),
      ...(probe
        ? await rights(store)
        : [finding("note", "What the keys may do was not tried (--no-probe).")]),
      ...(await protection(settings)),
    ];
  } catch (error) {
    if (!(error instanceof ArchiveStoreError)) throw error;
    return [refusal(error)];
  } finally {
    store.close();
  }
}

function refusal(error: ArchiveStoreError): Finding {
  if (error instanceof ArchiveCredentialsError) return finding("refused", error.message, keyKeys);
  if (error instanceof ArchiveBucketMissingError)
    return finding(
      "refused",
      `${error.message} A new one is made in the provider's console, private.`,
      placeKeys,
    );
  if (error instanceof ArchiveUnreachableError) return finding("unreachable", error.message, placeKeys);
  return finding("refused", error.message, [...placeKeys, ...keyKeys]);
}

/** Whether the archiver could do its work, and what else its keys could do. */
async function rights(store: ArchiveStore): Promise<Finding[]> {
  const text = randomUUID();
  await store.put(probeKey, text, { contentType: "text/plain" });
  const read = await store.get(probeKey);
  if (read?.body.toString("utf8") !== text)
    return [
      finding(
        "refused",
        `What was written as ${probeKey} was not read back: this is no store to archive to.`,
        placeKeys,
      ),
    ];
  const done = finding("ok", `They write and read: an object ${probeKey} was written and read back.`);
  try {
    await store.remove([probeKey]);
  } catch (error) {
    if (!(error instanceof ArchiveCredentialsError)) throw error;
    return [
      done,
      finding(
        "ok",
        `They cannot delete, as is best for the archiver (${probeKey} stays, some bytes). \`trading archive prune\` takes other keys, from the environment.`,
      ),
    ];
  }
  return [
    done,
    finding(
      "note",
      `They can delete, too (${probeKey} was removed). The archiver never does: a bucket policy that denies s3:DeleteObject to its key keeps the days safe from whoever takes it (docs/first-day.md).`,
    ),
  ];
}

/** What protects the days from being deleted or written over; a store, or a key, need not tell. */
async function protection(settings: {
  endpoint: string;
  region: string;
  bucket: string;
  accessKeyId: string;
  secretAccessKey: string;
}): Promise<Finding[]> {
  const { endpoint, region, bucket: Bucket, accessKeyId, secretAccessKey } = settings;
  const client = new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
    maxAttempts: 2,
    requestHandler: {
      connectionTimeout: 5_000,
      requestTimeout: requestTimeoutMs,
      throwOnRequestTimeout: true,
    },
  });
  const told = async (name: string, ask: () => Promise<string | undefined>): Promise<string> => {
    try {
      return (await ask()) ?? "off";
    } catch (error) {
      if (error instanceof S3ServiceException && error.name === "ObjectLockConfigurationNotFoundError")
        return "off";
      return `not told for ${name}`;
    }
  };
  try {
    const versioning = await told("versioning", async () => {
      const { Status } = await client.send(new GetBucketVersioningCommand({ Bucket }));
      return Status === "Enabled" ? "on" : undefined;
    });
    const lock = await told("object lock", async () => {
      const { ObjectLockConfiguration } = await client.send(
        new GetObjectLockConfigurationCommand({ Bucket }),
      );
      return ObjectLockConfiguration?.ObjectLockEnabled === "Enabled" ? "on" : undefined;
    });
    const hints = [
      versioning === "off"
        ? " Versioning keeps what is written over or deleted by mistake; switch it on in the provider's console."
        : "",
      lock === "on"
        ? " With object lock, `trading archive prune` frees nothing before its retention is over."
        : "",
    ];
    return [finding("note", `Versioning: ${versioning}; object lock: ${lock}.${hints.join("")}`)];
  } finally {
    client.destroy();
  }
}
