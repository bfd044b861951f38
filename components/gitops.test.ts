import assert from "node:assert/strict";
import test from "node:test";
import { parse } from "yaml";
import { add, amount } from "./fit.ts";
import { type argoCdValues, Gitops } from "./gitops.ts";
import { argoCdParts } from "./platform-pods.ts";
import { exampleCluster } from "./testing/example-cluster.ts";
import { record } from "./testing/recording.ts";

test("Argo CD is its core only, on k3s-control", async () => {
  const recording = await record(() => {
    const { k3s, namespaces } = exampleCluster();
    new Gitops("gitops", { k3s, namespaces, node: "k3s-control" });
  });
  const chart = recording.one("kubernetes:helm.cattle.io/v1:HelmChart");
  const spec = chart.inputs["spec"] as Record<string, string>;
  assert.equal(spec["chart"], "argo-cd");
  assert.equal(spec["targetNamespace"], "argocd");
  const values = parse(spec["valuesContent"] ?? "") as ReturnType<typeof argoCdValues>;
  assert.deepEqual(values.global.nodeSelector, { "kubernetes.io/hostname": "k3s-control" });
  assert.equal(values.server.replicas, 0);
  assert.equal(values.applicationSet.replicas, 0);
  assert.equal(values.dex.enabled, false);
  assert.equal(values.notifications.enabled, false);
  const definitions = recording.one("command:remote:Command", "gitops-definitions");
  assert.match(String(definitions.inputs["create"]), /wait-for-crds applications\.argoproj\.io/);
  assert.ok(definitions.dependencies.includes(chart.urn));
});

test("its requests are the 200 MB of seed 000", () => {
  const requested = add(Object.values(argoCdParts).map((part) => amount(part.requests)));
  assert.ok(requested.memory <= 200, String(requested.memory));
});
