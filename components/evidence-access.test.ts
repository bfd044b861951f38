import assert from "node:assert/strict";
import test from "node:test";
import { EvidenceAccess } from "./evidence-access.ts";
import { prometheusValues } from "./monitoring.ts";
import { prometheusFacts } from "./prometheus-facts.ts";
import { exampleCluster } from "./testing/example-cluster.ts";
import { record } from "./testing/recording.ts";

test("the archiver alone may read pods, their logs and events, in the services' namespaces alone, and change nothing", async () => {
  const recording = await record(() => {
    const { k3s, namespaces } = exampleCluster();
    new EvidenceAccess("evidence-access", { k3s, namespaces: namespaces.byName });
  });
  // The account itself comes with the service.
  assert.deepEqual(recording.all("kubernetes:core/v1:ServiceAccount"), []);
  const roles = recording.all("kubernetes:rbac.authorization.k8s.io/v1:Role");
  const bindings = recording.all("kubernetes:rbac.authorization.k8s.io/v1:RoleBinding");
  const places = ["ingestion/archiver-evidence", "kafka/archiver-evidence", "strategies/archiver-evidence"];
  const place = ({ inputs }: { inputs: Record<string, unknown> }): string => {
    const { name, namespace } = inputs["metadata"] as { name: string; namespace: string };
    return `${namespace}/${name}`;
  };
  assert.deepEqual(roles.map(place).sort(), places);
  assert.deepEqual(bindings.map(place).sort(), places);
  for (const { inputs } of roles) {
    assert.deepEqual(inputs["rules"], [
      { apiGroups: [""], resources: ["pods"], verbs: ["list"] },
      { apiGroups: [""], resources: ["pods/log"], verbs: ["get"] },
      { apiGroups: [""], resources: ["events"], verbs: ["list"] },
    ]);
  }
  for (const { inputs } of bindings) {
    assert.deepEqual(inputs["subjects"], [{ kind: "ServiceAccount", name: "archiver", namespace: "kafka" }]);
    assert.equal((inputs["roleRef"] as { name: string }).name, "archiver-evidence");
  }
  const foreign = recording.resources.filter(({ type }) => /ClusterRole/.test(type));
  assert.deepEqual(foreign, []);
});

test("Prometheus answers at its governing service, without a path in front", () => {
  assert.equal(
    new URL(prometheusFacts.url).hostname,
    `prometheus-operated.${prometheusFacts.namespace}.svc.cluster.local`,
  );
  assert.ok(!("routePrefix" in prometheusValues("kafka-0").prometheus.prometheusSpec));
});
