/** The real cloud's latency model, sped up: a cluster of four nodes boots in parallel, and its stages take what the model says. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { durations } from "./durations.ts";
import { runWhenBooted, startTestClient } from "./testing/client.ts";
import { createCluster } from "./testing/cluster.ts";

/** Simulated seconds in a real one. */
const speed = 20;
/** What a loaded machine may be late at each step of a chain, in simulated ms: two seconds of real time. */
const lateMs = 2_000 * speed;

test("a cluster along the model: nodes in parallel, each stage as long as the model says", async () => {
  const client = await startTestClient({ latency: "model", speed, requestsPerHour: 1_000_000 });
  try {
    const { addresses, adminKey } = await createCluster(client);
    const ready = await Promise.all(
      addresses.map((host) =>
        runWhenBooted(
          { host, port: client.hetzner.sshPort, privateKey: adminKey },
          "/usr/local/lib/trading/wait-for-node",
          60_000,
        ),
      ),
    );
    assert.deepEqual(
      ready.map(({ code }) => code),
      [0, 0, 0, 0],
    );
    const spans = client.hetzner.project.timeline();
    const lasted = (subject: string, stage: string) => {
      const span = spans.find((one) => one.subject === subject && one.stage === stage);
      assert.ok(span !== undefined && span.ended !== null, `${subject}: ${stage}`);
      return span.ended.getTime() - span.began.getTime();
    };
    const stages = [
      "create_server",
      "start_server",
      "attach_to_network",
      "boot_until_ssh",
      "boot_until_runcmd",
      "install_k3s",
    ] as const;
    for (const node of ["k3s-control", "kafka-0", "kafka-1", "kafka-2"]) {
      const subject = `server/dev-${node}`;
      const last = node === "k3s-control" ? "k3s_server_ready" : "k3s_agent_ready";
      for (const stage of [...stages, last] as const) {
        const extra = lasted(subject, stage) - durations[stage].model;
        assert.ok(extra >= -50 && extra < lateMs, `${subject} ${stage}: ${extra} ms more than the model`);
      }
    }
    // The longest chain: the agents wait for the control plane, which nothing but itself delays.
    const chain = [
      "create_server",
      "start_server",
      "boot_until_ssh",
      "boot_until_runcmd",
      "install_k3s",
      "k3s_server_ready",
      "k3s_agent_ready",
    ] as const;
    const unavoidable = chain.reduce((sum, stage) => sum + durations[stage].model, 0);
    const began = Math.min(
      ...spans.filter(({ stage }) => stage === "create_server").map((one) => one.began.getTime()),
    );
    const ended = Math.max(
      ...spans.filter(({ stage }) => stage === "k3s_agent_ready").map((one) => Number(one.ended)),
    );
    assert.ok(ended - began >= unavoidable - 100, `${ended - began} ms`);
    assert.ok(
      ended - began < unavoidable + chain.length * lateMs,
      `${ended - began} ms instead of ${unavoidable}`,
    );
  } finally {
    await client.hetzner.close();
  }
});
