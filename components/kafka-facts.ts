/** What seed 000 asks of Kafka, as plain values, so that components, settings and tests name them once. */
export const kafkaFacts = {
  namespace: "kafka",
  /** Name of the Strimzi cluster; its pods are `trading-kafka-0..2`. */
  cluster: "trading",
  nodePool: "kafka",
  brokers: 3,
  replicationFactor: 3,
  minInsyncReplicas: 2,
  retentionHours: 72,
  compression: "lz4",
  port: 9092,
  /** Service that clients connect to: `kafka-bootstrap.kafka.svc.cluster.local:9092`. */
  bootstrapService: "kafka-bootstrap",
  heap: "2048m",
  requests: { cpu: "1000m", memory: "2Gi" },
  limits: { cpu: "2000m", memory: "2500Mi" },
} as const;
