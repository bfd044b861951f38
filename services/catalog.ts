/**
 * The one table of what runs in pods. Everything else is derived from it: the Kubernetes objects
 * (`components/workloads.ts`), the order in which services drain at the close, and what the lab starts.
 */

/** The exchange's calendar, which the infrastructure needs as well: business dates and market hours. */
export { businessDateAt, sessionOf } from "./core/exchange-calendar.ts";

/** The namespaces of seed 000. Pulumi creates them; brokers and the archive live in `kafka`. */
export type Namespace = "kafka" | "ingestion" | "strategies";

/** Kubernetes Secrets a service may read; each exists only in the namespaces of the services that name it. */
export type SecretName =
  "alpaca-credentials" | "near-intents-relay" | "near-intents-signer" | "archive-credentials";

/**
 * What a service may talk to outside of the cluster. All of it answers TLS at port 443 of public addresses; where it is
 * says the stack's configuration.
 */
export type Outside = Venue | "archive";

/** The venues, as the names of their services end. */
export type Venue = "alpaca" | "near-intents";

/** The environment variables that each Secret carries. */
export const secretVariables = {
  "alpaca-credentials": ["ALPACA_KEY_ID", "ALPACA_SECRET_KEY"],
  "near-intents-relay": ["NEAR_RELAY_TOKEN"],
  "near-intents-signer": ["NEAR_SIGNER_ID", "NEAR_PRIVATE_KEY"],
  "archive-credentials": ["S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"],
} as const satisfies Record<SecretName, readonly string[]>;

/** Kubernetes quantities, as `resources.requests` and `resources.limits` take them. */
export interface Quantities {
  cpu: string;
  memory: string;
}

/** One deployable: a process with its own image, environment and Kubernetes workload. */
export interface Deployable {
  /** Name of the workload, the image `<registry>/<name>:<version>` and the consumer group. */
  name: string;
  /** `Job` runs to its end before any other workload starts; `StatefulSet` has a volume of its own. */
  kind: "Deployment" | "StatefulSet" | "Job";
  namespace: Namespace;
  /** Entry point below the repository root. Its image holds it as JavaScript and starts it by itself. */
  entry: `services/apps/${string}.ts`;
  /**
   * Topics consumed all day, in a consumer group with the service's name. `<business-date>` stands for the cluster's
   * business date, `*` for every topic (the archiver, which has no group).
   */
  reads: readonly string[];
  /** Topics whose earlier records are only read back at start, without a group. */
  recovers?: readonly string[];
  /** Topics produced. Dead letters and `control` answers are common to all and not listed. */
  writes: readonly string[];
  /**
   * Topics that take its canaries: probes on which nobody trades and which nobody waits for. Sending them ends when a
   * drain is requested, so no drain order follows from them.
   */
  probes?: readonly string[];
  secrets: readonly SecretName[];
  /** What it talks to outside of the cluster; nothing else is open to its pod. Default: nothing but Kafka and DNS. */
  reaches?: readonly Outside[];
  requests: Quantities;
  limits: Quantities;
  /** Where a StatefulSet's volume is mounted (seed 001). */
  stateDirectory?: string;
  /** Reads pods' logs and events for the archive: its pod, and no other, has a service account's token. */
  keepsEvidence?: true;
  /** Environment of the process below the service: memory allocator, V8. */
  runtime?: Readonly<Record<string, string>>;
}

/**
 * What one TypeScript service asks for; measured, below seed 000's ceiling of 600Mi/300m (docs/decisions.md). The limit
 * leaves room for a backlog: 277 MiB were seen at 5,000 events/s.
 */
const small = {
  requests: { cpu: "50m", memory: "128Mi" },
  limits: { cpu: "500m", memory: "384Mi" },
} as const;

/** What the executors of all venues have in common. One pod each; a second one would share the partitions. */
const executor = {
  kind: "StatefulSet",
  namespace: "strategies",
  reads: ["cmd.execute_trade"],
  recovers: ["exec.journal", "exec.trade_result", "exec.reconciliation"],
  writes: ["exec.journal", "exec.trade_result", "exec.reconciliation"],
  stateDirectory: "/var/lib/unrip/executor-state",
  ...small,
  // They hold the journal's open commands.
  requests: { cpu: "50m", memory: "144Mi" },
} as const;

