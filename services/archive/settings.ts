/** The environment variables that say where the archive is. */
import type { z } from "zod";
import { calendarDate, text, url } from "../core/config.ts";
import { ClusterArchive } from "./cluster-archive.ts";
import { ArchiveStore, type StoreSettings } from "./store.ts";

/** For `readConfig`, beside the variables common to all services. */
export const storeVariables = {
  /** For example `https://fsn1.your-objectstorage.com`. */
  S3_ENDPOINT: url("http", "https"),
  S3_REGION: text,
  S3_BUCKET: text,
  S3_ACCESS_KEY_ID: text,
  S3_SECRET_ACCESS_KEY: text,
};

/** Whose archive it is; services have these among their common variables. */
export const identityVariables = { STACK: text, BUSINESS_DATE: calendarDate, CLUSTER_ID: text };

type Variables = z.output<z.ZodObject<typeof storeVariables & typeof identityVariables>>;

/** The archive that the environment names. Nothing is read yet. */
export function archiveFromEnvironment(
  variables: Variables,
  limits: Pick<StoreSettings, "requestTimeoutMs" | "attempts"> = {},
): ClusterArchive {
  const store = new ArchiveStore({
    endpoint: variables.S3_ENDPOINT,
    region: variables.S3_REGION,
    bucket: variables.S3_BUCKET,
    accessKeyId: variables.S3_ACCESS_KEY_ID,
    secretAccessKey: variables.S3_SECRET_ACCESS_KEY,
    ...limits,
  });
  const { STACK: stack, BUSINESS_DATE: businessDate, CLUSTER_ID: clusterId } = variables;
  return new ClusterArchive(store, { stack, businessDate, clusterId });
}
