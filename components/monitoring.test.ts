import assert from "node:assert/strict";
import test, { before } from "node:test";
import * as pulumi from "@pulumi/pulumi";
import { parse } from "yaml";
import { ruleGroups } from "./alert-rules.ts";
import { Monitoring, type prometheusValues } from "./monitoring.ts";
import { exampleCluster } from "./testing/example-cluster.ts";
import { record, type Recording } from "./testing/recording.ts";

let recording: Recording;
before(async () => {
  recording = await record(() => {
    const { k3s, namespaces } = exampleCluster();
    new Monitoring("monitoring", {
      k3s,
      namespaces,
      node: "kafka-0",
      brokers: 3,
      businessDate: pulumi.output("2025-10-14"),
    });
  });
});

test("Prometheus alone, on kafka-0, with 150 MB and seven days", () => {
  const spec = recording.one("kubernetes:helm.cattle.io/v1:HelmChart").inputs["spec"] as Record<
    string,
    string
  >;
  assert.equal(spec["chart"], "kube-prometheus-stack");
  assert.match(spec["version"] ?? "", /^\d+\.\d+\.\d+$/);
  const values = parse(spec["valuesContent"] ?? "") as ReturnType<typeof prometheusValues>;
  const { prometheusSpec } = values.prometheus;
  assert.deepEqual(prometheusSpec.nodeSelector, { "kubernetes.io/hostname": "kafka-0" });
  assert.equal(prometheusSpec.resources.requests.memory, "150Mi");
  assert.equal(prometheusSpec.retention, "7d");
  assert.equal(values.grafana.enabled, false);
  assert.ok(values["kube-state-metrics"].collectors.includes("pods"));
});

test("brokers and the lag exporter are scraped; the services bring their own monitors", () => {
  const specs = Object.fromEntries(
    recording.all("kubernetes:monitoring.coreos.com/v1:PodMonitor").map((monitor) => [
      (monitor.inputs["metadata"] as { name: string }).name,
      monitor.inputs["spec"] as {
        selector: unknown;
        namespaceSelector: unknown;
        podMetricsEndpoints: unknown;
      },
    ]),
  );
  assert.deepEqual(Object.keys(specs), ["kafka"]);
  assert.deepEqual(specs["kafka"], {
    selector: { matchExpressions: [{ key: "strimzi.io/kind", operator: "In", values: ["Kafka"] }] },
    namespaceSelector: { matchNames: ["kafka"] },
    podMetricsEndpoints: [{ port: "tcp-prometheus", path: "/metrics" }],
  });
});

test("the rules are those of the business date, and come after their definition", () => {
  const rule = recording.one("kubernetes:monitoring.coreos.com/v1:PrometheusRule");
  assert.deepEqual(rule.inputs["spec"], { groups: ruleGroups("2025-10-14", 3) });
  assert.ok(
    rule.dependencies.includes(recording.one("command:remote:Command", "monitoring-definitions").urn),
  );
});
