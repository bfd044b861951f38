/**
 * Every kind of change that the program could make, with the real providers of the engine against the simulator. For
 * each, a preview must have counted what `up` then did.
 */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { type Hetzner, startHetzner } from "../hetzner/index.ts";
import type { PropertyMap } from "./properties.ts";
import { type Ended, openSession, type Program, type Session } from "./testing/session.ts";

let hetzner: Hetzner;
let directory = "";
let config: Record<string, string> = {};
before(async () => {
  hetzner = await startHetzner({});
  directory = mkdtempSync(path.join(os.tmpdir(), "engine-changes-"));
  config = {
    "hcloud:token": hetzner.token,
    "hcloud:endpoint": hetzner.endpoint,
    "hcloud:pollInterval": "20ms",
    "hcloud:pollFunction": "constant",
    "kubernetes:renderYamlToDirectory": "rendered",
  };
});
after(async () => {
  await hetzner.close();
  rmSync(directory, { recursive: true, force: true });
});

function session(): { session: Session; folder: string } {
  const folder = mkdtempSync(path.join(directory, "session-"));
  return { session: openSession(folder, config), folder };
}

/** Runs `up` after a preview, which must have counted the same. */
async function apply(on: Session, program: Program): Promise<string[]> {
  const planned = await on.preview(program);
  const ended = await on.up(program);
  assert.deepEqual(ended.failures, []);
  assert.deepEqual(planned.counts, ended.counts);
  return ended.done;
}

async function refused(on: Session, program: Program): Promise<string> {
  const { failures } = await on.up(program);
  assert.equal(failures.length, 1, JSON.stringify(failures));
  return failures[0]?.message ?? "";
}

const publicKeys = [
  "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIiwX+G+9LCY+Qi7kvsqHY4wfy12KPgsWvG1rup68Oe/",
  "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g",
] as const;

/** A small cluster; each word changes one thing. */
function cluster(...words: string[]): Program {
  const changed = new Set(words);
  const pick = <T>(word: string, now: T, then: T): T => (changed.has(word) ? then : now);
  const label = (word: string): PropertyMap => ({ changed: pick(word, "no", "yes") });
  return async (register) => {
    const net = pick("ipRange", "10.0", "10.1");
    const network = await register("hcloud:index/network:Network", "network", {
      name: "net",
      ipRange: `${net}.0.0/16`,
      labels: label("networkLabels"),
    });
    const subnet = await register(
      "hcloud:index/networkSubnet:NetworkSubnet",
      "subnet",
      { networkId: network.id, type: "cloud", networkZone: "eu-central", ipRange: `${net}.1.0/24` },
      { networkId: network },
    );
    const sources = ["198.51.100.0/24", "203.0.113.0/24"];
    const rules: PropertyMap[] = [
      {
        direction: "in",
        protocol: "tcp",
        port: pick("port", "22", "2222"),
        sourceIps: pick("order", sources, sources.toReversed()),
      },
      { direction: "in", protocol: "icmp", sourceIps: ["198.51.100.0/24"] },
    ];
    const firewall = await register("hcloud:index/firewall:Firewall", "firewall", {
      name: "wall",
      rules: pick("order", rules, rules.toReversed()),
    });
    const other = await register("hcloud:index/firewall:Firewall", "other", { name: "other", rules: [] });
    const group = await register("hcloud:index/placementGroup:PlacementGroup", "group", {
      name: "spread",
      type: "spread",
    });
    const key = await register("hcloud:index/sshKey:SshKey", "key", {
      name: "key",
      publicKey: pick("publicKey", publicKeys[0], publicKeys[1]),
      labels: label("keyLabels"),
    });
    const wall = pick("firewallIds", firewall, other);
    const server = await register(
      "hcloud:index/server:Server",
      "server",
      {
        name: "server",
        serverType: pick("serverType", "cpx32", "cpx42"),
        image: "ubuntu-24.04",
        location: pick("location", "fsn1", "nbg1"),
        sshKeys: [key.id],
        firewallIds: [wall.id],
        ...(changed.has("placement") ? {} : { placementGroupId: group.id }),
        publicNets: [{ ipv4Enabled: true, ipv6Enabled: pick("publicNets", false, true) }],
        networks: [
          {
            subnetId: subnet.id,
            ip: `${net}.1.${pick("address", "10", "20")}`,
            aliasIps: pick<string[]>("aliases", [], [`${net}.1.30`]),
          },
        ],
        userData: pick("userData", "one", "two"),
        labels: label("serverLabels"),
      },
      { sshKeys: key, firewallIds: wall, placementGroupId: group, networks: subnet },
      changed.has("ignored") ? { ignoreChanges: ["userData", "location", "serverType"] } : {},
    );
    await register(
      "command:local:Command",
      "inside",
      { create: "true", delete: "echo inside >> deleted" },
      { "": server },
      { deletedWith: server.urn },
    );
  };
}

