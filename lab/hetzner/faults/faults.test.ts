import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { HetznerArguments } from "../index.ts";
import {
  newKeyPair,
  quickLatency,
  runOverSsh,
  runWhenBooted,
  startTestClient,
  type TestClient,
} from "../testing/client.ts";
import { nodeUserData } from "../testing/cluster.ts";
import { Faults } from "./faults.ts";
import { type FaultPlan, FaultPlanError, type FaultRule } from "./rules.ts";

/** Runs a test against a simulator in which these rules hold from the start. */
async function withFaults(
  rules: readonly FaultRule[],
  run: (client: TestClient) => Promise<void>,
  args: HetznerArguments = {},
): Promise<void> {
  const client = await startTestClient({ faults: { rules }, ...args });
  try {
    await run(client);
  } finally {
    await client.hetzner.close();
  }
}

const server = (name: string, changes: Record<string, unknown> = {}) => ({
  name,
  server_type: "cpx32",
  image: "ubuntu-24.04",
  location: "fsn1",
  ...changes,
});
const hits = (client: TestClient) => client.hetzner.faults.report().map(({ hit }) => hit);

describe("faults of requests", () => {
  test("refusals of every kind, for chosen calls only; nothing is done and nothing bills", async () => {
    const codes = [
      "resource_unavailable",
      "resource_limit_exceeded",
      "conflict",
      "locked",
      "placement_error",
      "server_error",
      "maintenance",
    ] as const;
    const rules = codes.map((code, index): FaultRule => ({
      at: "request",
      method: "POST",
      path: "/servers",
      when: { nth: [index + 1] },
      effect: { kind: "error", code },
    }));
    await withFaults(rules, async (client) => {
      for (const code of codes) await client.refused(code, "POST", "/servers", server("s"));
      assert.deepEqual(client.hetzner.project.bill().items, []);
      await client.expect(200, "GET", "/servers");
      await client.expect(201, "POST", "/servers", server("s"));
      assert.ok(client.hetzner.faults.report().every(({ fitted, hit }) => fitted === 8 && hit === 1));
    });
  });

  test("no stock for one type in one place, however often it is tried, though the list says available", async () => {
    const rule: FaultRule = {
      at: "request",
      path: "/servers",
      body: { server_type: "cpx3*", location: "fsn1" },
      effect: { kind: "error", code: "resource_unavailable" },
    };
    await withFaults([rule], async (client) => {
      await client.refused("resource_unavailable", "POST", "/servers", server("a"));
      await client.refused("resource_unavailable", "POST", "/servers", server("a"));
      const { server_types: types } = await client.expect(200, "GET", "/server_types?name=cpx32");
      assert.equal(types[0]?.locations.find(({ name }) => name === "fsn1")?.available, true);
      await client.expect(201, "POST", "/servers", server("a", { location: "nbg1" }));
      await client.expect(201, "POST", "/servers", server("b", { server_type: "cpx22" }));
    });
  });

  test("429 with the headers of an empty limit; 5xx of a proxy without the API's body", async () => {
    const rules: FaultRule[] = [
      { at: "request", when: { times: 1 }, effect: { kind: "error", code: "rate_limit_exceeded" } },
      { at: "request", when: { nth: [2] }, effect: { kind: "http", status: 502 } },
    ];
    await withFaults(rules, async (client) => {
      const limited = await client.request("GET", "/servers");
      assert.deepEqual([limited.status, limited.body.error.code], [429, "rate_limit_exceeded"]);
      assert.equal(limited.headers.get("RateLimit-Remaining"), "0");
      const response = await fetch(`${client.hetzner.endpoint}/servers`, {
        headers: { authorization: `Bearer ${client.hetzner.token}` },
      });
      assert.equal(response.status, 502);
      assert.match(await response.text(), /^<html>/);
      await client.expect(200, "GET", "/servers");
    });
  });

  test("dropped connections: before the work, nothing is done; after it, only the answer is lost", async () => {
    const rules: FaultRule[] = [
      { at: "request", path: "/networks", when: { nth: [1] }, effect: { kind: "drop", moment: "before" } },
      { at: "request", path: "/networks", when: { nth: [2] }, effect: { kind: "drop", moment: "after" } },
    ];
    await withFaults(rules, async (client) => {
      const wish = { name: "n", ip_range: "10.0.0.0/16" };
      await assert.rejects(client.request("POST", "/networks", wish), /fetch failed/);
      assert.deepEqual(client.hetzner.project.networks(), []);
      await assert.rejects(client.request("POST", "/networks", wish), /fetch failed/);
      assert.equal(client.hetzner.project.networks().length, 1);
      await client.refused("uniqueness_error", "POST", "/networks", wish);
      assert.deepEqual(
        client.hetzner.project.requests().map(({ status }) => status),
        [0, 0, 409],
      );
    });
  });

  test("late answers, in simulated time", async () => {
    const rule: FaultRule = { at: "request", effect: { kind: "late", ms: 600_000 } };
    await withFaults([rule], async (client) => {
      const answer = client.expect(200, "GET", "/servers");
      while (hits(client)[0] === 0) await new Promise((resolve) => setImmediate(resolve));
      client.hetzner.clock.advance(600_000);
      await answer;
    });
  });

  test("a subnet that refuses to go, until the fault is taken away", async () => {
    const rule: FaultRule = {
      at: "request",
      id: "subnet-stays",
      path: "/networks/{id}/actions/delete_subnet",
      effect: { kind: "error", code: "service_error", message: "cannot remove subnet" },
    };
    await withFaults([rule], async (client) => {
      const subnets = [{ type: "cloud", network_zone: "eu-central", ip_range: "10.0.1.0/24" }];
      const wish = { name: "n", ip_range: "10.0.0.0/16", subnets };
      const { network } = await client.expect(201, "POST", "/networks", wish);
      const path = `/networks/${network.id}/actions/delete_subnet`;
      const refused = await client.refused("service_error", "POST", path, { ip_range: "10.0.1.0/24" });
      assert.equal(refused.message, "cannot remove subnet");
      assert.equal(client.hetzner.faults.remove("subnet-stays"), 1);
      await client.expect(201, "POST", path, { ip_range: "10.0.1.0/24" });
    });
  });
});

