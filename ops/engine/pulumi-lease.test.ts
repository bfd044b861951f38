import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { until } from "../../test/until.ts";
import { LeaseLostError, readLease } from "./lease.ts";
import { PulumiLeases } from "./pulumi-lease.ts";
import { leaseKey, locksPrefix } from "./pulumi-backend.ts";
import type { PulumiLock } from "./pulumi-locks.ts";
import { childPulumis, isChild, processesOfPs } from "./pulumi-processes.ts";
import { StackLockedError } from "./stack-engine.ts";
import { StateBucketError } from "./state-bucket.ts";
import { SimulatedBucket, type SimulatedMachine } from "./testing/simulated-bucket.ts";

const leaseMs = 4_000;
const prefix = locksPrefix({ prefix: "" }, "trading", "dev");

const leasesOn = (bucket: SimulatedMachine, host: string, pid = 1): PulumiLeases =>
  new PulumiLeases({
    bucket,
    backend: { prefix: "" },
    project: "trading",
    stack: "dev",
    holder: { user: "ci", host, pid, run: null, since: "2026-01-05T10:00:00.000Z" },
    leaseMs,
  });

/** As Pulumi's message names a lock. */
const lockOf = (name: string, host: string, since = new Date()): PulumiLock => ({
  url: `s3://simulated/${prefix}${name}?region=fsn1`,
  user: "ci",
  host,
  pid: 7,
  since,
});

/** SIMULATED: Pulumi takes its lock, as a process that this one started. */
async function pulumiLocks(server: SimulatedBucket, name: string, host: string, pid: number): Promise<void> {
  server.put(prefix + name, JSON.stringify({ pid, hostname: host, username: "ci" }), "if-absent");
}

const directory = mkdtempSync(path.join(tmpdir(), "pulumi-lease-test-"));
const children = new Set<ChildProcess>();
after(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(directory, { recursive: true, force: true });
});

/** SIMULATED: a process with the name of the Pulumi CLI that goes on for long. */
async function startPulumi(): Promise<{ pid: number; child: ChildProcess }> {
  const file = path.join(directory, "pulumi-simulated");
  if (!existsSync(file))
    writeFileSync(file, "#!/bin/sh\necho begun\nwhile :; do sleep 1; done\n", { mode: 0o755 });
  const child = spawn(file, { stdio: ["ignore", "pipe", "ignore"] });
  children.add(child);
  await once(child.stdout, "data");
  return { pid: child.pid ?? 0, child };
}

test("the system tells of the Pulumis that were started here, by /proc and by ps", async () => {
  const { pid, child } = await startPulumi();
  const listed = processesOfPs();
  assert.ok(childPulumis().includes(pid));
  assert.equal(isChild(1), false);
  // Not every machine has it.
  if (listed.size > 0) {
    assert.ok(childPulumis(listed).includes(pid));
    assert.equal(isChild(1, listed), false);
  }
  child.kill("SIGKILL");
});

test("of a run that was killed in its second command, both locks are its own", async () => {
  const server = new SimulatedBucket();
  const machine = server.machine();
  const lease = await leasesOn(machine, "one").take();
  const { pid, child } = await startPulumi();
  const noted = async (name: string): Promise<boolean> => {
    const found = await readLease(server.machine(), leaseKey({ prefix: "" }, "trading", "dev"));
    return JSON.stringify(found?.notes["locks"] ?? []).includes(name);
  };
  const begun = lease.during(async () => {
    await pulumiLocks(server, "first.json", "one", pid);
    await until("the first command's lock is noted", () => noted("first.json"));
    server.remove(`${prefix}first.json`);
    await pulumiLocks(server, "second.json", "one", pid);
    await until("the second command's lock is noted", () => noted("second.json"));
    await new Promise(() => undefined);
  });
  void begun;
  await until("both are noted", async () => (await noted("first.json")) && noted("second.json"));
  const at = new Date();
  machine.freeze();
  server.pass(3 * leaseMs);
  const next = await leasesOn(server.machine(), "two").take();
  const long = new Date(at.getTime() + 3_600_000);
  assert.equal(next.isLeft(lockOf("second.json", "one", long)), true, "by its name");
  assert.equal(next.isLeft(lockOf("third.json", "one", at)), true, "one that there was no time to note");
  // It kills every Pulumi of this process, also one of a later test.
  await until("its Pulumi is killed", () => child.signalCode === "SIGKILL");
  await next.release();
});

