import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { FaultRule } from "../../lab/hetzner/index.ts";
import { startTestClient, type TestClient } from "../../lab/hetzner/testing/client.ts";
import { HetznerClient, type HetznerClientArguments } from "../../ops/hetzner/client.ts";
import { HetznerActionError, HetznerApiError } from "../../ops/hetzner/errors.ts";
import type { NewFirewallRule } from "../../ops/hetzner/resources.ts";

let lab: TestClient;
before(async () => {
  lab = await startTestClient({ serverLimit: 100, requestsPerHour: 1_000_000 });
});
after(async () => {
  await lab.hetzner.close();
});

/** Too quick for a real cloud. */
const patience = { firstDelayMs: 2, maxDelayMs: 20, pollMs: 5, retryDeadlineMs: 20_000 };

function client(changes: Partial<HetznerClientArguments> = {}): HetznerClient {
  const { endpoint, token } = lab.hetzner;
  return new HetznerClient({ endpoint, token, ...changes, patience: { ...patience, ...changes.patience } });
}

/** Runs with faults, all of which must have happened. */
async function withFaults(rules: readonly FaultRule[], run: () => Promise<void>): Promise<void> {
  const ids = lab.hetzner.faults.add({ rules });
  try {
    await run();
    for (const { id, hit } of lab.hetzner.faults.report())
      assert.ok(!ids.includes(id) || hit > 0, `${id} happened`);
  } finally {
    for (const id of ids) lab.hetzner.faults.remove(id);
  }
}

const rule: NewFirewallRule = {
  direction: "in",
  protocol: "tcp",
  port: "22",
  source_ips: ["192.0.2.1/32"],
};

async function newServer(name: string, labels: Record<string, string> = {}): Promise<number> {
  const body = { name, server_type: "cpx22", image: "ubuntu-24.04", location: "fsn1", labels };
  const { server, action, next_actions } = await lab.expect(201, "POST", "/servers", body);
  await lab.wait(action, ...next_actions);
  return server.id;
}

async function newFirewall(name: string): Promise<number> {
  const { firewall } = await lab.expect(201, "POST", "/firewalls", { name, rules: [rule] });
  return firewall.id;
}

describe("reading", () => {
  test("every page of a list, narrowed by labels or name", async () => {
    for (let index = 0; index < 53; index += 1)
      await lab
        .expect(201, "POST", "/placement_groups", {
          name: `group-${index}`,
          type: "spread",
          labels: { stack: index < 50 ? "dev" : "prod" },
        })
        .catch((error: unknown) => {
          // A project holds 50 groups at most.
          if (!String(error).includes("resource_limit_exceeded")) throw error;
        });
    const groups = await client().list("placement_groups", { labelSelector: "stack=dev" });
    assert.equal(groups.length, 50);
    assert.deepEqual(
      groups.map(({ id }) => id),
      groups.map(({ id }) => id).sort((one, other) => one - other),
    );
    const [named] = await client().list("placement_groups", { name: "group-7" });
    assert.equal(named?.name, "group-7");
  });

  test("kinds of every sort; one by its id; nothing for an id that there is not", async () => {
    const kinds = ["networks", "ssh_keys", "volumes", "load_balancers", "floating_ips"] as const;
    for (const kind of kinds) assert.deepEqual(await client().list(kind), [], kind);
    const id = await newServer("read", { role: "kafka" });
    const server = await client().get("servers", id);
    assert.equal(server?.name, "read");
    assert.equal(server?.labels["role"], "kafka");
    const [address] = await client().list("primary_ips");
    assert.equal(address?.assignee_id, id);
    assert.equal(await client().get("servers", 1), undefined);
    await client().remove("servers", id);
  });

  test("server types, locations and prices", async () => {
    const type = (await client().serverTypes()).find(({ name }) => name === "cpx32");
    assert.equal(type?.prices.find(({ location }) => location === "fsn1")?.price_hourly.net, "0.0569000000");
    assert.ok(
      (await client().locations()).some(
        ({ name, network_zone }) => name === "fsn1" && network_zone === "eu-central",
      ),
    );
    assert.equal((await client().pricing()).currency, "EUR");
  });
});

describe("removing", () => {
  test("waits for the end of the action; what is gone is no error", async () => {
    const id = await newServer("gone");
    assert.equal(await client().remove("servers", id), true);
    assert.deepEqual(lab.hetzner.project.billable(), []);
    assert.equal(await client().remove("servers", id), false);
  });

  test("a firewall of a server that is going is removed once the server is gone", async () => {
    const firewall = await newFirewall("in-use");
    const id = await newServer("using");
    await client().act("firewalls", firewall, "apply_to_resources", {
      apply_to: [{ type: "server", server: { id } }],
    });
    const refused = await client()
      .remove("firewalls", firewall, { whileInUseMs: 0 })
      .catch((error: unknown) => error);
    assert.ok(refused instanceof HetznerApiError && refused.code === "resource_in_use");
    const [removed] = await Promise.all([
      client().remove("firewalls", firewall),
      client().remove("servers", id),
    ]);
    assert.equal(removed, true);
  });

  test("a protected server stays, and the error names the request", async () => {
    const id = await newServer("protected");
    await client().act("servers", id, "change_protection", { delete: true, rebuild: true });
    await assert.rejects(client().remove("servers", id), (error: unknown) => {
      assert.ok(error instanceof HetznerApiError);
      assert.deepEqual(
        [error.code, error.status, error.request],
        ["protected", 403, `DELETE /servers/${id}`],
      );
      return true;
    });
    await client().act("servers", id, "change_protection", { delete: false, rebuild: false });
    await client().remove("servers", id);
  });
});

