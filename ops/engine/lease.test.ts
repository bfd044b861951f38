import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../../test/until.ts";
import { type Lease, LeaseHeldError, LeaseLostError, readLease, takeLease } from "./lease.ts";
import type { RunIdentity } from "./run-identity.ts";
import { StateBucketError } from "./state-bucket.ts";
import { SimulatedBucket, type SimulatedMachine } from "./testing/simulated-bucket.ts";

const key = "state.lock";
const leaseMs = 4_000;
const run = (host: string): RunIdentity => ({
  user: "ci",
  host,
  pid: 7,
  run: "https://git.test/o/r/actions/runs/1",
  since: "2026-01-05T10:00:00.000Z",
});
const take = (bucket: SimulatedMachine, host: string): Promise<Lease> =>
  takeLease({ bucket, key, holder: run(host), leaseMs });

test("one of many gets it; the others are told who has it as soon as that one proves to be alive", async () => {
  const server = new SimulatedBucket();
  const outcomes = await Promise.allSettled(["a", "b", "c", "d"].map((host) => take(server.machine(), host)));
  const taken = outcomes.filter((outcome) => outcome.status === "fulfilled");
  assert.equal(taken.length, 1);
  for (const outcome of outcomes) {
    if (outcome.status === "fulfilled") continue;
    assert.ok(outcome.reason instanceof LeaseHeldError);
    assert.match(
      outcome.reason.message,
      /held by ci@[abcd] \(process 7, https:\S+, since 2026-01-05T10:00:00.000Z\)/,
    );
  }
  await taken[0]?.value.release();
  const next = await take(server.machine(), "e");
  assert.deepEqual([next.generation, next.predecessor], [2, undefined]);
  await next.release();
  assert.equal((await readLease(server.machine(), key))?.holder, null);
});

test("who is frozen for longer than it lasts loses it, with what it noted, and learns of it when it wakes up", async () => {
  const server = new SimulatedBucket();
  const frozen = server.machine();
  const former = await take(frozen, "a");
  await former.note({ locks: ["x"] });
  frozen.freeze();
  server.pass(3 * leaseMs);
  assert.equal((await readLease(server.machine(), key))?.isAlive, false);
  const successor = await take(server.machine(), "b");
  assert.deepEqual(
    [successor.generation, successor.predecessor?.holder?.host, successor.notes],
    [2, "a", { locks: ["x"] }],
  );
  frozen.thaw();
  await until("the former holder learns of it", () => former.lost.aborted);
  assert.ok(former.lost.reason instanceof LeaseLostError);
  assert.match(former.lost.reason.message, /ci@b [^]*has taken it over/);
  await assert.rejects(former.note({ locks: [] }), LeaseLostError);
  await former.release();
  assert.equal((await readLease(server.machine(), key))?.holder?.host, "b", "nothing was given back");
  await successor.release();
});

test("a server that ignores the conditions of writes is refused before anything is done", async () => {
  const server = new SimulatedBucket();
  server.ignoresConditions = true;
  await assert.rejects(
    take(server.machine(), "a"),
    (error: unknown) => error instanceof StateBucketError && /ignores the conditions/.test(error.message),
  );
  assert.equal(server.get(key), undefined);
});

test("what is no lease is nobody's to take", async () => {
  const server = new SimulatedBucket();
  server.put(key, "{}", "if-absent");
  await assert.rejects(take(server.machine(), "a"), StateBucketError);
});

test("who cannot renew it gives it up by itself, while it still counts as alive for the others", async () => {
  const server = new SimulatedBucket();
  const machine = server.machine();
  const lease = await take(machine, "a");
  // None of its requests ends, so none of them fails.
  machine.freeze();
  await until("it is lost", () => lease.lost.aborted);
  assert.equal((await readLease(server.machine(), key))?.isAlive, true);
  assert.match((lease.lost.reason as Error).message, /could not be renewed for/);
  machine.thaw();
  await assert.rejects(lease.note({}), LeaseLostError);
});

test("a successor waits for longer than the lease says", async () => {
  const server = new SimulatedBucket();
  const lease = await takeLease({ bucket: server.machine(), key, holder: run("a"), leaseMs: 60_000 });
  server.pass(64_000);
  assert.equal((await readLease(server.machine(), key))?.isAlive, true);
  server.pass(4_000);
  assert.equal((await readLease(server.machine(), key))?.isAlive, false);
  await lease.release();
});

test("the wait for one that may be dead ends with its signal", async () => {
  const server = new SimulatedBucket();
  const frozen = server.machine();
  const lease = await takeLease({ bucket: frozen, key, holder: run("a"), leaseMs: 60_000 });
  frozen.freeze();
  const stopped = new AbortController();
  const waiting = takeLease({
    bucket: server.machine(),
    key,
    holder: run("b"),
    leaseMs: 60_000,
    signal: stopped.signal,
  });
  stopped.abort();
  await assert.rejects(waiting, { name: "AbortError" });
  frozen.thaw();
  await lease.release();
});

test("a new one begins above what stands beside it", async () => {
  const server = new SimulatedBucket();
  const floor = () => Promise.resolve(7);
  const lease = await takeLease({ bucket: server.machine(), key, holder: run("a"), leaseMs, floor });
  assert.equal(lease.generation, 8);
  await lease.release();
});

test("a server is asked again whether it holds to conditions when who made the lease was killed before", async () => {
  const server = new SimulatedBucket();
  const killed = server.machine();
  const put = killed.put.bind(killed);
  // Killed right after the first write.
  killed.put = async (...args) => {
    const etag = await put(...args);
    killed.freeze();
    return etag;
  };
  void take(killed, "a");
  await until("the lease is made", () => server.get(key) !== undefined);
  server.ignoresConditions = true;
  server.pass(3 * leaseMs);
  await assert.rejects(take(server.machine(), "b"), StateBucketError);
});
