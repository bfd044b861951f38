/**
 * What goes wrong while a cluster that holds data goes down: nothing is removed before its archive is sealed and verified,
 * and nothing that bills is forgotten. And what passes by itself is waited for, both ways.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { latencyModel } from "../../lab/hetzner/index.ts";
import type { LabObjectStore } from "../../lab/objectstore/index.ts";
import { demandHits, failingAction, judge, once, onRequest, untilDone } from "./expectations.ts";
import { type FailedRun, InfrastructureWorld, startBucket } from "./world.ts";

let store: LabObjectStore;
before(async () => {
  store = await startBucket();
});
after(() => store.stop());

/** For runs that the gate must give up; one that must seal has all the time it needs. */
const impatient = { GATE_TIMEOUT_SECONDS: "2" };

const deletions = (world: InfrastructureWorld) =>
  world.hetzner.project
    .requests()
    .filter(({ method, path }) => method === "DELETE" || /delete|remove/.test(path));

/** Demands that the gate refused with a reason, and that nothing at all was removed. */
async function demandKept(
  world: InfrastructureWorld,
  run: FailedRun,
  gate: string,
  reason: RegExp,
): Promise<void> {
  const [failure] = run.failures;
  assert.deepEqual(
    run.failures.map(({ resource }) => resource),
    [`${gate}-sealed-archive`],
  );
  assert.match(failure?.message ?? "", /REFUSED/);
  assert.match(failure?.message ?? "", /[Nn]othing was removed/);
  assert.match(failure?.message ?? "", reason);
  assert.deepEqual(deletions(world), [], "the API was asked to delete nothing");
  await world.demandOneCluster();
}

test("the gate refuses while S3 is away, the archiver refuses or is silent; then deletions fail in every way", async () => {
  const world = await InfrastructureWorld.start({ store });
  try {
    await world.up();
    const clusterId = await world.opened();

    await world.bucket.down();
    await demandKept(
      world,
      await world.failed("destroy"),
      "export-gate",
      /run the destroy again when it can be used/,
    );
    await world.bucket.up();

    world.inside.conduct = "refuses";
    await demandKept(
      world,
      await world.failed("destroy"),
      "export-gate",
      /told to refuse[\s\S]*TRADING_ALLOW_DATA_LOSS=dev\//,
    );

    world.inside.conduct = "silent";
    const silent = await world.failed("destroy", {
      environment: { ...impatient, TRADING_ALLOW_DATA_LOSS: "dev/another-cluster" },
    });
    await demandKept(world, silent, "export-gate", /Not sealed within 2 s/);
    assert.deepEqual(
      (await world.archived()).map((cluster) => [cluster.clusterId, cluster.opened, cluster.sealed]),
      [[clusterId, true, false]],
    );

    world.inside.conduct = "seals";
    world.hetzner.faults.add(
      once([
        onRequest("/servers/{id}", { kind: "http", status: 500 }, { method: "DELETE", when: { nth: [1] } }),
        onRequest(
          "/servers/{id}",
          { kind: "drop", moment: "after" },
          { method: "DELETE", when: { nth: [2] } },
        ),
        failingAction("delete_server", "dev-kafka-*"),
      ]),
    );
    let servers = 4;
    for (let attempt = 0; ; attempt += 1) {
      const run = await world.attempt("destroy");
      if (run === undefined) break;
      for (const { resource, operation, message } of run.failures) {
        assert.match(resource, /^nodes-/, message);
        assert.equal(operation, "delete");
        assert.match(message, /status 500|delete_server|DELETE .*\/servers/);
      }
      assert.match(run.said, /kept, because what failed stands on it/);
      const known = (await world.state())?.resources.filter(({ type }) => type.endsWith(":Server")) ?? [];
      const there = world.hetzner.project.servers();
      assert.ok(known.length >= there.length, "the state knows whatever bills");
      assert.ok(there.length <= servers && attempt < 4, "it gets less each time");
      servers = there.length;
    }
    demandHits(world);
    await world.demandEmpty();
    assert.deepEqual(
      (await world.archived()).map((cluster) => [cluster.clusterId, cluster.sealed]),
      [[clusterId, true]],
    );
  } finally {
    await world.stop();
  }
});

