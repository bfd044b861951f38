import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { durations, latencyModel } from "./durations.ts";
import type { ServerView } from "./index.ts";
import { quickLatency, startTestClient, type TestClient } from "./testing/client.ts";
import { createCluster } from "./testing/cluster.ts";

const wish = (name: string, changes: Record<string, unknown> = {}) => ({
  name,
  server_type: "cpx22",
  image: "ubuntu-24.04",
  location: "fsn1",
  ...changes,
});

describe("the life of a server", () => {
  let client: TestClient;
  let deleted: ServerView[];
  beforeEach(async () => {
    deleted = [];
    client = await startTestClient({ onServerDeleted: (server) => deleted.push(server) });
  });
  afterEach(() => client.hetzner.close());

  test("from create to delete, with every action polled as the provider does", async () => {
    const made = await client.expect(201, "POST", "/servers", wish("s1", { labels: { a: "b" } }));
    assert.deepEqual([made.server.status, made.server.locked], ["initializing", true]);
    assert.deepEqual([made.action.command, made.action.status], ["create_server", "running"]);
    assert.deepEqual(
      made.next_actions.map(({ command }) => command),
      ["start_server"],
    );
    assert.equal(typeof made.root_password, "string");
    await client.wait(made.action, ...made.next_actions);
    const path = `/servers/${made.server.id}`;
    const running = await client.expect(200, "GET", path);
    assert.deepEqual([running.server.status, running.server.locked], ["running", false]);
    const one = await client.expect(200, "GET", `/actions/${made.action.id}`);
    assert.deepEqual([one.action.status, one.action.progress, one.action.error], ["success", 100, null]);
    assert.ok(one.action.finished !== null);
    const own = await client.expect(200, "GET", `${path}/actions?sort=id`);
    assert.deepEqual(
      own.actions.map(({ command }) => command),
      ["create_server", "start_server"],
    );
    await client.expect(200, "GET", `${path}/actions/${made.action.id}`);

    const gone = await client.expect(200, "DELETE", path);
    await client.refused("not_found", "GET", path);
    await client.wait(gone.action);
    assert.deepEqual(client.hetzner.project.billable(), []);
    assert.deepEqual(client.hetzner.project.primaryIps(), []);
    assert.deepEqual(
      deleted.map(({ name, labels }) => [name, labels]),
      [["s1", { a: "b" }]],
    );
  });

  test("its name is taken; it can be renamed and found by its new name and labels", async () => {
    const made = await client.expect(201, "POST", "/servers", wish("s2"));
    const path = `/servers/${made.server.id}`;
    const error = await client.refused("uniqueness_error", "POST", "/servers", wish("s2"));
    assert.deepEqual(error.details?.fields, [{ name: "name" }]);
    await client.wait(made.action, ...made.next_actions);
    const renamed = await client.expect(200, "PUT", path, { name: "s2b", labels: { x: "" } });
    assert.deepEqual([renamed.server.name, renamed.server.labels], ["s2b", { x: "" }]);
    const found = await client.expect(200, "GET", "/servers?name=s2b&label_selector=x");
    assert.equal(found.servers.length, 1);
  });

  test("power: off, on, reboot, and a shutdown that takes effect after its action", async () => {
    const made = await client.expect(201, "POST", "/servers", wish("s3", { start_after_create: false }));
    assert.deepEqual(made.next_actions, []);
    await client.wait(made.action);
    const path = `/servers/${made.server.id}`;
    const status = async () => (await client.expect(200, "GET", path)).server.status;
    const act = async (name: string) =>
      client.wait((await client.expect(201, "POST", `${path}/actions/${name}`)).action);
    assert.equal(await status(), "off");
    await act("poweron");
    assert.equal(await status(), "running");
    await act("reboot");
    await act("reset");
    assert.equal(await status(), "running");
    await act("poweroff");
    assert.equal(await status(), "off");
    await act("poweron");
    await act("shutdown");
    const deadline = Date.now() + 10_000;
    while ((await status()) !== "off") assert.ok(Date.now() < deadline, "the server did not shut down");
  });

  test("protection: a protected server cannot be deleted", async () => {
    const made = await client.expect(201, "POST", "/servers", wish("s4"));
    await client.wait(made.action, ...made.next_actions);
    const path = `/servers/${made.server.id}`;
    const protect = async (on: boolean) =>
      client.wait(
        (await client.expect(201, "POST", `${path}/actions/change_protection`, { delete: on, rebuild: on }))
          .action,
      );
    await client.refused("invalid_input", "POST", `${path}/actions/change_protection`, { delete: true });
    await protect(true);
    await client.refused("protected", "DELETE", path);
    await protect(false);
    await client.expect(200, "DELETE", path);
  });

  test("progress grows while an action runs", async () => {
    const slow = await startTestClient({ latency: quickLatency({ create_server: 60_000 }) });
    try {
      const { action } = await slow.expect(201, "POST", "/servers", wish("slow"));
      const progress = async () =>
        (await slow.expect(200, "GET", `/actions?id=${action.id}`)).actions[0]?.progress ?? 0;
      const deadline = Date.now() + 10_000;
      while ((await progress()) < 1) assert.ok(Date.now() < deadline, "no progress in 10 s");
      assert.ok((await progress()) < 100);
    } finally {
      await slow.hetzner.close();
    }
  });

  test("asking for all actions was removed; an unknown id is missing from the answer", async () => {
    await client.refused("deprecated_api_endpoint", "GET", "/actions");
    const { actions } = await client.expect(200, "GET", "/actions?id=1&page=1&sort=status&sort=id");
    assert.deepEqual(actions, []);
  });
});