test("when it is lost, every Pulumi is killed, the work counts as failed, and nothing more is begun", async () => {
  const server = new SimulatedBucket();
  const machine = server.machine();
  const lease = await leasesOn(machine, "one").take();
  const [one, two] = [await startPulumi(), await startPulumi()];
  const ended = Promise.all([once(one.child, "exit"), once(two.child, "exit")]);
  const work = lease.during(async () => {
    machine.freeze();
    await ended;
    machine.thaw();
    return "done";
  });
  await assert.rejects(work, LeaseLostError);
  let isBegun = false;
  await assert.rejects(
    lease.during(async () => void (isBegun = true)),
    LeaseLostError,
  );
  await assert.rejects(lease.confirm(), LeaseLostError);
  assert.equal(isBegun, false);
});

test("damaged notes are told, and the lease is given back", async () => {
  const server = new SimulatedBucket();
  const key = leaseKey({ prefix: "" }, "trading", "dev");
  await (await leasesOn(server.machine(), "one").take()).release();
  const { text = "", etag = "" } = server.get(key) ?? {};
  server.put(key, text.replace('"notes": {}', '"notes": { "locks": 1 }'), { ifMatch: etag });
  await assert.rejects(leasesOn(server.machine(), "two").take(), StateBucketError);
  assert.equal((await readLease(server.machine(), key))?.holder, null);
});

test("of a killed run, the lock of the command that was under way is its own, and no other", async () => {
  const server = new SimulatedBucket();
  const machine = server.machine();
  const lease = await leasesOn(machine, "one").take();
  const hangs = new Promise<void>(() => undefined);
  let begun = (): void => undefined;
  const isBegun = new Promise<void>((resolve) => (begun = resolve));
  void lease.during(async () => {
    begun();
    await hangs;
  });
  await isBegun;
  const at = new Date();
  machine.freeze();
  server.pass(3 * leaseMs);

  const next = await leasesOn(server.machine(), "two").take();
  assert.match(next.takenFrom ?? "", /^ci@one /);
  assert.equal(next.isLeft(lockOf("a.json", "one", at)), true);
  assert.equal(next.isLeft(lockOf("a.json", "elsewhere", at)), false, "of another host");
  const [before, later] = [-60_000, 60_000].map((ms) => new Date(at.getTime() + ms)) as [Date, Date];
  assert.equal(next.isLeft(lockOf("a.json", "one", before)), false, "of before the command");
  assert.equal(next.isLeft(lockOf("a.json", "one", later)), false, "of after its end");

  // Who takes it over from one that had no time to act on it knows as much.
  await next.release();
  const third = await leasesOn(server.machine(), "three").take();
  assert.equal(third.isLeft(lockOf("a.json", "one", at)), true);
  await third.forgetLeft();
  assert.equal(third.isLeft(lockOf("a.json", "one", at)), false);
  await third.release();
  assert.equal((await leasesOn(server.machine(), "four").take()).isLeft(lockOf("a.json", "one", at)), false);
});

test("a lock of somebody else's Pulumi on the same machine is not taken for this run's", async () => {
  const server = new SimulatedBucket();
  const lease = await leasesOn(server.machine(), "one").take();
  // Not a child of this process.
  await pulumiLocks(server, "other.json", "one", 1);
  await lease.during(() => Promise.resolve());
  await lease.release();
  const next = await leasesOn(server.machine(), "two").take();
  assert.equal(next.isLeft(lockOf("other.json", "one")), false);
  await next.remove(lockOf("other.json", "one"));
  assert.deepEqual(server.keys(prefix), []);
  await next.release();
});

test("a living holder is told to whoever else wants the stack", async () => {
  const server = new SimulatedBucket();
  const lease = await leasesOn(server.machine(), "one", 42).take();
  await assert.rejects(
    leasesOn(server.machine(), "two").take(),
    (error: unknown) => error instanceof StackLockedError && error.message.includes("ci@one (process 42"),
  );
  await lease.release();
});
