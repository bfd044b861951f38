/** A day of `trading open` and `trading close` on the whole program: when, until it can trade, and who is told. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { projectDirectory } from "../../lab/directories.ts";
import type { LabObjectStore } from "../../lab/objectstore/index.ts";
import type { TradingDay } from "../../ops/calendar/trading-day.ts";
import type { ClusterParts } from "../../ops/cluster/parts.ts";
import { closeDay } from "../../ops/day/close-day.ts";
import { openDay, type OpenDayOptions } from "../../ops/day/open-day.ts";
import { NotReadyError } from "../../ops/day/readiness.ts";
import { writeDayReport } from "../../ops/day/report.ts";
import { Timeline } from "../../ops/day/timeline.ts";
import type { Notice, Notifier } from "../../ops/notify/notifier.ts";
import { RefusedError } from "../../ops/run.ts";
import { toInstant } from "../../services/core/time.ts";
import { playScene, type Scene } from "./scene.ts";
import { startBucket, type WorldOptions } from "./world.ts";

let store: LabObjectStore;
before(async () => {
  store = await startBucket();
});
after(() => store.stop());

const minuteMs = 60_000;

/** A trading day around now: it began and closes so many minutes from now. */
function dayAround(beginsIn: number, closesIn: number, date = "2031-03-04"): TradingDay {
  const from = (minutes: number): Date =>
    new Date(Math.floor(Date.now() / 1_000) * 1_000 + minutes * minuteMs);
  return {
    date,
    bell: from(beginsIn + 60),
    bellClose: from(closesIn - 10),
    closesEarly: false,
    beginsAt: from(beginsIn),
    opensAt: from(beginsIn + 30),
    closesAt: from(closesIn),
    deadline: from(closesIn + 90),
  };
}

interface Told {
  notices: Notice[];
  beats: string[];
  notifier: Notifier;
}

function listener(): Told {
  const notices: Notice[] = [];
  const beats: string[] = [];
  return {
    notices,
    beats,
    notifier: {
      tell: async (notice) => void notices.push(notice),
      beat: async (job, heartbeat = "success") => void beats.push(`${job} ${heartbeat}`),
    },
  };
}

interface DayScene extends Scene, Told {
  open: (options?: Partial<OpenDayOptions>) => ReturnType<typeof openDay>;
}

const scene = (
  options: Omit<WorldOptions, "store">,
  play: (scene: DayScene) => Promise<void>,
): Promise<void> =>
  playScene({ store, ...options }, async (plain) => {
    const told = listener();
    await play({
      ...plain,
      ...told,
      open: (own = {}) =>
        plain.with((parts) => openDay(parts, { notifier: told.notifier, readyTimeoutMs: 1_500, ...own })),
    });
  });

const limit = { timeout: 300_000 };