describe("while an action runs", () => {
  /** An action that does not end during a test. */
  const endless = 600_000;

  test("a server that is being started is locked", async () => {
    const client = await startTestClient({ latency: quickLatency({ start_server: endless }) });
    try {
      const { network } = await client.expect(201, "POST", "/networks", {
        name: "n",
        ip_range: "10.0.0.0/16",
      });
      const made = await client.expect(201, "POST", "/servers", wish("s"));
      const path = `/servers/${made.server.id}`;
      await client.wait(made.action);
      for (const action of ["poweroff", "reboot", "attach_to_network"]) {
        await client.refused("locked", "POST", `${path}/actions/${action}`, { network: network.id });
      }
      await client.refused("locked", "DELETE", path);
      assert.equal((await client.expect(200, "GET", path)).server.locked, true);
    } finally {
      await client.hetzner.close();
    }
  });

  test("a server that is being deleted is gone from the API, but bills and holds what it used", async () => {
    let deleted = 0;
    const client = await startTestClient({
      latency: quickLatency({ delete_server: endless }),
      onServerDeleted: () => (deleted += 1),
    });
    try {
      const { ids } = await createCluster(client);
      const [first = 0] = ids.servers;
      await client.expect(200, "DELETE", `/servers/${first}`);
      await client.refused("not_found", "GET", `/servers/${first}`);
      assert.equal((await client.expect(200, "GET", "/servers")).servers.length, 3);
      assert.equal(client.hetzner.project.billable().length, 8);
      assert.equal(deleted, 0);
      for (const id of ids.servers.slice(1)) await client.expect(200, "DELETE", `/servers/${id}`);
      const subnet = `/networks/${ids.network}/actions/delete_subnet`;
      await client.refused("service_error", "POST", subnet, { ip_range: "10.0.1.0/24" });
      await client.refused("resource_in_use", "DELETE", `/firewalls/${ids.firewall}`);
      await client.refused("resource_in_use", "DELETE", `/placement_groups/${ids.placementGroup}`);
      // Its name is free at once.
      await client.expect(201, "POST", "/servers", wish("dev-k3s-control"));
    } finally {
      await client.hetzner.close();
    }
  });

  test("a network that is being changed answers other changes with conflict", async () => {
    const client = await startTestClient({ latency: quickLatency({ add_subnet: endless }) });
    try {
      const { network } = await client.expect(201, "POST", "/networks", {
        name: "n",
        ip_range: "10.0.0.0/16",
      });
      const path = `/networks/${network.id}`;
      const subnet = { type: "cloud", network_zone: "eu-central" };
      await client.expect(201, "POST", `${path}/actions/add_subnet`, subnet);
      await client.refused("conflict", "POST", `${path}/actions/add_subnet`, subnet);
      await client.refused("conflict", "PUT", path, { name: "other" });
      await client.refused("conflict", "DELETE", path);
    } finally {
      await client.hetzner.close();
    }
  });
});

