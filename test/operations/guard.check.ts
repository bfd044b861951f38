/**
 * `trading guard` against the lab's Hetzner and S3 server, with who is told behind a real webhook. What it judges is tested in
 * ops/guard; here: what it sees, whom it tells when, and what it closes.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { writeOpened, writeSealedArchive } from "../../lab/cluster-inside/sealed-archive.ts";
import { labDirectories, projectDirectory } from "../../lab/directories.ts";
import {
  type FaultyObjectStore,
  type LabObjectStore,
  startFaults,
  startObjectStore,
} from "../../lab/objectstore/index.ts";
import { rulesOf } from "../../ops/admit/admission.ts";
import { LeftBehindError } from "../../ops/cluster/close.ts";
import type { SessionTimes } from "../../ops/calendar/session-source.ts";
import type { TradingDay } from "../../ops/calendar/trading-day.ts";
import { guardStack, type GuardOptions, type GuardParts, type GuardResult } from "../../ops/guard/guard.ts";
import { HetznerClient } from "../../ops/hetzner/client.ts";
import { openNotifier } from "../../ops/notify/notifier.ts";
import { RefusedError, UsageError } from "../../ops/run.ts";
import type { TradingReady } from "../../services/archive/documents.ts";
import { documents } from "../../services/archive/layout.ts";
import { ArchiveStore } from "../../services/archive/store.ts";
import { LabelledAccount, type LabelledCluster, labelsOf, startEar } from "./labelled-account.ts";

const directory = mkdtempSync(path.join(tmpdir(), "guard-check-"));
const hour = 3_600_000;
/** A Friday with a session. */
const morning = new Date("2026-11-20T13:30:00Z");
const at = (hours: number): Date => new Date(morning.getTime() + hours * hour);
const day: TradingDay = {
  date: "2026-11-20",
  bell: at(1),
  bellClose: at(7.5),
  closesEarly: false,
  beginsAt: at(0),
  opensAt: at(0.5),
  closesAt: at(2.5),
  deadline: at(4),
};
const calendar = {
  dayAt: (now: Date) => Promise.resolve(day.beginsAt <= now && now <= day.deadline ? day : undefined),
};

let store: LabObjectStore;
let account: LabelledAccount;
let ear: Awaited<ReturnType<typeof startEar>>;
let bucket: FaultyObjectStore;
let archiveStore: ArchiveStore;
let notes: string[];
let round = 0;
before(async () => {
  store = await startObjectStore({
    directory: path.join(directory, "s3"),
    cacheDirectory: labDirectories.cache,
  });
});
after(async () => {
  await store.stop();
  rmSync(directory, { recursive: true, force: true });
});
beforeEach(async () => {
  round += 1;
  notes = [];
  account = await LabelledAccount.start(store, { startTime: morning });
  ear = await startEar();
  bucket = await startFaults(store.endpoint);
  archiveStore = new ArchiveStore({ ...store, endpoint: bucket.endpoint, attempts: 1 });
});
afterEach(async () => {
  archiveStore.close();
  await Promise.all([account.stop(), ear.stop(), bucket.close()]);
});

/** A stack of its own for each test: they share the bucket. */
const stack = (): string => `dev${round}`;
function cluster(changes: Partial<LabelledCluster> = {}): LabelledCluster {
  const clusterId = `guarded${round}`.padEnd(22, "A");
  return { stack: stack(), businessDate: day.date, clusterId, expiresAt: day.closesAt, ...changes };
}

/** Looks at a moment so many hours after the morning. */
async function guard(
  hours: number,
  options: GuardOptions = {},
  itsCalendar: GuardParts["calendar"] = calendar,
): Promise<GuardResult> {
  const { hetzner } = account.client;
  const ahead = at(hours).getTime() - hetzner.clock.now();
  if (ahead > 0) hetzner.clock.advance(ahead);
  const { signal } = new AbortController();
  const reporter = { note: (line: string) => void notes.push(line), progress: () => undefined };
  return guardStack(
    {
      stack: stack(),
      client: new HetznerClient({
        endpoint: hetzner.endpoint,
        token: hetzner.token,
        patience: { firstDelayMs: 5, maxDelayMs: 20, pollMs: 5, retryDeadlineMs: 300 },
      }),
      archiveStore,
      gate: { timeoutMs: 2_000, verify: "fast", allowDataLoss: undefined },
      reporter,
      signal,
      now: () => at(hours),
      calendar: itsCalendar,
      notifier: openNotifier({
        environment: ear.environment,
        reporter,
        signal,
        patience: { firstDelayMs: 5, deadlineMs: 500 },
      }),
    },
    options,
  );
}
const kinds = ({ findings }: GuardResult): string[] => findings.map(({ kind }) => kind);
const toldKinds = (): string[] => ear.told.map(({ kind }) => kind);

