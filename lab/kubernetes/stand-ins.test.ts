import assert from "node:assert/strict";
import { test } from "node:test";
import { stringify } from "yaml";
import type { KubernetesObject } from "./api.ts";
import { quantity } from "./nodes.ts";
import { volumeFor } from "./simulated-local-path.ts";
import { chartStandIns, kafkaStandIns } from "./stand-ins.ts";

const chart = (name: string, values: object): KubernetesObject => ({
  apiVersion: "helm.cattle.io/v1",
  kind: "HelmChart",
  metadata: { name, namespace: "kube-system" },
  spec: { chart: name, targetNamespace: "there", valuesContent: stringify(values) },
});

interface Pod {
  spec: {
    nodeSelector?: object;
    securityContext?: object;
    containers: { name: string; resources?: object }[];
  };
}

test("a chart's pods have the requests and the node of its values", () => {
  const resources = { requests: { cpu: "100m", memory: "384Mi" } };
  const [operator] = chartStandIns(
    chart("strimzi-kafka-operator", { resources, nodeSelector: { "kubernetes.io/hostname": "kafka-1" } }),
  );
  assert.equal(operator?.metadata.namespace, "there");
  const { spec } = (operator?.["spec"] as { template: Pod }).template;
  assert.deepEqual(spec.nodeSelector, { "kubernetes.io/hostname": "kafka-1" });
  assert.deepEqual(spec.containers[0]?.resources, resources);
});

test("a chart whose pods nobody has named is refused", () => {
  assert.throws(() => chartStandIns(chart("grafana", {})), /chart grafana: .*add them to chartPods/);
});

const kafka: KubernetesObject = {
  apiVersion: "kafka.strimzi.io/v1",
  kind: "Kafka",
  metadata: { name: "trading", namespace: "kafka" },
  spec: {},
};
const pool = (volume: object): KubernetesObject => ({
  apiVersion: "kafka.strimzi.io/v1",
  kind: "KafkaNodePool",
  metadata: { name: "kafka", namespace: "kafka" },
  spec: { replicas: 1, storage: { type: "jbod", volumes: [{ id: 0, ...volume }] } },
});

test("brokers have what Pod Security restricted demands only when the operator is told to", () => {
  const security = (values: object) => {
    const operator = chart("strimzi-kafka-operator", values);
    const pods = kafkaStandIns(kafka, [pool({ type: "ephemeral" })], operator);
    return pods.map((pod) => (pod as unknown as Pod).spec.securityContext !== undefined);
  };
  assert.deepEqual(security({}), [false]);
  const variable = { name: "STRIMZI_POD_SECURITY_PROVIDER_CLASS", value: "restricted" };
  assert.deepEqual(security({ extraEnvs: [variable] }), [true]);
});

test("a broker with a volume has a claim, which gets a volume on the node of its pod and none before", () => {
  const volume = { type: "persistent-claim", class: "local-path", size: "40Gi" };
  const [claim, broker] = kafkaStandIns(kafka, [pool(volume)], undefined);
  assert.deepEqual([claim?.kind, claim?.metadata.name], ["PersistentVolumeClaim", "data-0-trading-kafka-0"]);
  assert.equal(broker?.metadata.name, "trading-kafka-0");
  assert.ok(claim !== undefined);
  assert.equal(volumeFor(claim), undefined);
  const annotations = { "volume.kubernetes.io/selected-node": "kafka-2" };
  const made = volumeFor({ ...claim, metadata: { ...claim.metadata, uid: "1", annotations } });
  assert.match(JSON.stringify(made?.["spec"]), /"values":\["kafka-2"\]/);
});

test("quantities are equal whatever their unit", () => {
  assert.equal(quantity("4Gi"), quantity("4096Mi"));
  assert.equal(quantity("3500m"), 3.5);
  assert.ok(Number.isNaN(quantity("much")));
});
