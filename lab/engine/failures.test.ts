/** What a failure in the middle leaves: consistent state, nothing forgotten, and a next run that goes on from there. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, afterEach, before, test } from "node:test";
import { type FaultRule, type Hetzner, latencyModel, startHetzner } from "../hetzner/index.ts";
import type { PropertyMap } from "./properties.ts";
import { type Ended, openSession, type Program, type Session } from "./testing/session.ts";

let hetzner: Hetzner;
let directory = "";
before(async () => {
  hetzner = await startHetzner({ latency: latencyModel("fast", { create_server: 300 }) });
  directory = mkdtempSync(path.join(os.tmpdir(), "engine-failures-"));
});
afterEach(() => void hetzner.faults.remove());
after(async () => {
  await hetzner.close();
  rmSync(directory, { recursive: true, force: true });
});

function session(): Session {
  return openSession(mkdtempSync(path.join(directory, "session-")), {
    "hcloud:token": hetzner.token,
    "hcloud:endpoint": hetzner.endpoint,
    "hcloud:pollInterval": "20ms",
    "hcloud:pollFunction": "constant",
  });
}

const server = (name: string, given: PropertyMap = {}): [string, string, PropertyMap] => [
  "hcloud:index/server:Server",
  name,
  { name, serverType: "cpx32", image: "ubuntu-24.04", location: "fsn1", ...given },
];
const refusal = (name: string): FaultRule => ({
  at: "request",
  method: "POST",
  path: "/servers",
  body: { name },
  effect: { kind: "error", code: "resource_unavailable" },
});
const recorded = ({ state }: Ended): string[] => state.resources.map(({ name }) => name).sort();

test("a failed creation: what is under way is awaited and recorded, what depends on it is not begun, the next run goes on", async () => {
  const on = session();
  const program: Program = async (register) => {
    const [slow, failing] = [register(...server("slow")), register(...server("failing"))];
    const ended = await Promise.allSettled([slow, failing]);
    const bad = ended.find(({ status }) => status === "rejected");
    // As in the program: what depends on a failed resource is never registered, what does not is refused.
    await register(...server("later"));
    if (bad?.status === "rejected") throw bad.reason;
  };
  hetzner.faults.add({ rules: [refusal("failing")] });
  const first = await on.up(program);
  assert.deepEqual(
    first.failures.map(({ urn, operation, code }) => [urn?.split("::").at(-1), operation, code]),
    [["failing", "create", "resource_unavailable"]],
  );
  assert.deepEqual(recorded(first), ["slow"]);
  assert.deepEqual(first.state.pendingCreations, []);
  assert.deepEqual(
    hetzner.project.servers().map(({ name, status }) => [name, status]),
    [["slow", "running"]],
  );
  const id = hetzner.project.servers()[0]?.id;
  hetzner.faults.remove();
  const second = await on.up(program);
  assert.deepEqual([second.failures, second.counts.created, second.counts.same], [[], 2, 1]);
  assert.ok(
    hetzner.project.servers().some((one) => one.id === id),
    "the first one is the same",
  );
  await on.up(async () => undefined);
  assert.deepEqual(hetzner.project.billable(), []);
});

test("a server whose creation fails half way bills, so it is recorded, replaced by the next run and removed by destroy", async () => {
  const on = session();
  const failing: FaultRule = {
    at: "action",
    command: "create_server",
    when: { times: 1 },
    effect: { error: { code: "action_failed", message: "the host died" } },
  };
  hetzner.faults.add({ rules: [failing] });
  const first = await on.up((register) => register(...server("half")));
  assert.match(first.failures[0]?.message ?? "", /the host died[^]*is there and bills/);
  assert.ok(first.state.resources[0]?.incomplete !== undefined);
  const second = await on.up((register) => register(...server("half")));
  assert.deepEqual([second.failures, second.done], [[], ["delete half", "replace half"]]);
  assert.equal(hetzner.project.servers().length, 1);
  await on.up(async () => undefined);
  assert.deepEqual(hetzner.project.billable(), []);
});

test("a failed replacement leaves the old one in place, and a failed update keeps the old inputs; both are repeated", async () => {
  const on = session();
  const unnamed =
    (userData: string): Program =>
    (register) => {
      const [type, name, { name: _name, ...inputs }] = server("made");
      return register(type, name, { ...inputs, userData });
    };
  const made = await on.up(unnamed("one"));
  const old = made.state.resources[0];
  hetzner.faults.add({ rules: [refusal("made-*")] });
  const failed = await on.up(unnamed("two"));
  assert.deepEqual(
    failed.failures.map(({ operation, code }) => [operation, code]),
    [["replace", "resource_unavailable"]],
  );
  assert.deepEqual(failed.state.resources, [old]);
  assert.equal(hetzner.project.servers()[0]?.status, "running");
  hetzner.faults.remove();
  const replaced = await on.up(unnamed("two"));
  // Its name is generated, so the new one comes first, under another name.
  assert.deepEqual(replaced.done, ["replace made", "delete made"]);
  assert.notEqual(replaced.state.resources[0]?.inputs["name"], old?.inputs["name"]);

  const labelled =
    (value: string): Program =>
    (register) => {
      const [type, name, { name: _name, ...inputs }] = server("made");
      return register(type, name, { ...inputs, userData: "two", labels: { value }, firewallIds: [] });
    };
  hetzner.faults.add({
    rules: [
      { at: "request", method: "PUT", path: "/servers/{id}", effect: { kind: "error", code: "forbidden" } },
    ],
  });
  const notUpdated = await on.up(labelled("new"));
  assert.equal(notUpdated.failures[0]?.operation, "update");
  assert.equal(notUpdated.state.resources[0]?.inputs["labels"], undefined);
  hetzner.faults.remove();
  assert.deepEqual((await on.up(labelled("new"))).done, ["update made"]);
  assert.equal(hetzner.project.servers()[0]?.labels["value"], "new");
  await on.up(async () => undefined);
  assert.deepEqual(hetzner.project.billable(), []);
});