const ready = (changes: Partial<TradingReady> = {}): TradingReady => ({
  ...cluster(),
  ready: true,
  readyAt: at(0.4).toISOString(),
  missing: [],
  canaries: 2,
  accounts: null,
  stopped: [],
  clockSkewMs: null,
  updatedAt: at(0.4).toISOString(),
  ...changes,
});

test("a day as it should be: nothing is found, nobody is told, the heart beats each time", async () => {
  assert.deepEqual(kinds(await guard(0.25)), [], "before the opening nothing need be there");
  await account.cluster(cluster());
  const archive = account.archive(cluster());
  await writeOpened(archive);
  await archive.write(documents.ready, ready());
  const looked = await guard(1);
  assert.deepEqual([looked.findings, looked.tradingDay], [[], "2026-11-20"]);
  assert.deepEqual(kinds(await guard(3)), [], "it has its time to be closed");
  assert.deepEqual([ear.told, ear.beats], [[], ["/beat", "/beat", "/beat"]]);
});

test("a seal that was asked for long ago and a drained cluster that stands: told, where the bucket's times are ours", async () => {
  await account.cluster(cluster());
  const archive = account.archive(cluster());
  await writeOpened(archive);
  await archive.write(documents.ready, ready({ ready: false, missing: ["the day is being closed"] }));
  await archive.write(documents.sealRequest, { requestId: "r", requestedAt: at(0.75).toISOString() });
  const real = { hasRealTimes: true };
  assert.deepEqual(kinds(await guard(1, real)), [], "it is being closed");
  assert.match(
    (await guard(1.5, real)).findings[0]?.text ?? "",
    /asked for 45 min ago and has not come about/,
  );
  assert.deepEqual(toldKinds(), ["not-opened"]);
  assert.deepEqual(kinds(await guard(1.5)), []);
});

test("a session that only the stored rules know is told once", async () => {
  const source = { name: "Alpaca", sessions: () => Promise.resolve(new Map<string, SessionTimes>()) };
  const cancelled = { dayAt: () => Promise.resolve(undefined), source };
  for (const hours of [0.5, 1.75]) assert.deepEqual(kinds(await guard(hours, {}, cancelled)), ["not-opened"]);
  assert.equal(ear.told.length, 1);
  assert.match(ear.told[0]?.text ?? "", /differ for 2026-11-20: Alpaca says no session/);
});

test("nothing opens: told at once, again an hour later, not between; over when it is there; news when it comes again", async () => {
  assert.deepEqual(kinds(await guard(0.5)), ["not-opened"]);
  assert.equal((await guard(0.75)).findings[0]?.told, false);
  assert.deepEqual(toldKinds(), ["not-opened"]);
  const again = await guard(1.5);
  assert.equal(again.findings[0]?.since, at(0.5).toISOString());
  assert.match(ear.told[1]?.text ?? "", /Still so, since 2026-11-20T14:00/);
  await account.cluster(cluster());
  const archive = account.archive(cluster());
  await writeOpened(archive);
  await archive.write(
    documents.ready,
    ready({ ready: false, readyAt: null, missing: ["no canary of near"] }),
  );
  const unready = await guard(1.6);
  assert.match(unready.findings[0]?.text ?? "", /never ready to trade.*no canary of near/);
  assert.ok(Number(unready.findings[0]?.pricePerHour) > 0);
  await archive.write(documents.ready, ready());
  assert.deepEqual(kinds(await guard(1.7)), []);
  await archive.write(documents.ready, ready({ ready: false, missing: ["the feed"] }));
  assert.equal((await guard(1.8)).findings[0]?.told, true, "it was over in between");
  assert.equal(ear.told.length, 3);
  assert.deepEqual(new Set(ear.beats), new Set(["/beat"]), "they were told, so all is well with the guard");
});

test("who could not be told is told next time, and the heartbeat says that somebody should look", async () => {
  ear.isDeaf = true;
  assert.equal((await guard(0.5)).findings[0]?.told, false);
  assert.deepEqual(ear.beats, ["/beat/fail"]);
  ear.isDeaf = false;
  assert.equal((await guard(0.6)).findings[0]?.told, true);
  assert.deepEqual([toldKinds(), ear.beats], [["not-opened"], ["/beat/fail", "/beat"]]);
});

