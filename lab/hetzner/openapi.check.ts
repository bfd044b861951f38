/**
 * Every operation of Hetzner's OpenAPI document that a cluster of ours can touch, answered as the document says: when it
 * succeeds, when it is refused, and when the API fails; then random requests. Skipped where the document is not at hand.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Answer, startTestClient, type TestClient } from "./testing/client.ts";
import { createCluster } from "./testing/cluster.ts";
import { openApiAvailable, OpenApiChecker } from "./testing/openapi.ts";

const skip = openApiAvailable ? false : "the OpenAPI document is not at hand (../shared/data)";

/** What a cluster of ours can touch. */
const kinds = [
  "actions",
  "firewalls",
  "images",
  "locations",
  "networks",
  "placement_groups",
  "pricing",
  "primary_ips",
  "server_types",
  "servers",
  "ssh_keys",
];

/** What it never asks for: answered with a refusal, never with a success. */
const notSimulated = new Set([
  "DELETE /images/{id}",
  "PUT /images/{id}",
  "POST /images/{id}/actions/change_protection",
  "GET /images/actions/{id}",
  "GET /images/{id}/actions/{action_id}",
  "GET /servers/{id}/metrics",
  ...[
    "attach_iso",
    "change_type",
    "create_image",
    "detach_iso",
    "disable_backup",
    "disable_rescue",
    "enable_backup",
    "enable_rescue",
    "rebuild",
    "request_console",
    "reset_password",
  ].map((name) => `POST /servers/{id}/actions/${name}`),
]);

interface Checked {
  client: TestClient;
  checker: OpenApiChecker;
  /** Everything that was not as the document says. */
  mistakes: Set<string>;
}

/** A simulator each of whose answers is validated. */
async function startChecked(checker = new OpenApiChecker()): Promise<Checked> {
  const mistakes = new Set<string>();
  const client = await startTestClient({
    requestsPerHour: 1_000_000,
    onAnswer: ({ method, path, status }, body) => {
      for (const mistake of checker.check(method, path, status, body === "" ? null : JSON.parse(body)))
        mistakes.add(mistake);
    },
  });
  return { client, checker, mistakes };
}

