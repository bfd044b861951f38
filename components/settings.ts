import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { catalog, type Namespace, type SecretName, secretVariables } from "../services/catalog.ts";
import type { ClusterIdentity } from "./cluster-identity.ts";
import type { K3s } from "./k3s.ts";
import { serviceNamespaces } from "./namespace-resources.ts";
import type { Namespaces } from "./namespaces.ts";
import { settingsName } from "./settings-name.ts";

export interface SettingsArgs {
  k3s: K3s;
  namespaces: Namespaces;
  stack: string;
  identity: ClusterIdentity;
  /** What services connect to: host:port, comma separated. */
  kafkaBootstrapServers: string;
  /** Copies of each topic's partitions, and how many must have a record before it counts as written. */
  replication: { replicationFactor: number; minInsyncReplicas: number };
  archive: { endpoint: string; region: string; bucket: string };
  venues: {
    alpaca: {
      streamUrl: string;
      restUrl: string;
      updatesUrl: string;
      symbols: readonly string[];
      requestsPerMinute: number;
    };
    nearIntents: { relayWebSocketUrl: string; relayRpcUrl: string; salt: string };
  };
  /** Days that an event's own time may lie before its receipt. */
  maxEventAgeDays: number;
  /** What the executors refuse; units and meaning stand in `stacks/config-schema.ts`. */
  risk: {
    maxNotional: string;
    maxAmounts: Readonly<Record<string, string>>;
    maxOrdersPerMinute: number;
    symbols: readonly string[];
    maxCommandAgeSeconds: number;
    maxClockSkewMs: number;
  };
  /** What becomes of orders that rest at a venue when the day closes. */
  openOrdersAtClose: "cancel" | "carry-over";
  /** Seconds between two rounds of canaries. */
  canaryEverySeconds: number;
  /** Value of each variable that a Secret carries. */
  secrets: Readonly<Record<(typeof secretVariables)[SecretName][number], pulumi.Input<string>>>;
}

/** The secrets that the services of a namespace name. */
export function secretsIn(namespace: Namespace): SecretName[] {
  const named = new Set(
    catalog.filter((service) => service.namespace === namespace).flatMap((service) => service.secrets),
  );
  return [...named].sort();
}

/** What the services of each namespace are told, and their secrets. */
export class Settings extends pulumi.ComponentResource {
  constructor(name: string, args: SettingsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trading:components:Settings", name, {}, opts);
    const { identity, venues, archive, risk, replication } = args;

    const data: Record<string, pulumi.Input<string>> = {
      STACK: args.stack,
      CLUSTER_ID: identity.clusterId,
      BUSINESS_DATE: identity.businessDate,
      EXPIRES_AT: identity.expiresAt,
      KAFKA_BROKERS: args.kafkaBootstrapServers,
      KAFKA_REPLICATION_FACTOR: String(replication.replicationFactor),
      KAFKA_MIN_INSYNC_REPLICAS: String(replication.minInsyncReplicas),
      S3_ENDPOINT: archive.endpoint,
      S3_REGION: archive.region,
      S3_BUCKET: archive.bucket,
      ALPACA_STREAM_URL: venues.alpaca.streamUrl,
      ALPACA_REST_URL: venues.alpaca.restUrl,
      ALPACA_UPDATES_URL: venues.alpaca.updatesUrl,
      ALPACA_SYMBOLS: venues.alpaca.symbols.join(","),
      ALPACA_REQUESTS_PER_MINUTE: String(venues.alpaca.requestsPerMinute),
      NEAR_RELAY_WEBSOCKET_URL: venues.nearIntents.relayWebSocketUrl,
      NEAR_RELAY_RPC_URL: venues.nearIntents.relayRpcUrl,
      NEAR_SALT: venues.nearIntents.salt,
      MAX_EVENT_AGE_DAYS: String(args.maxEventAgeDays),
      RISK_MAX_NOTIONAL: risk.maxNotional,
      RISK_MAX_AMOUNTS: Object.entries(risk.maxAmounts)
        .map(([asset, amount]) => `${asset}=${amount}`)
        .join(","),
      RISK_MAX_ORDERS_PER_MINUTE: String(risk.maxOrdersPerMinute),
      RISK_SYMBOLS: risk.symbols.join(","),
      RISK_MAX_COMMAND_AGE_SECONDS: String(risk.maxCommandAgeSeconds),
      RISK_MAX_CLOCK_SKEW_MS: String(risk.maxClockSkewMs),
      OPEN_ORDERS_AT_CLOSE: args.openOrdersAtClose,
      CANARY_EVERY_SECONDS: String(args.canaryEverySeconds),
      LOG_LEVEL: "info",
    };

    for (const key of serviceNamespaces) {
      const options = args.k3s.inCluster(this, [args.namespaces.byName[key]]);
      new kubernetes.core.v1.ConfigMap(
        `${name}-${key}-settings`,
        { metadata: { name: settingsName, namespace: key }, data },
        options,
      );
      for (const secretName of secretsIn(key)) {
        const variables: readonly (typeof secretVariables)[SecretName][number][] =
          secretVariables[secretName];
        new kubernetes.core.v1.Secret(
          `${name}-${key}-${secretName}`,
          {
            metadata: { name: secretName, namespace: key },
            stringData: Object.fromEntries(
              variables.map((variable) => [variable, pulumi.secret(args.secrets[variable])]),
            ),
          },
          options,
        );
      }
    }
    this.registerOutputs({});
  }
}