test("servers, networks, firewalls and keys change in place or are replaced as with the real provider", async () => {
  const { session: on, folder } = session();
  const account = hetzner.project;
  const server = () => account.servers()[0];
  const running = () => [server()?.id, server()?.status];
  await apply(on, cluster());
  const first = server()?.id;

  const words = ["serverLabels", "firewallIds", "port", "networkLabels", "keyLabels"];
  const changed = await apply(on, cluster(...words));
  assert.deepEqual(changed.toSorted(), ["update firewall", "update key", "update network", "update server"]);
  assert.equal(server()?.labels["changed"], "yes");
  assert.equal(account.networks()[0]?.labels["changed"], "yes");
  const walls = account
    .firewalls()
    .map(({ name, rules, applied_to }) => [name, rules[0]?.port, applied_to.length]);
  assert.deepEqual(walls, [
    ["wall", "2222", 0],
    ["other", undefined, 1],
  ]);
  // What has no order for the real provider has none here.
  assert.deepEqual(await apply(on, cluster(...words, "order")), []);
  await apply(on, cluster());

  assert.deepEqual(await apply(on, cluster("aliases")), ["update server"]);
  assert.deepEqual(server()?.private_net[0]?.alias_ips, ["10.0.1.30"]);
  assert.deepEqual(await apply(on, cluster("address")), ["update server"]);
  assert.deepEqual([server()?.private_net[0]?.ip, server()?.id], ["10.0.1.20", first]);

  // Refused as by the real provider or the API, with a server that goes on as it was.
  assert.match(
    await refused(on, cluster("address", "placement")),
    /leaves its placement group only when it is off/,
  );
  assert.match(await refused(on, cluster("address", "serverType")), /does not simulate change_type/);
  assert.match(await refused(on, cluster("address", "publicNets")), /a change of publicNets .*not supported/);
  assert.deepEqual(running(), [first, "running"]);
  assert.deepEqual(await apply(on, cluster("address", "userData", "location", "ignored")), []);

  // Fixed names: the old one goes first, and with it what cannot stay without it.
  const replaced = ["delete inside", "delete server", "replace server", "replace inside"];
  assert.deepEqual(await apply(on, cluster("address", "userData")), replaced);
  assert.notEqual(server()?.id, first);
  const second = server()?.id;
  assert.deepEqual(await apply(on, cluster("address", "userData", "publicKey")), [
    "delete inside",
    "delete server",
    "delete key",
    "replace key",
    "replace server",
    "replace inside",
  ]);
  assert.notEqual(server()?.id, second);
  assert.ok(!existsSync(path.join(folder, "deleted")), "what is deletedWith the server is not asked");

  await on.up(async () => undefined);
  assert.deepEqual(account.billable(), []);
});

/** A Kubernetes object, with what differs. */
const object = (kind: string, given: PropertyMap, apiVersion = "v1"): [string, string, PropertyMap] => [
  `kubernetes:${apiVersion === "v1" ? "core/v1" : apiVersion}:${kind}`,
  kind.toLowerCase(),
  { metadata: { name: "thing", namespace: "default" }, ...given },
];
const deployment = (image: string, app: string): PropertyMap => ({
  spec: {
    selector: { matchLabels: { app } },
    template: { metadata: { labels: { app } }, spec: { containers: [{ name: "main", image }] } },
  },
});
const job = (image: string): PropertyMap => ({
  spec: { template: { spec: { restartPolicy: "Never", containers: [{ name: "main", image }] } } },
});