test("every operation succeeds as the document says", { skip }, async () => {
  const { client, checker, mistakes } = await startChecked();
  const expect: TestClient["expect"] = (...args) => client.expect(...args);
  const wait: TestClient["wait"] = (...actions) => client.wait(...actions);
  const act = async (path: string, body?: unknown) => {
    const { action, actions } = await expect(201, "POST", path, body);
    await wait(...(actions ?? [action]));
  };
  try {
    const { ids } = await createCluster(client);
    const [server = 0] = ids.servers;
    const base = `/servers/${server}/actions`;
    for (const kind of kinds.filter((kind) => kind !== "actions")) await expect(200, "GET", `/${kind}`);
    for (const path of ["/server_types/110", "/images/161547269", "/locations/1"])
      await expect(200, "GET", path);

    const power = ["poweroff", "poweron", "reboot", "reset", "shutdown", "poweroff"];
    for (const name of power) await act(`${base}/${name}`);
    await act(`${base}/remove_from_placement_group`);
    await act(`${base}/add_to_placement_group`, { placement_group: ids.placementGroup });
    await act(`${base}/change_protection`, { delete: true, rebuild: true });
    await act(`${base}/change_protection`, { delete: false, rebuild: false });
    await act(`${base}/change_alias_ips`, { network: ids.network, alias_ips: ["10.0.1.99"] });
    await act(`${base}/detach_from_network`, { network: ids.network });
    const { server: read } = await expect(200, "GET", `/servers/${server}`);
    await act(`${base}/change_dns_ptr`, { ip: read.public_net.ipv4?.ip, dns_ptr: "a.example.org" });

    const old = `/primary_ips/${read.public_net.ipv4?.id}`;
    await act(`${old}/actions/unassign`);
    const wish = { name: "own", type: "ipv4", assignee_type: "server", location: "fsn1" };
    const { primary_ip: ip } = await expect(201, "POST", "/primary_ips", wish);
    const own = `/primary_ips/${ip.id}`;
    await act(`${own}/actions/assign`, { assignee_id: server, assignee_type: "server" });
    await act(`${own}/actions/change_dns_ptr`, { ip: ip.ip, dns_ptr: null });
    await act(`${own}/actions/change_protection`, { delete: true });
    await expect(204, "DELETE", old);

    const network = `/networks/${ids.network}`;
    const route = { destination: "192.168.0.0/24", gateway: "10.0.1.1" };
    await act(`${network}/actions/add_route`, route);
    await act(`${network}/actions/delete_route`, route);
    await act(`${network}/actions/change_ip_range`, { ip_range: "10.0.0.0/15" });
    await act(`${network}/actions/change_protection`, { delete: true });
    await act(`${network}/actions/change_protection`, { delete: false });
    await act(`${network}/actions/add_subnet`, { type: "cloud", network_zone: "eu-central" });
    await act(`${network}/actions/delete_subnet`, { ip_range: "10.0.0.0/24" });
    await expect(200, "GET", `${network}/members`);

    const firewall = `/firewalls/${ids.firewall}`;
    const resources = [{ type: "label_selector", label_selector: { selector: "role=kafka" } }];
    await act(`${firewall}/actions/apply_to_resources`, { apply_to: resources });
    await expect(200, "GET", firewall);
    await act(`${firewall}/actions/remove_from_resources`, { remove_from: resources });
    await act(`${firewall}/actions/set_rules`, { rules: [] });

    const singles = [
      ["ssh_keys", ids.sshKey],
      ["placement_groups", ids.placementGroup],
      ["networks", ids.network],
      ["firewalls", ids.firewall],
      ["primary_ips", ip.id],
      ["servers", server],
    ] as const;
    for (const [kind, id] of singles) {
      await expect(200, "GET", `/${kind}/${id}`);
      await expect(200, "PUT", `/${kind}/${id}`, { labels: { changed: "yes" } });
      if (kind === "ssh_keys" || kind === "placement_groups") continue;
      const { actions } = await expect(200, "GET", `/${kind}/${id}/actions?sort=id:desc`);
      await expect(200, "GET", `/${kind}/actions?id=${actions[0]?.id}`);
      await expect(200, "GET", `/${kind}/actions/${actions[0]?.id}`);
      await expect(200, "GET", `/${kind}/${id}/actions/${actions[0]?.id}`);
      await expect(200, "GET", `/actions/${actions[0]?.id}`);
    }
    await expect(200, "GET", "/images/161547269/actions");
    await expect(200, "GET", "/images/actions");

    for (const id of ids.servers) await wait((await expect(200, "DELETE", `/servers/${id}`)).action);
    await act(`${own}/actions/change_protection`, { delete: false });
    for (const [kind, id] of singles.slice(0, -1)) await expect(204, "DELETE", `/${kind}/${id}`);
  } finally {
    await client.hetzner.close();
  }
  assert.deepEqual([...mistakes], []);
  const missing = checker
    .operations(kinds)
    .filter(({ name }) => !notSimulated.has(name))
    .filter(({ name, success }) => !checker.checked.has(`${name} ${success}`))
    .map(({ name }) => name);
  assert.deepEqual(missing, []);
});

test("every operation is refused, and fails, in the shape of the document", { skip }, async () => {
  const { client, checker, mistakes } = await startChecked();
  try {
    const operations = checker.operations(kinds);
    assert.ok(operations.length > 80);
    const pathOf = (template: string) => template.replace(/\{[a-z_]+\}/g, "1");
    for (const { method, template, name } of operations) {
      const path = pathOf(template);
      const stranger = await client.request(method, path, undefined, { authorization: "Bearer wrong" });
      assert.equal(stranger.status, 401, name);
      // An id that is not there, a list of a page that cannot be, a body without what is required.
      const hasId = template.includes("{");
      const known = ["/locations/{id}"].includes(template);
      if (hasId && !known) await client.refused("not_found", method, path, method === "GET" ? undefined : {});
      if (method === "POST" && !hasId) await client.refused("invalid_input", method, path, {});
      if (method === "POST" && !hasId) await client.refused("json_error", method, path, "{");
    }
    client.hetzner.faults.add({
      rules: [{ at: "request", effect: { kind: "error", code: "service_error" } }],
    });
    for (const { method, template } of operations)
      await client.refused("service_error", method, pathOf(template));
    for (const { name } of operations) {
      assert.ok(checker.checked.has(`${name} 4xx`), `${name} 4xx`);
      assert.ok(checker.checked.has(`${name} 5xx`), `${name} 5xx`);
    }
  } finally {
    await client.hetzner.close();
  }
  assert.deepEqual([...mistakes], []);
});

