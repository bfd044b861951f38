import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { newKeyPair, quickLatency, startTestClient, type TestClient } from "./testing/client.ts";

let client: TestClient;
before(async () => (client = await startTestClient()));
after(() => client.hetzner.close());

describe("SSH keys", () => {
  test("are made, found, renamed and deleted; the fingerprint is the MD5 of the key", async () => {
    // The key and its fingerprint as `ssh-keygen -E md5 -lf` prints it.
    const publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f test";
    const made = await client.expect(201, "POST", "/ssh_keys", { name: "k", public_key: `${publicKey}\n` });
    assert.equal(made.ssh_key.public_key, publicKey);
    assert.equal(made.ssh_key.fingerprint, "0f:a2:0a:d7:38:3e:65:45:08:6b:63:84:1c:ff:dc:ba");
    const path = `/ssh_keys/${made.ssh_key.id}`;
    const found = await client.expect(200, "GET", `/ssh_keys?fingerprint=${made.ssh_key.fingerprint}`);
    assert.deepEqual(found.ssh_keys, [made.ssh_key]);
    await client.expect(200, "PUT", path, { name: "renamed", labels: { a: "b" } });
    const read = await client.expect(200, "GET", path);
    assert.deepEqual([read.ssh_key.name, read.ssh_key.labels], ["renamed", { a: "b" }]);
    await client.expect(204, "DELETE", path);
    await client.refused("not_found", "GET", path);
  });

  test("are refused when they are no public keys, or not unique by name or key", async () => {
    const pair = newKeyPair();
    await client.expect(201, "POST", "/ssh_keys", { name: "one", public_key: pair.public });
    for (const wrong of ["", "ssh-ed25519 AAAA", pair.private]) {
      await client.refused("invalid_input", "POST", "/ssh_keys", { name: "wrong", public_key: wrong });
    }
    const same = await client.refused("uniqueness_error", "POST", "/ssh_keys", {
      name: "two",
      public_key: pair.public,
    });
    assert.deepEqual(same.details?.fields, [{ name: "public_key" }]);
    const other = newKeyPair().public;
    await client.refused("uniqueness_error", "POST", "/ssh_keys", { name: "one", public_key: other });
  });
});

describe("networks", () => {
  const create = (name: string, range = "10.0.0.0/16") =>
    client.expect(201, "POST", "/networks", { name, ip_range: range });
  const subnet = (range?: string, zone = "eu-central", type = "cloud") => ({
    type,
    network_zone: zone,
    ...(range === undefined ? {} : { ip_range: range }),
  });

  test("get subnets by actions; the gateway is the network's first address", async () => {
    const { network } = await create("n1");
    const path = `/networks/${network.id}`;
    const { action } = await client.expect(201, "POST", `${path}/actions/add_subnet`, subnet("10.0.1.0/24"));
    assert.deepEqual([action.command, action.status], ["add_subnet", "running"]);
    assert.deepEqual(action.resources, [{ id: network.id, type: "network" }]);
    await client.wait(action);
    const free = await client.expect(201, "POST", `${path}/actions/add_subnet`, subnet());
    await client.wait(free.action);
    const read = await client.expect(200, "GET", path);
    assert.deepEqual(
      read.network.subnets.map(({ ip_range, gateway }) => [ip_range, gateway]),
      [
        ["10.0.1.0/24", "10.0.0.1"],
        ["10.0.0.0/24", "10.0.0.1"],
      ],
    );
    const gone = await client.expect(201, "POST", `${path}/actions/delete_subnet`, {
      ip_range: "10.0.1.0/24",
    });
    await client.wait(gone.action);
    assert.equal((await client.expect(200, "GET", path)).network.subnets.length, 1);
    await client.refused("not_found", "POST", `${path}/actions/delete_subnet`, { ip_range: "10.0.1.0/24" });
  });

  test("refuse ranges that are public, too small or no ranges, and subnets that do not fit", async () => {
    for (const range of ["8.8.0.0/16", "10.0.0.0/25", "10.0.0.1/16", "10.0.0.0", "::/64"]) {
      const error = await client.refused("invalid_input", "POST", "/networks", {
        name: "wrong",
        ip_range: range,
      });
      assert.equal(error.details?.fields?.[0]?.name, "ip_range", range);
    }
    const { network } = await create("n2");
    const add = `/networks/${network.id}/actions/add_subnet`;
    const { action } = await client.expect(201, "POST", add, subnet("10.0.1.0/24"));
    await client.wait(action);
    for (const [wrong, field] of [
      [subnet("10.0.1.128/25"), "ip_range"],
      [subnet("10.1.0.0/24"), "ip_range"],
      [subnet("10.0.2.0/31"), "ip_range"],
      [subnet("10.0.2.0/24", "mars"), "network_zone"],
      [subnet("10.0.2.0/24", "eu-central", "tunnel"), "type"],
    ] as const) {
      const error = await client.refused("invalid_input", "POST", add, wrong);
      assert.equal(error.details?.fields?.[0]?.name, field);
    }
    await client.refused("unsupported_error", "POST", add, subnet("10.0.2.0/24", "eu-central", "vswitch"));
    await client.refused("uniqueness_error", "POST", "/networks", { name: "n2", ip_range: "10.0.0.0/16" });
  });

  test("have routes, can be extended, and are protected from deletion on request", async () => {
    const { network } = await create("n3", "10.4.0.0/16");
    const path = `/networks/${network.id}`;
    const act = async (name: string, body: unknown) =>
      client.wait((await client.expect(201, "POST", `${path}/actions/${name}`, body)).action);
    const route = { destination: "192.168.0.0/24", gateway: "10.4.1.1" };
    await act("add_route", route);
    await client.refused("invalid_input", "POST", `${path}/actions/add_route`, route);
    await act("change_ip_range", { ip_range: "10.4.0.0/15" });
    await client.refused("invalid_input", "POST", `${path}/actions/change_ip_range`, {
      ip_range: "10.4.0.0/16",
    });
    await act("change_protection", { delete: true });
    await client.refused("protected", "DELETE", path);
    const read = await client.expect(200, "GET", path);
    assert.deepEqual([read.network.routes, read.network.ip_range], [[route], "10.4.0.0/15"]);
    await act("delete_route", route);
    await act("change_protection", { delete: false });
    await client.expect(204, "DELETE", path);
  });
});

