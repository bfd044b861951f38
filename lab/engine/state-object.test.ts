import assert from "node:assert/strict";
import { test } from "node:test";
import { SimulatedBucket, SimulatedMachine } from "../../ops/engine/testing/simulated-bucket.ts";
import { AbortedError, StateFormatError, StateLockedError, StateLostError } from "./errors.ts";
import { SharedState, stateObjectAt } from "./state-object.ts";

const leaseMs = 4_000;
const stateOn = (bucket: SimulatedMachine, host: string, signal?: AbortSignal): SharedState =>
  new SharedState({
    bucket,
    signal,
    key: "states/dev.json",
    processes: "",
    holder: { user: "ci", host, pid: 7, run: null, since: "2026-01-05T10:00:00.000Z" },
    leaseMs,
  });

test("a state goes from machine to machine; while one works on it, others only read", async () => {
  const server = new SimulatedBucket();
  const [one, two] = [stateOn(server.machine(), "one"), stateOn(server.machine(), "two")];
  assert.equal(await two.read(), undefined);
  const held = await one.lock();
  await held.write("a");
  assert.equal(await two.read(), "a");
  await assert.rejects(
    two.lock(),
    (error: unknown) => error instanceof StateLockedError && error.message.includes("ci@one"),
  );
  assert.deepEqual(await two.lockHolder(), {
    pid: 7,
    text: "ci@one (process 7, since 2026-01-05T10:00:00.000Z)",
    isAlive: true,
  });
  await held.release();
  assert.equal(await two.lockHolder(), undefined);
  const next = await two.lock();
  assert.equal(await next.read(), "a");
  await next.remove();
  await next.release();
  assert.equal(await one.read(), undefined);
});

test("a frozen run's writes, late or sent anew, change nothing once another one has the state", async () => {
  const server = new SimulatedBucket();
  const machine = server.machine();
  const former = await stateOn(machine, "one").lock();
  await former.write("before");
  machine.freeze();
  const late = former.write("late");
  void late.catch(() => undefined);
  server.pass(3 * leaseMs);
  const other = stateOn(server.machine(), "two");
  const held = await other.lock();
  assert.equal(await held.read(), "before");
  assert.match(held.takenFrom ?? "", /^ci@one /);
  machine.thaw();
  await assert.rejects(late, StateLostError);
  assert.ok(former.lost.aborted);
  await assert.rejects(former.write("again"), StateLostError);
  await assert.rejects(former.remove(), StateLostError);
  await former.release();
  assert.equal(await other.read(), "before");
  await held.write("after");
  assert.equal(await other.read(), "after");
  await held.release();
});

test("also where the other one has ended meanwhile, and nothing is left of the stack", async () => {
  const server = new SimulatedBucket();
  const machine = server.machine();
  const former = await stateOn(machine, "one").lock();
  machine.freeze();
  const late = former.write("late");
  void late.catch(() => undefined);
  server.pass(3 * leaseMs);
  const held = await stateOn(server.machine(), "two").lock();
  await held.remove();
  await held.release();
  machine.thaw();
  await assert.rejects(late, StateLostError);
  assert.equal(await stateOn(server.machine(), "three").read(), undefined);
});

test("what a former run wrote before it was shut out counts", async () => {
  const server = new SimulatedBucket();
  const former = await stateOn(server.machine(), "one").lock();
  server.pass(3 * leaseMs);
  const slow = server.machine();
  const get = (key: string) => SimulatedMachine.prototype.get.call(slow, key);
  // Between the successor's reading of the state and its writing of it.
  slow.get = async (key) => {
    const found = await get(key);
    if (key === "states/dev.json") {
      slow.get = get;
      await former.write("just in time");
    }
    return found;
  };
  const held = await stateOn(slow, "two").lock();
  assert.equal(await held.read(), "just in time");
  await assert.rejects(former.write("too late"), StateLostError);
  await held.release();
});

test("the wait for a run that may be dead ends with the signal", async () => {
  const server = new SimulatedBucket();
  const machine = server.machine();
  await stateOn(machine, "one").lock();
  machine.freeze();
  const stopped = new AbortController();
  const waiting = stateOn(server.machine(), "two", stopped.signal).lock();
  stopped.abort();
  await assert.rejects(waiting, AbortedError);
});

test("a lease that somebody removed is no reason to refuse the state", async () => {
  const server = new SimulatedBucket();
  for (const text of ["a", "b", "c"]) {
    const held = await stateOn(server.machine(), "one").lock();
    await held.write(text);
    await held.release();
  }
  server.remove("states/dev.json.lock");
  const held = await stateOn(server.machine(), "two").lock();
  assert.equal(await held.read(), "c");
  await held.write("d");
  await held.release();
});

test("what is no state of ours is left alone", async () => {
  const server = new SimulatedBucket();
  server.put("states/dev.json", "not json", "if-absent");
  await assert.rejects(stateOn(server.machine(), "one").lock(), StateFormatError);
  assert.equal(await stateOn(server.machine(), "two").lockHolder(), undefined, "and nobody holds it");
});

test("s3://bucket/key", () => {
  assert.deepEqual(stateObjectAt("s3://b/a/dev.json"), { bucket: "b", key: "a/dev.json" });
  for (const wrong of ["s3://b", "s3:///k", "a/b.json"]) assert.equal(stateObjectAt(wrong), undefined);
});