test("Kubernetes objects: what the real provider cannot change in place is deleted and made again", async () => {
  const { session: on, folder } = session();
  const rendered = () => readdirSync(path.join(folder, "rendered", "1-manifest")).length;
  const cases: [
    before: [string, string, PropertyMap],
    after: [string, string, PropertyMap],
    "update" | "replace",
  ][] = [
    [object("Secret", { stringData: { a: "1" } }), object("Secret", { stringData: { a: "2" } }), "replace"],
    [object("ConfigMap", { data: { a: "1" } }), object("ConfigMap", { data: { a: "2" } }), "replace"],
    [
      object("Service", { spec: { ports: [{ port: 80 }] } }),
      object("Service", { spec: { ports: [{ port: 81 }] } }),
      "update",
    ],
    [
      object("Deployment", deployment("a:1", "x"), "apps/v1"),
      object("Deployment", deployment("a:2", "x"), "apps/v1"),
      "update",
    ],
    [
      object("Deployment", deployment("a:1", "x"), "apps/v1"),
      object("Deployment", deployment("a:1", "y"), "apps/v1"),
      "replace",
    ],
    [object("Job", job("a:1"), "batch/v1"), object("Job", job("a:2"), "batch/v1"), "replace"],
    [
      object("Secret", { metadata: { name: "thing", namespace: "default" } }),
      object("Secret", { metadata: { name: "other", namespace: "default" } }),
      "replace",
    ],
  ];
  for (const [before, after, operation] of cases) {
    const what = `${operation} of ${before[1]}`;
    await apply(on, (register) => register(...before));
    const done = await apply(on, (register) => register(...after));
    const sameName = JSON.stringify(before[2]["metadata"]) === JSON.stringify(after[2]["metadata"]);
    const replaced = sameName
      ? [`delete ${before[1]}`, `replace ${before[1]}`]
      : [`replace ${before[1]}`, `delete ${before[1]}`];
    assert.deepEqual(done, operation === "update" ? [`update ${before[1]}`] : replaced, what);
    assert.equal(rendered(), 1, `${what}: one file, the new one`);
    await on.up(async () => undefined);
  }
});

test("a namespace takes its objects with it, and another render directory is another provider", async () => {
  const { session: on, folder } = session();
  const program =
    (namespace: string, directory: string, identifier?: string): Program =>
    async (register) => {
      const given = {
        renderYamlToDirectory: directory,
        ...(identifier === undefined ? {} : { clusterIdentifier: identifier }),
      };
      const made = await register("pulumi:providers:kubernetes", "provider", given);
      const provider = `${made.urn}::${made.id}`;
      const space = await register(
        "kubernetes:core/v1:Namespace",
        "space",
        { metadata: { name: namespace } },
        {},
        { provider },
      );
      const metadata = {
        name: "thing",
        namespace: (space.outputs["metadata"] as PropertyMap)["name"] ?? null,
      };
      await register(
        "kubernetes:core/v1:ConfigMap",
        "inside",
        { metadata, data: {} },
        { metadata: space },
        { provider },
      );
    };
  const files = (folderName: string) => {
    const manifests = path.join(folder, folderName, "1-manifest");
    return existsSync(manifests) ? readdirSync(manifests) : [];
  };
  await apply(on, program("one", "first"));
  const renamed = await apply(on, program("two", "first"));
  assert.deepEqual(renamed, ["replace space", "replace inside", "delete inside", "delete space"]);
  assert.deepEqual(files("first").toSorted(), [
    "v1-configmap-two-thing.yaml",
    "v1-namespace-default-two.yaml",
  ]);
  const moved = await apply(on, program("two", "second"));
  assert.deepEqual(moved.toSorted(), [
    ...["delete inside", "delete provider", "delete space"],
    ...["replace inside", "replace provider", "replace space"],
  ]);
  assert.deepEqual([files("first").length, files("second").length], [0, 2]);
  await apply(on, program("two", "second", "cluster"));
  // With the same cluster identifier it is the same provider.
  assert.ok((await apply(on, program("two", "third", "cluster"))).includes("update provider"));
});

