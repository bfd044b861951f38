import assert from "node:assert/strict";
import { test } from "node:test";
import { Agenda, type EventKind } from "./agenda.ts";

function scene() {
  let now = 0;
  const agenda = new Agenda({ now: () => now, advance: (ms) => void (now += ms) });
  const happened: string[] = [];
  const add = (at: number, kind: EventKind, work: () => Promise<void> | void = () => undefined): void =>
    agenda.add(new Date(at), kind, async () => {
      happened.push(`${kind} ${now}`);
      await work();
    });
  return { agenda, add, happened, now: () => now };
}

test("what is due happens in order and at its time, and time goes on to the end", async () => {
  const { agenda, add, happened, now } = scene();
  add(20, "job");
  add(10, "moment");
  add(31, "watch");
  await agenda.pass(new Date(30), "idle");
  assert.deepEqual(happened, ["moment 10", "job 20"]);
  assert.equal(now(), 30);
});

test("while a job waits the guard looks, other jobs have to wait; while it works, only the world goes on", async () => {
  const { agenda, add, happened } = scene();
  add(10, "job", async () => {
    await agenda.pass(new Date(40), "waiting");
    await agenda.pass(new Date(60), "working");
  });
  add(20, "job");
  add(30, "watch");
  add(50, "watch");
  add(55, "moment");
  await agenda.pass(new Date(100), "idle");
  assert.deepEqual(happened, ["job 10", "watch 30", "moment 55", "job 60", "watch 60"]);
});

test("a signal ends it", async () => {
  const { agenda, add, happened, now } = scene();
  const stop = new AbortController();
  add(10, "moment", () => stop.abort());
  add(20, "moment");
  await agenda.pass(new Date(30), "idle", stop.signal);
  assert.deepEqual([happened, now()], [["moment 10"], 10]);
});
