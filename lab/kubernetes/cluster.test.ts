/** What a cluster does by itself, on a store that stands in for the control plane; test/cluster has the real one. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type KubernetesObject, objectName } from "./api.ts";
import { LabCluster } from "./cluster.ts";
import type { ControlPlane } from "./control-plane.ts";

const ready = { conditions: [{ type: "Ready", status: "True" }] };

/** Keeps what it is given. Nodes and pods are ready at once. */
class StandInApi {
  readonly objects = new Map<string, KubernetesObject>();
  /** Why no claim can be listed. */
  failure: Error | undefined;

  async apply(object: KubernetesObject): Promise<void> {
    const status = { Node: ready, Pod: { phase: "Running", ...ready } }[object.kind];
    this.objects.set(objectName(object), { ...object, ...(status === undefined ? {} : { status }) });
  }

  async get(object: KubernetesObject): Promise<KubernetesObject | undefined> {
    return this.objects.get(objectName(object));
  }

  async list(_version: string, kind: string): Promise<KubernetesObject[]> {
    if (kind === "PersistentVolumeClaim" && this.failure !== undefined) throw this.failure;
    return [...this.objects.values()].filter((object) => object.kind === kind);
  }

  async patchStatus(object: KubernetesObject, status: object): Promise<void> {
    const stored = this.objects.get(objectName(object)) ?? object;
    this.objects.set(objectName(object), {
      ...stored,
      status: { ...(stored["status"] as object), ...status },
    });
  }
}

function startCluster(context: TestContext, api: StandInApi): LabCluster {
  const cluster = new LabCluster({
    controlPlane: { api, failed: new Promise(() => undefined) } as unknown as ControlPlane,
    profile: "cluster",
    definitions: [],
    machineOf: () => ({ serverType: "cpx21", cores: 3, memory: 4, disk: 80 }),
  });
  context.after(() => cluster.stop());
  return cluster;
}

test("a node pool that is applied again is the same pool", { timeout: 30_000 }, async (context) => {
  const api = new StandInApi();
  const cluster = startCluster(context, api);
  const pool = {
    apiVersion: "kafka.strimzi.io/v1",
    kind: "KafkaNodePool",
    metadata: { name: "kafka", namespace: "kafka", labels: { "strimzi.io/cluster": "trading" } },
    spec: { replicas: 3 },
  };
  const kafka = {
    apiVersion: "kafka.strimzi.io/v1",
    kind: "Kafka",
    metadata: {
      name: "trading",
      namespace: "kafka",
      annotations: { "pulumi.com/waitFor": "condition=Ready" },
    },
    spec: {},
  };
  for (const object of [pool, pool, kafka]) await cluster.apply(object);
  assert.deepEqual((await api.list("v1", "Pod")).map(({ metadata }) => metadata.name).sort(), [
    "trading-kafka-0",
    "trading-kafka-1",
    "trading-kafka-2",
  ]);
});

test("why no volume can be made fails what is waited for", { timeout: 30_000 }, async (context) => {
  const api = new StandInApi();
  api.failure = new Error("claims cannot be listed");
  const waiting = {
    apiVersion: "apps/v1",
    kind: "StatefulSet",
    metadata: { name: "executor", namespace: "strategies" },
    spec: { replicas: 1 },
  };
  await assert.rejects(startCluster(context, api).apply(waiting), /claims cannot be listed/);
});