test("random values, keys and commands: keepers, parameters, triggers and commands", async () => {
  const { session: on, folder } = session();
  const program =
    (version: string, options: Parameters<Parameters<Program>[0]>[4] = {}): Program =>
    async (register) => {
      await register(
        "random:index/randomString:RandomString",
        "text",
        { length: 8, keepers: { version } },
        {},
        options,
      );
      await register(
        "tls:index/privateKey:PrivateKey",
        "pair",
        { algorithm: version === "1" ? "ED25519" : "ECDSA" },
        {},
        options,
      );
      await register(
        "command:local:Command",
        "triggered",
        { create: "true", delete: "echo triggered >> deleted", triggers: [version] },
        {},
        options,
      );
      await register(
        "command:local:Command",
        "updated",
        { create: `echo ${version}`, update: `echo update $PULUMI_COMMAND_STDOUT` },
        {},
        options,
      );
    };
  await apply(on, program("1"));
  assert.deepEqual(
    await apply(on, program("2", { ignoreChanges: ["keepers", "algorithm", "triggers", "create"] })),
    [],
  );
  const planned = await on.preview(program("2"));
  assert.deepEqual(
    planned.operations.map(({ operation, forcing }) => [operation, forcing.join()]),
    [
      ["replace", "keepers"],
      ["replace", "algorithm"],
      ["replace", "triggers"],
      ["update", ""],
    ],
  );
  const done = await apply(on, program("2"));
  // No fixed name: the new one first, the old one at the end.
  assert.deepEqual(done.slice(0, 4), ["replace text", "replace pair", "replace triggered", "update updated"]);
  assert.equal(readFileSync(path.join(folder, "deleted"), "utf8"), "triggered\n");
  assert.equal(
    (await on.up(program("2"))).state.resources.find(({ name }) => name === "updated")?.outputs["stdout"],
    "update 1",
  );
  assert.deepEqual(await apply(on, program("3", { deleteBeforeReplace: true, ignoreChanges: ["create"] })), [
    ...["delete text", "replace text", "delete triggered", "replace triggered"],
  ]);
});

test("protect, retainOnDelete, aliases and replaceOnChanges", async () => {
  const { session: on, folder } = session();
  const command = { create: "true", delete: "echo gone >> deleted" };
  const one =
    (name: string, inputs: PropertyMap, options: Parameters<Parameters<Program>[0]>[4]): Program =>
    (register) =>
      register("command:local:Command", name, inputs, {}, options);
  const ended = (result: Ended): [string[], string | undefined] => [result.done, result.failures[0]?.message];
  await apply(on, one("a", command, { protect: true }));
  const protectedMessage = /"a" is protected/;
  assert.match(
    ended(await on.up(one("a", { ...command, triggers: [1] }, { protect: true })))[1] ?? "",
    protectedMessage,
  );
  assert.match(ended(await on.up(async () => undefined))[1] ?? "", /a is protected/);
  assert.deepEqual(
    await apply(on, one("b", command, { aliases: [{ name: "a" }], retainOnDelete: true })),
    [],
  );
  const forced = { ...command, environment: { A: "1" } };
  const options = { replaceOnChanges: ["environment.A"], retainOnDelete: true };
  assert.deepEqual(await apply(on, one("b", forced, options)), ["replace b", "delete b"]);
  assert.deepEqual(await apply(on, async () => undefined), ["delete b"]);
  assert.ok(!existsSync(path.join(folder, "deleted")), "what is retained is only forgotten");
});

test("a protected resource keeps all that a replacement would take with it", async () => {
  const { session: on, folder } = session();
  const program =
    (version: string): Program =>
    async (register) => {
      const log = (name: string): PropertyMap => ({ create: "true", delete: `echo ${name} >> deleted` });
      const base = await register(
        "command:local:Command",
        "base",
        { ...log("base"), triggers: [version] },
        {},
        { deleteBeforeReplace: true },
      );
      const on = { triggers: base };
      await register("command:local:Command", "free", { ...log("free"), triggers: [base.id] }, on);
      await register("command:local:Command", "kept", { ...log("kept"), triggers: [base.id] }, on, {
        protect: true,
      });
    };
  await apply(on, program("1"));
  assert.match(await refused(on, program("2")), /this change needs a replacement, but "kept" is protected/);
  assert.ok(!existsSync(path.join(folder, "deleted")), "nothing went");
  assert.deepEqual(await apply(on, program("1")), []);
});
