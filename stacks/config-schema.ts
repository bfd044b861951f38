/** What each `trading:<key>` of `Pulumi.<stack>.yaml` may hold, and its default. */
import { z } from "zod";
import { loopback } from "../components/archive-mark.ts";
import { defaultReplication } from "../components/kafka-facts.ts";
import { type Profile, profiles } from "../components/profile.ts";
import { serviceImages } from "../components/versions.ts";
import { catalog } from "../services/catalog.ts";
import { parseCidr } from "./cidr.ts";

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

const imageTag = text("an image tag, such as v1.0.0", /^\w[\w.-]{0,127}$/);
const imageDigest = text("a digest: sha256: and 64 hexadecimal digits", /^sha256:[0-9a-f]{64}$/);

/** Something that a stack may say of each service. */
const byService = <Item extends z.ZodType>(item: Item, allowed: string) =>
  z.strictObject(Object.fromEntries(catalog.map(({ name }) => [name, item.optional()])), { error: allowed });

/** A Git repository that Argo CD follows. */
const gitops = z.strictObject(
  {
    /** Clone address: https, or SSH. What lets in is a secret of its own. */
    repository: text(
      "the clone address of a Git repository (https://, ssh:// or user@host:path) without a password or token in it",
      /^(https?:\/\/[^\s@]+|ssh:\/\/[^\s/:@]+@\S+|ssh:\/\/[^\s@]+|[^\s@/:]+@[^\s:]+:\S+)$/,
    ),
    /** Folder in the repository, for example `k8s/overlays/dev`. */
    path: text("a folder in the repository, such as k8s/overlays/dev", /^[^/\s][^\s]*$/),
    /** Branch, tag or commit. */
    revision: text("a branch, tag or commit", /^\S+$/),
    /** Name that goes with the secret `gitToken`. GitHub, GitLab and Forgejo take any. */
    user: text("a user's name").default("git"),
    /** For SSH at a host that Argo CD does not know by itself: lines of a `known_hosts` file (`ssh-keyscan <host>`, checked). */
    knownHosts: text("lines of a known_hosts file").optional(),
  },
  { error: "an object with repository, path and revision, and perhaps user and knownHosts" },
);

/** What the executors refuse whatever a strategy says; each limit has a denial reason of its own. */
const risk = z.strictObject(
  {
    /** Money at stake in one order, in the account's currency: quantity × price, or the notional itself. */
    maxNotional: text('a decimal number in quotes, such as "10000"', /^\d+(\.\d+)?$/).default("10000"),
    /** What one swap may give or take of each asset, in base units. Assets that are not named have no limit. */
    maxAmounts: z
      .record(
        text("the id of an asset, such as nep141:wrap.near", /^[^\s,=]+$/),
        text('base units: a whole number in quotes, such as "1000000"', /^(0|[1-9]\d*)$/),
        { error: "an object of asset ids and base units" },
      )
      .default({}),
    /** Orders that one executor sends in any minute. */
    maxOrdersPerMinute: whole("a whole number of orders from 1 to 1000000", 1, 1_000_000).default(6_000),
    /** Symbols and assets that may be traded; "*" allows all. */
    symbols: list(
      text('a symbol or asset id, or "*"', /^[^\s,]+$/),
      'a list of symbols and asset ids, or ["*"]',
    ).default(["*"]),
    /** Age of a command, counted from when its cause was received, in seconds. */
    maxCommandAgeSeconds: whole("a whole number of seconds from 1 to 86400", 1, 86_400).default(60),
    /** Difference between the executor's clock and the venue's, in milliseconds. */
    maxClockSkewMs: whole("a whole number of milliseconds from 1 to 60000", 1, 60_000).default(1_000),
  },
  {
    error:
      "an object with maxNotional, maxAmounts, maxOrdersPerMinute, symbols, maxCommandAgeSeconds and maxClockSkewMs",
  },
);

