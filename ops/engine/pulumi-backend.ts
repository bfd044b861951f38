/** Where Pulumi keeps states and locks when its backend is an S3 bucket, and how that bucket is reached. */
import type { StateBucketSettings } from "./state-bucket.ts";

/** A backend in a bucket. */
export interface BucketBackend {
  settings: StateBucketSettings;
  /** Before each key; empty, or with a slash at its end. */
  prefix: string;
}

/**
 * Reads a backend's address as Pulumi does: `s3://bucket/folder?endpoint=…&region=…&s3ForcePathStyle=true`, keys from AWS's
 * variables (https://www.pulumi.com/docs/iac/concepts/state-and-backends/, gocloud.dev/aws).
 * @returns undefined for any other backend.
 */
export function bucketBackendOf(
  url: string,
  environment: Readonly<Record<string, string | undefined>>,
): BucketBackend | undefined {
  if (!url.startsWith("s3://") || !URL.canParse(url)) return undefined;
  const { host: bucket, pathname, searchParams } = new URL(url);
  const option = (...names: string[]): string | undefined =>
    names.map((name) => searchParams.get(name)).find((value) => value !== null && value !== "") ?? undefined;
  const of = (name: string): string | undefined => environment[name] || undefined;
  const folder = decodeURIComponent(pathname).replaceAll(/^\/+|\/+$/g, "");
  const endpoint = option("endpoint") ?? of("AWS_ENDPOINT_URL_S3") ?? of("AWS_ENDPOINT_URL");
  const scheme = option("disableSSL", "disable_https") === "true" ? "http" : "https";
  const [accessKeyId, secretAccessKey] = [of("AWS_ACCESS_KEY_ID"), of("AWS_SECRET_ACCESS_KEY")];
  return {
    prefix: folder === "" ? "" : `${folder}/`,
    settings: {
      bucket,
      endpoint: endpoint === undefined || endpoint.includes("://") ? endpoint : `${scheme}://${endpoint}`,
      region: option("region") ?? of("AWS_REGION") ?? of("AWS_DEFAULT_REGION") ?? "us-east-1",
      virtualHosts: endpoint === undefined || option("s3ForcePathStyle", "use_path_style") !== "true",
      credentials:
        accessKeyId === undefined || secretAccessKey === undefined
          ? undefined
          : { accessKeyId, secretAccessKey, sessionToken: of("AWS_SESSION_TOKEN") },
    },
  };
}

/** Prefix of a stack's locks (`pkg/backend/diy/lock.go`). */
export function locksPrefix(
  { prefix }: Pick<BucketBackend, "prefix">,
  project: string,
  stack: string,
): string {
  return `${prefix}.pulumi/locks/organization/${project}/${stack}/`;
}

/** Key of a stack's lease, which is ours and stands beside Pulumi's own objects. */
export function leaseKey({ prefix }: Pick<BucketBackend, "prefix">, project: string, stack: string): string {
  return `${prefix}.trading/leases/${project}/${stack}.json`;
}
