import assert from "node:assert/strict";
import test from "node:test";
import { Delivery } from "./delivery.ts";
import { overlayObjects } from "./overlays.ts";
import { exampleCluster } from "./testing/example-cluster.ts";
import { record } from "./testing/recording.ts";
import { services, type WorkloadObject } from "./workloads.ts";

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

test("direct delivery applies the stack's overlay, object by object, and waits for no pod", async () => {
  // The export gate is to be there as soon as services may run.
  const recording = await record(() => {
    new Delivery("delivery", {
      k3s: exampleCluster().k3s,
      stack: "prod",
      delivery: "direct",
      images,
      after: [],
    });
  });
  const applied = recording.resources.filter((resource) => resource.parent.includes(":Delivery::"));
  const keyOf = ({ kind, metadata }: Pick<WorkloadObject, "kind" | "metadata">) =>
    `${kind} ${metadata.namespace}/${metadata.name}`;
  const found = applied.map(({ inputs }) => inputs as unknown as WorkloadObject);
  const expected = overlayObjects("prod", images).map((object) => ({
    ...object,
    metadata: { ...object.metadata, annotations: { "pulumi.com/skipAwait": "true" } },
  }));
  assert.deepEqual(found.map(keyOf).sort(), expected.map(keyOf).sort());
  for (const object of expected) {
    assert.deepEqual(
      found.find((each) => keyOf(each) === keyOf(object)),
      object,
      keyOf(object),
    );
  }
});

test("a pod comes after what it needs: its account, its settings and its limits", async () => {
  const recording = await record(() => {
    new Delivery("delivery", {
      k3s: exampleCluster().k3s,
      stack: "dev",
      delivery: "direct",
      images,
      after: [],
    });
  });
  for (const { name } of services) {
    const own = recording.resources.filter(
      ({ inputs }) => (inputs["metadata"] as { name?: string } | undefined)?.name === name,
    );
    const pods = own.find((resource) => resource.name === name);
    const others = own.filter((resource) => resource !== pods);
    assert.ok(others.length >= 4, name);
    for (const { urn } of others) assert.ok(pods?.dependencies.includes(urn), urn);
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
