/**
 * The configuration of a stack: every `trading:<key>` of `Pulumi.<stack>.yaml`, checked as a whole.
 * Pure, so that the `trading` command line and the tests read it without running Pulumi; the program
 * itself reads it through `stacks/pulumi-config.ts`.
 */
import { z } from "zod";
import { serviceImages } from "../components/versions.ts";
import { parseCidr } from "./cidr.ts";

/** Project name in `Pulumi.yaml`, and so the namespace of every key. */
export const projectName = "trading";

const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/** A URL of one scheme in its encrypted form, or in its plain form when it stays on this machine. */
function url(scheme: "http" | "ws") {
  const allowed = `a URL that starts with ${scheme}s:// (${scheme}:// only for an address on this machine)`;
  return z.string({ error: allowed }).refine(
    (text) => {
      if (!URL.canParse(text)) return false;
      const { protocol, hostname } = new URL(text);
      return protocol === `${scheme}s:` || (protocol === `${scheme}:` && loopback.test(hostname));
    },
    { error: allowed },
  );
}

/** A non-empty string that matches `pattern`. */
function text(allowed: string, pattern = /^\S(.*\S)?$/s) {
  return z.string({ error: allowed }).regex(pattern, { error: allowed });
}

const list = <Item extends z.ZodType>(item: Item, allowed: string) =>
  z.array(item, { error: allowed }).min(1, { error: allowed });

const cidr = z.string({ error: "a network in CIDR notation, such as 203.0.113.7/32" }).refine(
  (value) => {
    const parsed = parseCidr(value);
    return parsed !== undefined && parsed.hostBitsAreZero;
  },
  {
    error:
      "a network in CIDR notation with no bits set behind its prefix, such as 203.0.113.7/32 or 2001:db8::/48",
  },
);

const whole = (allowed: string, minimum: number, maximum: number) =>
  z.int({ error: allowed }).min(minimum, { error: allowed }).max(maximum, { error: allowed });

const serverTypes = list(
  text("the name of a server type, such as cpx31", /^[a-z]+[0-9]+$/),
  "a list of server types in order of preference, such as [cpx31, cpx32]",
);

/** A Git repository that Argo CD follows. */
const gitops = z.strictObject(
  {
    /** Clone address: https, or ssh://. */
    repository: text(
      "the clone address of a Git repository (https:// or ssh://)",
      /^(https|ssh|http):\/\/\S+$|^\S+@\S+:\S+$/,
    ),
    /** Folder in the repository, for example `k8s/overlays/dev`. */
    path: text("a folder in the repository, such as k8s/overlays/dev", /^[^/\s][^\s]*$/),
    /** Branch, tag or commit. */
    revision: text("a branch, tag or commit", /^\S+$/),
  },
  { error: "an object with repository, path and revision" },
);

/** The values that are not secret. Defaults stand here and nowhere else. */
const valuesSchema = z.strictObject({
  /** Networks that may reach SSH and the Kubernetes API. Required: nothing is opened by default. */
  adminCidrs: list(cidr, "a list of at least one network in CIDR notation"),
  /** Must be true for `adminCidrs` to hold the whole internet. */
  allowPublicAdmin: z.boolean({ error: "true or false" }).default(false),
  /** Hetzner locations in order of preference. */
  locations: list(
    text("the name of a Hetzner location, such as fsn1", /^[a-z]+[0-9]*$/),
    "a list of Hetzner locations in order of preference",
  ).default(["fsn1", "nbg1", "hel1"]),
  /** Server types of kafka-0..2, in order of preference (seed 000: cpx31; its successors follow). */
  brokerServerTypes: serverTypes.default(["cpx31", "cpx32", "cx33"]),
  /** Server types of k3s-control, in order of preference (seed 000: cpx21). */
  controlPlaneServerTypes: serverTypes.default(["cpx21", "cpx22", "cx23"]),
  /** Hours from the first `up` to the label `expires-at`: 1–24. Production runs 10 hours a day (seed 000). */
  openHours: whole("a whole number of hours from 1 to 24", 1, 24).default(10),
  /** Business date of the cluster. Default: the date in New York at the first `up`. */
  businessDate: z.iso.date({ error: "a date such as 2025-10-14" }).optional(),
  /** The bucket that outlives every cluster. */
  archive: z.strictObject(
    {
      endpoint: url("http"),
      region: text("a region name, such as fsn1", /^[a-z0-9-]+$/),
      bucket: text(
        "the name of an S3 bucket (3 to 63 of a-z, 0-9, dot and hyphen)",
        /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/,
      ),
    },
    { error: "an object with endpoint, region and bucket" },
  ),
  /** `gitops`: Argo CD syncs the services from Git. `direct`: Pulumi applies the same objects itself. */
  delivery: z.enum(["gitops", "direct"], { error: "gitops or direct" }),
  gitops: gitops.optional(),
  /** Where the service images are and which release runs. */
  images: z
    .strictObject(
      {
        registry: text(
          "a registry and path without a tag, such as ghcr.io/trading-cz",
          /^[a-z0-9./:_-]+[a-z0-9]$/,
        ).default(serviceImages.registry),
        version: text("an image tag, such as v1.0.0", /^\w[\w.-]{0,127}$/).default(serviceImages.version),
      },
      { error: "an object with registry and version" },
    )
    .prefault({}),
  venues: z.strictObject(
    {
      alpaca: z
        .strictObject(
          {
            /** Real-time data with its feed. */
            streamUrl: url("ws").default("wss://stream.data.alpaca.markets/v2/iex"),
            /** Trading API without `/v2`. Default: paper trading. */
            restUrl: url("http").default("https://paper-api.alpaca.markets"),
            /** Trade updates. Default: paper trading. */
            updatesUrl: url("ws").default("wss://paper-api.alpaca.markets/stream"),
            symbols: list(
              text("a ticker symbol, such as SPY", /^[A-Z][A-Z0-9./]*$/),
              "a list of ticker symbols",
            ).default(["SPY"]),
          },
          { error: "an object with streamUrl, restUrl, updatesUrl and symbols" },
        )
        .prefault({}),
      nearIntents: z.strictObject(
        {
          relayWebSocketUrl: url("ws").default("wss://solver-relay-v2.chaindefuser.com/ws"),
          relayRpcUrl: url("http").default("https://solver-relay-v2.chaindefuser.com/rpc"),
          /** Salt of the contract `intents.near` (its view `current_salt`): 4 bytes in hexadecimal. */
          salt: text("4 bytes in hexadecimal, such as 252812b3", /^[0-9a-f]{8}$/),
        },
        { error: "an object with relayWebSocketUrl, relayRpcUrl and salt" },
      ),
    },
    { error: "an object with alpaca and nearIntents" },
  ),
  kafka: z
    .strictObject(
      {
        /** What the services connect to: host:port, comma separated. */
        bootstrapServers: text(
          "host:port, comma separated",
          /^[^\s,:]+:\d{1,5}(,[^\s,:]+:\d{1,5})*$/,
        ).default("kafka-bootstrap.kafka.svc.cluster.local:9092"),
      },
      { error: "an object with bootstrapServers" },
    )
    .prefault({}),
  ssh: z
    .strictObject(
      {
        /** Port at which the servers' SSH answers; 22 unless something stands in between. */
        port: whole("a port from 1 to 65535", 1, 65_535).default(22),
      },
      { error: "an object with port" },
    )
    .prefault({}),
  /** Another address of the Hetzner Cloud API, with `/v1`. Default: Hetzner's own. */
  hcloudEndpoint: url("http").optional(),
  /** Write the Kubernetes objects to this folder instead of sending them to the cluster. They hold secrets. */
  kubernetesRenderDirectory: text("a folder").optional(),
});