/** One random request: what it is for, and a number that chooses among what there is. */
interface Step {
  kind: string;
  pick: number;
  value: number;
}

const names = ["a", "b", "c", "-", ""];
const addresses = [
  "10.0.1.1",
  "10.0.1.0",
  "10.0.0.1",
  "10.0.1.255",
  "10.9.9.9",
  "172.31.1.1",
  "x",
  undefined,
];

/** Turns a step into a request about what the project holds now. */
function requestOf(client: TestClient, { kind, pick, value }: Step): [string, string, unknown?] {
  const { project } = client.hetzner;
  const id = (rows: readonly { id: number }[]) => rows[pick % Math.max(1, rows.length)]?.id ?? 1;
  const name = names[value % names.length];
  const server = `/servers/${id(project.servers())}`;
  const network = `/networks/${id(project.networks())}`;
  const firewall = `/firewalls/${id(project.firewalls())}`;
  const ip = `/primary_ips/${id(project.primaryIps())}`;
  const address = addresses[value % addresses.length];
  const requests: Record<string, [string, string, unknown?]> = {
    createServer: [
      "POST",
      "/servers",
      {
        name,
        server_type: ["cpx32", "cx33", "cpx31", "cax11", 1][value % 5],
        image: ["ubuntu-24.04", "debian-12"][value % 2],
        location: ["fsn1", "hel1", "ash", undefined][pick % 4],
        start_after_create: value % 3 > 0,
        networks: value % 2 === 0 ? [id(project.networks())] : [],
        placement_group: value % 7 === 0 ? id(project.placementGroups()) : undefined,
        firewalls: value % 5 === 0 ? [{ firewall: id(project.firewalls()) }] : [],
        public_net: { enable_ipv4: value % 4 > 0, enable_ipv6: value % 6 > 0 },
      },
    ],
    deleteServer: ["DELETE", server],
    power: ["POST", `${server}/actions/${["poweron", "poweroff", "reboot", "shutdown", "reset"][value % 5]}`],
    attach: ["POST", `${server}/actions/attach_to_network`, { network: id(project.networks()), ip: address }],
    detach: ["POST", `${server}/actions/detach_from_network`, { network: id(project.networks()) }],
    alias: [
      "POST",
      `${server}/actions/change_alias_ips`,
      { network: id(project.networks()), alias_ips: address === undefined ? [] : [address] },
    ],
    createNetwork: [
      "POST",
      "/networks",
      { name, ip_range: ["10.0.0.0/16", "10.0.0.0/8", "172.31.0.0/16", "8.0.0.0/8"][value % 4] },
    ],
    subnet: [
      "POST",
      `${network}/actions/${pick % 3 === 0 ? "delete_subnet" : "add_subnet"}`,
      {
        type: "cloud",
        network_zone: "eu-central",
        ip_range: ["10.0.1.0/24", "10.0.0.0/23", "172.31.1.0/24"][value % 3],
      },
    ],
    deleteNetwork: ["DELETE", network],
    createFirewall: [
      "POST",
      "/firewalls",
      { name, rules: value % 2 === 0 ? [] : [{ direction: "in", protocol: "icmp", source_ips: ["::/0"] }] },
    ],
    applyFirewall: [
      "POST",
      `${firewall}/actions/${value % 3 === 0 ? "remove_from_resources" : "apply_to_resources"}`,
      {
        [value % 3 === 0 ? "remove_from" : "apply_to"]: [
          value % 2 === 0
            ? { type: "server", server: { id: id(project.servers()) } }
            : {
                type: "label_selector",
                label_selector: { selector: ["a=b", "!a", "a in (b", ""][pick % 4] },
              },
        ],
      },
    ],
    deleteFirewall: ["DELETE", firewall],
    group:
      value % 2 === 0
        ? ["POST", "/placement_groups", { name, type: "spread" }]
        : ["DELETE", `/placement_groups/${id(project.placementGroups())}`],
    createIp: [
      "POST",
      "/primary_ips",
      { name, type: value % 2 === 0 ? "ipv4" : "ipv6", location: "fsn1", auto_delete: value % 3 === 0 },
    ],
    assign: [
      "POST",
      `${ip}/actions/${value % 2 === 0 ? "assign" : "unassign"}`,
      { assignee_id: id(project.servers()), assignee_type: "server" },
    ],
    deleteIp: ["DELETE", ip],
    label: [
      "PUT",
      [server, network, firewall, ip][value % 4] ?? server,
      { labels: { [names[pick % 5] ?? ""]: "b" } },
    ],
    list: [
      "GET",
      `/${["servers", "networks", "firewalls", "primary_ips"][pick % 4]}?sort=${["id", "name", "created:desc"][value % 3]}&label_selector=${["a", "!a", "a=b", "a!=b", "("][value % 5]}`,
    ],
  };
  return requests[kind] ?? ["GET", "/servers"];
}

