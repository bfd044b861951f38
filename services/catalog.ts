/**
 * The one table of what runs in pods. Everything else is derived from it: the Kubernetes objects
 * (`components/workloads.ts`), the order in which services drain at the close, and what the lab starts.
 */

/** The namespaces of seed 000. Pulumi creates them; brokers and the archive live in `kafka`. */
export type Namespace = "kafka" | "ingestion" | "strategies";

/** Kubernetes Secrets a service may read; each exists only in the namespaces of the services that name it. */
export type SecretName =
  "alpaca-credentials" | "near-intents-relay" | "near-intents-signer" | "archive-credentials";

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
  /** Entry point below the repository root, also inside the image. */
  entry: `services/apps/${string}.ts`;
  /** Topics consumed. `<business-date>` stands for the cluster's business date, `*` for every topic. */
  reads: readonly string[];
  /** Topics produced. Dead letters and `control` answers are common to all and not listed. */
  writes: readonly string[];
  secrets: readonly SecretName[];
  requests: Quantities;
  limits: Quantities;
  /** Where a StatefulSet's volume is mounted (seed 001). */
  stateDirectory?: string;
}

/** What one TypeScript service asks for; measured, below seed 000's ceiling of 600Mi/300m (docs/decisions.md). */
const small = {
  requests: { cpu: "50m", memory: "160Mi" },
  limits: { cpu: "500m", memory: "256Mi" },
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
    requests: { cpu: "100m", memory: "192Mi" },
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
    name: "strategy-dummy",
    kind: "Deployment",
    namespace: "strategies",
    entry: "services/apps/strategy-dummy.ts",
    reads: ["norm.swap_demand"],
    writes: ["cmd.execute_trade"],
    secrets: [],
    ...small,
  },
  {
    name: "executor-near-intents",
    kind: "StatefulSet",
    namespace: "strategies",
    entry: "services/apps/executor-near-intents.ts",
    reads: ["cmd.execute_trade", "exec.journal", "exec.trade_result"],
    writes: ["exec.journal", "exec.trade_result"],
    secrets: ["near-intents-relay", "near-intents-signer"],
    stateDirectory: "/var/lib/unrip/executor-state",
    ...small,
  },
  {
    name: "result-monitor",
    kind: "Deployment",
    namespace: "strategies",
    entry: "services/apps/result-monitor.ts",
    reads: ["exec.trade_result"],
    writes: [],
    secrets: [],
    ...small,
  },
];

/**
 * The services that must have drained before `service` can: the producers of the topics it reads.
 * A service's own journal does not count, and the archiver (which reads everything) drains last, by itself.
 */
export function drainsAfter(service: Deployable): string[] {
  return catalog
    .filter(
      (other) => other.name !== service.name && other.writes.some((topic) => service.reads.includes(topic)),
    )
    .map((other) => other.name);
}

/** The services that answer a drain request: all long-running ones but the archiver, which sends it. */
export function drainingServices(): string[] {
  return catalog
    .filter((service) => service.kind !== "Job" && service.name !== "archiver")
    .map((service) => service.name);
}