/** The secrets, each with what it must look like. */
const secretsSchema = z.strictObject({
  /** API token (read and write) of the Hetzner Cloud project; the provider refuses any other length. */
  hcloudToken: text("a Hetzner Cloud API token of 64 characters", /^[A-Za-z0-9]{64}$/),
  archiveAccessKeyId: text("the access key id of the archive bucket"),
  archiveSecretAccessKey: text("the secret access key of the archive bucket"),
  alpacaKeyId: text("an Alpaca API key id"),
  alpacaSecretKey: text("an Alpaca API secret key"),
  /** Partner JSON Web Token of the NEAR Intents relay. */
  nearRelayToken: text("the partner token of the NEAR Intents relay"),
  /** NEAR account that signs intents. */
  nearSignerId: text("a NEAR account id, such as solver.near", /^[a-z0-9._-]{2,64}$/),
  nearPrivateKey: text("a NEAR private key, ed25519:<base58>", /^ed25519:[1-9A-HJ-NP-Za-km-z]+$/),
});

export type StackValues = z.infer<typeof valuesSchema>;
export type StackSecrets = z.infer<typeof secretsSchema>;
/** A whole, valid configuration. `Secret` is `string` here and an output inside the Pulumi program. */
export type StackConfig<Secret = string> = StackValues & { secrets: Record<keyof StackSecrets, Secret> };

export const secretKeys = Object.keys(secretsSchema.shape) as (keyof StackSecrets)[];
export const valueKeys = Object.keys(valuesSchema.shape) as (keyof StackValues)[];

/** Keys whose value is the text itself; all others are JSON, as `pulumi config` stores them. */
const textKeys: readonly string[] = [
  "businessDate",
  "delivery",
  "hcloudEndpoint",
  "kubernetesRenderDirectory",
];

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
    const known = [...Object.keys(knownKeys(issue.path)), ...(issue.path.length === 0 ? secretKeys : [])];
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
  const networks = Array.isArray(values["adminCidrs"]) ? (values["adminCidrs"] as unknown[]) : [];
  networks.forEach((network, index) => {
    if (
      typeof network === "string" &&
      parseCidr(network)?.prefix === 0 &&
      values["allowPublicAdmin"] !== true
    ) {
      mistakes.push({
        key: `trading:adminCidrs[${index}]`,
        found: display(network),
        allowed: "a network smaller than the whole internet",
        action:
          "name the addresses you work from, or set trading:allowPublicAdmin to true to open SSH and the Kubernetes API to everyone",
      });
    }
  });
  return mistakes;
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
    if ((secretKeys as string[]).includes(name)) {
      secrets[name] = raw;
      if (encrypted !== undefined && !encrypted.has(key)) {
        mistakes.push({
          key,
          found: "a secret that stands in clear in Pulumi.<stack>.yaml",
          allowed: "an encrypted value",
          action: `${setSecret(name)}, and replace the secret at its issuer if the file was ever committed`,
        });
      }
    } else if (textKeys.includes(name)) {
      values[name] = raw;
    } else if ((valueKeys as string[]).includes(name)) {
      try {
        values[name] = JSON.parse(raw);
      } catch {
        // A bare word where an object, list, number or boolean belongs: the schema says what is allowed.
        values[name] = raw;
      }
    } else {
      values[name] = raw;
    }
  }

  const checkedValues = valuesSchema.safeParse(values);
  for (const issue of checkedValues.error?.issues ?? []) mistakes.push(...mistakesOf(issue, values));
  mistakes.push(...mistakesAcross(values));

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

  if (mistakes.length > 0 || !checkedValues.success || !checkedSecrets.success) {
    throw new StackConfigError(mistakes);
  }
  return { ...checkedValues.data, secrets: checkedSecrets.data };
}
