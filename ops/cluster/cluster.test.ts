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
import { removeResources, RemovalError } from "./removal.ts";
import { demandRelease } from "./release.ts";
import { exclusionsFor, judgeUpFailure } from "./up-failure.ts";

const date = "2025-10-14";
const labels = (clusterId: string, role = "kafka") => ({
  project: "trading",
  stack: "dev",
  role,
  "cluster-id": clusterId,
  "business-date": date,
});

const server = (id: number, name: string, clusterId: string, role = "kafka") => ({
  id,
  name,
  labels: labels(clusterId, role),
  server_type: { name: "cpx32" },
  location: { name: "fsn1" },
  public_net: { ipv4: { id: 1, ip: "192.0.2.1" }, ipv6: null },
});

interface Row {
  id: number;
  name: string;
  labels: Record<string, string>;
}

/** An account in memory, as far as lists and removals go. */
function account(rows: Partial<Record<string, Row[]>>) {
  const removed: string[] = [];
  const client = {
    list: (kind: string) => Promise.resolve(rows[kind] ?? []),
    remove: (kind: string, id: number) => {
      if (id === 666) return Promise.reject(new Error("protected"));
      removed.push(`${kind}/${id}`);
      return Promise.resolve(true);
    },
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
    networks: [{ id: 1, name: "dev", labels: labels("B") }],
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
  const network = await leftoverOf({ networks: [{ id: 1, name: "dev", labels: labels("B") }] });
  assert.equal(await ask(undefined, network), "no-servers");
});

test("the control plane goes first, then what held the rest in use; one that stays is named", async () => {
  const rows = {
    networks: [{ id: 5, name: "dev", labels: labels("B") }],
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
  assert.deepEqual(stuck.removed, whole.removed, "everything else was removed");
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
