/**
 * The configuration of a stack: every `trading:<key>` of `Pulumi.<stack>.yaml`, checked as a whole.
 * Pure, so that the `trading` command line and the tests read it without running Pulumi; the program
 * itself reads it through `stacks/pulumi-config.ts`.
 */
import { z } from "zod";
import { brokersOf } from "../components/kafka-facts.ts";
import { type Cidr, coverTheInternet, parseCidr } from "./cidr.ts";
import {
  optionalSecretKeys,
  profileOf,
  secretKeys,
  secretsSchema,
  type StackConfig,
  type StackValues,
  valueKeys,
  valuesSchema,
  withProfileDefaults,
} from "./config-schema.ts";

export {
  secretKeys,
  type StackConfig,
  type StackSecrets,
  type StackValues,
  valueKeys,
} from "./config-schema.ts";

/** Project name in `Pulumi.yaml`, and so the namespace of every key. */
export const projectName = "trading";

/** Keys whose value is the text itself; all others are JSON, as `pulumi config` stores them. */
const textKeys: readonly string[] = [
  "businessDate",
  "delivery",
  "expiresAt",
  "hcloudEndpoint",
  "kubernetesRenderDirectory",
  "openOrdersAtClose",
  "profile",
  "registryUser",
];

/** All secrets that a stack may have. */
const everySecretKey: readonly string[] = [...secretKeys, ...optionalSecretKeys];

/** One thing that is wrong with a configuration. */
export interface ConfigMistake {
  /** Full key with its path, for example `trading:archive.endpoint`. */
  key: string;
  /** What stands there. Never the value of a secret. */
  found: string;
  allowed: string;
  /** What to do about it. */
  action: string;
}

/** Everything that is wrong with a stack's configuration, at once. */
export class StackConfigError extends Error {
  readonly mistakes: readonly ConfigMistake[];

  constructor(mistakes: readonly ConfigMistake[]) {
    const lines = mistakes.map(
      (mistake) =>
        `  ${mistake.key}\n    found:   ${mistake.found}\n    allowed: ${mistake.allowed}\n    do:      ${mistake.action}`,
    );
    const count = mistakes.length === 1 ? "1 mistake" : `${mistakes.length} mistakes`;
    super(`The stack's configuration has ${count}:\n${lines.join("\n")}`);
    this.name = "StackConfigError";
    this.mistakes = mistakes;
  }
}

const setValue = (key: string) => `correct ${key} in Pulumi.<stack>.yaml`;
const setSecret = (key: string) => `pulumi config set --secret ${projectName}:${key}`;

function display(value: unknown): string {
  if (value === undefined) return "nothing";
  const shown = JSON.stringify(value);
  return shown.length > 120 ? `${shown.slice(0, 117)}...` : shown;
}

function at(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (inner, step) =>
      typeof inner === "object" && inner !== null ? (inner as Record<PropertyKey, unknown>)[step] : undefined,
    value,
  );
}

/** `trading:adminCidrs[1]`, `trading:archive.endpoint`. */
function fullKey(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (key, step) =>
      typeof step === "number"
        ? `${key}[${step}]`
        : key === ""
          ? `${projectName}:${String(step)}`
          : `${key}.${String(step)}`,
    "",
  );
}

/** The keys of a nested object that zod did not know, each as a mistake of its own. */
function mistakesOf(issue: z.core.$ZodIssue, values: unknown): ConfigMistake[] {
  if (issue.code === "unrecognized_keys") {
    const known = [...Object.keys(knownKeys(issue.path)), ...(issue.path.length === 0 ? everySecretKey : [])];
    return issue.keys.map((name) => {
      const key = fullKey([...issue.path, name]);
      return {
        key,
        found: "a key that nothing reads",
        allowed: known.join(", "),
        action: `remove ${key}, or correct its name`,
      };
    });
  }
  const key = fullKey(issue.path);
  const found = at(values, issue.path);
  return [
    {
      key,
      found: display(found),
      allowed: issue.message,
      action: found === undefined ? `add ${key} to Pulumi.<stack>.yaml` : setValue(key),
    },
  ];
}