test("past its deadline and unsealed: told with its price; --close asks for the seal, and what refuses it changes nothing", async () => {
  await account.cluster(cluster());
  await writeOpened(account.archive(cluster()));
  const before = account.names();
  const closes: string[] = [];
  const close = async (): Promise<never> => {
    closes.push("close");
    throw new RefusedError("not sealed");
  };
  const found = await guard(4.5, { close });
  assert.deepEqual([kinds(found), found.closed, found.notClosed], [["unsealed"], [], ["not sealed"]]);
  assert.deepEqual(toldKinds(), ["unsealed"], "the refusal is no news");
  const [notice] = ear.told;
  assert.equal(notice?.price_per_hour_eur, "0.064");
  assert.match(notice?.text ?? "", /costs 0\.064 EUR per started hour/);
  assert.equal(notice?.cluster, `${stack()}/2026-11-20/${cluster().clusterId}`);
  await guard(4.75, { close });
  assert.deepEqual([closes.length, ear.told.length], [2, 1], "it is tried each time, and told each hour");
  assert.deepEqual(account.names(), before);
});

test("--close without a state removes by label: sealed, after its archiver has answered; unsealed stays", async () => {
  await account.cluster(cluster());
  const manifest = await writeSealedArchive(account.archive(cluster()), { records: [] });
  const noState = { close: () => Promise.reject(new UsageError("no engine")) };
  const [found] = await Promise.all([guard(4.5, noState), account.answerSeal(cluster(), manifest)]);
  assert.deepEqual([kinds(found), found.closed.length, found.notClosed], [["still-open"], 1, []]);
  assert.deepEqual([account.names(), toldKinds()], [[], ["still-open", "closed"]]);
  assert.deepEqual(kinds(await guard(4.6)), []);

  const other = cluster({ clusterId: `unsealed${round}`.padEnd(22, "A") });
  await account.cluster(other);
  await writeOpened(account.archive(other));
  const refused = await guard(6, noState);
  assert.deepEqual([kinds(refused), refused.closed], [["unsealed"], []]);
  assert.match(refused.notClosed[0] ?? "", /archiver[^]*costs 0\.064 EUR/);
  assert.equal(account.names().length, 3);
});

test("a leftover beside a cluster in its time: only the leftover goes, and the close path is not asked", async () => {
  const old = cluster({
    clusterId: `old${round}`.padEnd(22, "A"),
    businessDate: "2026-11-19",
    expiresAt: at(-22),
  });
  await account.cluster(old);
  await account.cluster(cluster());
  const archive = account.archive(cluster());
  await writeOpened(archive);
  await archive.write(documents.ready, ready());
  const close = async (): Promise<never> => assert.fail("it would close what should be open");
  const found = await guard(1, { close });
  assert.deepEqual([kinds(found), found.closed.length], [["leaked"], 1]);
  assert.equal(account.names().length, 3);
  assert.ok(account.names().every((name) => name.includes("guard")));
});

test("what another run opens before the close's turn comes stays: everything that is there is looked at again", async () => {
  await account.cluster(cluster());
  await writeSealedArchive(account.archive(cluster()), { records: [] });
  const words: (string | undefined)[] = [];
  const close: GuardOptions["close"] = async (_notifier, stillDue) => {
    words.push(await stillDue());
    await account.cluster(cluster({ clusterId: `next${round}`.padEnd(22, "A"), expiresAt: at(30) }));
    words.push(await stillDue());
  };
  const found = await guard(4.5, { close });
  assert.equal(words[0], undefined, "past its deadline, as before");
  assert.match(words[1] ?? "", /another run was at work on stack dev\d+.*nothing was closed/);
  assert.deepEqual([found.closed, found.notClosed], [[], [words[1]]]);
});

test("a close that breaks is told once an hour, too", async () => {
  await account.cluster(cluster());
  await writeSealedArchive(account.archive(cluster()), { records: [] });
  // What the close path itself would tell is the guard's to tell.
  const close: GuardOptions["close"] = async (notifier) => {
    await notifier.tell({ kind: "failed", stack: stack(), cluster: null, text: "x", at: "" });
    await notifier.beat("close", "fail");
    throw new LeftBehindError("a server stays");
  };
  for (const hours of [4.5, 4.75])
    assert.deepEqual(kinds(await guard(hours, { close })), ["still-open", "failed"]);
  assert.deepEqual(toldKinds(), ["still-open", "failed"]);
  assert.deepEqual(ear.beats, ["/beat", "/beat"]);
});

test("gone, opened and not sealed: told once as lost; not when the override is recorded", async () => {
  const archive = account.archive(cluster());
  await writeOpened(archive);
  for (const hours of [5, 30, 50]) assert.deepEqual(kinds(await guard(hours)), ["unsealed"]);
  assert.equal(ear.told.length, 1);
  assert.match(ear.told[0]?.text ?? "", /servers are gone and its archive is not sealed/);
  await archive.write(documents.dataLossOverride, { overriddenAt: at(51).toISOString(), by: "somebody" });
  assert.deepEqual(kinds(await guard(52)), []);
});

