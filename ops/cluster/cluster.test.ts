/** The judgements of open and close that need no cloud; the whole is played in test/infrastructure/open-close.check.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ArchiveStore } from "../../services/archive/store.ts";
import { MemoryStore } from "../../services/archive/memory-store.ts";
import type { RankedChoice } from "../../components/capacity.ts";
import { failedRun, type StackState } from "../engine/stack-engine.ts";
import type { HetznerClient } from "../hetzner/client.ts";
import { RefusedError } from "../run.ts";
import { destroyWasBegun, gateNames } from "./begun-destroy.ts";
import { findLeftovers } from "./leftovers.ts";
import type { ClusterParts } from "./parts.ts";
import { clearLeftover } from "./clear.ts";
import { destroyStack } from "./close.ts";
import { removeResources, RemovalError } from "./removal.ts";
import { demandRelease } from "./release.ts";
import { wakeOpened } from "./standstill.ts";
import { exclusionsFor, judgeUpFailure } from "./up-failure.ts";
import { demandWhole, forgetVanished, isTorn } from "./vanished.ts";

const date = "2025-10-14";
const labels = (clusterId: string, role = "kafka") => ({
  project: "trading",
  stack: "dev",
  role,
  "cluster-id": clusterId,
  "business-date": date,
});

const server = (id: number, name: string, clusterId: string, role = "kafka", status = "running") => ({
  status,
  id,
  name,
  labels: labels(clusterId, role),
  server_type: { name: "cpx32" },
  location: { name: "fsn1" },
  public_net: { ipv4: { id: 1, ip: "192.0.2.1" }, ipv6: null },
});

const network = (id: number, clusterId: string, ...ranges: string[]) => ({
  id,
  name: "dev",
  labels: labels(clusterId),
  subnets: ranges.map((ip_range) => ({ ip_range })),
});

interface Row {
  id: number;
  name: string;
  labels: Record<string, string>;
}

/**
 * An account in memory, as far as lists, power and removals go.
 * @param onAct called before power is switched
 */
function account(rows: Partial<Record<string, Row[]>>, onAct: () => Promise<void> = () => Promise.resolve()) {
  const removed: string[] = [];
  const client = {
    list: (kind: string) => Promise.resolve(rows[kind] ?? []),
    remove: (kind: string, id: number) => {
      if (id === 666) return Promise.reject(new Error("protected"));
      removed.push(`${kind}/${id}`);
      return Promise.resolve(true);
    },
    act: async (kind: string, id: number, command: string) => {
      await onAct();
      removed.push(`${command} ${kind}/${id}`);
    },
    serverTypes: () => Promise.resolve([]),
    pricing: () => Promise.resolve({ primary_ips: [] }),
  } as unknown as HetznerClient;
  return { client, removed };
}

const memory = () => new MemoryStore() as MemoryStore & ArchiveStore;
const gate = { timeoutMs: 1_000, verify: "fast", allowDataLoss: undefined } as const;
const quiet = { report: () => undefined, signal: new AbortController().signal };

function state(clusterId: string, known: readonly number[], pending: readonly string[] = []): StackState {
  const type = "hcloud:index/server:Server";
  return {
    resources: known.map((id) => ({ urn: `urn::${id}`, type, name: `nodes-${id}`, id: String(id) })),
    pending: pending.map((resourceName) => ({ urn: resourceName, type, resourceName })),
    cluster: { clusterId, businessDate: date },
  };
}

test("what the state does not know is found, by cluster, with what it held", async () => {
  const { client } = account({
    servers: [server(1, "dev-kafka-0", "A"), server(2, "dev-kafka-1", "A"), server(3, "dev-kafka-2", "B")],
    // Ids count for each kind apart.
    networks: [network(1, "B")],
    ssh_keys: [{ id: 9, name: "dev", labels: { project: "trading", stack: "dev" } }],
  });
  const archiveStore = memory();
  await archiveStore.putJson(`dev/${date}/B/opened.json`, {});
  const search = { stack: "dev", archiveStore, state: state("A", [1], ["dev-kafka-1"]) };
  const found = await findLeftovers(client, { ...search, adoptsPending: true });
  assert.deepEqual(
    found.map(({ held, isOfState, resources }) => [held, isOfState, resources.map(({ id }) => id)]),
    [
      ["opened", false, [3, 1]],
      ["unknown", false, [9]],
    ],
  );
  const without = await findLeftovers(client, { ...search, adoptsPending: false });
  assert.deepEqual(
    without.map(({ held, isOfState, resources }) => [held, isOfState, resources.map(({ id }) => id)]),
    [
      ["never", true, [2]],
      ["opened", false, [3, 1]],
      ["unknown", false, [9]],
    ],
  );
});

