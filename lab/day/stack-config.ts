/**
 * The stack's configuration as the lab runs it: everything that `Pulumi.<stack>.yaml` says, with the outside
 * world's endpoints and the secrets replaced by the lab's own. Nothing else differs from the real thing.
 */
import { readFileSync } from "node:fs";
import path from "node:path";
import { parse } from "yaml";
import { brokersOf } from "../../components/kafka-facts.ts";
import type { Profile } from "../../components/profile.ts";
import { profileOf } from "../../stacks/config-schema.ts";
import { exitCodes, LabError } from "../errors.ts";

/** Pulumi's configuration: `<project>:<key>` to a string, objects and lists as JSON. */
export interface StackConfiguration {
  values: Record<string, string>;
  /** The keys whose values are secret. */
  secretKeys: string[];
}

/** The endpoints and throwaway credentials that a day is pointed at. */
export interface LabEndpoints {
  hetzner: { endpoint: string; token: string; sshPort: number };
  s3: { endpoint: string; region: string; bucket: string; accessKeyId: string; secretAccessKey: string };
  kafka: { brokers: readonly string[] };
  alpaca: {
    stream: string;
    updates: string;
    rest: string;
    keyId: string;
    secret: string;
    symbols: string[];
    requestsPerMinute: number;
  };
  near: { ws: string; rpc: string; token: string; salt: string; signerId: string; privateKey: string };
  /** Folder that receives the Kubernetes objects. */
  renderDirectory: string;
}

function readStackFile(projectDirectory: string, stack: string): Record<string, unknown> {
  const file = `Pulumi.${stack}.yaml`;
  let document: unknown;
  try {
    document = parse(readFileSync(path.join(projectDirectory, file), "utf8"));
  } catch (error) {
    throw new LabError(`${file} cannot be read: ${(error as Error).message}`, exitCodes.usage);
  }
  const config = (document as { config?: unknown } | null)?.config ?? {};
  if (typeof config !== "object" || Array.isArray(config)) {
    throw new LabError(
      `${file}: "config" is not a map; expected keys such as "trading:adminCidrs"`,
      exitCodes.usage,
    );
  }
  return config as Record<string, unknown>;
}

/** The shape of a day's cluster. */
export interface DayShape {
  profile: Profile;
  brokers: 3 | 1;
}

/**
 * The shape that the stack's file and the command line ask for.
 * @param wished what the command line says; the stack's `trading:profile` and the profile's brokers go without saying.
 * @throws LabError (exit code 2) when the file cannot be read, or the profile has fewer brokers than are wished.
 */
export function dayShape(
  projectDirectory: string,
  stack: string,
  wished: Partial<{ profile: Profile | undefined; brokers: 3 | 1 | undefined }>,
): DayShape {
  const profile =
    wished.profile ?? profileOf({ profile: readStackFile(projectDirectory, stack)["trading:profile"] });
  const brokers = wished.brokers ?? brokersOf[profile];
  if (brokers > brokersOf[profile]) {
    throw new LabError(
      `--brokers: found ${brokers}, expected ${brokersOf[profile]}: the profile ${profile} has no more. ` +
        "Leave --brokers out, or take --profile cluster.",
      exitCodes.usage,
    );
  }
  return { profile, brokers };
}

/**
 * Builds the configuration of a lab day.
 * @param projectDirectory where `Pulumi.<stack>.yaml` is.
 * @param profile in place of the file's `trading:profile`. Default: what the file says.
 * @throws LabError (exit code 2) when the file cannot be read; what the keys mean is checked by `stacks/config.ts`.
 */
export function labStackConfiguration(
  projectDirectory: string,
  stack: string,
  endpoints: LabEndpoints,
  profile?: Profile,
): StackConfiguration {
  const { hetzner, s3, kafka, alpaca, near } = endpoints;
  const replaced: Record<string, unknown> = {
    archive: { endpoint: s3.endpoint, region: s3.region, bucket: s3.bucket },
    delivery: "direct",
    hcloudEndpoint: hetzner.endpoint,
    kafka: {
      bootstrapServers: kafka.brokers.join(","),
      ...(kafka.brokers.length === 1 ? { replicationFactor: 1, minInsyncReplicas: 1 } : {}),
    },
    kubernetesRenderDirectory: endpoints.renderDirectory,
    ...(profile === undefined ? {} : { profile }),
    // The replayed session is twenty years old.
    maxEventAgeDays: 36_500,
    ssh: { port: hetzner.sshPort },
    venues: {
      alpaca: {
        streamUrl: alpaca.stream,
        restUrl: alpaca.rest,
        updatesUrl: alpaca.updates,
        symbols: alpaca.symbols,
        requestsPerMinute: alpaca.requestsPerMinute,
      },
      nearIntents: { relayWebSocketUrl: near.ws, relayRpcUrl: near.rpc, salt: near.salt },
    },
  };
  const secrets: Record<string, string> = {
    hcloudToken: hetzner.token,
    archiveAccessKeyId: s3.accessKeyId,
    archiveSecretAccessKey: s3.secretAccessKey,
    alpacaKeyId: alpaca.keyId,
    alpacaSecretKey: alpaca.secret,
    nearRelayToken: near.token,
    nearSignerId: near.signerId,
    nearPrivateKey: near.privateKey,
  };
  const values: Record<string, string> = {};
  for (const [key, value] of Object.entries(readStackFile(projectDirectory, stack))) {
    values[key] = typeof value === "string" ? value : JSON.stringify(value);
  }
  for (const [key, value] of Object.entries({ ...replaced, ...secrets })) {
    values[`trading:${key}`] = typeof value === "string" ? value : JSON.stringify(value);
  }
  return { values, secretKeys: Object.keys(secrets).map((key) => `trading:${key}`) };
}