describe("faults", () => {
  const path = "/firewalls/{id}/actions/set_rules";
  const passing: FaultRule["effect"][] = [
    { kind: "error", code: "rate_limit_exceeded" },
    { kind: "error", code: "conflict" },
    { kind: "error", code: "locked" },
    { kind: "error", code: "maintenance" },
    { kind: "http", status: 502 },
    { kind: "http", status: 500 },
    { kind: "drop", moment: "before" },
    { kind: "drop", moment: "after" },
  ];
  test("what passes by itself is tried again", async () => {
    const firewall = await newFirewall("faults");
    const rules = passing.map((effect, index) => ({
      at: "request" as const,
      method: "POST" as const,
      path,
      when: { nth: [index + 1] },
      effect,
    })) as FaultRule[];
    await withFaults(rules, async () => {
      await client().setFirewallRules(firewall, [rule, { ...rule, port: "6443" }]);
    });
    assert.equal((await client().get("firewalls", firewall))?.rules.length, 2);
    await client().remove("firewalls", firewall);
  });

  test("whoever waits is told what does not work, and for how long at most", async () => {
    const told: string[] = [];
    const busy: FaultRule = {
      at: "request",
      path: "/locations",
      when: { nth: [1, 2] },
      effect: { kind: "http", status: 503 },
    };
    await withFaults([busy], async () => {
      await client({ report: (line) => void told.push(line) }).locations();
    });
    assert.equal(told.length, 2);
    assert.match(
      told[0] ?? "",
      /^Hetzner API: GET \/locations: http_503: \S.*; trying again for (20|19) s at most$/,
    );
  });

  test("a server whose deletion was done though its answer was lost counts as gone", async () => {
    const id = await newServer("answer-lost");
    const drop: FaultRule = {
      at: "request",
      method: "DELETE",
      path: "/servers/{id}",
      when: { nth: [1] },
      effect: { kind: "drop", moment: "after" },
    };
    await withFaults([drop], async () => {
      await client().remove("servers", id);
    });
    assert.equal(await client().get("servers", id), undefined);
  });

  test("what does not pass is not tried again; what passes, until the deadline", async () => {
    await assert.rejects(client({ token: "x".repeat(64) }).list("servers"), (error: unknown) => {
      assert.ok(error instanceof HetznerApiError);
      assert.equal(error.code, "unauthorized");
      assert.match(error.message, /HCLOUD_TOKEN must be/);
      assert.doesNotMatch(error.message, /attempts/);
      return true;
    });
    const down: FaultRule = { at: "request", path: "/servers", effect: { kind: "http", status: 503 } };
    await withFaults([down], () =>
      assert.rejects(
        client({ patience: { retryDeadlineMs: 60 } }).list("servers"),
        /GET \/servers: http_503: Service Unavailable \(after \d+ attempts\)/,
      ),
    );
    await assert.rejects(
      client({ endpoint: "http://127.0.0.1:1/v1", patience: { retryDeadlineMs: 0 } }).list("servers"),
      /no_answer.*\nCheck the connection/,
    );
  });

  test("an action that fails, and one that does not end", async () => {
    const firewall = await newFirewall("actions");
    const failing: FaultRule = {
      at: "action",
      command: "set_firewall_rules",
      when: { nth: [1] },
      effect: { error: { code: "action_failed", message: "no luck" } },
    };
    await withFaults([failing], () =>
      assert.rejects(client().setFirewallRules(firewall, []), (error: unknown) => {
        assert.ok(error instanceof HetznerActionError);
        assert.deepEqual([error.command, error.code], ["set_firewall_rules", "action_failed"]);
        return true;
      }),
    );
    const endless: FaultRule = { at: "action", command: "set_firewall_rules", effect: { takesMs: 5_000 } };
    await withFaults([endless], () =>
      assert.rejects(
        client({ patience: { actionDeadlineMs: 30 } }).setFirewallRules(firewall, []),
        (error: unknown) => error instanceof HetznerActionError && error.code === "timeout",
      ),
    );
  });

  test("an abort ends a wait at once", async () => {
    const abort = new AbortController();
    const reason = new Error("interrupted");
    const down: FaultRule = { at: "request", path: "/networks", effect: { kind: "http", status: 503 } };
    await withFaults([down], async () => {
      const patient = client({
        signal: abort.signal,
        patience: { firstDelayMs: 60_000, maxDelayMs: 60_000 },
      });
      const listed = patient.list("networks");
      setTimeout(() => abort.abort(reason), 50);
      await assert.rejects(listed, reason);
    });
  });
});
