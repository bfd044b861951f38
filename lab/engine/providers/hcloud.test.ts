import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { type Hetzner, startHetzner } from "../../hetzner/index.ts";
import { CheckError, IncompleteCreationError, ProviderError } from "../errors.ts";
import { checkInputs } from "../inputs.ts";
import { type PropertyMap, textOf } from "../properties.ts";
import type { Created, Provider, ResourceDefinition } from "../provider.ts";
import { testContext } from "../testing/context.ts";
import { hcloud } from "./hcloud.ts";
import { HetznerApiError, HetznerClient, HetznerUnreachableError } from "./hetzner-client.ts";

let hetzner: Hetzner;
let provider: Provider;
before(async () => {
  hetzner = await startHetzner({});
  provider = hcloud.configure({
    token: hetzner.token,
    endpoint: hetzner.endpoint,
    pollInterval: "20ms",
    pollFunction: "constant",
  });
});
after(async () => hetzner.close());

const context = testContext();
const labels = { project: "trading", stack: "test", "cluster-id": "abc" };

function definition(name: string): ResourceDefinition {
  const type = `hcloud:index/${name.charAt(0).toLowerCase()}${name.slice(1)}:${name}`;
  const found = provider.resource(type);
  assert.ok(found, type);
  return found;
}

async function create(name: string, given: PropertyMap): Promise<Created & { inputs: PropertyMap }> {
  const inputs = checkInputs(definition(name), given, undefined, "generated");
  return { ...(await definition(name).create(inputs, context)), inputs };
}

async function remove(name: string, made: Created & { inputs: PropertyMap }): Promise<void> {
  await definition(name).delete(made, context);
}

test("a cluster's resources are made, changed and removed, and nothing is left", async () => {
  const network = await create("Network", { name: "net", ipRange: "10.0.0.0/16", labels });
  const subnet = await create("NetworkSubnet", {
    networkId: network.id,
    type: "cloud",
    networkZone: "eu-central",
    ipRange: "10.0.1.0/24",
  });
  assert.equal(subnet.id, `${network.id}-10.0.1.0/24`);
  assert.equal(subnet.outputs["gateway"], "10.0.0.1");
  const rule = {
    direction: "in",
    protocol: "tcp",
    port: "22",
    sourceIps: ["198.51.100.0/24"],
    description: "SSH",
  };
  const firewall = await create("Firewall", { labels, rules: [rule] });
  assert.match(textOf(firewall.inputs["name"]), /^generated-[0-9a-f]{7}$/);
  const group = await create("PlacementGroup", { name: "spread", type: "spread", labels });
  const key = await create("SshKey", {
    name: "key",
    publicKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIiwX+G+9LCY+Qi7kvsqHY4wfy12KPgsWvG1rup68Oe/",
    labels,
  });
  const server = await create("Server", {
    name: "kafka-0",
    serverType: "cpx32",
    image: "ubuntu-24.04",
    location: "fsn1",
    sshKeys: [key.id],
    firewallIds: [Number(firewall.id)],
    placementGroupId: Number(group.id),
    publicNets: [{ ipv4Enabled: true, ipv6Enabled: false }],
    networks: [{ subnetId: subnet.id, ip: "10.0.1.10", aliasIps: [] }],
    labels,
  });
  const { outputs } = server;
  assert.equal(outputs["status"], "running");
  assert.equal(outputs["location"], "fsn1");
  assert.equal(outputs["serverType"], "cpx32");
  assert.match(textOf(outputs["ipv4Address"]), /^127\./);
  assert.deepEqual(outputs["firewallIds"], [Number(firewall.id)]);
  const [attached] = outputs["networks"] as PropertyMap[];
  assert.deepEqual([attached?.["ip"], attached?.["subnetId"]], ["10.0.1.10", subnet.id]);

  const renamed = { ...server.inputs, labels: { ...labels, role: "kafka" }, firewallIds: [] };
  const updated = await definition("Server").update?.(server, renamed, context);
  assert.deepEqual([updated?.["labels"], updated?.["firewallIds"]], [renamed.labels, []]);
  const rules = { ...firewall.inputs, rules: [{ ...rule, port: "6443" }] };
  await definition("Firewall").update?.(firewall, rules, context);
  assert.equal(hetzner.project.firewalls()[0]?.rules[0]?.port, "6443");

  // What an interrupted run made is found by name and taken over, if it is ours.
  const found = await definition("Server").find?.(server.inputs, context);
  assert.equal(found?.id, server.id);
  const foreign = { ...server.inputs, labels: { ...labels, "cluster-id": "other" } };
  const refusal =
    /server "kafka-0" \(id \d+\) is there already and does not carry this cluster's labels; it has .*cluster-id=abc/;
  await assert.rejects(async () => definition("Server").find?.(foreign, context), refusal);
  assert.equal((await definition("NetworkSubnet").find?.(subnet.inputs, context))?.id, subnet.id);
  assert.equal(await definition("Server").find?.({ ...server.inputs, name: "none" }, context), undefined);

  await assert.rejects(create("PlacementGroup", { name: "spread", type: "spread" }), (error: unknown) => {
    assert.ok(error instanceof HetznerApiError);
    assert.equal(error.code, "uniqueness_error");
    assert.match(error.message, /POST \/placement_groups: [^]*perhaps from a killed run/);
    return true;
  });

  await remove("Server", server);
  await remove("Server", server);
  await Promise.all([remove("PlacementGroup", group), remove("Firewall", firewall), remove("SshKey", key)]);
  await remove("NetworkSubnet", subnet);
  await remove("Network", network);
  await remove("Network", network);
  const left = hetzner.project;
  assert.deepEqual(
    [
      left.servers(),
      left.networks(),
      left.firewalls(),
      left.sshKeys(),
      left.placementGroups(),
      left.billable(),
    ].flat(),
    [],
  );
});