test("what passes by itself is waited for, up and down", async () => {
  const world = await InfrastructureWorld.start({
    store,
    faults: {
      rules: [
        ...once([
          onRequest("/networks", { kind: "error", code: "conflict" }),
          onRequest("/firewalls", { kind: "http", status: 502 }),
          onRequest("/ssh_keys", { kind: "late", ms: 700 }),
          onRequest("/servers", { kind: "error", code: "rate_limit_exceeded" }),
          onRequest("/servers/{id}/actions/poweron", { kind: "error", code: "locked" }),
          onRequest("/servers/{id}/actions/attach_to_network", { kind: "error", code: "conflict" }),
          onRequest("/actions", { kind: "http", status: 504 }, { method: "GET" }),
        ]).rules,
        { at: "action", command: "create_server", resource: "dev-kafka-1", effect: { takesMs: 2_500 } },
        { at: "action", command: "attach_to_network", resource: "dev-kafka-2", effect: { factor: 20 } },
        { at: "boot", server: "dev-kafka-0", effect: { kind: "ssh-refused", ms: 2_000 } },
        { at: "boot", server: "dev-k3s-control", effect: { kind: "ssh-refused", ms: 1_000 } },
      ],
    },
  });
  try {
    await world.up();
    await world.opened();
    await world.demandOneCluster();
    demandHits(world);

    world.hetzner.faults.remove();
    const inUse = "cannot remove subnet because servers are attached to it";
    world.hetzner.faults.add({
      rules: [
        ...once([
          onRequest("/servers/{id}", { kind: "error", code: "locked" }, { method: "DELETE" }),
          onRequest("/servers/{id}", { kind: "error", code: "conflict" }, { method: "DELETE" }),
          onRequest("/networks/{id}", { kind: "http", status: 504 }, { method: "DELETE" }),
          onRequest("/firewalls/{id}", { kind: "error", code: "rate_limit_exceeded" }, { method: "DELETE" }),
        ]).rules,
        onRequest(
          "/networks/{id}/actions/delete_subnet",
          { kind: "error", code: "service_error", message: inUse },
          { when: { times: 3 } },
        ),
        { at: "action", command: "delete_server", resource: "dev-kafka-1", effect: { takesMs: 2_500 } },
      ],
    });
    await world.destroy();
    demandHits(world);
    await world.demandEmpty();
  } finally {
    await world.stop();
  }
});

test("an up that is stopped once the cluster is opened: destroy seals it, and a network that refuses is not forgotten", async () => {
  const world = await InfrastructureWorld.start({ store });
  try {
    const stop = new AbortController();
    const stopped = world.up({
      signal: stop.signal,
      onEvent: (event) => {
        if (event.kind === "resource-finished" && event.type === "kubernetes:batch/v1:Job") stop.abort();
      },
    });
    await assert.rejects(stopped, { name: "AbortedError" });
    const clusterId = await world.opened();

    world.inside.conduct = "silent";
    const silent = await world.failed("destroy", { environment: impatient });
    await demandKept(world, silent, "opening-gate", /Not sealed within 2 s/);
    world.inside.conduct = "seals";
    world.hetzner.faults.add(
      once([
        failingAction("delete_subnet", "dev"),
        onRequest("/networks/{id}", { kind: "drop", moment: "before" }, { method: "DELETE" }),
        onRequest("/placement_groups/{id}", { kind: "error", code: "maintenance" }, { method: "DELETE" }),
        onRequest("/ssh_keys/{id}", { kind: "drop", moment: "after" }, { method: "DELETE" }),
      ]),
    );
    await untilDone(world, "destroy", {
      "network-subnet": [/action delete_subnet failed: made to fail/],
      "network-private": [/DELETE .*\/networks/, /Run it again/],
      "network-spread": [/\(maintenance\)/, /run it again later/],
      "bootstrap-administrator": [/DELETE .*\/ssh_keys/, /Run it again/],
    });
    await world.demandEmpty();
    const [cluster] = await world.archived().then((all) => all.filter((one) => one.clusterId === clusterId));
    assert.equal(cluster?.sealed, true);
  } finally {
    await world.stop();
  }
});

test("a boot that never ends, in each way: the node is named with what its log says, and destroy leaves nothing", async () => {
  const hangs = (server: string, at: "ssh" | "cloud-init" | "k3s") =>
    ({ at: "boot", server, effect: { kind: "hangs", at } }) as const;
  const world = await InfrastructureWorld.start({
    store,
    engineSpeed: 100,
    requestsPerHour: 1_000_000,
    latency: latencyModel("fast", { deadline_wait_for_nodes: 10_000, deadline_k3s_start: 6_000 }),
    faults: {
      rules: [hangs("dev-kafka-0", "ssh"), hangs("dev-kafka-1", "cloud-init"), hangs("dev-kafka-2", "k3s")],
    },
  });
  try {
    const run = await world.failed("up");
    const failed = judge(run, {
      "k3s-wait-for-kafka-0": [/cannot connect to root@[\d.]+:\d+ after \d+ attempts: .*ECONNREFUSED/],
      "k3s-wait-for-kafka-1": [/wait-for-node: (dev-)?kafka-1: cloud-init is still running after 10 s/],
      "k3s-wait-for-kafka-2": [/wait-for-node: (dev-)?kafka-2: /, /end of \/var\/log\/cloud-init-output.log/],
    });
    assert.equal(failed.length, 3, "all three are reported in one run");
    assert.equal(world.hetzner.project.servers().length, 4);
    await world.destroy();
    await world.demandEmpty();
  } finally {
    await world.stop();
  }
});