/** A zone of the IANA database, by its name or a former one; no bare distance from UTC. */
function isTimeZone(name: string): boolean {
  if (!/^[A-Z]/i.test(name)) return false;
  try {
    new Intl.DateTimeFormat("en-US", { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

const timeZoneAllowed = "the name of a time zone of the IANA database, such as America/New_York";

/** When a stack is open; for how long is said by `openHours`. */
const schedule = z.strictObject(
  {
    /** Local time at which the cluster is to be ready for trading. */
    open: text('a time from 00:00 to 23:59 in quotes, such as "09:00"', /^([01]\d|2[0-3]):[0-5]\d$/),
    /** Whose clocks `open` is read from, with their summer time. */
    timeZone: z
      .string({ error: timeZoneAllowed })
      .refine(isTimeZone, { error: timeZoneAllowed })
      .default("America/New_York"),
    /** The first so many trading days of a calendar month; the others are none. Default: all. */
    mostDaysPerMonth: whole("a whole number of days from 1 to 31", 1, 31).optional(),
    /** On a half day it is open for so many minutes after the exchange's close at most. */
    earlyCloseMarginMinutes: whole("a whole number of minutes from 0 to 600", 0, 600).default(120),
    /** Minutes before `open` at which a job begins to bring the cluster up. */
    leadMinutes: whole("a whole number of minutes from 5 to 240", 5, 240).default(30),
    /** Minutes after closing time at which people are told if the cluster is not sealed and gone. */
    deadlineMinutes: whole("a whole number of minutes from 15 to 720", 15, 720).default(90),
  },
  {
    error:
      "an object with open, timeZone, mostDaysPerMonth, earlyCloseMarginMinutes, leadMinutes and deadlineMinutes",
  },
);

const instantAllowed =
  "a moment with its zone, such as 2025-10-14T22:00:00Z, or 10 digits of epoch seconds, in quotes";

/** A moment as RFC 3339 or epoch seconds, read into whole epoch seconds. */
const instant = z
  .union([z.iso.datetime({ offset: true }), z.string().regex(/^\d{10}$/)], { error: instantAllowed })
  .transform((given) => (/^\d+$/.test(given) ? Number(given) : Math.floor(Date.parse(given) / 1_000)));

/**
 * What differs by profile unless the configuration says otherwise.
 * A single node needs 7 GB and 3 cores (`components/placed-pods.ts` adds it up), so the brokers' types do for it.
 */
const profileDefaults = {
  cluster: { controlPlaneServerTypes: ["cpx21", "cpx22", "cx23"], kafka: defaultReplication.cluster },
  "single-node": {
    controlPlaneServerTypes: ["cpx31", "cpx32", "cx33"],
    kafka: defaultReplication["single-node"],
  },
} as const satisfies Record<Profile, unknown>;

/** The profile that values ask for; `cluster` where they name none or one that does not exist. */
export function profileOf(values: Readonly<Record<string, unknown>>): Profile {
  return profiles.find((profile) => profile === values["profile"]) ?? "cluster";
}

/** Adds what the profile decides and the values leave open. Whatever is not of the right form is left as it is. */
export function withProfileDefaults(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const { controlPlaneServerTypes, kafka } = profileDefaults[profileOf(values)];
  const given = values["kafka"] === undefined ? {} : values["kafka"];
  const isObject = typeof given === "object" && given !== null && !Array.isArray(given);
  return { controlPlaneServerTypes, ...values, kafka: isObject ? { ...kafka, ...given } : given };
}

/** The values that are not secret. Defaults stand here and nowhere else; those of the profile are filled in before. */
export const valuesSchema = z.strictObject({
  /**
   * `cluster`: one control plane and three brokers (seed 000). `single-node`: everything on one server, one copy of
   * everything (seed 001's first phase; docs/single-node.md says what it does not promise).
   */
  profile: z.enum(profiles, { error: profiles.join(" or ") }).default("cluster"),
  /** Networks that may reach SSH and the Kubernetes API. Required: nothing is opened by default. */
  adminCidrs: list(cidr, "a list of at least one network in CIDR notation"),
  /** Must be true for `adminCidrs` to hold the whole internet, or more than a sixteenth of it in whatever pieces. */
  allowPublicAdmin: z.boolean({ error: "true or false" }).default(false),
  /** Hetzner locations in order of preference. */
  locations: list(
    text("the name of a Hetzner location, such as fsn1", /^[a-z]+[0-9]*$/),
    "a list of Hetzner locations in order of preference",
  ).default(["fsn1", "nbg1", "hel1"]),
  /** Server types of kafka-0..2, in order of preference (seed 000: cpx31; its successors follow). Not read with `profile: single-node`. */
  brokerServerTypes: serverTypes.default(["cpx31", "cpx32", "cx33"]),
  /**
   * Server types of k3s-control, in order of preference. Default: cpx21 (seed 000), cpx22, cx23; with
   * `profile: single-node`, where everything is on it, cpx31, cpx32, cx33.
   */
  controlPlaneServerTypes: serverTypes,
  /**
   * Choices of servers that are passed over, by the names that `trading plan` shows: `fsn1/cpx32/cpx22`; a part may be
   * `*`. For a place that says it has servers and then has none.
   */
  excludedCapacity: z
    .array(
      text(
        "the name of a choice, such as fsn1/cpx32/cpx22 or fsn1/cpx32/*",
        /^([a-z]+[0-9]*|\*)(\/([a-z]+[0-9]+|\*)){1,2}$/,
      ),
      { error: "a list of names of choices, such as [fsn1/cpx32/cpx22]" },
    )
    .default([]),
  /** Hours from the first `up` to the label `expires-at`: 1–24. Production runs 10 hours a day (seed 000). */
  openHours: whole("a whole number of hours from 1 to 24", 1, 24).default(10),
  /** When the stack is open on a trading day. Default: it has no hours, and commands that need them say so. */
  schedule: schedule.optional(),
  /**
   * When the cluster should be gone (label `expires-at`), given for one run by `trading open`; in epoch seconds once it
   * is read. Default: `openHours` after the first `up`. Fixed by the first `up`.
   */
  expiresAt: instant.optional(),
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
        version: imageTag.default(serviceImages.version),
        /** Services that run another version than the others. Default: none. */
        versions: byService(imageTag, "an object with versions by service").optional(),
        /** Services whose image is named by its digest, whatever becomes of its tag. Default: none. */
        digests: byService(imageDigest, "an object with digests by service").optional(),
      },
      { error: "an object with registry, version, versions and digests" },
    )
    .prefault({}),
  /** Who may pull the service images, together with the secret `registryToken`. Default: anyone may. */
  registryUser: text("the name of a user of the registry").optional(),
  /** Options of k3s. They hold from a cluster's first `up` on. */
  k3s: z
    .strictObject(
      {
        /** Nodes hand images to each other (https://docs.k3s.io/installation/registry-mirror). */
        embeddedRegistry: z.boolean({ error: "true or false" }).default(false),
        /** What pods of different nodes send each other is encrypted with WireGuard. */
        wireguard: z.boolean({ error: "true or false" }).default(false),
      },
      { error: "an object with embeddedRegistry and wireguard" },
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
            /** Trading requests that the account may make in a minute. */
            requestsPerMinute: whole("a whole number of requests from 1 to 100000", 1, 100_000).default(200),
          },
          { error: "an object with streamUrl, restUrl, updatesUrl, symbols and requestsPerMinute" },
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
  kafka: z.strictObject(
    {
      /** What the services connect to: host:port, comma separated. */
      bootstrapServers: text("host:port, comma separated", /^[^\s,:]+:\d{1,5}(,[^\s,:]+:\d{1,5})*$/).default(
        "kafka-bootstrap.kafka.svc.cluster.local:9092",
      ),
      /** Copies of each topic's partitions; not more than there are brokers. Default: 3, on a single node 1. */
      replicationFactor: whole("a whole number from 1 to 3", 1, 3),
      /** Copies that must have a record before it counts as written; not more than replicationFactor. Default: 2, on a single node 1. */
      minInsyncReplicas: whole("a whole number from 1 to 3", 1, 3),
    },
    { error: "an object with bootstrapServers, replicationFactor and minInsyncReplicas" },
  ),
  /**
   * Days that an event's own time may lie before its receipt: 1–36500. What is older is put aside as implausible;
   * replays of historical sessions raise it.
   */
  maxEventAgeDays: whole("a whole number of days from 1 to 36500", 1, 36_500).default(7),
  risk: risk.prefault({}),
  /**
   * Orders that rest at a venue when the day closes: `cancel` ends them all; `carry-over` leaves those whose deadline lies
   * behind the next session's opening to the next cluster.
   */
  openOrdersAtClose: z.enum(["cancel", "carry-over"], { error: "cancel or carry-over" }).default("cancel"),
  canary: z
    .strictObject(
      {
        /** Seconds between two rounds of canaries once trading is ready. */
        everySeconds: whole("a whole number of seconds from 1 to 3600", 1, 3_600).default(300),
      },
      { error: "an object with everySeconds" },
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
export const secretsSchema = z.strictObject({
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
  /** Password or token of `registryUser`, which may read and nothing else. */
  registryToken: text("a token that may pull the service images").optional(),
  /** For a repository that is not public, over https. It needs to read and nothing else. */
  gitToken: text("a token that may read the repository of trading:gitops").optional(),
  /** The same over SSH: a deploy key that may read. */
  gitSshKey: text(
    "a private SSH key without a passphrase",
    /^-----BEGIN [A-Z ]*PRIVATE KEY-----\n.*-----END [A-Z ]*PRIVATE KEY-----\n?$/s,
  ).optional(),
});

export type StackValues = z.infer<typeof valuesSchema>;
export type StackSecrets = z.infer<typeof secretsSchema>;
/** A whole, valid configuration. `Secret` is `string` here and an output inside the Pulumi program. */
export type StackConfig<Secret = string> = StackValues & {
  secrets: { [Key in keyof StackSecrets]: undefined extends StackSecrets[Key] ? Secret | undefined : Secret };
};

/** Secrets that a stack may do without. */
export const optionalSecretKeys = [
  "registryToken",
  "gitToken",
  "gitSshKey",
] as const satisfies readonly (keyof StackSecrets)[];
type OptionalSecretKey = (typeof optionalSecretKeys)[number];
/** Secrets that every stack needs. */
export const secretKeys = Object.keys(secretsSchema.shape).filter(
  (key) => !optionalSecretKeys.includes(key as OptionalSecretKey),
) as Exclude<keyof StackSecrets, OptionalSecretKey>[];
export const valueKeys = Object.keys(valuesSchema.shape) as (keyof StackValues)[];
