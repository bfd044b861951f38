/** When a day is opened and closed, and who is told; with clusters it is played in test/infrastructure/day.check.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Manifest, manifestChecksum } from "../../services/archive/documents.ts";
import { documents } from "../../services/archive/layout.ts";
import { type ArchiveStore, ArchiveUnreachableError } from "../../services/archive/store.ts";
import { MemoryStore } from "../../services/archive/memory-store.ts";
import { calendarOf } from "../calendar/calendar.ts";
import type { SessionSource } from "../calendar/session-source.ts";
import { storedRules } from "../calendar/stored-rules.ts";
import type { TradingDay } from "../calendar/trading-day.ts";
import type { ClusterParts } from "../cluster/parts.ts";
import { StackLockedError } from "../engine/stack-engine.ts";
import { SimulatedBucket } from "../engine/testing/simulated-bucket.ts";
import type { Notice } from "../notify/notifier.ts";
import { closeDay } from "./close-day.ts";
import { exitCodeOf } from "./commands.ts";
import { openDay } from "./open-day.ts";
import { inWords, waitUntil } from "./waiting.ts";

/** As dev has it. */
const calendar = calendarOf(
  {
    open: "09:00",
    timeZone: "America/New_York",
    mostDaysPerMonth: 22,
    leadMinutes: 30,
    earlyCloseMarginMinutes: 120,
    deadlineMinutes: 90,
    openHours: 2,
  },
  storedRules,
);
/** A winter's Tuesday: from 14:00 to 16:00 UTC, begun at 13:30, with its deadline at 17:30. */
const day = (await calendar.dayOf("2025-01-14")) as TradingDay;

/** A client of Hetzner that lists, and no more. */
function listing(list: (kind: string) => Promise<object[]>): ClusterParts["client"] {
  const client = { list, endingWith: () => client };
  return client as unknown as ClusterParts["client"];
}