describe("a server that cannot be made is refused, and nothing is left of it", () => {
  let client: TestClient;
  before(async () => (client = await startTestClient({ serverLimit: 12 })));
  after(() => client.hetzner.close());

  const refused = async (code: string, changes: Record<string, unknown>) => {
    const before = client.hetzner.project.billable().length;
    const error = await client.refused(code, "POST", "/servers", wish("refused", changes));
    assert.equal(client.hetzner.project.billable().length, before);
    return error.details?.fields?.map(({ name }) => name);
  };

  test("wrong choices, all named at once", async () => {
    assert.deepEqual(
      await refused("invalid_input", { server_type: "cpx99", image: "beos", location: "mars" }),
      ["server_type", "image", "location"],
    );
    assert.deepEqual(await refused("invalid_input", { server_type: "cpx31" }), ["server_type"]);
    assert.deepEqual(await refused("invalid_input", { server_type: "cpx32", location: "ash" }), [
      "server_type",
    ]);
    assert.deepEqual(await refused("invalid_input", { image: "161547270" }), ["image"]);
    assert.deepEqual(await refused("invalid_input", { datacenter: "fsn1-dc14" }), ["datacenter"]);
    assert.deepEqual(await refused("invalid_input", { user_data: "x".repeat(32_769) }), ["user_data"]);
    assert.deepEqual(await refused("invalid_input", { labels: { when: "10:00" } }), ["labels"]);
    await refused("resource_unavailable", { server_type: "cx33" });
  });

  test("things that are not there", async () => {
    await refused("not_found", { ssh_keys: ["nobody"] });
    await refused("not_found", { networks: [1] });
    await refused("not_found", { firewalls: [{ firewall: 1 }] });
    await refused("not_found", { placement_group: 1 });
    await refused("invalid_input", { public_net: { enable_ipv4: false, enable_ipv6: false } });
  });

  test("a full placement group, a full account", async () => {
    const { placement_group: group } = await client.expect(201, "POST", "/placement_groups", {
      name: "g",
      type: "spread",
    });
    for (let number = 0; number < 10; number += 1) {
      await client.expect(201, "POST", "/servers", wish(`m${number}`, { placement_group: group.id }));
    }
    await refused("placement_error", { placement_group: group.id });
    await client.refused("resource_in_use", "DELETE", `/placement_groups/${group.id}`);
    await client.expect(201, "POST", "/servers", wish("m10"));
    await client.expect(201, "POST", "/servers", wish("m11"));
    await refused("resource_limit_exceeded", {});
  });
});