test("the bucket is away: told, what is over is told without it, and no beat says that all is well", async () => {
  await account.cluster(cluster());
  await writeOpened(account.archive(cluster()));
  await bucket.down();
  const found = await guard(4.5);
  assert.deepEqual(kinds(found).sort(), ["failed", "still-open"]);
  assert.deepEqual([toldKinds().sort(), ear.beats], [["failed", "still-open"], ["/beat/fail"]]);
  assert.match(ear.told.map(({ text }) => text).join("\n"), /could not ask the archive bucket/);
});

test("Hetzner is away: told, and nothing is called missing or lost", async () => {
  await writeOpened(account.archive(cluster()));
  account.client.hetzner.faults.add({ rules: [{ at: "request", effect: { kind: "http", status: 503 } }] });
  assert.deepEqual(kinds(await guard(1)), ["failed"]);
  assert.match(ear.told[0]?.text ?? "", /could not ask Hetzner/);
  assert.deepEqual(ear.beats, ["/beat/fail"]);
});

test("admissions that are over are ended", async () => {
  const admission = (id: string, hours: number) => ({
    id: id.repeat(12),
    address: "198.51.100.7/32",
    until: at(hours).getTime() / 1_000,
    name: `runner-${id}`,
  });
  await account.client.expect(201, "POST", "/firewalls", {
    name: stack(),
    labels: labelsOf(cluster(), "firewall"),
    rules: [...rulesOf(admission("a", 0.1), [22]), ...rulesOf(admission("b", 3), [22])],
  });
  await guard(0.25);
  const { rules = [] } = account.client.hetzner.project.firewalls()[0] ?? {};
  assert.deepEqual(
    rules.map(({ description }) => /runner-\w/.exec(description ?? "")?.[0]),
    ["runner-b"],
  );
  assert.match(notes.join("\n"), /runner-a\) is admitted no longer/);
});

test("the command: what it finds, its exit codes, and no address in what it prints", async () => {
  const trading = async (args: readonly string[], changes: Record<string, string> = {}) => {
    const child = spawn(process.execPath, ["--import", "tsx", "ops/main.ts", ...args], {
      cwd: projectDirectory,
      env: { PATH: process.env["PATH"], ...account.environment(), ...ear.environment, ...changes },
      timeout: 120_000,
    });
    let [out, err] = ["", ""];
    child.stdout.on("data", (data: Buffer) => (out += data.toString()));
    child.stderr.on("data", (data: Buffer) => (err += data.toString()));
    const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
    assert.ok(!`${out}${err}`.includes("/hook"), `${out}${err}`);
    return { code, out, err };
  };
  // Of real days, since the command has the machine's clock: on a trading day it may find more.
  const leaked = cluster({ stack: "prod", expiresAt: new Date(Date.now() - 10 * hour) });
  await account.cluster(leaked);
  const { code, out } = await trading(["guard", "--stack", "prod", "--json"]);
  assert.equal(code, 1);
  const found = JSON.parse(out) as GuardResult;
  assert.ok(
    found.findings.some(({ kind, told }) => kind === "leaked" && told),
    out,
  );
  assert.ok(toldKinds().includes("leaked"));
  assert.deepEqual(ear.beats, ["/beat/start", "/beat"]);
  const closed = await trading(["guard", "--stack", "prod", "--close"], {
    PATH: path.dirname(process.execPath),
  });
  assert.equal(closed.code, 1);
  assert.match(closed.out, /leaked prod\/2026-11-20\/guarded[^]*closed: prod\/2026-11-20\/guarded/);
  assert.match(closed.err, /removed by label.*Install the Pulumi CLI/);
  assert.deepEqual(account.names(), []);
  assert.equal((await trading(["guard"])).code, 2);

  const before = ear.told.length;
  const tried = await trading(["notify", "--stack", "dev", "--heartbeat", "guard"]);
  assert.deepEqual([tried.code, ear.told.length - before, ear.told.at(-1)?.kind], [0, 1, "test"]);
  ear.isDeaf = true;
  assert.equal((await trading(["notify"])).code, 1);
  const unset = await trading(["notify", "--heartbeat", "open"], {
    TRADING_WEBHOOK_URL: "",
    TRADING_HEARTBEAT_URL: "http://hooks.example.com/hook",
  });
  assert.equal(unset.code, 2);
  assert.match(unset.err, /TRADING_WEBHOOK_URL is not set\n.*TRADING_HEARTBEAT_URL begins with http:/);
});