test("objects without a marker count as data", async () => {
  const { client } = account({ servers: [server(3, "dev-kafka-2", "B")] });
  const archiveStore = memory();
  await archiveStore.put(`dev/${date}/B/t/0/${"0".repeat(20)}-${"0".repeat(20)}.ndjson.gz`, "x");
  const [found] = await findLeftovers(client, {
    stack: "dev",
    archiveStore,
    state: undefined,
    adoptsPending: false,
  });
  assert.equal(found?.held, "opened");
});

test("an opened cluster goes only through the gate; the exact word lets it go; without servers it holds nothing", async () => {
  const archiveStore = memory();
  await archiveStore.putJson(`dev/${date}/B/opened.json`, {});
  const leftoverOf = async (rows: Partial<Record<string, Row[]>>) => {
    const { client } = account(rows);
    const search = { stack: "dev", archiveStore, state: undefined, adoptsPending: false };
    const [leftover] = await findLeftovers(client, search);
    assert.ok(leftover);
    return leftover;
  };
  const leftover = await leftoverOf({ servers: [server(3, "dev-kafka-2", "B")] });
  const ask = (allowDataLoss: string | undefined, of = leftover) =>
    demandRelease({ stack: "dev", leftover: of, archiveStore, gate: { ...gate, allowDataLoss }, ...quiet });
  await assert.rejects(ask("dev/A"), (error: unknown) => {
    assert.ok(error instanceof RefusedError);
    assert.match(error.message, /TRADING_ALLOW_DATA_LOSS=dev\/B/);
    return true;
  });
  assert.equal(await ask("dev/B"), "data-loss-allowed");
  const withoutServers = await leftoverOf({ networks: [network(1, "B")] });
  assert.equal(await ask(undefined, withoutServers), "no-servers");
});

test("what was never opened stands still before it goes; opened at the last moment, it goes on and stays", async () => {
  const play = async (archiveStore: MemoryStore & ArchiveStore, onAct?: () => Promise<void>) => {
    const servers = [server(1, "dev-kafka-0", "B"), server(2, "dev-k3s-control", "B", "k3s-control")];
    const { client, removed } = account({ servers, networks: [network(5, "B")] }, onAct);
    const search = { stack: "dev", archiveStore, state: undefined, adoptsPending: false };
    const [leftover] = await findLeftovers(client, search);
    assert.equal(leftover?.held, "never");
    const reporter = { note: () => undefined, progress: () => undefined };
    const parts = { client, archiveStore, stack: "dev", gate, reporter, ...quiet } as unknown as ClusterParts;
    const outcome = await clearLeftover(parts, leftover).catch((error: unknown) => error);
    return { outcome, removed };
  };
  const off = ["poweroff servers/1", "poweroff servers/2"];
  const never = await play(memory());
  assert.deepEqual(never.removed, [...off, "servers/2", "servers/1", "networks/5"]);

  // A Job of the killed run is faster than the power switch.
  const archiveStore = memory();
  const late = await play(archiveStore, () =>
    archiveStore.putJson(`dev/${date}/B/opened.json`, {}).then(() => undefined),
  );
  assert.ok(late.outcome instanceof RefusedError);
  assert.match(late.outcome.message, /opened at the last moment[^]*trading -- close --stack dev/);
  assert.deepEqual(late.removed, [...off, "poweron servers/1", "poweron servers/2"]);
});