test(
  "a scheduled day: opened with the calendar's end, ready, open already, closed with its cost and its report",
  limit,
  () =>
    scene({}, async ({ world, notices, beats, notes, notifier, open, with: run }) => {
      const folder = mkdtempSync(path.join(tmpdir(), "day-report-"));
      const day = dayAround(-1, 60);
      const timeline = new Timeline(() => new Date());
      const opened = await open({ scheduled: true, tradingDay: day, timeline });
      assert.equal(opened.outcome, "opened");
      assert.equal(opened.ready?.ready, true);
      assert.match(opened.positions?.lines.join() ?? "", /^alpaca: positions as in our books/);
      assert.deepEqual(opened.clocks?.problems, []);
      assert.ok(
        opened.clocks?.machine.every(({ skewMs }) => skewMs === 0),
        JSON.stringify(opened.clocks),
      );
      assert.match(opened.pricePerHour ?? "", /^0\.\d+$/);
      assert.deepEqual(opened.cluster?.businessDate, day.date);
      const labels = world.hetzner.project.servers().map((server) => server.labels);
      assert.ok(labels.every((label) => label["expires-at"] === String(day.closesAt.getTime() / 1_000)));
      assert.ok(
        notes.some((line) => /^up \d+ s: Kafka is ready \(\d+ s\)$/.test(line)),
        notes.join("\n"),
      );
      assert.deepEqual(
        notices.map(({ kind, cluster }) => [kind, cluster]),
        [["opened", `dev/${day.date}/${opened.cluster?.clusterId ?? ""}`]],
      );
      assert.match(notices[0]?.text ?? "", /ready to trade; closes at /);

      const again = await open({ scheduled: true, tradingDay: day, timeline });
      assert.deepEqual([again.outcome, again.opened], ["already-open", null]);
      assert.equal(again.cluster?.clusterId, opened.cluster?.clusterId);
      assert.match(again.word, /^already open: dev\/.*, ready since /);
      assert.equal(notices.length, 1, "nobody is told twice");
      await world.demandOneCluster();

      const ended = { ...day, closesAt: new Date() };
      const closing = new Timeline(() => new Date());
      const close = (parts: ClusterParts, own = {}) =>
        closeDay(parts, { notifier, scheduled: true, tradingDay: ended, ...own });
      const closed = await run((parts) => close(parts, { timeline: closing }));
      assert.equal(closed.outcome, "closed");
      assert.equal(closed.archived[0]?.totals.records, 3);
      assert.deepEqual(
        closed.cost[0]?.servers.map(({ startedHours }) => startedHours),
        [1, 1, 1, 1],
      );
      assert.equal(closed.cost[0]?.amount, opened.pricePerHour);
      await world.demandEmpty();
      assert.equal((await run(close)).outcome, "nothing-open");
      assert.deepEqual(
        notices.map(({ kind }) => kind),
        ["opened", "closed"],
      );
      assert.deepEqual(beats, ["open success", "open success", "close success", "close success"]);
      const left = await open({ scheduled: true, tradingDay: day });
      assert.deepEqual([left.outcome, notices.length, beats.length], ["closed-early", 2, 5]);
      await world.demandEmpty();

      const common = { stack: "dev", error: undefined, endedAt: new Date() };
      writeDayReport(folder, { ...common, command: "open", result: opened, timeline });
      const page = writeDayReport(folder, { ...common, command: "close", result: closed, timeline: closing });
      const html = readFileSync(page, "utf8");
      assert.match(html, /norm\.stock_quotes<\/td><td class="n">3</);
      assert.match(html, /delete export-gate-sealed-archive/);
      assert.doesNotMatch(html, /(src|href)=/, "nothing from outside");
      const json = JSON.parse(readFileSync(path.join(folder, "open.json"), "utf8")) as { timeline: object[] };
      assert.ok(json.timeline.length > 50);
      rmSync(folder, { recursive: true });
    }),
);

test(
  "two runs that begin at the same moment make one cluster; the other says so, and so it is with close",
  limit,
  () =>
    scene({}, async ({ world, notes, notices, notifier, open, with: run }) => {
      const day = dayAround(-1, 60, "2031-03-07");
      const both = await Promise.all([0, 1].map(() => open({ scheduled: true, tradingDay: day })));
      assert.deepEqual(both.map(({ outcome }) => outcome).sort(), ["already-open", "opened"]);
      assert.ok(
        notes.some((line) => line.startsWith("waiting for another run on stack dev: ")),
        notes.join("\n"),
      );
      await world.demandOneCluster();
      const closed = await Promise.all([0, 1].map(() => run((parts) => closeDay(parts, { notifier }))));
      assert.deepEqual(closed.map(({ outcome }) => outcome).sort(), ["closed", "nothing-open"]);
      assert.deepEqual(
        notices.map(({ kind }) => kind),
        ["opened", "closed"],
      );
      await world.demandEmpty();
    }),
);