describe("faults of actions", () => {
  const failure = { code: "action_failed", message: "it failed" };

  test("a creation that fails leaves a server that is off, without network, and bills until it is deleted", async () => {
    const rule: FaultRule = {
      at: "action",
      command: "create_server",
      resource: "*-kafka-1",
      effect: { error: failure },
    };
    await withFaults([rule], async (client) => {
      const subnets = [{ type: "cloud", network_zone: "eu-central", ip_range: "10.0.1.0/24" }];
      const { network } = await client.expect(201, "POST", "/networks", {
        name: "n",
        ip_range: "10.0.0.0/16",
        subnets,
      });
      const networks = [network.id];
      const good = await client.expect(201, "POST", "/servers", server("dev-kafka-0", { networks }));
      await client.wait(good.action, ...good.next_actions);
      const bad = await client.expect(201, "POST", "/servers", server("dev-kafka-1", { networks }));
      await assert.rejects(client.wait(bad.action), /create_server: .*action_failed.*it failed/);
      await assert.rejects(client.wait(...bad.next_actions), /create_server failed before/);
      const { server: left } = await client.expect(200, "GET", `/servers/${bad.server.id}`);
      assert.deepEqual([left.status, left.locked, left.private_net], ["off", false, []]);
      const billed = () =>
        client.hetzner.project.billable().filter(({ id, name }) => id === left.id || /primary_ip/.test(name));
      assert.equal(billed().length, 3);
      await client.wait((await client.expect(200, "DELETE", `/servers/${left.id}`)).action);
      assert.equal(billed().length, 1);
    });
  });

  test("a deletion that fails: the server is back, off, and has never stopped billing", async () => {
    const rule: FaultRule = {
      at: "action",
      command: "delete_server",
      when: { times: 1 },
      effect: { error: failure, takesMs: 3_600_000 },
    };
    await withFaults([rule], async (client) => {
      const made = await client.expect(201, "POST", "/servers", server("s"));
      await client.wait(made.action, ...made.next_actions);
      const path = `/servers/${made.server.id}`;
      const { action } = await client.expect(200, "DELETE", path);
      await client.refused("not_found", "GET", path);
      client.hetzner.clock.advance(3_600_000);
      await assert.rejects(client.wait(action), /it failed/);
      assert.equal((await client.expect(200, "GET", path)).server.status, "off");
      assert.equal(client.hetzner.project.billable().length, 2);
      await client.wait((await client.expect(200, "DELETE", path)).action);
      assert.deepEqual(client.hetzner.project.billable(), []);
    });
  });

  test("an attachment, a firewall's rules and a start that fail change nothing", async () => {
    const commands = ["attach_to_network", "set_firewall_rules", "apply_firewall", "start_server"];
    const rules = commands.map((command): FaultRule => ({
      at: "action",
      command,
      when: { times: 1 },
      effect: { error: failure },
    }));
    await withFaults(rules, async (client) => {
      const subnets = [{ type: "cloud", network_zone: "eu-central", ip_range: "10.0.1.0/24" }];
      const { network } = await client.expect(201, "POST", "/networks", {
        name: "n",
        ip_range: "10.0.0.0/16",
        subnets,
      });
      const made = await client.expect(201, "POST", "/servers", server("s", { start_after_create: false }));
      await client.wait(made.action);
      const path = `/servers/${made.server.id}`;
      const wish = { network: network.id, ip: "10.0.1.1" };
      const attach = async () =>
        (await client.expect(201, "POST", `${path}/actions/attach_to_network`, wish)).action;
      await assert.rejects(client.wait(await attach()), /it failed/);
      await client.wait(await attach());
      const start = async () => (await client.expect(201, "POST", `${path}/actions/poweron`)).action;
      await assert.rejects(client.wait(await start()), /it failed/);
      assert.equal((await client.expect(200, "GET", path)).server.status, "off");
      await client.wait(await start());
      const { firewall } = await client.expect(201, "POST", "/firewalls", { name: "f" });
      const firewallPath = `/firewalls/${firewall.id}`;
      const rule = { direction: "in", protocol: "tcp", port: "22", source_ips: ["0.0.0.0/0"] };
      const set = await client.expect(201, "POST", `${firewallPath}/actions/set_rules`, { rules: [rule] });
      await assert.rejects(client.wait(...set.actions), /it failed/);
      const applied = await client.expect(201, "POST", `${firewallPath}/actions/apply_to_resources`, {
        apply_to: [{ type: "server", server: { id: made.server.id } }],
      });
      await assert.rejects(client.wait(...applied.actions), /it failed/);
      const read = await client.expect(200, "GET", firewallPath);
      assert.deepEqual([read.firewall.rules, read.firewall.applied_to], [[], []]);
      assert.deepEqual(hits(client), [1, 1, 1, 1]);
    });
  });

  test("an action that takes long: the server is locked as long", async () => {
    const rule: FaultRule = { at: "action", command: "create_server", effect: { takesMs: 3_600_000 } };
    await withFaults([rule], async (client) => {
      const made = await client.expect(201, "POST", "/servers", server("s"));
      await client.refused("locked", "DELETE", `/servers/${made.server.id}`);
      client.hetzner.clock.advance(3_600_000);
      await client.wait(made.action, ...made.next_actions);
      await client.expect(200, "DELETE", `/servers/${made.server.id}`);
    });
  });
});

