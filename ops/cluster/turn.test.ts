import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { until } from "../../test/until.ts";
import { StackLockedError } from "../engine/stack-engine.ts";
import { StateBucketError } from "../engine/state-bucket.ts";
import { SimulatedBucket, type SimulatedMachine } from "../engine/testing/simulated-bucket.ts";
import type { ClusterParts } from "./parts.ts";
import { inTurn } from "./turn.ts";

const leaseMs = 4_000;

/** A run on a machine of its own, as far as a turn needs one. */
function runOn(machine: SimulatedMachine, host: string, waitMs = 20_000) {
  const notes: string[] = [];
  const stop = new AbortController();
  const holder = { user: "ci", host, pid: 7, run: null, since: "2026-01-05T10:00:00.000Z" };
  const parts = {
    stack: "dev",
    turn: { open: () => machine, holder, leaseMs, waitMs },
    reporter: { note: (line: string) => void notes.push(line), progress: () => undefined },
    signal: stop.signal,
    client: { endingWith: (signal: AbortSignal) => ({ signal }) },
  } as unknown as ClusterParts;
  return { parts, notes, stop };
}

/** Work that ends when it is told to. */
function work() {
  let begin: (signal: AbortSignal) => void = () => undefined;
  const begun = new Promise<AbortSignal>((resolve) => (begin = resolve));
  let end: (result: string) => void = () => undefined;
  const ended = new Promise<string>((resolve) => (end = resolve));
  return {
    begun,
    end,
    do: async ({ signal, client }: ClusterParts): Promise<string> => {
      assert.deepEqual(client, { signal }, "requests end with the turn");
      begin(signal);
      return Promise.race([
        ended,
        once(signal, "abort").then((): never => {
          throw new Error("the engine was stopped");
        }),
      ]);
    },
  };
}

test("the second of two runs waits for the first one, and is told who that is", async () => {
  const server = new SimulatedBucket();
  const [first, second] = [runOn(server.machine(), "a"), runOn(server.machine(), "b")];
  const [firstWork, secondWork] = [work(), work()];
  const order: string[] = [];
  const one = inTurn(first.parts, firstWork.do).then((result) => order.push(result));
  await firstWork.begun;
  const two = inTurn(second.parts, secondWork.do).then((result) => order.push(result));
  void secondWork.begun.then(() => order.push("second begins"));
  await until("the second is told", () => second.notes.length > 0);
  assert.match(second.notes[0] ?? "", /waiting for another run on stack dev: ci@a \(process 7/);
  firstWork.end("first ends");
  await one;
  await secondWork.begun;
  secondWork.end("second ends");
  await two;
  assert.deepEqual(order, ["first ends", "second begins", "second ends"]);
  assert.deepEqual(first.notes, []);
});

test("who is waited for in vain is named", async () => {
  const server = new SimulatedBucket();
  const first = work();
  const one = inTurn(runOn(server.machine(), "a").parts, first.do);
  await first.begun;
  await assert.rejects(
    inTurn(runOn(server.machine(), "b", 0).parts, () => Promise.reject(new Error("must not begin"))),
    (error: unknown) => error instanceof StackLockedError && /held by ci@a/.test(error.message),
  );
  first.end("done");
  assert.equal(await one, "done");
});

test("the turn of a killed run is over when its lease has run out; one that was frozen is stopped then", async () => {
  const server = new SimulatedBucket();
  const machine = server.machine();
  const frozen = work();
  const one = inTurn(runOn(machine, "a").parts, frozen.do).catch((error: unknown) => error);
  const signal = await frozen.begun;
  machine.freeze();
  server.pass(3 * leaseMs);
  const next = runOn(server.machine(), "b");
  assert.equal(await inTurn(next.parts, () => Promise.resolve("went on")), "went on");
  assert.match(next.notes.join(), /ci@a .* did not come to its end: going on/);
  machine.thaw();
  await until("the frozen one is stopped", () => signal.aborted);
  assert.ok((await one) instanceof StackLockedError);
});

test("a bucket that cannot hold a lease is told, and the work is done", async () => {
  const server = new SimulatedBucket();
  server.ignoresConditions = true;
  const { parts, notes } = runOn(server.machine(), "a");
  assert.equal(await inTurn(parts, () => Promise.resolve("done")), "done");
  assert.match(notes.join(), /warning: other runs on stack dev are not kept apart .*ignores the conditions/);
});

test("a wait ends with its signal, and what fails gives the turn back", async () => {
  const server = new SimulatedBucket();
  const first = work();
  const one = inTurn(runOn(server.machine(), "a").parts, first.do);
  await first.begun;
  const waiting = runOn(server.machine(), "b");
  const two = inTurn(waiting.parts, () => Promise.reject(new Error("must not begin")));
  waiting.stop.abort();
  await assert.rejects(two, { name: "AbortError" });
  first.end("done");
  await one;
  const failing = inTurn(runOn(server.machine(), "c").parts, () => Promise.reject(new Error("sold out")));
  await assert.rejects(failing, /sold out/);
  assert.equal(await inTurn(runOn(server.machine(), "d").parts, () => Promise.resolve("free")), "free");
});

test("who waits for another run goes on waiting while the bucket does not answer", async () => {
  const server = new SimulatedBucket();
  const first = work();
  const one = inTurn(runOn(server.machine(), "a").parts, first.do);
  await first.begun;
  const machine = server.machine();
  const waiting = runOn(machine, "b");
  const second = work();
  const two = inTurn(waiting.parts, second.do);
  await until("it is told", () => waiting.notes.length > 0);
  const get = machine.get.bind(machine);
  let failures = 0;
  machine.get = () => {
    failures++;
    return Promise.reject(new StateBucketError("503 SlowDown"));
  };
  await until("it has asked in vain", () => failures > 1);
  machine.get = get;
  first.end("done");
  assert.equal(await one, "done");
  await second.begun;
  assert.equal(waiting.notes.length, 1, "no warning that runs are not kept apart");
  second.end("done, too");
  assert.equal(await two, "done, too");
});
