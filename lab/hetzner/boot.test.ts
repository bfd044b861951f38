import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { connect } from "node:net";
import { after, before, describe, test } from "node:test";
import { parse } from "yaml";
import {
  newKeyPair,
  quickLatency,
  runOverSsh,
  runWhenBooted,
  startTestClient,
  type TestClient,
} from "./testing/client.ts";
import { createCluster, type TestCluster } from "./testing/cluster.ts";

const directory = "/usr/local/lib/trading";

describe("a cluster boots and answers over SSH", () => {
  let client: TestClient;
  let cluster: TestCluster;
  const ssh = (node: number, privateKey = cluster.adminKey, username = "root") => ({
    host: cluster.addresses[node] ?? "",
    port: client.hetzner.sshPort,
    privateKey,
    username,
  });

  before(async () => {
    client = await startTestClient();
    cluster = await createCluster(client);
  });
  after(() => client.hetzner.close());

  test("each node becomes ready, with the host key of its own user data", async () => {
    for (const [node, name] of ["k3s-control", "kafka-0", "kafka-1", "kafka-2"].entries()) {
      const result = await runWhenBooted(ssh(node), `${directory}/wait-for-node`);
      assert.deepEqual([result.code, result.stdout, result.stderr], [0, `${name} is Ready\n`, ""]);
      assert.equal(result.hostKey, cluster.hostKeys[node]?.public.split(" ").slice(0, 2).join(" "));
    }
  });

  test("the control plane counts the nodes that joined", async () => {
    const result = await runWhenBooted(ssh(0), `${directory}/wait-for-nodes 4`);
    assert.deepEqual([result.code, result.stdout], [0, "4 nodes are Ready\n"]);
  });

  test("the kubeconfig says that it is simulated and holds a certificate of its own authority", async () => {
    const { stdout, code } = await runWhenBooted(ssh(0), `${directory}/print-kubeconfig`);
    assert.equal(code, 0);
    const config = parse(stdout) as {
      "current-context": string;
      clusters: { cluster: Record<string, string> }[];
      users: { user: Record<string, string> }[];
    };
    assert.equal(config["current-context"], "simulated");
    const cluster = config.clusters[0]?.cluster ?? {};
    const user = config.users[0]?.user ?? {};
    assert.equal(cluster["server"], "https://127.0.0.1:6443");
    const pem = (text: string | undefined) => Buffer.from(text ?? "", "base64");
    const authority = new X509Certificate(pem(cluster["certificate-authority-data"]));
    const certificate = new X509Certificate(pem(user["client-certificate-data"]));
    assert.ok(authority.ca);
    assert.ok(certificate.verify(authority.publicKey));
    assert.ok(certificate.checkPrivateKey(createPrivateKey(pem(user["client-key-data"]))));
    assert.match(certificate.subject, /O=system:masters/);
    const again = await runWhenBooted(ssh(0), `${directory}/print-kubeconfig`);
    assert.equal(again.stdout, stdout);
  });

  test("custom resources of the operators are established, others are not by the deadline", async () => {
    const crds = "kafkas.kafka.strimzi.io prometheuses.monitoring.coreos.com applications.argoproj.io";
    const result = await runWhenBooted(ssh(0), `${directory}/wait-for-crds ${crds}`);
    assert.equal(result.code, 0);
    assert.equal(result.stdout.trim().split("\n").length, 3);
  });

  test("cloud-init is done", async () => {
    const result = await runWhenBooted(ssh(1), "cloud-init status --wait");
    assert.deepEqual([result.code, result.stdout], [0, "status: done\n"]);
  });

  test("anything else ends with 127 and says what this is", async () => {
    for (const command of [
      "uname -a",
      "/bin/sh",
      `${directory}/wait-for-node; id`,
      `${directory}/install-node`,
    ]) {
      const result = await runWhenBooted(ssh(0), command);
      assert.equal(result.code, 127, command);
      assert.notEqual(result.stderr, "");
    }
    const result = await runWhenBooted(ssh(0), "uname -a");
    assert.match(result.stderr, /simulated server/);
  });

  test("only the project's key logs in, and only as root", async () => {
    await assert.rejects(runOverSsh(ssh(0, newKeyPair().private), "cloud-init status"), /authentication/i);
    await assert.rejects(
      runOverSsh(ssh(0, cluster.adminKey, "ubuntu"), "cloud-init status"),
      /authentication/i,
    );
  });

  test("a server that is off does not answer, and answers again when it is on, still Ready", async () => {
    const id = cluster.ids.servers[3] ?? 0;
    const off = await client.expect(201, "POST", `/servers/${id}/actions/poweroff`);
    await client.wait(off.action);
    await assert.rejects(runOverSsh(ssh(3), "cloud-init status"), /ECONNREFUSED/);
    const on = await client.expect(201, "POST", `/servers/${id}/actions/poweron`);
    await client.wait(on.action);
    const result = await runWhenBooted(ssh(3), `${directory}/wait-for-node`);
    assert.equal(result.stdout, "kafka-2 is Ready\n");
  });
});

