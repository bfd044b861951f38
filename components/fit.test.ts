import assert from "node:assert/strict";
import test from "node:test";
import { catalog } from "../services/catalog.ts";
import { minimum } from "./capacity.ts";
import { add, allocatable, amount, fit } from "./fit.ts";
import { nodePlans } from "./nodes.ts";
import { placedPods } from "./placed-pods.ts";

test("quantities are read as Kubernetes reads them", () => {
  assert.deepEqual(amount({ cpu: "250m", memory: "128Mi" }), { cpu: 250, memory: 128 });
  assert.deepEqual(amount({ cpu: "2", memory: "2Gi" }), { cpu: 2000, memory: 2048 });
  assert.deepEqual(amount({ cpu: "0.5", memory: "512Ki" }), { cpu: 500, memory: 0.5 });
  assert.throws(() => amount({ cpu: "1k", memory: "1Mi" }), /cpu "1k"/);
  assert.throws(() => amount({ cpu: "1", memory: "1G" }), /memory "1G"/);
});

test("a node that is asked for more than it has does not fit", () => {
  const nodes = [{ name: "a", allocatable: { cpu: 1000, memory: 1000 } }];
  const pod = (cpu: number, memory: number) => ({ name: "p", node: "a", requests: { cpu, memory } });
  assert.equal(fit(nodes, [pod(500, 500), pod(500, 500)])[0]?.fits, true);
  assert.equal(fit(nodes, [pod(500, 500), pod(501, 500)])[0]?.fits, false);
  assert.equal(fit(nodes, [pod(500, 500), pod(500, 501)])[0]?.fits, false);
  assert.equal(fit(nodes, [{ ...pod(2000, 2000), node: "b" }])[0]?.fits, true);
});

test("everything at once fits on the smallest machines that the program accepts, what runs all day with a tenth to spare", () => {
  const nodes = nodePlans.map((plan) => ({
    name: plan.nodeName,
    allocatable: allocatable(plan.role === "kafka" ? minimum.broker : minimum.controlPlane, plan.role),
  }));
  for (const result of fit(nodes, placedPods())) assert.ok(result.fits, JSON.stringify(result));
  // The Job has ended before the services start, so the spare is what is left beside those that run all day.
  const jobs = catalog.filter(({ kind }) => kind === "Job").map(({ name }) => name);
  for (const result of fit(
    nodes,
    placedPods().filter(({ name }) => !jobs.includes(name)),
  )) {
    assert.ok(result.requested.memory <= result.allocatable.memory * 0.9, JSON.stringify(result));
    assert.ok(result.requested.cpu <= result.allocatable.cpu * 0.9, JSON.stringify(result));
  }
});

test("every pod is counted, where seed 000 puts it", () => {
  const pods = placedPods();
  const on = (name: string) => pods.filter((pod) => pod.name === name).map((pod) => pod.node);
  assert.deepEqual(on("broker"), ["kafka-0", "kafka-1", "kafka-2"]);
  assert.deepEqual(on("monitoring-prometheus"), ["kafka-0"]);
  assert.deepEqual(on("strimzi-operator"), ["kafka-1"]);
  assert.deepEqual(on("argocd-controller"), ["k3s-control"]);
  for (const service of catalog) assert.deepEqual(on(service.name), ["k3s-control"], service.name);
  const broker = pods.find((pod) => pod.name === "broker");
  assert.deepEqual(broker?.requests, { cpu: 1000, memory: 2048 });
});

test("services stay below the ceiling of seed 000: 600Mi and 300m for each", () => {
  for (const service of catalog) {
    const requests = amount(service.requests);
    assert.ok(requests.memory <= 600 && requests.cpu <= 300, service.name);
  }
  const all = add(catalog.map((service) => amount(service.requests)));
  assert.ok(all.memory <= 2400, "seed 000 gives all applications 2400 MB");
});