export const catalog: readonly Deployable[] = [
  {
    name: "prepare-day",
    kind: "Job",
    namespace: "kafka",
    entry: "services/apps/prepare-day.ts",
    reads: [],
    writes: [],
    secrets: ["archive-credentials"],
    reaches: ["archive"],
    ...small,
  },
  {
    name: "archiver",
    kind: "Deployment",
    namespace: "kafka",
    entry: "services/apps/archiver.ts",
    reads: ["*"],
    writes: [],
    secrets: ["archive-credentials"],
    reaches: ["archive"],
    keepsEvidence: true,
    // Flat out it took 274 MiB without these (docs/performance.md): buffers come from many threads and live shortly. With a
    // fixed threshold those of 512 KiB and more go back to the system at once; otherwise glibc raises it to 32 MiB.
    runtime: {
      MALLOC_ARENA_MAX: "2",
      MALLOC_MMAP_THRESHOLD_: "524288",
      NODE_OPTIONS: "--max-semi-space-size=8",
    },
    requests: { cpu: "100m", memory: "224Mi" },
    limits: { cpu: "1000m", memory: "512Mi" },
  },
  {
    name: "ingestion-alpaca-stockstream-api",
    kind: "Deployment",
    namespace: "ingestion",
    entry: "services/apps/ingestion-alpaca-stockstream-api.ts",
    reads: [],
    writes: ["stock-stream-<business-date>"],
    secrets: ["alpaca-credentials"],
    reaches: ["alpaca"],
    ...small,
  },
  {
    name: "ingest-near-intents",
    kind: "Deployment",
    namespace: "ingestion",
    entry: "services/apps/ingest-near-intents.ts",
    reads: [],
    writes: ["raw.near-intents.quote"],
    secrets: ["near-intents-relay"],
    reaches: ["near-intents"],
    ...small,
  },
  {
    name: "normalize-near-intents",
    kind: "Deployment",
    namespace: "ingestion",
    entry: "services/apps/normalize-near-intents.ts",
    reads: ["raw.near-intents.quote"],
    writes: ["norm.swap_demand"],
    secrets: [],
    ...small,
  },
  {
    name: "normalize-alpaca",
    kind: "Deployment",
    namespace: "ingestion",
    entry: "services/apps/normalize-alpaca.ts",
    reads: ["stock-stream-<business-date>"],
    writes: ["norm.stock_trade", "norm.stock_quote", "norm.stock_bar"],
    secrets: [],
    ...small,
  },
  {
    name: "strategy-dummy",
    kind: "Deployment",
    namespace: "strategies",
    entry: "services/apps/strategy-dummy.ts",
    reads: ["norm.swap_demand", "norm.stock_trade"],
    writes: ["cmd.execute_trade"],
    secrets: [],
    ...small,
  },
  {
    name: "executor-near-intents",
    entry: "services/apps/executor-near-intents.ts",
    secrets: ["near-intents-relay", "near-intents-signer"],
    reaches: ["near-intents"],
    ...executor,
  },
  {
    name: "executor-alpaca",
    entry: "services/apps/executor-alpaca.ts",
    secrets: ["alpaca-credentials"],
    reaches: ["alpaca"],
    ...executor,
  },
  {
    name: "result-monitor",
    kind: "Deployment",
    namespace: "strategies",
    entry: "services/apps/result-monitor.ts",
    reads: ["exec.trade_result"],
    writes: [],
    probes: ["raw.near-intents.quote", "stock-stream-<business-date>"],
    secrets: [],
    ...small,
  },
];

/**
 * The services that must have drained before `service` can: the producers of the topics it reads.
 * The archiver (which reads everything) drains last, by itself.
 */
export function drainsAfter(service: Deployable): string[] {
  return catalog
    .filter((other) => other.writes.some((topic) => service.reads.includes(topic)))
    .map((other) => other.name);
}

/** The services that answer a drain request: all long-running ones but the archiver, which sends it. */
export function drainingServices(): string[] {
  return catalog
    .filter((service) => service.kind !== "Job" && service.name !== "archiver")
    .map((service) => service.name);
}

/** Every consumer group with the topics it reads; `<business-date>` stands as in the rows. */
export function consumerGroups(): { group: string; topics: readonly string[] }[] {
  return catalog
    .filter(({ reads }) => reads.length > 0 && !reads.includes("*"))
    .map(({ name, reads }) => ({ group: name, topics: reads }));
}

/** The venues that commands can be sent to: each has an executor of its name. */
export function executionVenues(): string[] {
  return catalog.flatMap(({ name }) => /^executor-(.+)$/.exec(name)?.[1] ?? []);
}