test("the functions give what the SDK's types promise", async () => {
  const call = async (name: string, args: PropertyMap = {}): Promise<Record<string, PropertyMap[]>> => {
    const token = `hcloud:index/${name}:${name}`;
    return (await provider.invoke?.(token, args, context)) as unknown as Record<string, PropertyMap[]>;
  };
  const types = (await call("getServerTypes"))["serverTypes"] ?? [];
  const cpx32 = types.find((type) => type["name"] === "cpx32");
  assert.equal(cpx32?.["architecture"], "x86");
  const [offer] = cpx32?.["locations"] as PropertyMap[];
  assert.deepEqual(Object.keys(offer ?? {}).sort(), [
    "available",
    "deprecationAnnounced",
    "id",
    "isDeprecated",
    "name",
    "recommended",
    "unavailableAfter",
  ]);
  const zones = ((await call("getLocations"))["locations"] ?? []).map((location) => location["networkZone"]);
  assert.ok(zones.includes("eu-central"));
  assert.equal((await call("getServerType", { name: "cpx32" }))["id"], cpx32?.["id"]);
  assert.deepEqual((await call("getServers", { withSelector: "project=trading" }))["servers"], []);
  assert.ok((await call("getImage", { name: "ubuntu-24.04", withArchitecture: "x86" }))["id"]);
  await assert.rejects(
    call("getServerType", { name: "cpx99" }),
    /no server type that fits \{"name":"cpx99"\}/,
  );
  await assert.rejects(call("getServerType", { nam: "cpx32" }), CheckError);
  await assert.rejects(call("getVolumes"), /"function hcloud:index\/getVolumes:getVolumes" is not supported/);
});

test("inputs with typos and impossible values are refused before any request", () => {
  const server = definition("Server");
  const wrong = {
    name: "a_b",
    serverType: "cpx32",
    image: "ubuntu-24.04",
    lokation: "fsn1",
    networks: [{ ip: "10.0.1.1" }],
  };
  assert.throws(
    () => checkInputs(server, wrong, undefined, "x"),
    (error: unknown) => error instanceof CheckError && error.problems.length === 3,
  );
  const configuration = hcloud.configuration.safeParse({ token: "short", pollInterval: "often" });
  assert.equal(configuration.error?.issues.length, 2);
});