/** The fields of the object that stands at `path` in the schema. */
function knownKeys(path: readonly PropertyKey[]): Record<string, unknown> {
  let schema: unknown = valuesSchema;
  const unwrap = (inner: unknown): unknown => {
    let current = inner;
    while (
      current instanceof z.ZodDefault ||
      current instanceof z.ZodPrefault ||
      current instanceof z.ZodOptional
    ) {
      current = current.unwrap();
    }
    return current;
  };
  for (const step of path) {
    schema = unwrap(schema);
    schema = schema instanceof z.ZodObject ? (schema.shape as Record<PropertyKey, unknown>)[step] : undefined;
  }
  schema = unwrap(schema);
  return schema instanceof z.ZodObject ? schema.shape : {};
}

/** Not more copies than brokers, and not more in sync than there are. Values that are no numbers are the schema's to refuse. */
function replicationMistakes(values: Record<string, unknown>): ConfigMistake[] {
  const [copies, inSync] = ["replicationFactor", "minInsyncReplicas"].map((key) =>
    Number(at(values, ["kafka", key])),
  ) as [number, number];
  const mistakes: ConfigMistake[] = [];
  const profile = profileOf(values);
  // What no profile allows is the schema's to refuse, too.
  if (copies > brokersOf[profile] && copies <= brokersOf.cluster) {
    mistakes.push({
      key: "trading:kafka.replicationFactor",
      found: display(copies),
      allowed: `at most ${brokersOf[profile]}: trading:profile ${profile} has no more brokers`,
      action: "remove trading:kafka.replicationFactor, or set trading:profile to cluster",
    });
  }
  if (inSync > copies) {
    mistakes.push({
      key: "trading:kafka.minInsyncReplicas",
      found: display(inSync),
      allowed: `at most trading:kafka.replicationFactor, which is ${display(copies)}`,
      action: setValue("trading:kafka.minInsyncReplicas"),
    });
  }
  return mistakes;
}

/** A token goes with https and a key with SSH; a repository over SSH cannot be read without one. */
function gitCredentialMistakes(
  values: Record<string, unknown>,
  secrets: Readonly<Record<string, string>>,
): ConfigMistake[] {
  const repository = at(values, ["gitops", "repository"]);
  if (values["delivery"] !== "gitops" || typeof repository !== "string") return [];
  const [fitting, other] = /^https?:/.test(repository)
    ? (["gitToken", "gitSshKey"] as const)
    : (["gitSshKey", "gitToken"] as const);
  const mistakes: ConfigMistake[] = [];
  if (secrets[other] !== undefined) {
    mistakes.push({
      key: `${projectName}:${other}`,
      found: `a secret (not shown) that does not go with ${display(repository)}`,
      allowed: `nothing: this address takes trading:${fitting}`,
      action: `remove trading:${other}, or correct trading:gitops.repository`,
    });
  }
  if (fitting === "gitSshKey" && secrets[fitting] === undefined) {
    mistakes.push({
      key: `${projectName}:${fitting}`,
      found: "nothing",
      allowed: "a private SSH key, because trading:gitops.repository is an SSH address",
      action: setSecret(fitting),
    });
  }
  return mistakes;
}

/** Names of choices have a part for each role that has servers of its own; others would mean no choice at all, unnoticed. */
function exclusionMistakes(values: Record<string, unknown>): ConfigMistake[] {
  const profile = profileOf(values);
  const [example, parts] =
    profile === "cluster" ? ["fsn1/cpx32/cpx22 or fsn1/cpx32/*", 3] : ["fsn1/cpx32 or fsn1/*", 2];
  const names = Array.isArray(values["excludedCapacity"]) ? (values["excludedCapacity"] as unknown[]) : [];
  return names.flatMap((name, index) =>
    // What is no name at all is the schema's to refuse.
    typeof name !== "string" || ![2, 3].includes(name.split("/").length) || name.split("/").length === parts
      ? []
      : {
          key: `trading:excludedCapacity[${index}]`,
          found: display(name),
          allowed: `a name as trading plan shows it with the profile ${profile}, such as ${example}`,
          action: setValue(`trading:excludedCapacity[${index}]`),
        },
  );
}