describe("faults of boots", () => {
  const key = newKeyPair();
  const script = "/usr/local/lib/trading/wait-for-node";
  const boot = async (client: TestClient, name: string) => {
    const keys = await client.expect(201, "POST", "/ssh_keys", { name: "k", public_key: key.public });
    const made = await client.expect(
      201,
      "POST",
      "/servers",
      server(name, {
        ssh_keys: [keys.ssh_key.id],
        user_data: nodeUserData({
          nodeName: "n",
          privateAddress: "10.0.1.1",
          token: "t",
          hostKey: newKeyPair().private,
        }).replace("node-ip: 10.0.1.1", ""),
      }),
    );
    await client.wait(made.action, ...made.next_actions);
    const host = made.server.public_net.ipv4?.ip ?? "";
    return { host, port: client.hetzner.sshPort, privateKey: key.private };
  };
  test("a boot that never ends: no SSH, or a cloud-init that goes on, or a k3s that does not start", async () => {
    const hangs = (server: string, at: "ssh" | "cloud-init" | "k3s"): FaultRule => ({
      at: "boot",
      server,
      effect: { kind: "hangs", at },
    });
    const cases = [
      ["ssh", undefined, {}],
      ["cloud-init", /cloud-init is still running after/, { deadline_wait_for_nodes: 100 }],
      ["k3s", /cloud-init failed[\s\S]*k3s did not start within/, { deadline_k3s_start: 50 }],
    ] as const;
    await Promise.all(
      cases.map(([at, message, deadlines]) =>
        withFaults(
          [hangs("n*", at)],
          async (client) => {
            const ssh = await boot(client, "node");
            if (message === undefined) {
              await assert.rejects(runWhenBooted(ssh, script, 150), /ECONNREFUSED/);
            } else {
              const result = await runWhenBooted(ssh, script);
              assert.equal(result.code, 1);
              assert.match(result.stderr, message);
            }
            assert.deepEqual(hits(client), [1]);
          },
          { latency: quickLatency(deadlines) },
        ),
      ),
    );
  });

  test("SSH refused for a while: the node boots meanwhile", async () => {
    const rule: FaultRule = { at: "boot", effect: { kind: "ssh-refused", ms: 3_600_000 } };
    await withFaults([rule], async (client) => {
      const ssh = await boot(client, "node");
      await assert.rejects(runOverSsh(ssh, script), /ECONNREFUSED/);
      const booted = () =>
        client.hetzner.project.timeline().some(({ stage, ended }) => stage === "k3s_server_ready" && ended);
      while (!booted()) await new Promise((resolve) => setTimeout(resolve, 5));
      client.hetzner.clock.advance(3_600_000);
      assert.equal((await runWhenBooted(ssh, script)).stdout, "n is Ready\n");
    });
  });
});