/** Parts without a cluster, whose engine is in use elsewhere: what gets as far as it fails. */
function play(moment: string) {
  let now = Date.parse(moment);
  const notices: Notice[] = [];
  const beats: string[] = [];
  const lines: string[] = [];
  const archiveStore = new MemoryStore() as MemoryStore & ArchiveStore;
  const client = listing(() => Promise.resolve([]));
  const holder = { user: "ci", host: "runner", pid: 7, run: null, since: "2025-01-14T13:00:00.000Z" };
  const locked = () => Promise.reject(new StackLockedError("another run works on this stack"));
  const parts = {
    stack: "dev",
    now: () => new Date(now),
    signal: new AbortController().signal,
    reporter: { note: (line: string) => void lines.push(line), progress: () => undefined },
    archiveStore,
    engine: { settle: locked, state: locked },
    client,
    turn: { open: () => new SimulatedBucket().machine(), holder },
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

/** One server of dev, as the API has it. @param created default: an hour before its end */
function serverUntil(expiresAt: Date, created = new Date(expiresAt.getTime() - 3_600_000)) {
  return {
    id: 1,
    name: "dev-kafka-0",
    labels: { "expires-at": String(expiresAt.getTime() / 1_000) },
    created: created.toISOString(),
    server_type: { name: "cpx32" },
    location: { name: "fsn1" },
    public_net: { ipv4: null },
    status: "running",
  };
}

test("open on no trading day, and long before the day begins: a word, and nobody is told", async () => {
  for (const [moment, outcome, word] of [
    ["2025-01-12T13:30:00Z", "no-trading-day", /^no trading day now: the next is 2025-01-13, open from/],
    ["2025-01-14T09:00:00Z", "too-early", /^too early to open 2025-01-14[^]*it begins in 4 h 30 min$/],
  ] as const) {
    const { parts, options, notices, beats } = play(moment);
    const result = await openDay(parts, options);
    assert.deepEqual([result.outcome, notices], [outcome, []]);
    assert.match(result.word, word);
    assert.deepEqual(beats, outcome === "no-trading-day" ? ["open success"] : []);
  }
});

/** A cluster of the day, opened; its end, if it has one, by a seal or by a person's word. */
async function archived(store: MemoryStore, { sealedAt, lostAt }: { sealedAt?: string; lostAt?: string }) {
  const identity = { stack: "dev", businessDate: day.date, clusterId: "A" };
  const archive = store.archive(identity);
  const kafkaClusterId = "made-up";
  await archive.write(documents.opened, {
    ...identity,
    kafkaClusterId,
    openedAt: "2025-01-14T13:40:00.000Z",
  });
  if (sealedAt !== undefined) {
    const manifest: Omit<Manifest, "checksum"> = {
      format: 2,
      ...identity,
      kafkaClusterId,
      generation: 1,
      requestId: "r",
      sealedAt,
      versions: {},
      topics: [],
      groups: [],
      totals: { topics: 0, partitions: 0, objects: 0, records: 0, bytes: 0 },
      evidence: [],
      carryOver: null,
      losses: [],
    };
    await archive.write(documents.manifest, { ...manifest, checksum: manifestChecksum(manifest) });
  }
  if (lostAt !== undefined)
    await archive.write(documents.dataLossOverride, { overriddenAt: lostAt, by: "somebody" });
}

for (const [name, moment] of [
  ["its end", "2025-01-14T16:00:00Z"],
  ["its deadline", "2025-01-14T17:31:00Z"],
] as const) {
  test(`open after the day and ${name}: people are told that it was missed, unless it had been opened`, async () => {
    const { parts, options, notices, beats, archiveStore } = play(moment);
    const missed = await openDay(parts, options);
    assert.equal(missed.outcome, "missed");
    assert.match(missed.word, /^too late to open 2025-01-14: .*It was missed/);
    assert.equal(exitCodeOf(missed), 1);
    assert.deepEqual([notices.map(({ kind }) => kind), beats], [["not-opened"], ["open fail"]]);
    await archived(archiveStore, { sealedAt: "2025-01-14T14:00:00.000Z" });
    assert.equal((await openDay(parts, options)).outcome, "missed", "what ended before the day");
    for (const end of [{ sealedAt: "2025-01-14T15:00:00.000Z" }, {}]) {
      archiveStore.objects.clear();
      await archived(archiveStore, end);
      const late = await openDay(parts, options);
      assert.deepEqual([late.outcome, exitCodeOf(late)], ["too-late", 0]);
    }
    assert.deepEqual([notices.length, beats.length], [2, 2]);
  });
}

test("open after the day's end, and the bucket is away: nobody is told that it was missed", async () => {
  const { parts, options, notices, beats } = play("2025-01-14T16:00:00Z");
  const folders = () => Promise.reject(new ArchiveUnreachableError("the bucket does not answer"));
  const result = await openDay({ ...parts, archiveStore: { folders } as unknown as ArchiveStore }, options);
  assert.deepEqual([result.outcome, exitCodeOf(result)], ["not-known", 1]);
  assert.match(result.word, /could not be looked up: the bucket does not answer$/);
  assert.deepEqual([notices.map(({ kind }) => kind), beats], [["failed"], ["open fail"]]);
});

test("the night after a trading day is no trading day's", async () => {
  const { parts, options, notices } = play("2025-01-15T05:30:00Z");
  assert.equal((await openDay(parts, options)).outcome, "too-early");
  assert.deepEqual(notices, []);
});

test("open says once that the calendar that it believes has no session where the stored rules have one", async () => {
  const { parts, options, notices, beats } = play("2025-01-14T13:37:00Z");
  const source = (except: string): SessionSource => ({
    name: "Alpaca",
    sessions: async (first, last) =>
      new Map([...(await storedRules.sessions(first, last))].filter(([date]) => date !== except)),
  });
  const own = (except: string) => ({ ...options, calendar: calendarOf(calendar.schedule, source(except)) });
  for (const outcome of ["no-trading-day", "no-trading-day"])
    assert.equal((await openDay(parts, own(day.date))).outcome, outcome);
  assert.deepEqual(
    [notices.map(({ kind }) => kind), beats],
    [["not-opened"], ["open success", "open success"]],
  );
  assert.match(
    notices[0]?.text ?? "",
    /differ for 2025-01-14: Alpaca says no session, the stored rules .* say 09:30 to 16:00.*open --stack dev/,
  );
  await assert.rejects(openDay(parts, own("2025-01-15")), StackLockedError);
  assert.deepEqual(
    notices.map(({ kind }) => kind),
    ["not-opened", "failed"],
    "only today's is told",
  );
});

test("open leaves a day that a person has closed early; without --scheduled it opens it", async () => {
  for (const end of [
    { sealedAt: "2025-01-14T14:30:00.000Z" },
    { sealedAt: "2025-01-14T13:40:00.000Z" },
    { lostAt: "2025-01-14T14:30:00.000Z" },
  ]) {
    const { parts, options, notices, beats, archiveStore } = play("2025-01-14T14:37:00Z");
    // Gets as far as its engine.
    const engine = {
      ...parts.engine,
      settle: () => Promise.reject(new StackLockedError("in use")),
      state: () => Promise.resolve(undefined),
    } as unknown as ClusterParts["engine"];
    await archived(archiveStore, end);
    const left = await openDay({ ...parts, engine }, options);
    assert.equal(left.outcome, "closed-early");
    assert.match(
      left.word,
      /^2025-01-14 was closed before its time.*dev\/2025-01-14\/A ended at 2025-01-14T1/,
    );
    assert.deepEqual([exitCodeOf(left), notices, beats], [0, [], ["open success"]]);
    await assert.rejects(openDay({ ...parts, engine }, { ...options, scheduled: false }), StackLockedError);
  }
});

test("open goes on where nobody closed the day: what ended before it, never opened, or is still there", async () => {
  const server = { list: async (kind: string) => (kind === "servers" ? [serverUntil(day.closesAt)] : []) };
  for (const [name, end, client] of [
    ["before the day", { sealedAt: "2025-01-11T18:00:00.000Z" }, undefined],
    ["never opened", undefined, undefined],
    ["still there", { sealedAt: "2025-01-14T14:30:00.000Z" }, server],
  ] as const) {
    const { parts, options, archiveStore } = play("2025-01-14T14:37:00Z");
    const engine = {
      ...parts.engine,
      settle: () => Promise.reject(new StackLockedError("in use")),
      state: () => Promise.resolve(undefined),
    } as unknown as ClusterParts["engine"];
    if (end !== undefined) await archived(archiveStore, end);
    const begun = {
      ...parts,
      engine,
      ...(client && { client: listing(client.list) }),
    };
    await assert.rejects(openDay(begun, options), StackLockedError, name);
  }
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
  const withServer = (expiresAt: string) => ({
    ...parts,
    client: listing(async (kind) => (kind === "servers" ? [serverUntil(new Date(expiresAt))] : [])),
  });
  const result = await closeDay(withServer("2025-01-14T20:30:00Z"), options);
  assert.equal(result.outcome, "not-due");
  assert.match(result.word, /has time until 2025-01-14T20:30:00\.000Z/);
  assert.deepEqual([notices, beats], [[], []]);
  const over = withServer("2025-01-14T19:00:00Z");
  await assert.rejects(
    closeDay(over, options),
    StackLockedError,
    "what is over is closed, or the attempt fails",
  );
});

test("a cluster that a person opened after the day's end is left until its own end, the day's own one is not", async () => {
  const { parts, options, notices, beats } = play("2025-01-14T16:17:00Z");
  const withServer = (created: string, expiresAt = "2025-01-14T18:10:00Z") => ({
    ...parts,
    client: listing(async (kind) =>
      kind === "servers" ? [serverUntil(new Date(expiresAt), new Date(created))] : [],
    ),
  });
  const result = await closeDay(withServer("2025-01-14T16:10:00Z"), options);
  assert.equal(result.outcome, "not-due");
  assert.match(result.word, /has time until 2025-01-14T18:10:00\.000Z/);
  assert.deepEqual([notices, beats], [[], []]);
  for (const [created, expiresAt] of [
    ["2025-01-14T13:40:00Z", "2025-01-14T18:10:00Z"],
    ["2025-01-14T16:10:00Z", "2025-01-14T16:15:00Z"],
  ] as const)
    await assert.rejects(
      closeDay(withServer(created, expiresAt), options),
      StackLockedError,
      "it is closed, or the attempt fails",
    );
  await assert.rejects(
    closeDay(withServer("2025-01-14T16:10:00Z"), { ...options, tradingDay: day, scheduled: false }),
    StackLockedError,
    "a person closes at once",
  );
});

test("a scheduled close that waited for its turn leaves what a person has opened meanwhile", async () => {
  const { parts, options, notices, beats } = play("2025-01-14T19:00:00Z");
  const there: object[] = [];
  const bucket = new SimulatedBucket().machine();
  // Somebody opens the stack when this run has looked and waits.
  const open = () => {
    there.push(serverUntil(new Date("2025-01-14T20:30:00Z")));
    return bucket;
  };
  const client = listing(async (kind) => (kind === "servers" ? there : []));
  const result = await closeDay({ ...parts, client, turn: { ...parts.turn, open } }, options);
  assert.equal(result.outcome, "not-due");
  assert.match(result.word, /has time until 2025-01-14T20:30:00\.000Z/);
  assert.deepEqual([notices, beats], [[], []]);
});

test("a person hears of an interruption from the terminal, and nothing is waited for without a schedule", async () => {
  const { parts, options, notices, beats } = play("2025-01-14T09:00:00Z");
  const stop = new AbortController();
  stop.abort(new Error("interrupted by SIGTERM"));
  const stopped = { ...parts, signal: stop.signal };
  for (const work of [closeDay, openDay])
    await assert.rejects(work(stopped, { ...options, scheduled: false }), /interrupted by SIGTERM/);
  assert.deepEqual(parts.now(), new Date("2025-01-14T09:00:00Z"));
  assert.deepEqual([notices, beats], [[], []]);
});

test("a scheduled run that is interrupted tells it once, with a beat that says so, and asks nothing more", async () => {
  for (const [job, work] of [
    ["open", openDay],
    ["close", closeDay],
  ] as const) {
    const { parts, options, notices, beats } = play("2025-01-14T13:00:00Z");
    const stop = new AbortController();
    const asked = () => assert.fail("whoever ends a job does not wait");
    const stopped = {
      ...parts,
      signal: stop.signal,
      archiveStore: { folders: asked, get: asked } as unknown as ArchiveStore,
      client: { list: asked } as unknown as ClusterParts["client"],
    };
    const pause = async () => stop.abort(new Error("interrupted by SIGTERM"));
    await assert.rejects(work(stopped, { ...options, tradingDay: day, pause }), /interrupted by SIGTERM/);
    assert.deepEqual([notices.map(({ kind }) => kind), beats], [["failed"], [`${job} fail`]]);
    assert.match(notices[0]?.text ?? "", new RegExp(`^${job} was cut off: interrupted by SIGTERM`));
  }
});

test("an interruption is told before the interrupted work has come to its end", async () => {
  const { parts, options, notices } = play("2025-01-14T13:40:00Z");
  const stop = new AbortController();
  let toldMeanwhile = 0;
  const engine = {
    state: async () => {
      stop.abort(new Error("interrupted by SIGTERM"));
      await new Promise(setImmediate);
      toldMeanwhile = notices.length;
      throw new StackLockedError("in use");
    },
  } as unknown as ClusterParts["engine"];
  const interrupted = { ...parts, engine, signal: stop.signal };
  await assert.rejects(openDay(interrupted, { ...options, tradingDay: day }), StackLockedError);
  assert.deepEqual([toldMeanwhile, notices.length], [1, 1]);
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