describe("networks, in particular", () => {
  test("a route's gateway is not the network's own, and 172.31.1.1 is nobody's", async () => {
    // As slow as they must be to be seen, whatever the machine is doing.
    const hour = 3_600_000;
    const latency = quickLatency({ attach_to_network: hour, detach_from_network: hour });
    const client = await startTestClient({ latency });
    const subnets = [{ type: "cloud", network_zone: "eu-central", ip_range: "172.31.1.0/24" }];
    const made = await client.expect(201, "POST", "/networks", {
      name: "n5",
      ip_range: "172.31.0.0/16",
      subnets,
    });
    const path = `/networks/${made.network.id}`;
    const route = { destination: "192.168.0.0/24", gateway: "172.31.0.1" };
    await client.refused("invalid_input", "POST", `${path}/actions/add_route`, route);
    const { server } = await client.expect(201, "POST", "/servers", {
      name: "member",
      server_type: "cpx22",
      image: "debian-12",
      networks: [made.network.id],
    });
    const members = async () => {
      const { body } = await client.request("GET", `${path}/members`);
      return (body as unknown as { members: { id: number; ip: string; status: string; subnet: string }[] })
        .members;
    };
    // The first free address would be .1.
    const expected = {
      type: "server",
      id: server.id,
      ip: "172.31.1.2",
      alias_ips: [],
      subnet: "172.31.1.0/24",
    };
    assert.deepEqual(await members(), [{ ...expected, status: "attaching" }]);
    const { actions } = await client.expect(200, "GET", `/servers/${server.id}/actions`);
    // The attachment begins when the creation has ended.
    await client.wait(...actions.filter(({ command }) => command !== "attach_to_network"));
    client.hetzner.clock.advance(hour);
    await client.wait(...actions);
    assert.deepEqual(await members(), [{ ...expected, status: "ok" }]);
    const attach = { network: made.network.id, ip: "172.31.1.1" };
    const detached = await client.expect(201, "POST", `/servers/${server.id}/actions/detach_from_network`, {
      network: made.network.id,
    });
    assert.equal((await members())[0]?.status, "detaching");
    client.hetzner.clock.advance(hour);
    await client.wait(detached.action);
    await client.refused(
      "ip_not_available",
      "POST",
      `/servers/${server.id}/actions/attach_to_network`,
      attach,
    );
    await client.hetzner.close();
  });

  test("deleting one detaches its servers, which go on in their other networks", async () => {
    const client = await startTestClient({ latency: quickLatency({}) });
    const make = async (name: string, ip_range: string) =>
      (
        await client.expect(201, "POST", "/networks", {
          name,
          ip_range,
          subnets: [{ type: "cloud", network_zone: "eu-central", ip_range }],
        })
      ).network;
    const [going, staying] = [await make("going", "10.7.0.0/24"), await make("staying", "10.8.0.0/24")];
    const { server } = await client.expect(201, "POST", "/servers", {
      name: "member",
      server_type: "cpx22",
      image: "debian-12",
      networks: [going.id, staying.id],
    });
    const { actions } = await client.expect(200, "GET", `/servers/${server.id}/actions`);
    await client.wait(...actions);
    const attachedTo = async (): Promise<number[]> =>
      (await client.expect(200, "GET", `/servers/${server.id}`)).server.private_net.map(
        ({ network }) => network,
      );
    assert.deepEqual(await attachedTo(), [going.id, staying.id]);
    await client.refused("service_error", "POST", `/networks/${going.id}/actions/delete_subnet`, {
      ip_range: "10.7.0.0/24",
    });
    await client.expect(204, "DELETE", `/networks/${going.id}`);
    assert.deepEqual(await attachedTo(), [staying.id]);
    await client.hetzner.close();
  });

  test("hold 50 subnets and 100 routes; a project 50 firewalls and 50 placement groups", async () => {
    const range = (index: number) => `10.6.${index}.0/24`;
    const subnets = Array.from({ length: 51 }, (_, index) => ({
      type: "cloud",
      network_zone: "eu-central",
      ip_range: range(index),
    }));
    const routes = Array.from({ length: 101 }, (_, index) => ({
      destination: `192.168.${index}.0/24`,
      gateway: "10.6.1.1",
    }));
    const wish = { name: "n6", ip_range: "10.6.0.0/16" };
    for (const much of [{ subnets }, { routes }])
      await client.refused("resource_limit_exceeded", "POST", "/networks", { ...wish, ...much });
    const most = { subnets: subnets.slice(1), routes: routes.slice(1) };
    const { network } = await client.expect(201, "POST", "/networks", { ...wish, ...most });
    await client.expect(204, "DELETE", `/networks/${network.id}`);
    for (const [path, body] of [
      ["/firewalls", {}],
      ["/placement_groups", { type: "spread" }],
    ] as const) {
      const held = await client.request("GET", path);
      const ids: number[] = [];
      for (let count = held.body.meta.pagination.total_entries; count < 50; count += 1) {
        const { firewall, placement_group: group } = await client.expect(201, "POST", path, {
          name: `x${count}`,
          ...body,
        });
        ids.push((firewall ?? group).id);
      }
      await client.refused("resource_limit_exceeded", "POST", path, { name: "one-more", ...body });
      for (const id of ids) await client.expect(204, "DELETE", `${path}/${id}`);
    }
  });
});

