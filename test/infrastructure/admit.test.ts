import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, beforeEach, describe, test } from "node:test";
import { kubernetesApiPort as portOfTheProgram } from "../../components/network.ts";
import type { FaultRule } from "../../lab/hetzner/index.ts";
import { startTestClient, type TestClient } from "../../lab/hetzner/testing/client.ts";
import { ownAddress, parseAddress, parseAddressService } from "../../ops/admit/address.ts";
import {
  type Admission,
  admissionOf,
  admissionsIn,
  kubernetesApiPort,
  rulesOf,
} from "../../ops/admit/admission.ts";
import {
  closeAdmissions,
  NoFirewallError,
  openAdmission,
  removeExpiredAdmissions,
  TooManyAdmissionsError,
} from "../../ops/admit/admissions.ts";
import { FirewallChangeError } from "../../ops/admit/amend.ts";
import { endAdmissions } from "../../ops/cluster/end-admissions.ts";
import { HetznerClient } from "../../ops/hetzner/client.ts";
import { firewallRuleSchema } from "../../ops/hetzner/resources.ts";
import { exampleEntries } from "../../components/testing/example-config.ts";
import { parseStackValues, StackConfigError } from "../../stacks/config.ts";

let lab: TestClient;
let firewallId = 0;
const ports = [22, kubernetesApiPort];
const adminRules = ports.map((port) => ({
  direction: "in" as const,
  protocol: "tcp",
  port: String(port),
  source_ips: ["203.0.113.0/24"],
  destination_ips: [],
  description: port === 22 ? "SSH" : "Kubernetes API",
}));
const labels = { project: "trading", stack: "dev", role: "firewall" };
before(async () => {
  lab = await startTestClient({ requestsPerHour: 1_000_000 });
  const { firewall } = await lab.expect(201, "POST", "/firewalls", { name: "dev", labels, rules: [] });
  firewallId = firewall.id;
});
after(async () => {
  await lab.hetzner.close();
});
beforeEach(async () => {
  const path = `/firewalls/${firewallId}/actions/set_rules`;
  await lab.wait(...(await lab.expect(201, "POST", path, { rules: adminRules })).actions);
});

const client = (token = lab.hetzner.token) =>
  new HetznerClient({
    endpoint: lab.hetzner.endpoint,
    token,
    patience: { firstDelayMs: 5, maxDelayMs: 50, pollMs: 5 },
  });
const quick = { patience: { staleMs: 200, settleMs: 400, retryMs: 5, deadlineMs: 40_000 } };
const rules = () => lab.hetzner.project.firewalls()[0]?.rules ?? [];
const open = () => admissionsIn(rules().map((rule) => firewallRuleSchema.parse(rule)));
const ids = () =>
  open()
    .map(({ id }) => id)
    .sort();

function admission(number: number, changes: Partial<Admission> = {}): Admission {
  return {
    id: number.toString(16).padStart(12, "0"),
    address: `198.51.100.${number}/32`,
    until: Math.floor(Date.now() / 1_000) + 3_600,
    name: `runner-${number}@host`,
    ...changes,
  };
}

describe("rules", () => {
  test("what a rule says is read back, and nothing else is taken for an admission", () => {
    const one = admission(7);
    const [rule] = rulesOf(one, ports).map((sent) => firewallRuleSchema.parse(sent));
    assert.ok(rule);
    assert.deepEqual(admissionOf(rule), one);
    assert.ok((rule.description ?? "").length <= 255);
    const longest = admission(1, { name: "x".repeat(64), until: 999_999_999 });
    assert.ok((rulesOf(longest, [22])[0]?.description ?? "").length <= 140);
    for (const other of [
      ...adminRules,
      { ...rule, source_ips: ["0.0.0.0/0"] },
      { ...rule, source_ips: ["198.51.100.0/24"] },
      { ...rule, source_ips: ["2001:db8::/32"] },
      { ...rule, source_ips: ["198.51.100.7/32", "198.51.100.8/32"] },
      { ...rule, direction: "out" as const },
      { ...rule, protocol: "udp" },
      { ...rule, description: `my ${rule.description}` },
      { ...rule, description: null },
    ])
      assert.equal(admissionOf(firewallRuleSchema.parse(other)), undefined, JSON.stringify(other));
  });

  test("the port of the Kubernetes API is the program's", () => {
    assert.equal(kubernetesApiPort, portOfTheProgram);
  });
});

