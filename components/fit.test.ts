import assert from "node:assert/strict";
import test from "node:test";
import fc from "fast-check";
import { catalog } from "../services/catalog.ts";
import { minimumOf } from "./capacity.ts";
import { add, allocatable, amount, fit, type Machine, smallestMachine } from "./fit.ts";
import { brokersOf } from "./kafka-facts.ts";
import { nodePlansOf } from "./node-plans.ts";
import { allDayPods, placedPods } from "./placed-pods.ts";
import { profiles } from "./profile.ts";

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

for (const profile of profiles) {
  test(`${profile}: everything at once fits on the smallest machines that the program accepts, what runs all day with a tenth to spare`, () => {
    const least = minimumOf(profile);
    const nodes = nodePlansOf(profile).map((plan) => {
      const machine = plan.role === "kafka" ? least.broker : least.controlPlane;
      assert.ok(machine !== undefined);
      return { name: plan.nodeName, allocatable: allocatable(machine, plan.role) };
    });
    for (const result of fit(nodes, placedPods(profile))) assert.ok(result.fits, JSON.stringify(result));
    for (const result of fit(nodes, allDayPods(profile))) {
      assert.ok(result.requested.memory <= result.allocatable.memory * 0.9, JSON.stringify(result));
      assert.ok(result.requested.cpu <= result.allocatable.cpu * 0.9, JSON.stringify(result));
    }
  });
}

test("the smallest machine holds what is asked for, and no smaller one does", () => {
  fc.assert(
    fc.property(
      fc.record({ cpu: fc.integer({ min: 1, max: 64_000 }), memory: fc.integer({ min: 1, max: 200_000 }) }),
      fc.constantFrom("kafka" as const, "k3s-control" as const),
      (needed, role) => {
        const least = smallestMachine(needed, role);
        const holds = (machine: Machine) => {
          const [node] = fit(
            [{ name: "a", allocatable: allocatable(machine, role) }],
            [{ name: "p", node: "a", requests: needed }],
          );
          return node?.fits === true;
        };
        assert.ok(holds(least));
        assert.ok(!holds({ ...least, cores: least.cores - 1 }));
        assert.ok(!holds({ ...least, memory: least.memory - 1 }));
      },
    ),
  );
});

test("every pod is counted, where seed 000 puts it", () => {
  const pods = placedPods("cluster");
  const on = (name: string) => pods.filter((pod) => pod.name === name).map((pod) => pod.node);
  assert.deepEqual(on("broker"), ["kafka-0", "kafka-1", "kafka-2"]);
  assert.deepEqual(on("monitoring-prometheus"), ["kafka-0"]);
  assert.deepEqual(on("strimzi-operator"), ["kafka-1"]);
  assert.deepEqual(on("argocd-controller"), ["k3s-control"]);
  for (const service of catalog) assert.deepEqual(on(service.name), ["k3s-control"], service.name);
  const broker = pods.find((pod) => pod.name === "broker");
  assert.deepEqual(broker?.requests, { cpu: 1000, memory: 2048 });
});

test("seed 000's machines hold everything", () => {
  assert.deepEqual(minimumOf("cluster"), {
    broker: { cores: 4, memory: 8 },
    controlPlane: { cores: 2, memory: 4 },
  });
  assert.deepEqual(minimumOf("single-node").controlPlane, { cores: 3, memory: 7 });
});

test("there are as many brokers as Kafka's facts say", () => {
  for (const profile of profiles)
    assert.equal(nodePlansOf(profile).filter(({ broker }) => broker).length, brokersOf[profile]);
});

test("a single node runs the same pods but two brokers and three CoreDNS less, and they are on it", () => {
  const names = (profile: "cluster" | "single-node") => placedPods(profile).map(({ name }) => name);
  const pods = placedPods("single-node");
  assert.deepEqual(new Set(pods.map(({ node }) => node)), new Set(["k3s-control"]));
  assert.deepEqual(new Set(names("single-node")), new Set(names("cluster")));
  assert.equal(pods.length, placedPods("cluster").length - 5);
});

test("services stay below the ceiling of seed 000: 600Mi and 300m for each", () => {
  for (const service of catalog) {
    const requests = amount(service.requests);
    assert.ok(requests.memory <= 600 && requests.cpu <= 300, service.name);
  }
  const all = add(catalog.map((service) => amount(service.requests)));
  assert.ok(all.memory <= 2400, "seed 000 gives all applications 2400 MB");
});