describe("firewalls", () => {
  const rule = (changes: Record<string, unknown> = {}) => ({
    direction: "in",
    protocol: "tcp",
    port: "22",
    source_ips: ["10.0.0.0/8", "::/0"],
    description: "SSH",
    ...changes,
  });

  test("take rules and give them back as the API shows them", async () => {
    const made = await client.expect(201, "POST", "/firewalls", { name: "f1", rules: [rule()] });
    assert.deepEqual(made.firewall.rules, [{ ...rule(), destination_ips: [] }]);
    assert.deepEqual(
      made.actions.map(({ command }) => command),
      ["set_firewall_rules"],
    );
    const out = rule({
      direction: "out",
      source_ips: [],
      destination_ips: ["0.0.0.0/0"],
      protocol: "icmp",
      port: null,
    });
    const path = `/firewalls/${made.firewall.id}`;
    const set = await client.expect(201, "POST", `${path}/actions/set_rules`, { rules: [out] });
    await client.wait(...set.actions);
    assert.deepEqual((await client.expect(200, "GET", path)).firewall.rules, [out]);
    await client.expect(204, "DELETE", path);
  });

  test("refuse rules that make no sense, each with the path of its field", async () => {
    for (const [wrong, field] of [
      [rule({ port: undefined }), "rules.0.port"],
      [rule({ port: "0" }), "rules.0.port"],
      [rule({ port: "90-80" }), "rules.0.port"],
      [rule({ protocol: "icmp" }), "rules.0.port"],
      [rule({ source_ips: [] }), "rules.0.source_ips"],
      [rule({ source_ips: ["10.0.0.1/8"] }), "rules.0.source_ips.0"],
      [rule({ direction: "both" }), "rules.0.direction"],
      [rule({ destination_ips: ["0.0.0.0/0"] }), "rules.0.destination_ips"],
    ] as const) {
      const error = await client.refused("invalid_input", "POST", "/firewalls", {
        name: "wrong",
        rules: [wrong],
      });
      assert.deepEqual(
        error.details?.fields?.map(({ name }) => name),
        [field],
      );
    }
  });

  test("apply to servers by name and by label, and are in use as long as they do", async () => {
    const { server } = await client.expect(201, "POST", "/servers", {
      name: "web",
      server_type: "cpx22",
      image: "debian-12",
      labels: { role: "web" },
    });
    const made = await client.expect(201, "POST", "/firewalls", {
      name: "f2",
      apply_to: [{ type: "server", server: { id: server.id } }],
    });
    await client.wait(...made.actions);
    const path = `/firewalls/${made.firewall.id}`;
    const firewalls = async () =>
      (await client.expect(200, "GET", `/servers/${server.id}`)).server.public_net.firewalls;
    assert.deepEqual(await firewalls(), [{ id: made.firewall.id, status: "applied" }]);
    await client.refused("resource_in_use", "DELETE", path);
    const direct = { type: "server", server: { id: server.id } };
    await client.refused("firewall_already_applied", "POST", `${path}/actions/apply_to_resources`, {
      apply_to: [direct],
    });
    const nobody = { type: "server", server: { id: 1 } };
    await client.refused("firewall_resource_not_found", "POST", `${path}/actions/apply_to_resources`, {
      apply_to: [nobody],
    });
    const removed = await client.expect(201, "POST", `${path}/actions/remove_from_resources`, {
      remove_from: [direct],
    });
    await client.wait(...removed.actions);
    assert.deepEqual(await firewalls(), []);

    const selector = { type: "label_selector", label_selector: { selector: "role=web" } };
    const applied = await client.expect(201, "POST", `${path}/actions/apply_to_resources`, {
      apply_to: [selector],
    });
    await client.wait(...applied.actions);
    assert.deepEqual(await firewalls(), [{ id: made.firewall.id, status: "applied" }]);
    const read = await client.expect(200, "GET", path);
    assert.deepEqual(read.firewall.applied_to, [
      { ...selector, applied_to_resources: [{ type: "server", server: { id: server.id } }] },
    ]);
    await client.refused(
      "firewall_managed_by_label_selector",
      "POST",
      `${path}/actions/remove_from_resources`,
      {
        remove_from: [direct],
      },
    );
    const ended = await client.expect(201, "POST", `${path}/actions/remove_from_resources`, {
      remove_from: [selector],
    });
    await client.wait(...ended.actions);
    await client.expect(204, "DELETE", path);
  });
});