const stepKinds = [
  ...[
    "createServer",
    "deleteServer",
    "power",
    "attach",
    "detach",
    "alias",
    "createNetwork",
    "subnet",
    "deleteNetwork",
  ],
  ...[
    "createFirewall",
    "applyFirewall",
    "deleteFirewall",
    "group",
    "createIp",
    "assign",
    "deleteIp",
    "label",
    "list",
  ],
];

/** What holds in every project, whatever was asked of it. */
function checkInvariants({ client }: Checked): void {
  const { project } = client.hetzner;
  const taken = project
    .servers()
    .flatMap(({ private_net: nets }) =>
      nets.flatMap(({ network, ip, alias_ips }) => [ip, ...alias_ips].map((one) => `${network} ${one}`)),
    );
  assert.equal(new Set(taken).size, taken.length, "an address is given twice");
  const billed = project.billable().map(({ kind, id }) => `${kind} ${id}`);
  for (const { id } of project.servers())
    assert.ok(billed.includes(`server ${id}`), "a server does not bill");
  for (const { id, type } of project.primaryIps())
    assert.equal(billed.includes(`primary_ip ${id}`), type === "ipv4", "an address bills wrongly");
  for (const { servers } of project.placementGroups()) assert.ok(servers.length <= 10);
  for (const rows of [project.servers(), project.networks(), project.firewalls()])
    assert.equal(new Set(rows.map(({ name }) => name)).size, rows.length, "a name is given twice");
}

test(
  "random requests: every answer is as the document says, nothing is the simulator's fault",
  { skip },
  async () => {
    const step = fc.record({ kind: fc.constantFrom(...stepKinds), pick: fc.nat(100), value: fc.nat(1_000) });
    // So that there is something to ask about.
    const prelude = ["createNetwork", "subnet", "createFirewall", "createServer"].map((kind) => ({
      kind,
      pick: 1,
      value: 60,
    }));
    const checker = new OpenApiChecker();
    const statuses = new Map<number, number>();
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), async (steps) => {
        const checked = await startChecked(checker);
        const { client, mistakes } = checked;
        try {
          for (const one of [...prelude, ...steps]) {
            const [method, path, body] = requestOf(client, one);
            const answer: Answer = await client.request(method, path, body);
            statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
            assert.ok(answer.status !== 500, `${method} ${path}: ${JSON.stringify(answer.body)}`);
            // Otherwise most of it would be locked.
            if (one.value % 3 === 0) client.hetzner.clock.advance(60);
            checkInvariants(checked);
          }
        } finally {
          await client.hetzner.close();
        }
        assert.deepEqual([...mistakes], []);
      }),
      { numRuns: 40, interruptAfterTimeLimit: 60_000, markInterruptAsFailure: false },
    );
    // Not only refusals, and refusals of every kind.
    for (const status of [200, 201, 204, 404, 409, 412, 422, 423])
      assert.ok((statuses.get(status) ?? 0) >= 1, `${status}: ${JSON.stringify([...statuses])}`);
  },
);