describe("plans", () => {
  const request = (changes: Partial<FaultRule> = {}) =>
    ({ at: "request", effect: { kind: "http", status: 500 }, ...changes }) as FaultRule;
  const sequence = (faults: Faults, count: number) =>
    Array.from({ length: count }, () => faults.request("GET", "/servers", undefined) !== undefined);

  test("a rate hits as often as it says, and the same calls for the same seed", () => {
    fc.assert(
      fc.property(fc.integer(), fc.double({ min: 0, max: 1, noNaN: true }), (seed, rate) => {
        const plan: FaultPlan = { seed, rules: [request({ when: { rate } })] };
        const calls = sequence(new Faults(plan), 400);
        assert.deepEqual(sequence(new Faults(plan), 400), calls);
        assert.ok(Math.abs(calls.filter(Boolean).length / 400 - rate) < 0.15);
      }),
      { numRuns: 25 },
    );
  });

  test("a wrong plan is refused with every mistake, at the start and later, and changes nothing", async () => {
    const wrong = {
      seed: 0.5,
      rules: [
        { at: "request", path: "servers", effect: { kind: "error", code: "no_such_code" } },
        { at: "action", command: "no_such_action", effect: {} },
        { at: "boot", effect: { kind: "hangs", at: "grub" } },
        { at: "moon", effect: {} },
      ],
    } as unknown as FaultPlan;
    await assert.rejects(startTestClient({ faults: wrong }), (error) => {
      assert.ok(error instanceof FaultPlanError);
      for (const part of [
        "seed",
        "rules.0.path",
        "rules.0.effect.code",
        "no_such_action",
        "needs error",
        "rules.2.effect.at",
        "rules.3.at",
      ]) {
        assert.ok(error.message.includes(part), `${part} in ${error.message}`);
      }
      return true;
    });
    const faults = new Faults({ rules: [request({ id: "one" })] });
    assert.throws(() => faults.add({ rules: [request(), request({ id: "one" })] }), /'one' exists/);
    assert.equal(faults.report().length, 1);
  });
});