test(
  "a cluster whose canaries do not come through stays, with what is missing; once they do, open says ready",
  limit,
  () =>
    scene({}, async ({ world, notices, beats, open }) => {
      world.inside.readiness = "never";
      await assert.rejects(open(), (error: unknown) => {
        assert.ok(error instanceof NotReadyError);
        assert.match(
          error.message,
          /is up and not ready to trade after 2 s:\n {2}- no answer to canaries: alpaca/,
        );
        return true;
      });
      await world.demandOneCluster();
      assert.deepEqual([notices[0]?.kind, beats], ["failed", ["open fail"]]);
      assert.match(notices[0]?.cluster ?? "", /^dev\//);
      assert.match(notices[0]?.pricePerHour ?? "", /^0\.\d+$/);
      const at = toInstant(Date.now());
      await world.inside.say({ type: "trading_ready", at, canaries: ["c"] });
      const opened = await open();
      assert.equal(opened.outcome, "already-open");
      assert.match(opened.positions?.warnings.join() ?? "", /whether positions were compared is not known/);
      await world.inside.say({ type: "trading_not_ready", at, missing: ["readiness was lost"] });
      await assert.rejects(open(), /readiness was lost/);
      assert.equal((await open({ waitReady: false })).outcome, "already-open");
    }),
);

test(
  "an archiver that says nothing is named; clocks that differ and accounts that do keep from trading",
  limit,
  () =>
    scene({}, async ({ world, notices, open, with: run, notifier }) => {
      world.inside.readiness = "silent";
      await assert.rejects(open(), /the archiver has not written trading-ready\.json: its pod may not run/);
      world.inside.clockSkewMs = -2_500;
      const at = toInstant(Date.now());
      const stop = {
        type: "kill_switch",
        scope: "alpaca",
        reason: "account_mismatch: position SPY: expected 0, found 7",
        by: "executor-alpaca",
        at,
      } as const;
      const differs = { venue: "alpaca", outcome: "mismatch", at, differences: ["SPY"] } as const;
      await world.inside.say(
        { ...stop, state: "engaged" },
        { type: "trading_ready", at, canaries: ["c"], accounts: [{ ...differs, differences: ["SPY"] }] },
      );
      await assert.rejects(open(), (error: unknown) => {
        assert.ok(error instanceof NotReadyError);
        assert.match(
          error.message,
          /the cluster's clock is at least 2\.5 s behind that of the bucket's server/,
        );
        assert.match(
          error.message,
          /trading at alpaca was stopped by executor-alpaca[^]*position SPY: expected 0/,
        );
        return true;
      });
      assert.equal(notices.at(-1)?.kind, "failed");
      world.inside.clockSkewMs = 0;
      await world.inside.say({ ...stop, state: "released" });
      const opened = await open();
      assert.match(opened.positions?.warnings.join() ?? "", /a person has released the kill switch/);

      world.inside.conduct = "refuses";
      const close = (parts: ClusterParts) => closeDay(parts, { notifier });
      await assert.rejects(run(close), RefusedError);
      assert.equal(notices.at(-1)?.kind, "failed");
      const tomorrow = new Date(Date.now() + 24 * 60 * minuteMs);
      await assert.rejects(
        run((parts) => close({ ...parts, now: () => tomorrow })),
        RefusedError,
      );
      const last = notices.at(-1);
      assert.equal(last?.kind, "unsealed", "its deadline has passed");
      assert.match(last.text, /Still there: [^]*dev-kafka-0/);
      assert.match(last.pricePerHour ?? "", /^0\.\d+$/);
    }),
);

test(
  "yesterday's cluster is sealed and removed before today's is opened; where it cannot be, people are told",
  limit,
  () =>
    scene({}, async ({ world, notices, open }) => {
      // Not the date of a test before: the bucket is theirs, too, and that day was closed.
      const yesterday = await open({ scheduled: true, tradingDay: dayAround(-1, 60, "2031-03-05") });
      world.inside.conduct = "refuses";
      const today = { scheduled: true, tradingDay: dayAround(-1, 60, "2031-03-06") };
      await assert.rejects(open(today), RefusedError);
      assert.equal(notices.at(-1)?.kind, "failed");
      world.inside.conduct = "seals";
      rmSync(world.stateFile);
      const opened = await open(today);
      const { destroyed, cleared } = opened.closedBefore ?? {};
      assert.deepEqual(
        [destroyed, cleared?.map(({ cluster, release }) => [cluster, release])],
        [null, [[`dev/2031-03-05/${yesterday.cluster?.clusterId ?? "?"}`, "sealed"]]],
        "also one that no state knows",
      );
      assert.equal(opened.cluster?.businessDate, "2031-03-06");
      await world.demandOneCluster();
    }),
);

/** One command as people and CI start it; the engine of the lab runs the program. */
async function trading(world: Scene["world"], folder: string, webhook: string, ...args: string[]) {
  const config = path.join(folder, "config.json");
  writeFileSync(config, JSON.stringify(world.configuration), { mode: 0o600 });
  const child = spawn(process.execPath, ["--import", "tsx", "ops/main.ts", ...args], {
    cwd: projectDirectory,
    env: {
      ...process.env,
      TRADING_ENGINE: path.join(projectDirectory, "lab/stack-engine.ts"),
      LAB_STATE_FILE: world.stateFile,
      LAB_PASSPHRASE: world.passphrase,
      LAB_STACK_CONFIG: config,
      TRADING_WEBHOOK_URL: `${webhook}/hook`,
      TRADING_HEARTBEAT_URL: `${webhook}/beat-{job}`,
    },
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout, stderr };
}

test(
  "the commands, as CI starts them: not ready in time, ready, closed; reports, notices and beats",
  limit,
  () =>
    playScene({ store }, async ({ world }) => {
      const folder = mkdtempSync(path.join(tmpdir(), "day-commands-"));
      const received: string[] = [];
      const receiver = createServer((request, response) => {
        let body = "";
        request.on("data", (chunk: Buffer) => (body += chunk.toString()));
        request.on("end", () => {
          received.push(body === "" ? (request.url ?? "") : (JSON.parse(body) as { kind: string }).kind);
          response.end();
        });
      });
      await once(receiver.listen(0, "127.0.0.1"), "listening");
      const webhook = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
      const run = (...args: string[]) =>
        trading(world, folder, webhook, ...args, "--stack", "dev", "--report", folder);
      try {
        world.inside.readiness = "never";
        const late = await run("open", "--ready-timeout", "1");
        assert.equal(late.code, 1, late.stderr);
        assert.equal(late.stdout, "");
        assert.match(late.stderr, /\nup \d+ s: server kafka-0 is created \(\d+ s\)\n/);
        assert.match(late.stderr, /is up and not ready to trade after 1 s:\n {2}- no answer to canaries/);
        assert.match(late.stderr, /\nreport: .*open\.html\n/);
        assert.match(readFileSync(path.join(folder, "open.html"), "utf8"), /failed<\/p><pre>The cluster dev/);
        const at = toInstant(Date.now());
        await world.inside.say({ type: "trading_ready", at, canaries: ["c"], accounts: [] });
        const open = await run("open", "--json");
        assert.equal(open.code, 0, open.stderr);
        assert.equal((JSON.parse(open.stdout) as { outcome: string }).outcome, "already-open");
        const close = await run("close");
        assert.equal(close.code, 0, close.stderr);
        assert.match(close.stdout, /^closed: dev\/[^]*\n {2}archived of dev\/\S+: 3 records of 1 topics/);
        assert.match(close.stdout, /\n {2}cost of dev\/\S+: 0\.\d+ EUR \(net, started hours\)\n/);
        assert.deepEqual(received, ["failed", "/beat-open/fail", "/beat-open", "closed", "/beat-close"]);
        await world.demandEmpty();
      } finally {
        receiver.close();
        rmSync(folder, { recursive: true });
      }
    }),
);
