import assert from "node:assert/strict";
import test, { before } from "node:test";
import { parse } from "yaml";
import { Kafka } from "./kafka.ts";
import { defaultReplication } from "./kafka-facts.ts";
import { placementOf } from "./placement.ts";
import { exampleCluster } from "./testing/example-cluster.ts";
import { record, type Recording } from "./testing/recording.ts";

let recording: Recording;
before(async () => {
  recording = await record(() => {
    const { k3s, namespaces } = exampleCluster();
    new Kafka("kafka", {
      k3s,
      namespaces,
      placement: placementOf("cluster"),
      replication: defaultReplication.cluster,
    });
  });
});

interface PoolSpec {
  replicas: number;
  roles: string[];
  storage: unknown;
  resources: unknown;
  jvmOptions: unknown;
  template: {
    pod: {
      affinity: {
        nodeAffinity: Record<string, { nodeSelectorTerms: { matchExpressions: unknown[] }[] }>;
        podAntiAffinity: Record<string, { topologyKey: string; labelSelector: unknown }[]>;
      };
    };
  };
}

test("three combined nodes with the resources, heap and storage of seed 000", () => {
  const pool = recording.one("kubernetes:kafka.strimzi.io/v1:KafkaNodePool");
  const spec = pool.inputs["spec"] as PoolSpec;
  assert.deepEqual(pool.inputs["metadata"], {
    name: "kafka",
    namespace: "kafka",
    labels: { "strimzi.io/cluster": "trading" },
  });
  assert.equal(spec.replicas, 3);
  assert.deepEqual([...spec.roles].sort(), ["broker", "controller"]);
  assert.deepEqual(spec.storage, {
    type: "jbod",
    volumes: [{ id: 0, type: "ephemeral", kraftMetadata: "shared" }],
  });
  assert.deepEqual(spec.resources, {
    requests: { cpu: "1000m", memory: "2Gi" },
    limits: { cpu: "2000m", memory: "2500Mi" },
  });
  assert.deepEqual(spec.jvmOptions, { "-Xms": "2048m", "-Xmx": "2048m" });
});

test("a broker that is alone keeps its log on a volume, which outlives its pod", async () => {
  const single = await record(() => {
    const { k3s, namespaces } = exampleCluster("dev", "single-node");
    new Kafka("kafka", {
      k3s,
      namespaces,
      placement: placementOf("single-node"),
      replication: defaultReplication["single-node"],
    });
  });
  const spec = single.one("kubernetes:kafka.strimzi.io/v1:KafkaNodePool").inputs["spec"] as PoolSpec;
  assert.equal(spec.replicas, 1);
  assert.deepEqual(spec.storage, {
    type: "jbod",
    volumes: [
      { id: 0, kraftMetadata: "shared", type: "persistent-claim", class: "local-path", size: "40Gi" },
    ],
  });
  const { affinity } = spec.template.pod;
  assert.deepEqual(
    affinity.nodeAffinity["requiredDuringSchedulingIgnoredDuringExecution"]?.nodeSelectorTerms[0]
      ?.matchExpressions,
    [{ key: "kubernetes.io/hostname", operator: "In", values: ["k3s-control"] }],
  );
});

test("one broker a node, on kafka-0..2 only", () => {
  const { affinity } = (
    recording.one("kubernetes:kafka.strimzi.io/v1:KafkaNodePool").inputs["spec"] as PoolSpec
  ).template.pod;
  const nodes = affinity.nodeAffinity["requiredDuringSchedulingIgnoredDuringExecution"]?.nodeSelectorTerms[0];
  assert.deepEqual(nodes?.matchExpressions, [
    { key: "kubernetes.io/hostname", operator: "In", values: ["kafka-0", "kafka-1", "kafka-2"] },
  ]);
  const apart = affinity.podAntiAffinity["requiredDuringSchedulingIgnoredDuringExecution"]?.[0];
  assert.equal(apart?.topologyKey, "kubernetes.io/hostname");
  assert.deepEqual(apart?.labelSelector, {
    matchLabels: { "strimzi.io/cluster": "trading", "strimzi.io/pool-name": "kafka" },
  });
});