test("an agent with a wrong token does not join, and both sides say so by their deadlines", async () => {
  const client = await startTestClient({
    latency: quickLatency({ deadline_k3s_start: 300, deadline_wait_for_nodes: 1_500 }),
  });
  try {
    const cluster = await createCluster(client, { agentTokens: ["agent-token", "wrong"] });
    const ssh = (node: number) => ({
      host: cluster.addresses[node] ?? "",
      port: client.hetzner.sshPort,
      privateKey: cluster.adminKey,
    });
    const agent = await runWhenBooted(ssh(2), `${directory}/wait-for-node`);
    assert.equal(agent.code, 1);
    assert.match(agent.stderr, /cloud-init failed[\s\S]*refused the token: not authorized/);
    const control = await runWhenBooted(ssh(0), `${directory}/wait-for-nodes 4`);
    assert.equal(control.code, 1);
    assert.match(control.stderr, /3 of 4 nodes are Ready[\s\S]*kafka-1 did not join[\s\S]*token/);
  } finally {
    await client.hetzner.close();
  }
});

test("bad user data: the server boots, and cloud-init reports what was wrong", async () => {
  const client = await startTestClient();
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
    const ssh = {
      host: server.public_net.ipv4?.ip ?? "",
      port: client.hetzner.sshPort,
      privateKey: admin.private,
    };
    const status = await runWhenBooted(ssh, "cloud-init status --wait");
    assert.equal(status.code, 2);
    assert.match(status.stdout, /degraded[\s\S]*Failed loading yaml blob/);
    const script = await runWhenBooted(ssh, `${directory}/wait-for-node`);
    assert.equal(script.code, 127);
    assert.match(script.stderr, /No such file or directory/);
  } finally {
    await client.hetzner.close();
  }
});

test("firewalls, when they are enforced, let only the addresses of their rules through to SSH, as soon as they are set", async () => {
  const client = await startTestClient({ enforceFirewalls: true });
  try {
    const cluster = await createCluster(client);
    const host = cluster.addresses[0] ?? "";
    const path = `/firewalls/${cluster.ids.firewall}/actions/set_rules`;
    const rule = (port: string, source: string) => ({
      direction: "in",
      protocol: "tcp",
      port,
      source_ips: [source],
    });
    const admit = async (...rules: object[]) =>
      client.wait(...(await client.expect(201, "POST", path, { rules })).actions);
    await runWhenBooted(
      { host, port: client.hetzner.sshPort, privateKey: cluster.adminKey },
      "cloud-init status --wait",
    );
    /** Whether a server speaks to a client at this source: SSH servers begin with a line of their own. */
    const speaks = (localAddress: string, patienceMs = 10_000) =>
      new Promise<boolean>((resolve) => {
        const socket = connect({ host, port: client.hetzner.sshPort, localAddress });
        const end = (spoke: boolean) => {
          socket.destroy();
          resolve(spoke);
        };
        socket.setTimeout(patienceMs, () => end(false));
        socket.once("data", () => end(true));
        socket.once("error", () => end(false));
      });
    /** How long nothing must come from a server that does not speak. */
    const silence = 150;
    await admit(rule("22", "127.0.0.7/32"), rule("6443", "127.0.0.0/8"));
    assert.equal(await speaks("127.0.0.7"), true);
    assert.equal(await speaks("127.0.0.8", silence), false);
    await admit(rule("20-25", "127.0.0.8/32"), rule(String(client.hetzner.sshPort), "127.0.0.9/32"));
    assert.equal(await speaks("127.0.0.7", silence), false);
    assert.deepEqual([await speaks("127.0.0.8"), await speaks("127.0.0.9")], [true, true]);
    await admit();
    assert.equal(await speaks("127.0.0.8", silence), false);
  } finally {
    await client.hetzner.close();
  }
});
