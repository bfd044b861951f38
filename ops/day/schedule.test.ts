/** When a day is opened and closed, and who is told; with clusters it is played in test/infrastructure/day.check.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { ArchiveStore } from "../../services/archive/store.ts";
import { MemoryStore } from "../../services/archive/memory-store.ts";
import type { TradingDay } from "../calendar/trading-day.ts";
import type { ClusterParts } from "../cluster/parts.ts";
import { StackLockedError } from "../engine/stack-engine.ts";
import type { Notice } from "../notify/notifier.ts";
import { closeDay } from "./close-day.ts";
import { openDay } from "./open-day.ts";
import { inWords, waitUntil } from "./waiting.ts";

/** A winter's Tuesday of dev. */
const day: TradingDay = {
  date: "2025-01-14",
  bell: new Date("2025-01-14T14:30:00Z"),
  bellClose: new Date("2025-01-14T21:00:00Z"),
  closesEarly: false,
  beginsAt: new Date("2025-01-14T13:30:00Z"),
  opensAt: new Date("2025-01-14T14:00:00Z"),
  closesAt: new Date("2025-01-14T16:00:00Z"),
  deadline: new Date("2025-01-14T17:30:00Z"),
};
const calendar = {
  dayAt: async (now: Date) => (now >= day.beginsAt && now <= day.deadline ? day : undefined),
  nextDay: async () => day,
};

/** Parts without a cluster, whose engine is in use elsewhere: what gets as far as it fails. */
function play(moment: string) {
  let now = Date.parse(moment);
  const notices: Notice[] = [];
  const beats: string[] = [];
  const lines: string[] = [];
  const archiveStore = new MemoryStore() as MemoryStore & ArchiveStore;
  const locked = () => Promise.reject(new StackLockedError("another run works on this stack"));
  const parts = {
    stack: "dev",
    now: () => new Date(now),
    signal: new AbortController().signal,
    reporter: { note: (line: string) => void lines.push(line), progress: () => undefined },
    archiveStore,
    engine: { settle: locked, state: locked },
    client: { list: () => Promise.resolve([]) },
  } as unknown as ClusterParts;
  const options = {
    calendar,
    scheduled: true,
    notifier: {
      tell: async (notice: Notice) => void notices.push(notice),
      beat: async (job: string, heartbeat = "success") => void beats.push(`${job} ${heartbeat}`),
    },
    pause: async (milliseconds: number) => void (now += milliseconds),
  };
  return { parts, options, notices, beats, lines, archiveStore };
}

test("open on no trading day, and long before the day begins: a word, and nobody is told", async () => {
  for (const [moment, outcome, word] of [
    ["2025-01-12T13:30:00Z", "no-trading-day", /^no trading day now: the next is 2025-01-14, open from/],
    ["2025-01-14T09:00:00Z", "too-early", /^too early to open 2025-01-14[^]*it begins in 4 h 30 min$/],
  ] as const) {
    const { parts, options, notices, beats } = play(moment);
    const result = await openDay(parts, options);
    assert.deepEqual([result.outcome, notices], [outcome, []]);
    assert.match(result.word, word);
    assert.deepEqual(beats, outcome === "no-trading-day" ? ["open success"] : []);
  }
});

test("open after the day's end: people are told that it was not opened, unless it had been", async () => {
  const { parts, options, notices, beats, archiveStore } = play("2025-01-14T16:00:00Z");
  const result = await openDay(parts, options);
  assert.equal(result.outcome, "too-late");
  assert.deepEqual([notices.map(({ kind }) => kind), beats], [["not-opened"], ["open fail"]]);
  await archiveStore.putJson("dev/2025-01-14/A/opened.json", {});
  assert.equal((await openDay(parts, options)).outcome, "too-late");
  assert.deepEqual([notices.length, beats.length], [1, 1]);
});

