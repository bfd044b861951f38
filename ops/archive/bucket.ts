/**
 * Which bucket a command works on: as the environment says, as for the export gate; where it does not, as the stack's
 * configuration says. Keys come from the environment only: Pulumi keeps the stack's own encrypted.
 */
import { existsSync, readFileSync } from "node:fs";
import type { Command } from "commander";
import { parse } from "yaml";
import { z } from "zod";
import { ArchiveStore, type StoreSettings } from "../../services/archive/store.ts";
import { storeVariables } from "../../services/archive/settings.ts";
import { projectName } from "../../stacks/config.ts";
import { valuesSchema } from "../../stacks/config-schema.ts";
import { UsageError } from "../run.ts";

/** Shown below each command's help. */
const environmentHelp = `
The bucket: S3_ENDPOINT, S3_REGION, S3_BUCKET from the environment, or else trading:archive in Pulumi.<stack>.yaml of
--stack; S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY from the environment.`;

/** Says in a command's help where the bucket comes from. */
export function describeBucket(command: Command): Command {
  return command.addHelpText("after", environmentHelp);
}

/** Shorter than a service's patience: somebody waits in front of a terminal. */
const limits = { requestTimeoutMs: 30_000, attempts: 3 } satisfies Partial<StoreSettings>;

/**
 * Opens the bucket; nothing is read yet. Close it when done.
 * @throws as {@link bucketSettings}
 */
export function openBucket(...of: Parameters<typeof bucketSettings>): ArchiveStore {
  return new ArchiveStore(bucketSettings(...of));
}

/**
 * Where the bucket is, with its keys.
 * @param stack whose configuration names the bucket where the environment does not.
 * @throws UsageError with everything that is missing or wrong.
 */
export function bucketSettings(
  stack: string | undefined,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): StoreSettings {
  if (stack !== undefined && !/^[^/]+$/.test(stack))
    throw new UsageError(`--stack: found ${JSON.stringify(stack)}, expected a stack's name`);
  const given = {
    ...bucketOfStack(stack),
    ...Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== "")),
  };
  const parsed = z.object(storeVariables).safeParse(given);
  if (!parsed.success) {
    const mistakes = parsed.error.issues.map((issue) => {
      const name = String(issue.path[0]);
      return `  ${name}: ${name in given ? issue.message : "is missing"}`;
    });
    throw new UsageError(
      `It is not known which bucket to use:\n${mistakes.join("\n")}\n` +
        "Set these variables; the bucket alone may come from --stack as well, the keys may not.",
    );
  }
  const { S3_ENDPOINT, S3_REGION, S3_BUCKET, S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY } = parsed.data;
  return {
    endpoint: S3_ENDPOINT,
    region: S3_REGION,
    bucket: S3_BUCKET,
    accessKeyId: S3_ACCESS_KEY_ID,
    secretAccessKey: S3_SECRET_ACCESS_KEY,
    ...limits,
  };
}

/** What `Pulumi.<stack>.yaml` in the working directory says of the bucket; nothing when there is no such file. */
function bucketOfStack(stack: string | undefined): Record<string, string> {
  if (stack === undefined) return {};
  const file = `Pulumi.${stack}.yaml`;
  if (!existsSync(file)) return {};
  const { config } = parse(readFileSync(file, "utf8")) as { config?: Record<string, unknown> };
  const archive = valuesSchema.shape.archive.safeParse(config?.[`${projectName}:archive`]);
  if (!archive.success) {
    const mistakes = archive.error.issues.map(
      (issue) => `  ${[`${projectName}:archive`, ...issue.path].join(".")}: expected ${issue.message}`,
    );
    throw new UsageError(`${file} does not say which bucket to use:\n${mistakes.join("\n")}`);
  }
  const { endpoint, region, bucket } = archive.data;
  return { S3_ENDPOINT: endpoint, S3_REGION: region, S3_BUCKET: bucket };
}
