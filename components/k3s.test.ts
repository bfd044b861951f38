import assert from "node:assert/strict";
import test from "node:test";
import { firstContact } from "./cloud-init/scripts.ts";
import { withServerAddress } from "./k3s.ts";
import { exampleCluster } from "./testing/example-cluster.ts";
import { exampleKubeconfig, record } from "./testing/recording.ts";

type Connection = Record<string, string | number>;

test("the kubeconfig gets the public address", () => {
  assert.equal(
    withServerAddress(exampleKubeconfig, "192.0.2.1"),
    exampleKubeconfig.replace("https://127.0.0.1:6443", "https://192.0.2.1:6443"),
  );
  assert.throws(() => withServerAddress("", "192.0.2.1"), /names no server/);
});

test("every connection demands the host key of its node", async () => {
  const recording = await record(() => exampleCluster());
  const commands = recording.all("command:remote:Command");
  assert.equal(commands.length, 6);
  for (const command of commands) {
    const connection = command.inputs["connection"] as Connection;
    const node = /wait-for-(kafka-\d)$/.exec(command.name)?.[1] ?? "k3s-control";
    assert.equal(connection["hostKey"], `ssh-ed25519 bootstrap-host-${node}`);
    assert.equal(connection["user"], "root");
    assert.equal(connection["port"], 22);
    assert.match(String(connection["privateKey"]), /bootstrap-administrator/);
    assert.ok(command.secretInputs.includes("connection"));
  }
});

test("the commands are scripts that the server knows, in their order", async () => {
  const recording = await record(() => exampleCluster());
  const command = (name: string) => recording.one("command:remote:Command", name);
  const all = command("k3s-wait-for-nodes");
  assert.equal(all.inputs["create"], "/usr/local/lib/trading/wait-for-nodes 4");
  for (const node of ["k3s-control", "kafka-0", "kafka-1", "kafka-2"]) {
    const one = command(`k3s-wait-for-${node}`);
    assert.equal(one.inputs["create"], firstContact("wait-for-node"));
    assert.ok(one.dependencies.includes(recording.one("hcloud:index/server:Server", `nodes-${node}`).urn));
    assert.ok(all.dependencies.includes(one.urn));
  }
  const kubeconfig = command("k3s-kubeconfig");
  assert.equal(kubeconfig.inputs["create"], "/usr/local/lib/trading/print-kubeconfig");
  assert.equal(kubeconfig.inputs["logging"], "none");
  assert.ok(kubeconfig.additionalSecretOutputs.includes("stdout"));
  // Charts are installed while agents still join.
  assert.ok(kubeconfig.dependencies.includes(command("k3s-wait-for-k3s-control").urn));
  assert.ok(!kubeconfig.dependencies.includes(command("k3s-wait-for-kafka-0").urn));
});

test("the way into Kubernetes is secret and stays the same provider", async () => {
  const recording = await record(() => exampleCluster());
  const provider = recording.one("pulumi:providers:kubernetes");
  assert.ok(provider.secretInputs.includes("kubeconfig"));
  assert.equal(typeof provider.inputs["clusterIdentifier"], "string");
  assert.equal(provider.inputs["renderYamlToDirectory"], undefined);
});

test("tokens differ, and SSH keys are one a node and one for the administrator", async () => {
  const recording = await record(() => exampleCluster());
  assert.deepEqual(
    recording
      .all("random:index/randomPassword:RandomPassword")
      .map((token) => [token.name, token.inputs["length"], token.inputs["special"]]),
    [
      ["bootstrap-server-token", 48, false],
      ["bootstrap-agent-token", 48, false],
    ],
  );
  const keys = recording.all("tls:index/privateKey:PrivateKey");
  assert.equal(keys.length, 5);
  for (const key of keys) assert.equal(key.inputs["algorithm"], "ED25519");
  assert.equal(
    recording.one("hcloud:index/sshKey:SshKey").inputs["publicKey"],
    "ssh-ed25519 bootstrap-administrator",
  );
});