test("open waits until the day begins, then works; what fails is told once, with a beat that says so", async () => {
  const { parts, options, notices, beats, lines } = play("2025-01-14T11:00:00Z");
  await assert.rejects(openDay(parts, options), StackLockedError);
  assert.ok(parts.now() >= day.beginsAt && parts.now() < day.opensAt, "it waited");
  assert.match(lines[0] ?? "", /^waiting for the time to open 2025-01-14 at [^]*, 2 h 30 min from now$/);
  assert.match(
    lines.at(-1) ?? "",
    /^trading day 2025-01-14, open from 2025-01-14 14:00 to 2025-01-14 16:00 UTC$/,
  );
  assert.equal(lines[1], "waiting for the time to open 2025-01-14: 2 h 25 min left");
  assert.deepEqual([notices.map(({ kind }) => kind), beats], [["failed"], ["open fail"]]);
  assert.match(notices[0]?.text ?? "", /^open failed: another run works on this stack$/);
});

test("close waits for the end of the running day; earlier than that it ends with a word", async () => {
  const early = play("2025-01-14T13:30:00Z");
  const word = await closeDay(early.parts, { ...early.options, mostWaitMs: 7_200_000 });
  assert.equal(word.outcome, "too-early");
  assert.match(word.word, /^too early to close 2025-01-14[^]*: that is in 2 h 30 min$/);
  assert.deepEqual([early.notices, early.beats], [[], []]);

  const { parts, options, notices, beats } = play("2025-01-14T15:00:00Z");
  await assert.rejects(closeDay(parts, options), StackLockedError);
  assert.deepEqual(parts.now(), day.closesAt);
  assert.deepEqual([notices.map(({ kind }) => kind), beats], [["failed"], ["close fail"]]);
});

test("outside of a trading day a scheduled close leaves what a person has opened until its end", async () => {
  const { parts, options, notices, beats } = play("2025-01-14T19:00:00Z");
  const server = (expiresAt: string) => ({
    id: 1,
    name: "dev-kafka-0",
    labels: { "expires-at": String(Date.parse(expiresAt) / 1_000) },
    server_type: { name: "cpx32" },
    location: { name: "fsn1" },
    public_net: { ipv4: null },
    status: "running",
  });
  const withServer = (expiresAt: string) => ({
    ...parts,
    client: {
      list: async (kind: string) => (kind === "servers" ? [server(expiresAt)] : []),
    } as unknown as ClusterParts["client"],
  });
  const result = await closeDay(withServer("2025-01-14T20:30:00Z"), options);
  assert.equal(result.outcome, "not-due");
  assert.match(result.word, /has time until 2025-01-14T20:30:00\.000Z/);
  assert.deepEqual([notices, beats], [[], []]);
  const over = withServer("2025-01-14T19:00:00Z");
  await assert.rejects(closeDay(over, options), "what is over is closed, or the attempt fails");
});

test("without a schedule there is nothing to wait for, and nobody hears of an interruption", async () => {
  const { parts, options, notices } = play("2025-01-14T09:00:00Z");
  const stop = new AbortController();
  stop.abort(new Error("interrupted by SIGTERM"));
  const stopped = { ...parts, signal: stop.signal };
  await assert.rejects(closeDay(stopped, { ...options, scheduled: false }), StackLockedError);
  await assert.rejects(openDay(stopped, { ...options, scheduled: false }), StackLockedError);
  assert.deepEqual(parts.now(), new Date("2025-01-14T09:00:00Z"));
  assert.deepEqual(notices, []);
});

test("a wait ends with the signal, and a machine that slept through it goes on at once", async () => {
  const stop = new AbortController();
  const { parts } = play("2025-01-14T09:00:00Z");
  const wait = waitUntil({ ...parts, signal: stop.signal }, day.beginsAt, "it", async () =>
    stop.abort(new Error("stopped")),
  );
  await assert.rejects(wait, /stopped/);
  let now = new Date("2025-01-14T09:00:00Z");
  let pauses = 0;
  const asleep = { ...parts, now: () => now };
  await waitUntil(asleep, day.beginsAt, "it", async () => {
    pauses += 1;
    now = day.deadline;
  });
  assert.equal(pauses, 1);
});

test("spans of time for people", () => {
  assert.deepEqual([0, 40_000, 119_000, 120_000, 7_140_000, 9_000_000].map(inWords), [
    "0 s",
    "40 s",
    "119 s",
    "2 min",
    "119 min",
    "2 h 30 min",
  ]);
});