/** Longest that a day may be from its beginning to its deadline: even where clocks change, the next one begins after it. */
const longestDayMinutes = 23 * 60;

/** Days must not overlap, or nobody could say which one a moment belongs to. */
function scheduleMistakes(values: Record<string, unknown>): ConfigMistake[] {
  const { data: schedule } = valuesSchema.shape.schedule.safeParse(values["schedule"]);
  const { data: openHours } = valuesSchema.shape.openHours.safeParse(values["openHours"]);
  // What is not of the right form is the schema's to refuse.
  if (schedule === undefined || openHours === undefined) return [];
  const { leadMinutes, deadlineMinutes } = schedule;
  const minutes = leadMinutes + openHours * 60 + deadlineMinutes;
  if (minutes <= longestDayMinutes) return [];
  return [
    {
      key: "trading:schedule",
      found: `${leadMinutes} leadMinutes, ${openHours} trading:openHours and ${deadlineMinutes} deadlineMinutes: ${minutes} minutes`,
      allowed: `at most ${longestDayMinutes} minutes together, so that a day has ended before the next one begins`,
      action: "lower trading:openHours, trading:schedule.leadMinutes or trading:schedule.deadlineMinutes",
    },
  ];
}

/** What lets in nearly everybody, in one network or in several together. */
function openToAllMistakes(values: Record<string, unknown>): ConfigMistake[] {
  if (values["allowPublicAdmin"] === true) return [];
  const named = Array.isArray(values["adminCidrs"]) ? (values["adminCidrs"] as unknown[]) : [];
  const networks = named.map((network) => (typeof network === "string" ? parseCidr(network) : undefined));
  const action =
    "name the addresses you work from, or set trading:allowPublicAdmin to true to open SSH and the Kubernetes API to everyone";
  const wide = networks.flatMap((network, index) =>
    network === undefined || !coverTheInternet([network])
      ? []
      : {
          key: `trading:adminCidrs[${index}]`,
          found: display(named[index]),
          allowed: "a network of at most a sixteenth of the internet",
          action,
        },
  );
  const valid = networks.filter((network): network is Cidr => network !== undefined);
  if (wide.length > 0 || !coverTheInternet(valid)) return wide;
  return [
    {
      key: "trading:adminCidrs",
      found: `${display(named)}: together more than a sixteenth of the internet`,
      allowed: "networks that together are at most a sixteenth of the internet",
      action,
    },
  ];
}

/** Rules that concern more than one key. */
function mistakesAcross(values: Record<string, unknown>): ConfigMistake[] {
  const mistakes: ConfigMistake[] = [];
  if (values["delivery"] === "gitops" && values["gitops"] === undefined) {
    mistakes.push({
      key: "trading:gitops",
      found: "nothing",
      allowed: "an object with repository, path and revision, because trading:delivery is gitops",
      action: "add trading:gitops to Pulumi.<stack>.yaml, or set trading:delivery to direct",
    });
  }
  mistakes.push(...replicationMistakes(values), ...exclusionMistakes(values), ...scheduleMistakes(values));
  mistakes.push(...openToAllMistakes(values));
  return mistakes;
}

/** A value as Pulumi holds it: the text itself, or JSON. */
function readValue(name: string, raw: string): unknown {
  if (textKeys.includes(name) || !(valueKeys as string[]).includes(name)) return raw;
  try {
    return JSON.parse(raw);
  } catch {
    // A bare word where an object, list, number or boolean belongs: the schema says what is allowed.
    return raw;
  }
}

