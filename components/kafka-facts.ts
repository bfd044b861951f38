/** What seed 000 asks of Kafka, as plain values, so that components, settings and tests name them once. */
import type { Profile } from "./profile.ts";

export const kafkaFacts = {
  namespace: "kafka",
  /** Name of the Strimzi cluster; its pods are `trading-kafka-<n>`. */
  cluster: "trading",
  nodePool: "kafka",
  retentionHours: 72,
  compression: "lz4",
  port: 9092,
  /** Service that clients connect to: `kafka-bootstrap.kafka.svc.cluster.local:9092`. */
  bootstrapService: "kafka-bootstrap",
  heap: "2048m",
  /** Volume of a broker that is alone. k3s's local-path does not enforce it: the server's disk is the limit. */
  loneBrokerStorage: "40Gi",
  requests: { cpu: "1000m", memory: "2Gi" },
  limits: { cpu: "2000m", memory: "2500Mi" },
} as const;

/** How many brokers a profile has. */
export const brokersOf = { cluster: 3, "single-node": 1 } as const satisfies Record<Profile, number>;

/** Copies of each topic's partitions, and how many must have a record before it counts as written. */
export interface Replication {
  replicationFactor: number;
  minInsyncReplicas: number;
}

/** The replication of a profile unless the configuration says otherwise: seed 000's, or one copy on one broker. */
export const defaultReplication: Readonly<Record<Profile, Replication>> = {
  cluster: { replicationFactor: 3, minInsyncReplicas: 2 },
  "single-node": { replicationFactor: 1, minInsyncReplicas: 1 },
};