test("what stands still: an opened cluster is powered on again, one that never was is told, a creation is neither", async () => {
  const play = async (clusterId: string, known: readonly number[]) => {
    const archiveStore = memory();
    await archiveStore.putJson(`dev/${date}/opened/opened.json`, {});
    const { client, removed } = account({
      servers: [server(1, "dev-kafka-0", clusterId), server(2, "dev-kafka-1", clusterId, "kafka", "off")],
    });
    const reporter = { note: () => undefined, progress: () => undefined };
    const engine = { state: () => Promise.resolve(state(clusterId, known)) };
    const parts = { client, archiveStore, stack: "dev", reporter, engine } as unknown as ClusterParts;
    return { wasBegun: await wakeOpened(parts), acts: removed };
  };
  assert.deepEqual(await play("opened", [1, 2]), { wasBegun: false, acts: ["poweron servers/2"] });
  assert.deepEqual(await play("never", [1, 2]), { wasBegun: true, acts: [] });
  assert.deepEqual(await play("never", [1]), { wasBegun: false, acts: [] });
});

test("Kubernetes objects are forgotten only where neither state nor account has a control plane", async () => {
  const play = async (isKnown: boolean, isThere: boolean) => {
    const { client } = account({
      servers: [server(1, "dev-kafka-0", "B"), ...(isThere ? [server(2, "x", "B", "k3s-control")] : [])],
    });
    const known = state("B", [1]);
    const type = "hcloud:index/server:Server";
    if (isKnown) known.resources.push({ urn: "c", type, name: "nodes-k3s-control", id: "2" });
    let told: boolean | undefined;
    const engine = {
      state: () => Promise.resolve(known),
      destroy: ({ forgetKubernetes }: { forgetKubernetes?: boolean }) => {
        told = forgetKubernetes;
        return Promise.resolve();
      },
    };
    const reporter = { note: () => undefined, progress: () => undefined };
    await destroyStack({ client, stack: "dev", engine, reporter, ...quiet } as unknown as ClusterParts);
    return told;
  };
  assert.deepEqual(
    [await play(true, true), await play(true, false), await play(false, true), await play(false, false)],
    [false, false, false, true],
  );
});

test("the control plane goes first, then what held the rest in use; one that stays is named", async () => {
  const rows = {
    networks: [network(5, "B")],
    servers: [server(1, "dev-kafka-0", "B"), server(2, "dev-k3s-control", "B", "k3s-control")],
    firewalls: [{ id: 4, name: "dev", labels: labels("B") }],
  };
  const find = async (given: Partial<Record<string, Row[]>>) => {
    const { client, removed } = account(given);
    const search = { stack: "dev", archiveStore: memory(), state: undefined, adoptsPending: false };
    const [leftover] = await findLeftovers(client, search);
    return { client, removed, resources: leftover?.resources ?? [] };
  };
  const whole = await find(rows);
  await removeResources(whole.client, whole.resources, () => undefined);
  assert.deepEqual(whole.removed, ["servers/2", "servers/1", "firewalls/4", "networks/5"]);
  const stuck = await find({ ...rows, servers: [...rows.servers, server(666, "dev-kafka-1", "B")] });
  await assert.rejects(
    removeResources(stuck.client, stuck.resources, () => undefined),
    (error: unknown) => error instanceof RemovalError && /dev-kafka-1[^]*protected/.test(error.message),
  );
  assert.deepEqual(stuck.removed, ["servers/2", "servers/1"], "what the last one stands on stays, too");
});

test("a destroy was begun when the gates are gone from the state of a cluster that held data", () => {
  const withGates = (...names: string[]): StackState => ({
    ...state("A", []),
    resources: names.map((name) => ({ urn: name, type: "command:local:Command", name, id: "x" })),
  });
  const { opening, export: last } = gateNames;
  assert.equal(destroyWasBegun(withGates(), "never"), false);
  assert.equal(destroyWasBegun(withGates(opening, last), "sealed"), false);
  assert.equal(
    destroyWasBegun(withGates(opening), "opened"),
    false,
    "an up that was killed after prepare-day",
  );
  assert.equal(destroyWasBegun(withGates(opening), "sealed"), true);
  assert.equal(destroyWasBegun(withGates(), "opened"), true);
});

