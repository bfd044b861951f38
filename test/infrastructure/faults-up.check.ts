/** What goes wrong while the whole program goes up: the cluster comes up all the same, or says why, and nothing stays. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { LabObjectStore } from "../../lab/objectstore/index.ts";
import { failingAction, judge, once, onRequest, untilDone } from "./expectations.ts";
import { InfrastructureWorld, startBucket, type WorldOptions } from "./world.ts";

let store: LabObjectStore;
before(async () => {
  store = await startBucket();
});
after(() => store.stop());

/** Runs a test in a world of its own. */
function inWorld(
  name: string,
  options: Omit<WorldOptions, "store">,
  run: (world: InfrastructureWorld) => Promise<void>,
): void {
  test(name, async () => {
    const world = await InfrastructureWorld.start({ ...options, store });
    try {
      await run(world);
    } finally {
      await world.stop();
    }
  });
}

const ofServer = (name: string) => ({ body: { name: `dev-${name}` } });

inWorld(
  "requests that fail before the servers, lost answers among them: up again comes to one whole cluster",
  {
    faults: once([
      onRequest("/ssh_keys", { kind: "drop", moment: "after" }),
      onRequest("/placement_groups", { kind: "error", code: "maintenance" }),
      onRequest("/networks", { kind: "http", status: 503 }),
      onRequest("/firewalls", { kind: "error", code: "server_error" }),
      failingAction("add_subnet", "dev"),
    ]),
  },
  async (world) => {
    await untilDone(world, "up", {
      "bootstrap-administrator": [/\/ssh_keys/, /not known/, /looks for it by name/],
      "network-spread": [/\(maintenance\)/, /run it again later/],
      "network-private": [/status 503/, /run it again/],
      "network-firewall": [/\(server_error\)/, /run it again/],
      "network-subnet": [/action add_subnet failed: made to fail/],
    });
    await world.opened();
    await world.demandOneCluster();
    await world.destroy();
    await world.demandEmpty();
  },
);

inWorld(
  "creations of servers that fail in every way: up again comes to one whole cluster, and nothing bills twice",
  {
    faults: once([
      onRequest("/servers", { kind: "http", status: 500 }, ofServer("kafka-0")),
      onRequest("/servers", { kind: "drop", moment: "after" }, ofServer("kafka-1")),
      failingAction("create_server", "dev-kafka-2"),
      onRequest("/servers", { kind: "error", code: "service_error" }, ofServer("k3s-control")),
    ]),
  },
  async (world) => {
    await untilDone(world, "up", {
      "nodes-kafka-0": [/POST \/servers: status 500/, /run it again/],
      "nodes-kafka-1": [/POST .*\/servers/, /not known/, /looks for it by name/],
      "nodes-kafka-2": [
        /made to fail: create_server/,
        /dev-kafka-2 \(id \d+\) is there and bills/,
        /up replaces it, destroy removes it/,
      ],
      "nodes-k3s-control": [/\(service_error\)/, /run it again/],
    });
    await world.opened();
    await world.demandOneCluster();
    await world.destroy();
    await world.demandEmpty();
  },
);

inWorld(
  "servers that are there and cannot be finished: destroy removes them, though state saw them half-made",
  {
    faults: {
      rules: [
        failingAction("attach_to_network", "dev-kafka-0"),
        failingAction("start_server", "dev-kafka-1"),
        onRequest("/servers", { kind: "drop", moment: "after" }, ofServer("kafka-2")),
        onRequest("/servers", { kind: "drop", moment: "before" }, ofServer("k3s-control")),
      ],
    },
  },
  async (world) => {
    const run = await world.failed("up");
    judge(run, {
      "nodes-kafka-0": [/attach_to_network/, /dev-kafka-0 \(id \d+\) is there and bills/],
      "nodes-kafka-1": [/start_server/, /dev-kafka-1 \(id \d+\) is there and bills/],
      "nodes-kafka-2": [/not known/],
      "nodes-k3s-control": [/not known/],
    });
    assert.ok(world.hetzner.project.servers().length > 0, "some bill");
    await world.destroy();
    await world.demandEmpty();
  },
);

inWorld(
  "refusals that will not pass: each is named with what to do, and destroy leaves nothing",
  {
    faults: {
      rules: [
        onRequest("/servers", { kind: "error", code: "resource_unavailable" }, ofServer("kafka-0")),
        onRequest("/servers", { kind: "error", code: "placement_error" }, ofServer("kafka-1")),
        onRequest("/servers", { kind: "error", code: "locked" }, ofServer("kafka-2")),
        onRequest("/servers", { kind: "error", code: "conflict" }, ofServer("k3s-control")),
      ],
    },
  },
  async (world) => {
    const run = await world.failed("up");
    judge(run, {
      "nodes-kafka-0": [/\(resource_unavailable\)/, /No stock .* try another server type or location/],
      "nodes-kafka-1": [/\(placement_error\)/, /another location/],
      "nodes-kafka-2": [/\(locked\)/, /run it again/],
      "nodes-k3s-control": [/\(conflict\)/, /run it again/],
    });
    assert.ok(
      run.failures.some(({ code }) => code === "resource_unavailable" || code === "placement_error"),
      "the code is there for programs, too",
    );
    assert.match(run.said, /no cpx32 for kafka: next is nbg1\/cpx32/, "the next choice is named");
    await world.destroy();
    await world.demandEmpty();
  },
);

inWorld("an account that may have three servers", { serverLimit: 3 }, async (world) => {
  const run = await world.failed("up");
  const [failure] = run.failures;
  assert.equal(failure?.code, "resource_limit_exceeded");
  assert.match(failure.resource, /^nodes-/);
  assert.match(failure.message, /account's limit is reached: .*ask Hetzner for more/);
  assert.equal(world.hetzner.project.servers().length, 3, "what was made is there");
  await world.destroy();
  await world.demandEmpty();
});

inWorld("a wrong token, and then no stock anywhere: nothing is begun", {}, async (world) => {
  const wrong = { config: { "trading:hcloudToken": "x".repeat(64) } };
  const refused = await world.failed("up", wrong);
  assert.match(refused.failures[0]?.message ?? "", /\(unauthorized\)[\s\S]*trading:hcloudToken/);
  assert.ok(!refused.failures[0]?.message.includes("x".repeat(64)), "without the token itself");

  const wanted = ["cpx21", "cpx22", "cpx31", "cpx32", "cx23", "cx33"];
  for (const type of wanted) {
    for (const location of ["fsn1", "nbg1", "hel1"]) {
      world.hetzner.changeStock({ [type]: { [location]: "sold-out" } });
    }
  }
  const none = await world.failed("up");
  assert.match(
    none.failures[0]?.message ?? "",
    /No location offers[\s\S]*fsn1: cpx32: out of stock[\s\S]*trading:locations/,
  );
  assert.deepEqual(world.account(), []);
  await world.destroy();
  await world.demandEmpty();
});

inWorld(
  "requests that are used up in the middle: what to wait for is said",
  { requestsPerHour: 20 },
  async (world) => {
    const run = await world.failed("up");
    for (const { code, message } of run.failures) {
      assert.equal(code, "rate_limit_exceeded");
      assert.match(message, /20 requests an hour.* back at \d{4}-/);
    }
    const stuck = await world.failed("destroy");
    assert.match(stuck.failures[0]?.message ?? "", /rate_limit_exceeded/);
    for (let hours = 0; hours < 5 && (await world.state()) !== undefined; hours += 1) {
      world.hetzner.clock.advance(3_600_000);
      await world.attempt("destroy");
    }
    await world.demandEmpty();
  },
);
