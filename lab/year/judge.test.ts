import assert from "node:assert/strict";
import { test } from "node:test";
import type { TradingDay } from "../../ops/calendar/trading-day.ts";
import { openNotifier } from "../../ops/notify/notifier.ts";
import type { LabObjectStore } from "../objectstore/index.ts";
import { Judge } from "./judge.ts";
import { SimulatedPeople } from "./people.ts";

const at = (time: string): Date => new Date(`2026-10-19T${time}Z`);
const day: TradingDay = {
  date: "2026-10-19",
  bell: at("13:30"),
  bellClose: at("20:00"),
  closesEarly: false,
  beginsAt: at("12:30"),
  opensAt: at("13:00"),
  closesAt: at("15:00"),
  deadline: at("16:30"),
};
// What these judgements do not ask.
const noStore = {} as LabObjectStore;

/** What people hear by HTTP, each thing at its time. */
async function heard(
  ...things: { at: string; notice?: "failed" | "opened"; beat?: "open" | "close"; isDown?: boolean }[]
): Promise<SimulatedPeople> {
  let now = day.beginsAt;
  const people = await SimulatedPeople.start(() => now);
  const notifier = openNotifier({
    environment: people.environment,
    reporter: { note: () => undefined },
    signal: new AbortController().signal,
    patience: { deadlineMs: 1_000, firstDelayMs: 2_000 },
  });
  for (const thing of things) {
    now = at(thing.at);
    people.isDown = thing.isDown === true;
    const { notice: kind, beat } = thing;
    if (kind !== undefined)
      await notifier.tell({ kind, stack: "dev", cluster: null, text: "so it is", at: now.toISOString() });
    if (beat !== undefined) await notifier.beat(beat);
  }
  await people.close();
  return people;
}

function judged(people: SimulatedPeople, seen: { opened: boolean; gone: boolean }) {
  const judge = new Judge("dev", noStore);
  const { told } = judge.judgeDay(people, day, seen);
  return { told, kinds: judge.findings.map(({ kind }) => kind) };
}

test("a day that is not open at the bell is a finding unless people hear of it", async () => {
  const opened = { opened: false, gone: true };
  const silent = await heard({ at: "13:20", beat: "open" }, { at: "13:21", notice: "opened" });
  assert.deepEqual(judged(silent, opened), { told: [], kinds: ["not-opened-untold"] });
  const told = await heard({ at: "13:20", beat: "open" }, { at: "13:40", notice: "failed" });
  assert.deepEqual(judged(told, opened), { told: ["webhook: failed"], kinds: [] });
  const late = await heard({ at: "13:20", beat: "open" }, { at: "15:31", notice: "failed" });
  assert.deepEqual(
    judged(late, opened).kinds,
    ["not-opened-untold"],
    "two hours behind the bell are too late",
  );
  const deaf = await heard({ at: "13:20", beat: "open" }, { at: "13:40", notice: "failed", isDown: true });
  assert.deepEqual(judged(deaf, opened).kinds, ["not-opened-untold"], "what did not arrive does not count");
  const { told: alarm, kinds } = judged(await heard({ at: "13:31", beat: "open" }), opened);
  assert.deepEqual([alarm.length, kinds], [1, []], "a heartbeat that does not come in time is an alarm");
});

test("what is there past its deadline is a finding unless people hear of it", async () => {
  const there = { opened: true, gone: false };
  const silent = await heard({ at: "15:10", beat: "close" });
  assert.deepEqual(judged(silent, there), { told: [], kinds: ["still-there-untold"] });
  assert.deepEqual(judged(await heard(), there).kinds, [], "no heartbeat of close");
  assert.deepEqual(judged(silent, { opened: true, gone: true }), { told: [], kinds: [] });
});
