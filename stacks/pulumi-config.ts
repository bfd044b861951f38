import * as pulumi from "@pulumi/pulumi";
import { parseStackConfig, type ParseOptions, type StackConfig, StackConfigError } from "./config.ts";

/** The configuration of the running stack, its secrets as secret outputs. */
export type PulumiStackConfig = StackConfig<pulumi.Output<string>>;

/**
 * Reads the configuration that the engine handed to this program.
 * @throws RunError with every mistake; Pulumi shows it as it is, without a stack trace.
 */
export function readStackConfig(): PulumiStackConfig {
  const entries = pulumi.runtime.allConfig();
  // The SDK marks its own question for this (`isConfigSecret`) as internal; the variable is the language host's.
  const encrypted = process.env["PULUMI_CONFIG_SECRET_KEYS"];
  const config = parse(
    entries,
    encrypted === undefined ? {} : { encryptedKeys: JSON.parse(encrypted) as string[] },
  );
  const secrets = Object.fromEntries(
    Object.entries(config.secrets).map(([key, value]) => [key, pulumi.secret(value)]),
  ) as PulumiStackConfig["secrets"];
  return { ...config, secrets };
}

function parse(entries: Record<string, string>, options: ParseOptions): StackConfig {
  try {
    return parseStackConfig(entries, options);
  } catch (error) {
    if (error instanceof StackConfigError) throw new pulumi.RunError(error.message);
    throw error;
  }
}