describe("primary IPs", () => {
  test("are made in a location, assigned to servers that are off, and deleted only when unassigned", async () => {
    const wish = { name: "ip", type: "ipv4", assignee_type: "server", location: "nbg1" };
    const { primary_ip: ip } = await client.expect(201, "POST", "/primary_ips", wish);
    assert.match(ip.ip, /^127\.64\./);
    assert.deepEqual([ip.location.name, ip.auto_delete, ip.assignee_id], ["nbg1", false, null]);
    const path = `/primary_ips/${ip.id}`;
    const made = await client.expect(201, "POST", "/servers", {
      name: "with-own-ip",
      server_type: "cpx22",
      image: "debian-12",
      location: "nbg1",
      start_after_create: false,
      public_net: { enable_ipv4: true, enable_ipv6: false, ipv4: ip.id },
    });
    await client.wait(made.action);
    assert.equal(made.server.public_net.ipv4?.ip, ip.ip);
    assert.equal(made.server.public_net.ipv6, null);
    await client.refused("must_be_unassigned", "DELETE", path);
    const unassigned = await client.expect(201, "POST", `${path}/actions/unassign`);
    await client.wait(unassigned.action);
    const again = await client.expect(201, "POST", `${path}/actions/assign`, {
      assignee_id: made.server.id,
      assignee_type: "server",
    });
    await client.wait(again.action);
    const deleted = await client.expect(200, "DELETE", `/servers/${made.server.id}`);
    await client.wait(deleted.action);
    const kept = await client.expect(200, "GET", path);
    assert.equal(kept.primary_ip.assignee_id, null);
    await client.expect(204, "DELETE", path);
  });
});

