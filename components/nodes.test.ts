import assert from "node:assert/strict";
import test from "node:test";
import { exampleCluster } from "./testing/example-cluster.ts";
import { record } from "./testing/recording.ts";

const expected = {
  "k3s-control": { serverType: "cpx22", ip: "10.0.1.1", role: "k3s-control" },
  "kafka-0": { serverType: "cpx32", ip: "10.0.1.10", role: "kafka" },
  "kafka-1": { serverType: "cpx32", ip: "10.0.1.11", role: "kafka" },
  "kafka-2": { serverType: "cpx32", ip: "10.0.1.12", role: "kafka" },
};

test("four servers with the names, types, addresses and roles of seed 000", async () => {
  const recording = await record(() => exampleCluster("dev"));
  const subnet = recording.one("hcloud:index/networkSubnet:NetworkSubnet");
  const firewall = recording.one("hcloud:index/firewall:Firewall");
  const group = recording.one("hcloud:index/placementGroup:PlacementGroup");
  const sshKey = recording.one("hcloud:index/sshKey:SshKey");
  assert.equal(recording.all("hcloud:index/server:Server").length, 4);
  for (const [node, facts] of Object.entries(expected)) {
    const server = recording.one("hcloud:index/server:Server", `nodes-${node}`);
    const { inputs } = server;
    assert.equal(inputs["name"], `dev-${node}`);
    assert.equal(inputs["serverType"], facts.serverType);
    assert.equal(inputs["image"], "ubuntu-24.04");
    assert.equal(inputs["location"], "nbg1");
    assert.deepEqual(inputs["publicNets"], [{ ipv4Enabled: true, ipv6Enabled: false }]);
    const [network] = inputs["networks"] as Record<string, unknown>[];
    assert.equal(network?.["ip"], facts.ip);
    assert.deepEqual(network?.["aliasIps"], []);
    assert.equal(typeof network?.["subnetId"], "string");
    assert.equal((inputs["labels"] as Record<string, string>)["role"], facts.role);
    assert.equal((inputs["firewallIds"] as number[]).length, 1);
    assert.equal(typeof inputs["placementGroupId"], "number");
    for (const needed of [subnet, firewall, group, sshKey]) {
      assert.ok(server.dependencies.includes(needed.urn), needed.urn);
    }
  }
});

test("a single node is the control plane's server, with its name and address", async () => {
  const recording = await record(() => exampleCluster("dev", "single-node"));
  const { inputs } = recording.one("hcloud:index/server:Server");
  assert.equal(inputs["name"], "dev-k3s-control");
  assert.equal((inputs["labels"] as Record<string, string>)["role"], "k3s-control");
  assert.equal((inputs["networks"] as { ip: string }[])[0]?.ip, "10.0.1.1");
});

test("an up in the middle of the day cannot replace a machine", async () => {
  const recording = await record(() => exampleCluster());
  for (const server of recording.all("hcloud:index/server:Server")) {
    assert.deepEqual([...server.ignoreChanges].sort(), [
      "image",
      "location",
      "serverType",
      "sshKeys",
      "userData",
    ]);
  }
});

test("user data is secret", async () => {
  const recording = await record(() => exampleCluster());
  for (const server of recording.all("hcloud:index/server:Server")) {
    assert.deepEqual(server.secretInputs, ["userData"]);
    assert.ok(server.additionalSecretOutputs.includes("userData"));
  }
});
