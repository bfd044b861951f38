import assert from "node:assert/strict";
import test from "node:test";
import { exampleCluster } from "./testing/example-cluster.ts";
import { record } from "./testing/recording.ts";

test("network, subnet, placement group and firewall are those of seed 000", async () => {
  const recording = await record(() => exampleCluster("prod"));
  const network = recording.one("hcloud:index/network:Network");
  assert.equal(network.inputs["name"], "prod");
  assert.equal(network.inputs["ipRange"], "10.0.0.0/16");

  const subnet = recording.one("hcloud:index/networkSubnet:NetworkSubnet");
  assert.equal(subnet.inputs["ipRange"], "10.0.1.0/24");
  assert.equal(subnet.inputs["type"], "cloud");
  assert.equal(subnet.inputs["networkZone"], "eu-central");
  assert.deepEqual(subnet.ignoreChanges, ["networkZone"]);
  assert.ok(subnet.dependencies.includes(network.urn));

  assert.equal(recording.one("hcloud:index/placementGroup:PlacementGroup").inputs["type"], "spread");

  const rules = recording.one("hcloud:index/firewall:Firewall").inputs["rules"] as Record<string, unknown>[];
  assert.deepEqual(
    rules.map((rule) => [rule["direction"], rule["protocol"], rule["port"], rule["sourceIps"]]),
    [
      ["in", "tcp", "22", ["203.0.113.0/24", "2001:db8::/48"]],
      ["in", "tcp", "6443", ["203.0.113.0/24", "2001:db8::/48"]],
    ],
  );
});

test("everything that can carry labels carries those that leftovers are found by", async () => {
  const recording = await record(() => exampleCluster("prod"));
  const labelled = recording.resources.filter(
    (resource) => resource.type.startsWith("hcloud:") && !resource.type.includes("networkSubnet"),
  );
  assert.equal(labelled.length, 8);
  for (const resource of labelled) {
    const labels = resource.inputs["labels"] as Record<string, string>;
    assert.deepEqual(Object.keys(labels).sort(), [
      "archive",
      "business-date",
      "cluster-id",
      "expires-at",
      "project",
      "role",
      "stack",
    ]);
    assert.equal(labels["project"], "trading");
    assert.equal(labels["stack"], "prod");
    assert.equal(labels["business-date"], "2025-10-14");
    for (const value of Object.values(labels)) {
      // https://docs.hetzner.cloud/reference/cloud#labels
      assert.match(value, /^[a-zA-Z0-9]([a-zA-Z0-9._-]{0,61}[a-zA-Z0-9])?$/);
    }
  }
});