describe("what was removed or is not simulated", () => {
  test("datacenters are gone, and the actions of what is gone; other requests of a server are refused by name", async () => {
    for (const path of ["/datacenters", "/datacenters/1"]) {
      await client.refused("deprecated_api_endpoint", "GET", path);
      assert.equal((await client.request("GET", path)).status, 410);
    }
    await client.refused("not_found", "GET", "/servers/1/actions");
    const made = await client.expect(201, "POST", "/servers", {
      name: "plain",
      server_type: "cpx22",
      image: "debian-12",
    });
    for (const name of ["rebuild", "change_type", "enable_rescue"]) {
      const error = await client.refused(
        "unsupported_error",
        "POST",
        `/servers/${made.server.id}/actions/${name}`,
      );
      assert.match(error.message, new RegExp(name));
    }
  });

  test("taking a firewall off what it is not applied to does nothing", async () => {
    const { firewall } = await client.expect(201, "POST", "/firewalls", { name: "idle" });
    const { server } = await client.expect(201, "POST", "/servers", {
      name: "bare",
      server_type: "cpx22",
      image: "debian-12",
    });
    const nothing = await client.expect(
      201,
      "POST",
      `/firewalls/${firewall.id}/actions/remove_from_resources`,
      {
        remove_from: [
          { type: "server", server: { id: server.id } },
          { type: "label_selector", label_selector: { selector: "a=b" } },
        ],
      },
    );
    assert.deepEqual(nothing.actions, []);
    await client.expect(204, "DELETE", `/firewalls/${firewall.id}`);
  });
});

describe("the catalog", () => {
  test("first-generation CPX cannot be ordered in the EU but can in the US; its successors the other way round", async () => {
    const { server_types: types } = await client.expect(200, "GET", "/server_types?per_page=50");
    const orderable = (name: string) =>
      types
        .find((type) => type.name === name)
        ?.locations.filter(({ available, deprecation }) => available && deprecation === null)
        .map((location) => location.name);
    assert.deepEqual(orderable("cpx31"), ["ash", "hil", "sin"]);
    assert.deepEqual(orderable("cpx21"), ["ash", "hil", "sin"]);
    assert.deepEqual(orderable("cpx32"), ["fsn1", "nbg1", "hel1"]);
    const cpx31 = types.find(({ name }) => name === "cpx31");
    assert.equal(
      cpx31?.locations.find(({ name }) => name === "fsn1")?.deprecation?.announced,
      "2025-10-16T06:00:00+00:00",
    );
  });

  test("names find one; images also by architecture, deprecated ones only on request", async () => {
    const { server_types: types } = await client.expect(200, "GET", "/server_types?name=cpx32");
    assert.deepEqual(
      types.map(({ name, cores, memory }) => [name, cores, memory]),
      [["cpx32", 4, 8]],
    );
    await client.expect(200, "GET", `/server_types/${types[0]?.id}`);
    const query = "architecture=x86&include_deprecated=true&name=ubuntu-24.04";
    const { images } = await client.expect(200, "GET", `/images?${query}`);
    assert.deepEqual(
      images.map(({ name, architecture }) => [name, architecture]),
      [["ubuntu-24.04", "x86"]],
    );
    const current = await client.expect(200, "GET", "/images?name=debian-11");
    assert.deepEqual(current.images, []);
    const { locations } = await client.expect(200, "GET", "/locations");
    assert.deepEqual(
      locations.map(({ name }) => name),
      ["fsn1", "nbg1", "hel1", "ash", "hil", "sin"],
    );
  });

  test("prices agree with the bill", async () => {
    const { pricing } = await client.expect(200, "GET", "/pricing");
    const cpx32 = pricing.server_types.find(({ name }) => name === "cpx32");
    assert.equal(Number(cpx32?.prices.find(({ location }) => location === "fsn1")?.price_hourly.net), 0.0569);
  });
});