describe("opening and closing", () => {
  test("the rules of adminCidrs stay; what is over goes with whatever comes next; one firewall-less stack", async () => {
    await openAdmission(client(), "dev", admission(1), ports, quick);
    await openAdmission(client(), "dev", admission(1), ports, quick);
    assert.equal(rules().length, 4, "opened twice is opened once");
    const later = new Date(Date.now() + 3_601_000);
    assert.deepEqual(await removeExpiredAdmissions(client(), "dev", new Date(), quick), []);
    const removed = await removeExpiredAdmissions(client(), "dev", later, quick);
    assert.deepEqual(
      removed.map(({ name }) => name),
      ["runner-1@host"],
    );
    assert.deepEqual(rules(), adminRules);
    await assert.rejects(openAdmission(client(), "prod", admission(1), ports, quick), NoFirewallError);
    assert.deepEqual(await closeAdmissions(client(), "prod", () => true, quick), []);
    assert.deepEqual(await removeExpiredAdmissions(client(), "prod", later, quick), []);
  });

  test("opening and closing a cluster ends what is over, and no failure of that holds them up", async () => {
    const told: string[] = [];
    const { signal } = new AbortController();
    const reporter = { note: (line: string) => void told.push(line), progress: () => undefined };
    const parts = { client: client(), stack: "dev", signal, reporter, now: () => new Date() };
    await openAdmission(parts.client, "dev", admission(1), ports, quick);
    const over = rulesOf(admission(2, { until: 1_000 }), ports);
    await parts.client.setFirewallRules(firewallId, [...rules(), ...over]);
    await endAdmissions(parts, quick.patience);
    assert.deepEqual(ids(), [admission(1).id]);
    assert.deepEqual(told, [`${admission(2).address} (runner-2@host) is admitted no longer`]);
    await endAdmissions({ ...parts, client: client("x".repeat(64)) }, quick.patience);
    assert.match(told[1] ?? "", /^warning: .*unauthorized/);
  });

  test("an admission that is over is not opened, and takes no other along", async () => {
    await openAdmission(client(), "dev", admission(2), ports, quick);
    await openAdmission(client(), "dev", admission(3, { until: 1_000 }), ports, quick);
    assert.deepEqual(ids(), [admission(2).id]);
  });

  test("many at once lose nothing of each other: those that close are closed, the others open", async () => {
    const numbers = [1, 2, 3, 4, 5, 6];
    // Long enough for a write that this machine, under load, carries out late.
    const patient = { patience: { ...quick.patience, settleMs: 1_200 } };
    await Promise.all(
      numbers.map(async (number) => {
        const one = admission(number);
        await openAdmission(client(), "dev", one, ports, patient);
        assert.ok(ids().includes(one.id), `${number} is open once it was told so`);
        if (number % 2 === 0) await closeAdmissions(client(), "dev", ({ id }) => id === one.id, patient);
      }),
    );
    assert.deepEqual(
      ids(),
      numbers.filter((number) => number % 2 === 1).map((number) => admission(number).id),
    );
    assert.equal(rules().length, 2 + 2 * 3);
    assert.deepEqual(rules().slice(0, 2), adminRules);
  });

  test("a rule that somebody's late write undoes is repaired before it counts as open", async () => {
    const one = admission(1);
    const opening = openAdmission(client(), "dev", one, ports, quick);
    const until = Date.now() + 20_000;
    while (!ids().includes(one.id)) {
      assert.ok(Date.now() < until, "it is opened");
      await new Promise((resolve) => setImmediate(resolve));
    }
    // As by a run that had read the rules before, and did not see it.
    await lab.expect(201, "POST", `/firewalls/${firewallId}/actions/set_rules`, { rules: adminRules });
    await opening;
    assert.deepEqual(ids(), [one.id]);
  });

  test("refusals, lost answers and failing actions are got over", async () => {
    const path = "/firewalls/{id}/actions/set_rules";
    const at = { at: "request", method: "POST", path } as const;
    const rulesOfFaults: FaultRule[] = [
      { ...at, when: { nth: [1] }, effect: { kind: "error", code: "conflict" } },
      { ...at, when: { nth: [2] }, effect: { kind: "drop", moment: "before" } },
      { ...at, when: { nth: [3] }, effect: { kind: "drop", moment: "after" } },
      { ...at, when: { nth: [4] }, effect: { kind: "error", code: "rate_limit_exceeded" } },
      {
        at: "action",
        command: "set_firewall_rules",
        when: { nth: [1, 2] },
        effect: { error: { code: "action_failed", message: "no luck" } },
      },
    ];
    lab.hetzner.faults.add({ rules: rulesOfFaults });
    try {
      await openAdmission(client(), "dev", admission(1), ports, quick);
      assert.deepEqual(ids(), [admission(1).id]);
      await closeAdmissions(client(), "dev", () => true, quick);
      assert.deepEqual(rules(), adminRules);
      assert.ok(lab.hetzner.faults.report()[0]?.hit === 1);
    } finally {
      lab.hetzner.faults.remove();
    }
  });

  test("a change that never holds is an error that says what to do", async () => {
    const ids = lab.hetzner.faults.add({
      rules: [
        { at: "request", method: "POST", path: "/firewalls/*", effect: { kind: "error", code: "locked" } },
      ],
    });
    try {
      const hasty = { patience: { ...quick.patience, deadlineMs: 100 } };
      await assert.rejects(openAdmission(client(), "dev", admission(1), ports, hasty), (error: unknown) => {
        assert.ok(error instanceof FirewallChangeError);
        assert.match(error.message, /locked[^]*trading admit --list/);
        return true;
      });
    } finally {
      for (const id of ids) lab.hetzner.faults.remove(id);
    }
  });

  test("a firewall that is full is said so, and nothing is pushed out", async () => {
    const many = Array.from({ length: 24 }, (_, index) => rulesOf(admission(index + 1), ports)).flat();
    const path = `/firewalls/${firewallId}/actions/set_rules`;
    await lab.wait(...(await lab.expect(201, "POST", path, { rules: [...adminRules, ...many] })).actions);
    await assert.rejects(
      openAdmission(client(), "dev", admission(99), ports, quick),
      (error: unknown) =>
        error instanceof TooManyAdmissionsError && /50 rules.*24 admissions/.test(error.message),
    );
    assert.equal(rules().length, 50);
  });
});