test("replication, retention, compression and topics as seed 000 says; Kafka 4 without ZooKeeper", () => {
  const cluster = recording.one("kubernetes:kafka.strimzi.io/v1:Kafka");
  const { kafka } = cluster.inputs["spec"] as {
    kafka: { version: string; config: Record<string, unknown>; listeners: unknown; metricsConfig: unknown };
  };
  assert.match(kafka.version, /^4\./);
  assert.deepEqual(kafka.config, {
    "auto.create.topics.enable": true,
    "default.replication.factor": 3,
    "min.insync.replicas": 2,
    "offsets.topic.replication.factor": 3,
    "transaction.state.log.replication.factor": 3,
    "transaction.state.log.min.isr": 2,
    "log.retention.hours": 72,
    "compression.type": "lz4",
  });
  assert.deepEqual(kafka.listeners, [
    {
      name: "plain",
      port: 9092,
      type: "internal",
      tls: false,
      networkPolicyPeers: [
        {
          namespaceSelector: {
            matchExpressions: [
              {
                key: "kubernetes.io/metadata.name",
                operator: "In",
                values: ["kafka", "ingestion", "strategies"],
              },
            ],
          },
          podSelector: { matchLabels: { "app.kubernetes.io/part-of": "trading" } },
        },
      ],
    },
  ]);
  assert.deepEqual(kafka.metricsConfig, { type: "strimziMetricsReporter" });
  assert.deepEqual((cluster.inputs["metadata"] as { annotations: unknown }).annotations, {
    "pulumi.com/waitFor": "condition=Ready",
  });
});

test("consumer lag is exported", () => {
  const spec = recording.one("kubernetes:kafka.strimzi.io/v1:Kafka").inputs["spec"] as {
    kafkaExporter: { topicRegex: string; groupRegex: string };
  };
  assert.equal(spec.kafkaExporter.topicRegex, ".*");
  assert.equal(spec.kafkaExporter.groupRegex, ".*");
});

test("kafka-bootstrap.kafka answers on 9092", () => {
  const service = recording.one("kubernetes:core/v1:Service");
  assert.deepEqual(service.inputs["metadata"], { name: "kafka-bootstrap", namespace: "kafka" });
  const spec = service.inputs["spec"] as { ports: { port: number; targetPort: number }[]; selector: unknown };
  assert.equal(spec.ports[0]?.port, 9092);
  assert.equal(spec.ports[0]?.targetPort, 9092);
  assert.deepEqual(spec.selector, {
    "strimzi.io/cluster": "trading",
    "strimzi.io/kind": "Kafka",
    "strimzi.io/broker-role": "true",
  });
});

test("the operator is on kafka-1, in the namespace it watches", () => {
  const chart = recording.one("kubernetes:helm.cattle.io/v1:HelmChart");
  const spec = chart.inputs["spec"] as Record<string, string>;
  assert.equal(spec["chart"], "strimzi-kafka-operator");
  assert.equal(spec["version"], "1.2.0");
  assert.equal(spec["targetNamespace"], "kafka");
  const values = parse(spec["valuesContent"] ?? "") as { nodeSelector: unknown; extraEnvs: unknown };
  assert.deepEqual(values.nodeSelector, { "kubernetes.io/hostname": "kafka-1" });
  // Without it the brokers' pods do not meet their namespace's Pod Security level.
  assert.deepEqual(values.extraEnvs, [{ name: "STRIMZI_POD_SECURITY_PROVIDER_CLASS", value: "restricted" }]);
});

test("Kafka's objects wait for the operator's definitions and for all nodes", () => {
  const definitions = recording.one("command:remote:Command", "kafka-definitions");
  assert.match(
    String(definitions.inputs["create"]),
    /^\/usr\/local\/lib\/trading\/wait-for-crds kafkas\.kafka\.strimzi\.io kafkanodepools\.kafka\.strimzi\.io/,
  );
  const chart = recording.one("kubernetes:helm.cattle.io/v1:HelmChart");
  assert.ok(definitions.dependencies.includes(chart.urn));
  const pool = recording.one("kubernetes:kafka.strimzi.io/v1:KafkaNodePool");
  assert.ok(pool.dependencies.includes(definitions.urn));
  assert.ok(pool.dependencies.includes(recording.one("command:remote:Command", "k3s-wait-for-nodes").urn));
  const cluster = recording.one("kubernetes:kafka.strimzi.io/v1:Kafka");
  assert.ok(cluster.dependencies.includes(pool.urn));
  assert.ok(recording.one("kubernetes:core/v1:Service").dependencies.includes(cluster.urn));
});