describe("private networks of servers", () => {
  let client: TestClient;
  before(async () => (client = await startTestClient()));
  after(() => client.hetzner.close());

  test("fixed addresses, automatic ones, reserved and taken ones", async () => {
    const subnet = { type: "cloud", network_zone: "eu-central", ip_range: "10.0.0.0/28" };
    const { network } = await client.expect(201, "POST", "/networks", {
      name: "n",
      ip_range: "10.0.0.0/16",
      subnets: [subnet],
    });
    const made = await client.expect(201, "POST", "/servers", wish("a", { networks: [network.id] }));
    assert.deepEqual(
      made.next_actions.map(({ command }) => command),
      ["start_server", "attach_to_network"],
    );
    assert.deepEqual(made.server.private_net, []);
    await client.wait(made.action, ...made.next_actions);
    const first = await client.expect(200, "GET", `/servers/${made.server.id}`);
    // 10.0.0.0 is the subnet's own address, 10.0.0.1 the network's gateway.
    assert.deepEqual(
      first.server.private_net.map(({ ip }) => ip),
      ["10.0.0.2"],
    );
    await client.refused(
      "server_already_attached",
      "POST",
      `/servers/${made.server.id}/actions/attach_to_network`,
      {
        network: network.id,
      },
    );

    const second = await client.expect(201, "POST", "/servers", wish("b"));
    await client.wait(second.action, ...second.next_actions);
    const attach = `/servers/${second.server.id}/actions/attach_to_network`;
    for (const ip of ["10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.15", "10.0.9.9"]) {
      await client.refused("ip_not_available", "POST", attach, { network: network.id, ip });
    }
    const { action } = await client.expect(201, "POST", attach, {
      network: network.id,
      ip: "10.0.0.9",
      alias_ips: [],
    });
    await client.wait(action);
    const read = await client.expect(200, "GET", `/networks/${network.id}`);
    assert.deepEqual(read.network.servers, [made.server.id, second.server.id]);

    const subnetPath = `/networks/${network.id}/actions/delete_subnet`;
    await client.refused("service_error", "POST", subnetPath, { ip_range: "10.0.0.0/28" });
    const aliases = await client.expect(
      201,
      "POST",
      `/servers/${second.server.id}/actions/change_alias_ips`,
      {
        network: network.id,
        alias_ips: ["10.0.0.10"],
      },
    );
    await client.wait(aliases.action);
    const detached = await client.expect(
      201,
      "POST",
      `/servers/${second.server.id}/actions/detach_from_network`,
      {
        network: network.id,
      },
    );
    await client.wait(detached.action);
    const gone = await client.expect(200, "DELETE", `/servers/${made.server.id}`);
    await client.wait(gone.action);
    await client.wait((await client.expect(201, "POST", subnetPath, { ip_range: "10.0.0.0/28" })).action);
  });

  test("a network in another zone has no subnet for the server", async () => {
    const { network } = await client.expect(201, "POST", "/networks", {
      name: "us",
      ip_range: "10.8.0.0/16",
      subnets: [{ type: "cloud", network_zone: "us-east", ip_range: "10.8.0.0/24" }],
    });
    await client.refused("no_subnet_available", "POST", "/servers", wish("c", { networks: [network.id] }));
    assert.ok(client.hetzner.project.billable().every(({ name }) => name !== "c"));
  });
});

describe("the bill", () => {
  test("a cluster costs what its servers and IPv4 addresses cost, until they are gone", async () => {
    const client = await startTestClient();
    try {
      const cluster = await createCluster(client);
      const items = client.hetzner.project.billable();
      const perHour = items.reduce((sum, { pricePerHour }) => sum + pricePerHour, 0);
      assert.equal(items.length, 8);
      assert.ok(Math.abs(perHour - (3 * 0.0569 + 0.0312 + 4 * 0.0008)) < 1e-9);
      for (const id of cluster.ids.servers)
        await client.wait((await client.expect(200, "DELETE", `/servers/${id}`)).action);
      await client.expect(204, "DELETE", `/firewalls/${cluster.ids.firewall}`);
      await client.expect(204, "DELETE", `/placement_groups/${cluster.ids.placementGroup}`);
      const subnet = await client.expect(
        201,
        "POST",
        `/networks/${cluster.ids.network}/actions/delete_subnet`,
        {
          ip_range: "10.0.1.0/24",
        },
      );
      await client.wait(subnet.action);
      await client.expect(204, "DELETE", `/networks/${cluster.ids.network}`);
      await client.expect(204, "DELETE", `/ssh_keys/${cluster.ids.sshKey}`);
      const { project } = client.hetzner;
      assert.deepEqual(project.billable(), []);
      const left = [
        project.servers(),
        project.networks(),
        project.firewalls(),
        project.sshKeys(),
        project.primaryIps(),
      ];
      assert.deepEqual(left.flat(), []);
    } finally {
      await client.hetzner.close();
    }
  });
});

test("the fast model keeps each action under a second and a boot under two", () => {
  const fast = latencyModel("fast");
  for (const step of Object.keys(durations) as (keyof typeof durations)[]) {
    if (!step.startsWith("deadline_")) assert.ok(fast.duration(step, "server/1") < 1_000, step);
    assert.ok(latencyModel("model").duration(step, "server/1") >= fast.duration(step, "server/1"), step);
  }
  const boot = [
    "create_server",
    "start_server",
    "boot_until_ssh",
    "boot_until_runcmd",
    "install_k3s",
    "k3s_server_ready",
  ] as const;
  const total =
    boot.reduce((sum, step) => sum + fast.duration(step, "server/1"), 0) +
    fast.duration("k3s_agent_ready", "server/1");
  assert.ok(total < 2_000);
});
