import assert from "node:assert/strict";
import test from "node:test";
import { Delivery } from "./delivery.ts";
import { exampleCluster } from "./testing/example-cluster.ts";
import { record } from "./testing/recording.ts";

const images = { registry: "ghcr.io/trading-cz", version: "v1.0.0" };

test("the root Application follows Git by itself", async () => {
  const recording = await record(() => {
    new Delivery("delivery", {
      k3s: exampleCluster().k3s,
      stack: "prod",
      delivery: "gitops",
      repository: {
        repository: "https://git.example.com/a.git",
        path: "k8s/overlays/prod",
        revision: "production",
      },
      images,
      after: [],
    });
  });
  const application = recording.one("kubernetes:argoproj.io/v1alpha1:Application");
  assert.deepEqual(application.inputs["metadata"], { name: "trading", namespace: "argocd" });
  const spec = application.inputs["spec"] as Record<string, unknown>;
  assert.deepEqual(spec["source"], {
    repoURL: "https://git.example.com/a.git",
    path: "k8s/overlays/prod",
    targetRevision: "production",
  });
  assert.deepEqual((spec["syncPolicy"] as { automated: unknown }).automated, {
    prune: true,
    selfHeal: true,
    allowEmpty: false,
  });
});

test("direct delivery waits for no pod, so that the export gate is there as soon as services may run", async () => {
  const recording = await record(() => {
    new Delivery("delivery", {
      k3s: exampleCluster().k3s,
      stack: "dev",
      delivery: "direct",
      images,
      after: [],
    });
  });
  const workloads = recording.resources.filter((resource) => resource.parent.includes(":Delivery::"));
  assert.ok(workloads.length > 5);
  for (const workload of workloads) {
    const { annotations } = workload.inputs["metadata"] as { annotations: Record<string, string> };
    assert.equal(annotations["pulumi.com/skipAwait"], "true", workload.name);
  }
});

test("gitops without a repository is refused", async () => {
  await assert.rejects(
    record(() => {
      new Delivery("delivery", {
        k3s: exampleCluster().k3s,
        stack: "dev",
        delivery: "gitops",
        images,
        after: [],
      });
    }),
    /needs a repository/,
  );
});
