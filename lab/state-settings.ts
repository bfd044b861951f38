/** Where the environment says that the lab engine's state is. */
import path from "node:path";
import { StackUnavailableError } from "../ops/engine/stack-engine.ts";
import type { EngineOptions } from "./engine/index.ts";

const names = {
  endpoint: "LAB_STATE_S3_ENDPOINT",
  region: "LAB_STATE_S3_REGION",
  accessKeyId: "LAB_STATE_S3_ACCESS_KEY_ID",
  secretAccessKey: "LAB_STATE_S3_SECRET_ACCESS_KEY",
} as const;

/**
 * Reads the variables that `lab/stack-engine.ts` lists.
 * @throws StackUnavailableError with everything that is missing or wrong.
 */
export function stateBucketSettings(
  environment: Readonly<Record<string, string | undefined>>,
  stateFile: string,
  projectDirectory: string,
): Pick<EngineOptions, "stateFile" | "stateBucket"> {
  if (!stateFile.startsWith("s3://")) return { stateFile: path.resolve(projectDirectory, stateFile) };
  const of = (name: keyof typeof names): string => environment[names[name]] ?? "";
  const missing = Object.keys(names).filter((name) => of(name as keyof typeof names) === "");
  const lease = environment["LAB_STATE_LEASE_SECONDS"] ?? "";
  const mistakes = [
    ...missing.map(
      (name) => `${names[name as keyof typeof names]}: is missing; a state in a bucket needs it`,
    ),
    ...(/^s3:\/\/[^/]+\/.+$/.test(stateFile)
      ? []
      : [`LAB_STATE_FILE: is ${JSON.stringify(stateFile)}, expected s3://bucket/key`]),
    ...(/^([1-9]\d{0,3})?$/.test(lease)
      ? []
      : [`LAB_STATE_LEASE_SECONDS: is ${JSON.stringify(lease)}, expected 1 to 9999`]),
  ];
  if (mistakes.length > 0) {
    throw new StackUnavailableError(
      `The lab's engine cannot reach its state (lab/stack-engine.ts says what the variables are):\n${mistakes.map((line) => `  ${line}`).join("\n")}`,
    );
  }
  return {
    stateFile,
    stateBucket: {
      endpoint: of("endpoint"),
      region: of("region"),
      credentials: { accessKeyId: of("accessKeyId"), secretAccessKey: of("secretAccessKey") },
      leaseMs: lease === "" ? undefined : Number(lease) * 1_000,
    },
  };
}
