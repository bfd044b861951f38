import assert from "node:assert/strict";
import { test } from "node:test";
import { PulumiLeases } from "./pulumi-lease.ts";
import { locksPrefix } from "./pulumi-backend.ts";
import type { PulumiLock } from "./pulumi-locks.ts";
import { StackLockedError } from "./stack-engine.ts";
import { SimulatedBucket, type SimulatedMachine } from "./testing/simulated-bucket.ts";

const leaseMs = 1_000;
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
  const leases = leasesOn(server.machine(), "one", 42);
  const lease = await leases.take();
  assert.deepEqual(await leases.holder(), {
    text: "ci@one (process 42, since 2026-01-05T10:00:00.000Z)",
    isAlive: true,
  });
  await assert.rejects(
    leasesOn(server.machine(), "two").take(),
    (error: unknown) => error instanceof StackLockedError && error.message.includes("ci@one (process 42"),
  );
  await lease.release();
  assert.equal(await leases.holder(), undefined);
});
