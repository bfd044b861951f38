/**
 * Every Kubernetes object of every stack on a real API: what Pulumi applies and what Argo CD takes from Git is valid field by
 * field, nobody takes a field from somebody else, Pod Security, quotas and limits admit the pods, and the real scheduler
 * puts each of them where it belongs on nodes with exactly what the servers have.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { add, type Amount } from "../../components/fit.ts";
import { placedPods } from "../../components/placed-pods.ts";
import { placementOf } from "../../components/placement.ts";
import { catalog } from "../../services/catalog.ts";
import { fieldManagers, placed, podStates } from "../../lab/kubernetes/index.ts";
import { objectsInFile, objectsInGit } from "./git.ts";
import { ClusterWorld, type ClusterWorldOptions, nodeNames, whySkipped } from "./world.ts";

const skip = await whySkipped();
const options = { skip, timeout: 600_000 };

/** Whether a pod is one of a service of the catalog. */
const isService = (name: string): boolean => catalog.some((service) => name.includes(`/${service.name}-`));

/** Brings a stack up with what Argo CD adds, waits, and looks at everything. */
async function holdStack(world: ClusterWorld, stack: string, overlays: readonly string[]): Promise<void> {
  await world.up();
  world.demandNothingRefused();
  await world.cluster.settled();
  for (const overlay of overlays) {
    const objects = await objectsInGit(`overlays/${overlay}`);
    assert.ok(objects.length > 0, `k8s/overlays/${overlay} has objects`);
    await world.apply(objects, fieldManagers.argoCd);
    world.demandNothingRefused();
    await world.cluster.settled();
    await demandPlaces(world);
  }
  // What a cluster that Pulumi did not make is told by hand.
  const byHand = objectsInFile(`argocd/${stack}.yaml`);
  assert.ok(byHand.length > 0, `k8s/argocd/${stack}.yaml has objects`);
  await world.check(byHand);
  world.demandNothingRefused();
  assert.deepEqual(world.warnings, [], "the API warns of nothing");
}

/** @throws AssertionError unless every pod is on its node, and nodes hold what components/placed-pods.ts adds up */
async function demandPlaces(world: ClusterWorld): Promise<void> {
  const pods = await podStates(world.controlPlane.api);
  const placement = placementOf(world.profile);
  const nodesOf = (wanted: (name: string) => boolean): string[] =>
    pods
      .filter(({ name, phase }) => wanted(name) && phase === "Running")
      .map(({ node }) => node ?? "no node")
      .sort();
  const only = (nodes: readonly string[]): string[] => [...new Set(nodes)];
  assert.deepEqual(
    nodesOf((name) => name.startsWith("kafka/trading-kafka-") && !name.includes("exporter")),
    [...placement.brokers],
  );
  assert.deepEqual(only(nodesOf((name) => name.startsWith("monitoring/"))), [placement.monitoring]);
  assert.deepEqual(
    only(nodesOf((name) => /^kafka\/(strimzi-cluster-operator|trading-kafka-exporter)-/.test(name))),
    [placement.kafkaHelpers],
  );
  assert.deepEqual(only(nodesOf((name) => name.startsWith("argocd/"))), [placement.argoCd]);
  assert.deepEqual(only(nodesOf(isService)), [placement.services]);
  const running = catalog.filter(({ kind }) => kind !== "Job").map(({ name }) => name);
  for (const service of running)
    assert.equal(nodesOf((name) => name.includes(`/${service}-`)).length, 1, `one pod of ${service} runs`);

  // CoreDNS goes where the scheduler likes; the arithmetic counts it everywhere.
  const isDns = (name: string): boolean => name.includes("coredns");
  const onNode = (all: readonly { name: string; node: string; requests: Amount }[], node: string): Amount =>
    add(all.filter((pod) => pod.node === node && !isDns(pod.name)).map(({ requests }) => requests));
  const jobs = catalog.filter(({ kind }) => kind === "Job").map(({ name }) => name);
  const computed = placedPods(world.profile).filter(({ name }) => !jobs.includes(name));
  for (const node of nodeNames(world)) {
    assert.deepEqual(
      onNode(placed(pods), node),
      onNode(computed, node),
      `what pods request on ${node} is what components/placed-pods.ts adds up`,
    );
  }
}

const stacks: readonly { name: string; options: ClusterWorldOptions; overlays: readonly string[] }[] = [
  // A cluster of any stack may be pointed at the overlay `staging`.
  {
    name: "dev, then the overlay staging in its place",
    options: { stack: "dev" },
    overlays: ["dev", "staging"],
  },
  { name: "prod", options: { stack: "prod" }, overlays: ["prod"] },
  { name: "a single node", options: { stack: "dev", profile: "single-node" }, overlays: ["dev"] },
];

for (const { name, options: world, overlays } of stacks) {
  test(`every object of ${name} is taken, admitted and placed`, options, async () => {
    const started = await ClusterWorld.start(world);
    try {
      await holdStack(started, world.stack, overlays);
    } finally {
      await started.stop();
    }
  });
}
