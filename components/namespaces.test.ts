import assert from "node:assert/strict";
import test, { before } from "node:test";
import { catalog, type Quantities } from "../services/catalog.ts";
import { amount } from "./fit.ts";
import { limitsOf, namespaceNames, quotaOf } from "./namespace-resources.ts";
import { exampleCluster } from "./testing/example-cluster.ts";
import { record, type Recording } from "./testing/recording.ts";

let recording: Recording;
before(async () => {
  recording = await record(() => exampleCluster());
});

type Metadata = { name: string; namespace: string; labels: Record<string, string> };
const metadataOf = ({ inputs }: { inputs: Record<string, unknown> }) => inputs["metadata"] as Metadata;

test("the namespaces of seed 000, each at the strictest Pod Security level, in every mode", () => {
  const levels = recording.all("kubernetes:core/v1:Namespace").map((namespace) => {
    const { name, labels } = metadataOf(namespace);
    return [name, labels];
  });
  const restricted = {
    "pod-security.kubernetes.io/enforce": "restricted",
    "pod-security.kubernetes.io/audit": "restricted",
    "pod-security.kubernetes.io/warn": "restricted",
  };
  assert.deepEqual(Object.fromEntries(levels), {
    kafka: restricted,
    ingestion: restricted,
    strategies: restricted,
    monitoring: restricted,
    argocd: restricted,
  });
});

test("every namespace has one quota, one range of limits and a policy that denies all, before any pod", async () => {
  const guarded = await record(() => {
    const { namespaces } = exampleCluster();
    for (const name of namespaceNames) assert.ok(namespaces.before(name).length >= 5, name);
  });
  for (const kind of ["core/v1:ResourceQuota", "core/v1:LimitRange"]) {
    const places = guarded.all(`kubernetes:${kind}`).map((object) => metadataOf(object).namespace);
    assert.deepEqual(places.sort(), [...namespaceNames].sort(), kind);
  }
  const denying = guarded
    .all("kubernetes:networking.k8s.io/v1:NetworkPolicy")
    .filter((policy) => metadataOf(policy).name === "default-deny");
  assert.deepEqual(denying.map((policy) => metadataOf(policy).namespace).sort(), [...namespaceNames].sort());
  for (const { inputs } of denying) {
    assert.deepEqual(inputs["spec"], { podSelector: {}, policyTypes: ["Ingress", "Egress"] });
  }
});

test("a quota is what is planned, the largest pod of a rolling update once more, and nothing that listens outside", () => {
  // Five brokers' worth would fit by mistake long before; this is the sum by hand.
  assert.deepEqual(quotaOf("kafka", "cluster").hard, {
    // 3 × 1000m brokers + 100m operator + 50m exporter + 100m archiver + 50m prepare-day, + 100m
    "requests.cpu": "3400m",
    // 3 × 2048 + 384 + 64 + 224 + 160, + 384
    "requests.memory": "7328Mi",
    // 3 × 2000m + 1000m + 500m + 1000m + 500m, + 1000m
    "limits.cpu": "10000m",
    // 3 × 2500 + 512 + 128 + 512 + 384, + 512
    "limits.memory": "9548Mi",
    pods: "8",
    persistentvolumeclaims: "0",
    "services.loadbalancers": "0",
    "services.nodeports": "0",
  });
  assert.equal(quotaOf("kafka", "single-node").hard["persistentvolumeclaims"], "1");
  const executors = catalog.filter(({ kind }) => kind === "StatefulSet").length;
  assert.equal(quotaOf("strategies", "cluster").hard["persistentvolumeclaims"], String(executors));
});

test("no quota is so wide that a namespace could take another's node", () => {
  for (const profile of ["cluster", "single-node"] as const) {
    for (const namespace of namespaceNames) {
      const { hard } = quotaOf(namespace, profile);
      const requests = amount({
        cpu: hard["requests.cpu"] ?? "",
        memory: hard["requests.memory"] ?? "",
      });
      const planned = namespace === "kafka" ? { cpu: 4000, memory: 8192 } : { cpu: 500, memory: 1024 };
      assert.ok(requests.cpu <= planned.cpu && requests.memory <= planned.memory, `${namespace} ${profile}`);
    }
  }
});

test("every service's container is within its namespace's limits, and so is what states nothing", () => {
  for (const namespace of namespaceNames) {
    const [range] = limitsOf(namespace, "cluster").limits;
    assert.ok(range !== undefined && range.max !== undefined && range.default !== undefined);
    const { max, default: unstated } = range as unknown as Record<"max" | "default", Quantities>;
    const most = amount(max);
    const containers = catalog
      .filter((service) => service.namespace === namespace)
      .map(({ limits }) => limits);
    for (const limits of [...containers, unstated]) {
      const { cpu, memory } = amount(limits);
      assert.ok(cpu <= most.cpu && memory <= most.memory, `${namespace}: ${JSON.stringify(limits)}`);
    }
  }
});