test("what is gone leaves the state, but no server of a cluster that still holds data", async () => {
  const subnet = "hcloud:index/networkSubnet:NetworkSubnet";
  const range = "10.0.1.0/24";
  const known: [type: string, id: string][] = [
    ["hcloud:index/server:Server", "1"],
    ["hcloud:index/server:Server", "2"],
    ["hcloud:index/network:Network", "5"],
    [subnet, `5-${range}`],
    ["hcloud:index/firewall:Firewall", "5"],
    ["kubernetes:core/v1:Namespace", "kafka"],
  ];
  const play = async (rows: Partial<Record<string, Row[]>>, archiveStore: MemoryStore, gates: string[]) => {
    let left = [
      ...known.map(([type, id]) => ({ urn: `${type} ${id}`, type, id, name: `${type} ${id}` })),
      ...gates.map((name) => ({ urn: name, type: "command:local:Command", name, id: "x" })),
    ];
    const engine = {
      state: () => Promise.resolve({ ...state("B", []), resources: left }),
      refresh: (urns: readonly string[]) => {
        left = left.filter(({ urn }) => !urns.includes(urn));
        return Promise.resolve();
      },
    };
    const { client } = account(rows);
    const reporter = { note: () => undefined, progress: () => undefined };
    const parts = {
      engine,
      client,
      stack: "dev",
      archiveStore,
      reporter,
      ...quiet,
    } as unknown as ClusterParts;
    const vanished = await forgetVanished(parts);
    const refusal = await demandWhole(parts, vanished).then(
      () => undefined,
      (error: unknown) => error,
    );
    return { forgotten: vanished.forgotten.map(({ urn }) => urn), torn: isTorn(vanished), refusal };
  };
  const servers = [server(1, "dev-kafka-0", "B"), server(2, "dev-kafka-1", "B")];
  const firewalls = [{ id: 5, name: "dev", labels: labels("B") }];
  const whole = { servers, firewalls, networks: [network(5, "B", range)] };
  const gates = [gateNames.opening, gateNames.export];
  const never = memory();
  assert.deepEqual(await play(whole, never, gates), { forgotten: [], torn: false, refusal: undefined });
  const torn = { servers: servers.slice(1), networks: [network(5, "B")] };
  const missing = [
    "hcloud:index/server:Server 1",
    `${subnet} 5-${range}`,
    "hcloud:index/firewall:Firewall 5",
  ];
  assert.deepEqual(await play(torn, never, gates), { forgotten: missing, torn: true, refusal: undefined });

  const opened = memory();
  await opened.putJson(`dev/${date}/B/opened.json`, {});
  const { forgotten, torn: isPart, refusal } = await play(torn, opened, gates);
  assert.deepEqual([forgotten, isPart], [missing.slice(1), false]);
  assert.ok(refusal instanceof RefusedError);
  assert.match(refusal.message, /these are gone[^]*server:Server 1\.[^]*trading -- close --stack dev/);
  const begun = await play(torn, opened, []);
  assert.deepEqual(begun, { forgotten: missing, torn: true, refusal: undefined }, "its destroy was begun");
});

test("what a failed up calls for", () => {
  const failure = (code: string | undefined, name: string | undefined = "nodes-kafka-0") => ({
    urn: name,
    name,
    code,
    message: "no",
  });
  const judge = (...codes: (string | undefined)[]) =>
    judgeUpFailure(
      failedRun(
        "up",
        codes.map((code) => failure(code)),
      ),
    );
  assert.equal(judge("resource_unavailable", undefined), "capacity");
  assert.equal(judge("placement_error"), "capacity");
  assert.equal(judge("resource_unavailable", "resource_limit_exceeded"), "limit");
  assert.equal(judge("uniqueness_error"), "name");
  assert.equal(judge("timeout"), "other");
  assert.equal(judgeUpFailure(failedRun("up", [{ ...failure(undefined), name: undefined }])), "program");

  const choice: RankedChoice = {
    name: "fsn1/cpx32/cpx22",
    location: "fsn1",
    networkZone: "eu-central",
    brokerServerType: "cpx32",
    controlPlaneServerType: "cpx22",
  };
  const run = failedRun("up", [
    failure("resource_unavailable"),
    failure("resource_unavailable", "nodes-kafka-1"),
    failure("placement_error", "nodes-k3s-control"),
    failure("timeout"),
  ]);
  assert.deepEqual(exclusionsFor(run, choice), ["fsn1/cpx32/*", "fsn1/*/cpx22"]);
});
