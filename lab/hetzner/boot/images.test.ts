/** Nodes fetch images before k3s runs, whatever the control plane does; and say what they were at when it never comes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { firstContact } from "../../../components/cloud-init/scripts.ts";
import { imagesAhead } from "../../../components/cloud-init/images-ahead.ts";
import { deadlines, nodeUserData } from "../../../components/cloud-init/node-config.ts";
import { nodePlans } from "../../../components/nodes.ts";
import { serviceImages } from "../../../components/versions.ts";
import { durations } from "../durations.ts";
import {
  newKeyPair,
  quickLatency,
  runWhenBooted,
  startTestClient,
  type TestClient,
} from "../testing/client.ts";
import { createCluster } from "../testing/cluster.ts";

const userData = (nodeName: string, hostKey: { private: string; public: string }) => {
  const plan = nodePlans.find((one) => one.nodeName === nodeName);
  assert.ok(plan !== undefined, nodeName);
  return nodeUserData({
    plan,
    serverToken: "server-token",
    agentToken: "agent-token",
    hostPrivateKey: hostKey.private,
    hostPublicKey: hostKey.public,
    images: imagesAhead("cluster", plan.nodeName, serviceImages),
  });
};

const stages = (client: TestClient, name: string) =>
  client.hetzner.project.timeline().filter(({ subject }) => subject === `server/${name}`);

test("agents hold their images though the control plane never starts, and each says what it waited for", async () => {
  const client = await startTestClient({
    latency: quickLatency({ deadline_k3s_start: 1_500 }),
    faults: { rules: [{ at: "boot", server: "dev-k3s-control", effect: { kind: "hangs", at: "k3s" } }] },
  });
  try {
    const cluster = await createCluster(client, { userData });
    const result = await runWhenBooted(
      { host: cluster.addresses[2] ?? "", port: client.hetzner.sshPort, privateKey: cluster.adminKey },
      firstContact("wait-for-node"),
    );
    assert.equal(result.code, 1);
    const lines = result.stderr.trim().split("\n");
    assert.match(lines[0] ?? "", /^wait-for-node: kafka-1: cloud-init failed/);
    assert.equal(lines.at(-1), lines[0]);
    assert.match(result.stderr, /install-node: waiting for the control plane at https:\/\/10\.0\.1\.1:6443/);
    const pulled = stages(client, "dev-kafka-1").filter(
      ({ stage, ended }) => stage.startsWith("image ") && ended,
    );
    assert.deepEqual(
      pulled.map(({ stage }) => stage.slice("image ".length)),
      imagesAhead("cluster", "kafka-1", serviceImages),
    );
    assert.ok(!stages(client, "dev-kafka-1").some(({ stage }) => stage === "k3s_agent_ready"));
  } finally {
    await client.hetzner.close();
  }
});

test("an image under way when k3s starts is gone on with afterwards, not begun again", async () => {
  // One image takes about 1.5 s; k3s starts in the middle of it.
  const quick = quickLatency({
    install_k3s: 10,
    k3s_server_ready: 400,
    containerd_start: 300,
    k3s_agent_ready: 10,
  });
  const client = await startTestClient({
    latency: {
      ...quick,
      pulls: { receiveMegabytesPerSecond: 280, unpackMegabytesPerSecond: 1e9, perImageMs: 0 },
    },
  });
  try {
    const cluster = await createCluster(client, { userData });
    await runWhenBooted(
      { host: cluster.addresses[3] ?? "", port: client.hetzner.sshPort, privateKey: cluster.adminKey },
      firstContact("wait-for-node"),
    );
    const image = () => stages(client, "dev-kafka-2").find(({ stage }) => stage.startsWith("image "));
    const deadline = performance.now() + 20_000;
    while (image()?.ended == null) {
      assert.ok(performance.now() < deadline, "the image did not come");
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const span = image();
    const took = Number(span?.ended) - Number(span?.began);
    // 420 MB at 280 MB/s, and the pause in between; begun again it would be 1.5 s more than what had passed.
    assert.ok(took >= 1_790, `${took} ms`);
    assert.equal(stages(client, "dev-kafka-2").filter(({ stage }) => stage.startsWith("image ")).length, 1);
  } finally {
    await client.hetzner.close();
  }
});

test("a server that did not take its user data says so at the first contact", async () => {
  const client = await startTestClient({ latency: quickLatency({ deadline_first_contact: 50 }) });
  try {
    const admin = newKeyPair();
    const { ssh_key: key } = await client.expect(201, "POST", "/ssh_keys", {
      name: "a",
      public_key: admin.public,
    });
    const { server } = await client.expect(201, "POST", "/servers", {
      name: "bad",
      server_type: "cpx22",
      image: "ubuntu-24.04",
      ssh_keys: [key.name],
      user_data: "#cloud-config\nwrite_files: [\n",
    });
    const host = server.public_net.ipv4?.ip ?? "";
    const ssh = { host, port: client.hetzner.sshPort, privateKey: admin.private };
    const result = await runWhenBooted(ssh, firstContact("wait-for-node"));
    assert.equal(result.code, 1);
    assert.match(result.stderr, /Failed loading yaml blob[\s\S]*did not write \S+wait-for-node within/);
  } finally {
    await client.hetzner.close();
  }
});

test("the model's deadlines are those of the scripts", () => {
  assert.deepEqual(
    [
      durations.deadline_private_interface,
      durations.deadline_k3s_start,
      durations.deadline_wait_for_nodes,
      durations.deadline_wait_for_crds,
    ].map(({ model }) => model / 1_000),
    [deadlines.privateInterface, deadlines.k3sStart, deadlines.node, deadlines.crds],
  );
});