/** A server that gives prepared answers, in order, and notes what it was asked. */
async function scripted(
  answers: ((request: IncomingMessage, response: ServerResponse) => void)[],
  body: (endpoint: string, asked: string[]) => Promise<void>,
): Promise<void> {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    const answer = answers.shift();
    assert.ok(answer, `unexpected request ${asked.at(-1)}`);
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await body(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

function answer(status: number, body: unknown) {
  return (_request: IncomingMessage, response: ServerResponse): void => {
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  };
}

function client(endpoint: string): HetznerClient {
  return new HetznerClient({
    endpoint,
    token: "t",
    pollIntervalMs: 5,
    pollFunction: "constant",
    retryBaseMs: 2,
  });
}

const refusal = (code: string, details?: unknown): unknown => ({ error: { code, message: "no", details } });

test("passing troubles are retried five times, lasting ones are not, and the API's words reach the user", async () => {
  const { signal } = context;
  const passing = ["conflict", "locked", "rate_limit_exceeded"].map((code) => answer(409, refusal(code)));
  await scripted([...passing, answer(502, "gateway"), answer(200, { ok: true })], async (endpoint, asked) => {
    assert.deepEqual(await client(endpoint).request("GET", "/x", signal), { ok: true });
    assert.equal(asked.length, 5);
  });
  await scripted(
    Array.from({ length: 6 }, () => answer(409, refusal("conflict"))),
    async (endpoint, asked) => {
      await assert.rejects(client(endpoint).request("POST", "/x", signal, {}), /\(conflict\)/);
      assert.equal(asked.length, 6);
    },
  );
  const fields = { fields: [{ name: "server_type", messages: ["is deprecated"] }] };
  await scripted([answer(422, refusal("invalid_input", fields))], async (endpoint) => {
    await assert.rejects(
      client(endpoint).request("POST", "/servers", signal, {}),
      /\(invalid_input\)\nserver_type: is deprecated/,
    );
  });
  let closed = "";
  await scripted([], async (endpoint) => {
    closed = endpoint;
  });
  await assert.rejects(client(closed).request("POST", "/x", signal, {}), HetznerUnreachableError);
});

test("a request whose answer is lost is no known failure: the creation is looked up later", async () => {
  await scripted([(request) => request.socket.destroy()], async (endpoint) => {
    await assert.rejects(
      client(endpoint).request("POST", "/servers", context.signal, {}),
      (error: unknown) => !(error instanceof ProviderError),
    );
  });
});

test("actions are polled together until all have ended; one that fails says why", async () => {
  const action = (id: number, status: string, error: unknown = null): unknown => ({
    id,
    status,
    command: "create_server",
    error,
  });
  const polls = [
    answer(200, { actions: [action(1, "running"), action(2, "success")] }),
    answer(200, { actions: [action(1, "success")] }),
  ];
  await scripted(polls, async (endpoint, asked) => {
    await client(endpoint).wait(
      [action(1, "running"), null, action(2, "running"), undefined],
      context.signal,
    );
    assert.deepEqual(asked, [
      "GET /actions?id=1&id=2&page=1&sort=status&sort=id",
      "GET /actions?id=1&page=1&sort=status&sort=id",
    ]);
  });
  const failed = action(3, "error", { code: "resource_unavailable", message: "no stock" });
  await scripted([answer(200, { actions: [failed] }), answer(200, { actions: [] })], async (endpoint) => {
    await assert.rejects(
      client(endpoint).wait([action(3, "running")], context.signal),
      /create_server failed: no stock/,
    );
    await assert.rejects(
      client(endpoint).wait([action(4, "running")], context.signal),
      /no longer knows action 4/,
    );
  });
});

test("a server whose creation fails after it exists is not forgotten", async () => {
  const type = { id: 1, name: "cpx32", architecture: "x86" };
  const image = { id: 2, name: "ubuntu-24.04", deprecated: null };
  const failed = {
    id: 9,
    status: "error",
    command: "create_server",
    error: { code: "placement_error", message: "no room" },
  };
  const answers = [
    answer(200, { server_types: [type] }),
    answer(200, { images: [image] }),
    answer(201, { server: { id: 77, name: "s", status: "initializing" }, action: failed, next_actions: [] }),
  ];
  await scripted(answers, async (endpoint) => {
    const other = hcloud.configure({ token: "t".repeat(64), endpoint });
    const resource = other.resource("hcloud:index/server:Server");
    const making = resource?.create({ name: "s", serverType: "cpx32", image: "ubuntu-24.04" }, context);
    await assert.rejects(
      async () => making,
      (error: unknown) => {
        assert.ok(error instanceof IncompleteCreationError);
        assert.deepEqual([error.id, error.code], ["77", "placement_error"]);
        return true;
      },
    );
  });
});