/** Values that are valid, or every mistake in them. */
function checkValues(values: Record<string, unknown>): { data?: StackValues; mistakes: ConfigMistake[] } {
  const completed = withProfileDefaults(values);
  const { data, error } = valuesSchema.safeParse(completed);
  const mistakes = (error?.issues ?? []).flatMap((issue) => mistakesOf(issue, completed));
  mistakes.push(...mistakesAcross(completed));
  return { ...(data === undefined ? {} : { data }), mistakes };
}

/**
 * Checks the configuration of a stack without its secrets, for commands that are no part of the Pulumi program.
 * @param entries as for {@link parseStackConfig}; secrets among them are not looked at
 * @throws StackConfigError with every mistake.
 */
export function parseStackValues(entries: Readonly<Record<string, string>>): StackValues {
  const named = Object.entries(entries)
    .filter(([key]) => key.startsWith(`${projectName}:`))
    .map(([key, raw]) => [key.slice(projectName.length + 1), raw] as const)
    .filter(([name]) => !everySecretKey.includes(name));
  const { data, mistakes } = checkValues(
    Object.fromEntries(named.map(([name, raw]) => [name, readValue(name, raw)])),
  );
  if (data === undefined || mistakes.length > 0) throw new StackConfigError(mistakes);
  return data;
}

export interface ParseOptions {
  /**
   * The keys (with namespace) whose values Pulumi holds encrypted. When given, a secret that is not among
   * them is a mistake, because it stands in clear in a file. Default: not checked.
   */
  encryptedKeys?: Iterable<string>;
}

/**
 * Checks the configuration of a stack.
 * @param entries full keys (`trading:adminCidrs`) and their decrypted values as Pulumi hands them over;
 *   keys of other namespaces are left alone.
 * @throws StackConfigError with every mistake.
 */
export function parseStackConfig(
  entries: Readonly<Record<string, string>>,
  options: ParseOptions = {},
): StackConfig {
  const mistakes: ConfigMistake[] = [];
  const values: Record<string, unknown> = {};
  const secrets: Record<string, string> = {};
  const encrypted = options.encryptedKeys === undefined ? undefined : new Set(options.encryptedKeys);

  for (const [key, raw] of Object.entries(entries)) {
    if (!key.startsWith(`${projectName}:`)) continue;
    const name = key.slice(projectName.length + 1);
    if (everySecretKey.includes(name)) {
      secrets[name] = raw;
      if (encrypted !== undefined && !encrypted.has(key)) {
        mistakes.push({
          key,
          found: "a secret that stands in clear in Pulumi.<stack>.yaml",
          allowed: "an encrypted value",
          action: `${setSecret(name)}, and replace the secret at its issuer if the file was ever committed`,
        });
      }
    } else {
      values[name] = readValue(name, raw);
    }
  }

  const checkedValues = checkValues(values);
  mistakes.push(...checkedValues.mistakes);

  const checkedSecrets = secretsSchema.safeParse(secrets);
  for (const issue of checkedSecrets.error?.issues ?? []) {
    const name = String(issue.path[0]);
    mistakes.push({
      key: `${projectName}:${name}`,
      found: secrets[name] === undefined ? "nothing" : "a secret of another form (not shown)",
      allowed: issue.message,
      action: setSecret(name),
    });
  }

  if ((values["registryUser"] === undefined) !== (secrets["registryToken"] === undefined)) {
    const missing = values["registryUser"] === undefined ? "registryUser" : "registryToken";
    mistakes.push({
      key: `${projectName}:${missing}`,
      found: "nothing",
      allowed: "trading:registryUser and trading:registryToken together, or neither",
      action:
        missing === "registryToken"
          ? `${setSecret(missing)}, or remove trading:registryUser`
          : `pulumi config set ${projectName}:${missing}, or remove trading:registryToken`,
    });
  }

  mistakes.push(...gitCredentialMistakes(values, secrets));

  if (mistakes.length > 0 || checkedValues.data === undefined || !checkedSecrets.success) {
    throw new StackConfigError(mistakes);
  }
  return { ...checkedValues.data, secrets: checkedSecrets.data };
}
