/**
 * The settings of a replay's services. The same events come out only with those that the day had: what is not given is
 * the service's own default.
 */
import { existsSync, readFileSync } from "node:fs";
import { InvalidArgumentError } from "commander";
import { parse } from "yaml";
import type { ArchiveIdentity } from "../../services/archive/layout.ts";
import { projectName } from "../../stacks/config.ts";
import { valuesSchema } from "../../stacks/config-schema.ts";

/** A setting and where it comes from, for the report. */
export interface Setting {
  name: string;
  value: string;
  /** `--set`, or a file. */
  from: string;
}

/** What belongs to the replay itself. */
const reserved = ["SERVICE_NAME", "HTTP_PORT", "STACK", "CLUSTER_ID", "BUSINESS_DATE", "KAFKA_BROKERS"];

/**
 * Reads one `--set`: `NAME=value`, or `NAME` for the value it has in this environment.
 * @throws InvalidArgumentError
 */
export function readSetting(text: string, before: readonly Setting[] = []): Setting[] {
  const [, name, , value] = /^([A-Z][A-Z0-9_]*)(=(.*))?$/s.exec(text) ?? [];
  if (name === undefined) throw new InvalidArgumentError("Expected NAME=value, the name in capitals.");
  if (reserved.includes(name)) throw new InvalidArgumentError(`${name} is the replay's own.`);
  const found = value ?? process.env[name];
  if (found === undefined)
    throw new InvalidArgumentError(`${name} is not in the environment; give it as ${name}=value.`);
  return [...before.filter((setting) => setting.name !== name), { name, value: found, from: "--set" }];
}

/** The stack's settings that matter to replayed services, from `Pulumi.<stack>.yaml` in the working directory as it is now. */
export function stackSettings(stack: string): Setting[] {
  const file = `Pulumi.${stack}.yaml`;
  if (!existsSync(file)) return [];
  const { config } = parse(readFileSync(file, "utf8")) as { config?: Record<string, unknown> };
  const days = valuesSchema.shape.maxEventAgeDays.safeParse(config?.[`${projectName}:maxEventAgeDays`]);
  return days.success ? [{ name: "MAX_EVENT_AGE_DAYS", value: String(days.data), from: file }] : [];
}

/** The environment that all services have in common. @param settings later ones win. */
export function serviceEnvironment(
  { stack, businessDate, clusterId }: ArchiveIdentity,
  brokers: readonly string[],
  settings: readonly Setting[],
): Record<string, string> {
  return {
    LOG_LEVEL: "info",
    ...Object.fromEntries(settings.map(({ name, value }) => [name, value])),
    STACK: stack,
    BUSINESS_DATE: businessDate,
    CLUSTER_ID: clusterId,
    KAFKA_BROKERS: brokers.join(","),
    KAFKA_REPLICATION_FACTOR: "1",
    KAFKA_MIN_INSYNC_REPLICAS: "1",
  };
}