describe("whose address", () => {
  test("a person names one address and never more", () => {
    assert.equal(parseAddress("198.51.100.7"), "198.51.100.7/32");
    assert.equal(parseAddress("198.51.100.7/32"), "198.51.100.7/32");
    assert.equal(parseAddress("2001:db8::7"), "2001:db8::7/128");
    for (const wrong of [
      "",
      "198.51.100.0/24",
      "0.0.0.0",
      "0.0.0.0/0",
      "::",
      "2001:db8::/64",
      "host",
      "1.2.3.4/32/1",
      "1.2.3",
    ])
      assert.throws(() => parseAddress(wrong), /expected one address/, wrong);
  });

  test("a service is asked over HTTPS, and only a single IPv4 address counts", async () => {
    for (const wrong of ["http://checkip.example.com", "ftp://127.0.0.1", "checkip"])
      assert.throws(() => parseAddressService(wrong), /starts with https/, wrong);
    let answer = { status: 200, text: "" };
    const server = createServer((request, response) => {
      if (request.url === "/moved") response.writeHead(302, { location: "/" }).end();
      else response.writeHead(answer.status).end(answer.text);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const service = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const ask = (path = "") => ownAddress(parseAddressService(service + path), new AbortController().signal);
    try {
      answer = { status: 200, text: "127.0.0.8\n" };
      assert.equal(await ask(), "127.0.0.8/32");
      await assert.rejects(ask("moved"), /--address/);
      for (const text of ["", "<html>1.2.3.4</html>", "1.2.3.4 5.6.7.8", "1.2.3.0/24", "2001:db8::1"]) {
        answer = { status: 200, text };
        await assert.rejects(ask(), /expected one IPv4 address/, text);
      }
      answer = { status: 500, text: "1.2.3.4" };
      await assert.rejects(ask(), /answers with status 500/);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});

describe("who may always come in", () => {
  const mistakes = (entries: Record<string, string>): string[] => {
    try {
      parseStackValues(exampleEntries(entries));
      return [];
    } catch (error) {
      assert.ok(error instanceof StackConfigError);
      return error.mistakes.map(({ key }) => key);
    }
  };
  test("adminCidrs must be named, and the whole internet needs allowPublicAdmin", () => {
    assert.deepEqual(mistakes({}), []);
    assert.deepEqual(mistakes({ "trading:adminCidrs": "[]" }), ["trading:adminCidrs"]);
    for (const everyone of ["0.0.0.0/0", "::/0"]) {
      const cidrs = { "trading:adminCidrs": JSON.stringify(["203.0.113.0/24", everyone]) };
      assert.deepEqual(mistakes(cidrs), ["trading:adminCidrs[1]"]);
      assert.deepEqual(mistakes({ ...cidrs, "trading:allowPublicAdmin": "true" }), []);
    }
  });
});
