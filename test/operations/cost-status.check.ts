/**
 * `trading cost`, `trading status` and `trading logs` against the lab's Hetzner and S3 server: what they say of a day is held
 * against the simulator's own bill; as processes with the exit codes that scripts see. Their arithmetic is tested in ops/cost.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { gzipSync } from "node:zlib";
import { parse, stringify } from "yaml";
import { exampleEntries } from "../../components/testing/example-config.ts";
import { writeOpened, writeSealedArchive } from "../../lab/cluster-inside/sealed-archive.ts";
import { labDirectories, projectDirectory } from "../../lab/directories.ts";
import {
  type FaultyObjectStore,
  type LabObjectStore,
  startFaults,
  startObjectStore,
} from "../../lab/objectstore/index.ts";
import { rulesOf } from "../../ops/admit/admission.ts";
import { calendarOf } from "../../ops/calendar/calendar.ts";
import { storedRules } from "../../ops/calendar/stored-rules.ts";
import { openTurnBucket } from "../../ops/cluster/turn.ts";
import { calendarMonth } from "../../ops/cost/billing.ts";
import { readCost } from "../../ops/cost/cost.ts";
import { recordCost } from "../../ops/cost/record.ts";
import { jsonOf } from "../../ops/cost/report.ts";
import { tradingDaysOf } from "../../ops/cost/trading-days.ts";
import { takeLease } from "../../ops/engine/lease.ts";
import type { StateBucket } from "../../ops/engine/state-bucket.ts";
import { HetznerClient } from "../../ops/hetzner/client.ts";
import { readStatus } from "../../ops/status/status.ts";
import { printStatus } from "../../ops/status/print.ts";
import type { TradingReady } from "../../services/archive/documents.ts";
import { documents } from "../../services/archive/layout.ts";
import { ArchiveStore } from "../../services/archive/store.ts";
import { parseStackValues } from "../../stacks/config.ts";
import { LabelledAccount, type LabelledCluster, labelsOf } from "./labelled-account.ts";

const directory = mkdtempSync(path.join(tmpdir(), "cost-status-check-"));
const hour = 3_600_000;
/** A Friday with a session; 08:30 in New York. */
const morning = new Date("2026-11-20T13:30:00Z");
const at = (hours: number): Date => new Date(morning.getTime() + hours * hour);

let store: LabObjectStore;
let account: LabelledAccount;
let bucket: FaultyObjectStore;
let archiveStore: ArchiveStore;
let turnBucket: StateBucket;
let client: HetznerClient;
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
beforeEach(() => {
  round += 1;
});
afterEach(async () => {
  archiveStore.close();
  turnBucket.close();
  await Promise.all([account.stop(), bucket.close()]);
});

async function begin(startTime: Date): Promise<void> {
  account = await LabelledAccount.start(store, { startTime });
  bucket = await startFaults(store.endpoint);
  archiveStore = new ArchiveStore({ ...store, endpoint: bucket.endpoint, attempts: 1 });
  turnBucket = openTurnBucket(store);
  const { endpoint, token } = account.client.hetzner;
  const patience = { firstDelayMs: 5, maxDelayMs: 20, pollMs: 5, retryDeadlineMs: 300 };
  client = new HetznerClient({ endpoint, token, patience });
}

/** A stack of its own for each test: they share the bucket. */
const stack = (): string => `dev${round}`;
function cluster(changes: Partial<LabelledCluster> = {}): LabelledCluster {
  const clusterId = `priced${round}`.padEnd(22, "A");
  return { stack: stack(), businessDate: "2026-11-20", clusterId, expiresAt: at(2.5), ...changes };
}

/** Moves the simulated time to so many hours after the morning. @returns that moment */
function goTo(hours: number): Date {
  const { clock } = account.client.hetzner;
  const ahead = at(hours).getTime() - clock.now();
  assert.ok(ahead > 0, "the clock is before that moment");
  clock.advance(ahead);
  return clock.date();
}

const values = parseStackValues(
  exampleEntries({ "trading:openHours": "2", "trading:schedule": '{"open":"09:00","mostDaysPerMonth":22}' }),
);

async function cost(now: Date, month = "2026-11") {
  const planned = await tradingDaysOf(calendarMonth(month), {
    values,
    environment: {},
    report: { note: () => undefined },
  });
  assert.ok("days" in planned);
  const tradingDays = planned.days;
  return readCost({ stack: stack(), values, client, store: archiveStore, tradingDays, month, now });
}

async function record(now: Date, notes: string[] = []): Promise<void> {
  await recordCost({
    stack: stack(),
    client,
    archiveStore,
    reporter: { note: (line) => void notes.push(line) },
    signal: new AbortController().signal,
    now: () => now,
  });
}

async function removeServers(): Promise<void> {
  for (const { id } of account.client.hetzner.project.servers())
    await account.client.wait((await account.client.expect(200, "DELETE", `/servers/${id}`)).action);
}

test("cost: what was there and what is there, to the cent of the simulator's bill; forecast and comparison", async () => {
  await begin(morning);
  await account.cluster(cluster());
  await record(goTo(0.1));
  await record(goTo(2.6));
  await removeServers();
  await record(goTo(2.7));
  const afterDay = await cost(goTo(5));
  const billed = account.client.hetzner.project.bill().total;
  assert.equal(afterDay.soFar.toNumber(), billed);
  assert.equal(afterDay.today?.toNumber(), billed);
  assert.deepEqual(
    afterDay.clusters.map(({ startedHours, isRunning, estimates }) => [startedHours, isRunning, estimates]),
    [[6, false, []]],
  );
  // 2 x 3 x (0.0312 + 0.0008)
  assert.equal(afterDay.soFar.toFixed(), "0.192");

  // Monday 23rd to Monday 30th without Thanksgiving: five days, of which Friday is a half day.
  const { forecast, perHour, planned, alwaysOn, days } = afterDay;
  assert.equal(days?.length, 20);
  assert.equal(forecast?.remainingDays, 5);
  assert.equal(perHour?.toFixed(), "0.2051");
  assert.equal(forecast.remaining.toFixed(), perHour.times(5 * 3).toFixed());
  assert.equal(forecast.total.toFixed(), forecast.remaining.plus("0.192").toFixed());
  assert.equal(planned?.toFixed(), perHour.times(20 * 3).toFixed());
  assert.equal(alwaysOn?.toFixed(), "127.96", "3 x 35.49 + 19.49 + 4 x 0.50: all at their cap");

  const json = jsonOf({
    now: at(5),
    noForecast: new Map(),
    stacks: [
      { ...afterDay, stack: "dev" },
      { ...afterDay, stack: "prod" },
    ],
  });
  const { comparison } = json.seed;
  assert.equal(comparison?.from, "23.89");
  assert.equal(comparison.to, forecast.total.times(2).plus("6.49").toFixed());
  assert.equal(json.forecast, forecast.total.times(2).toFixed());

  // Another day, still there.
  goTo(72);
  await account.cluster(cluster({ businessDate: "2026-11-23", clusterId: "nextday".padEnd(22, "A") }));
  const running = await cost(goTo(72.5));
  assert.equal(running.soFar.toNumber(), account.client.hetzner.project.bill().total);
  assert.equal(running.runningPerHour.toFixed(), "0.064");
  assert.equal(running.today?.toFixed(), "0.064", "one started hour");
  // What is there, 2 x 0.032, stays for two more hours; then four days of three with four servers of the type that was had.
  assert.equal(running.perHour?.toFixed(), "0.128");
  assert.equal(running.forecast?.remaining.toFixed(), "1.664");
});

test("cost: a cluster that nobody wrote down is an estimate with its reason; without the bucket the rest is told", async () => {
  await begin(at(10));
  const undocumented = cluster();
  await writeSealedArchive(account.archive(undocumented), { records: [] });
  const found = await cost(at(10));
  const [only] = found.clusters;
  // From 12:00, when it was opened, to 20:00, when it was sealed.
  assert.equal(only?.amount.toFixed(), "1.6408");
  assert.match(
    only.estimates.join(),
    /nobody wrote down its servers: counted as 4 of today's kind and price/,
  );
  assert.equal(found.problems.length, 0);

  await bucket.down();
  await account.server(labelsOf(cluster(), "kafka"));
  const blind = await cost(goTo(10.5));
  assert.match(blind.problems.join(), /what ran before is not known/);
  assert.equal(blind.soFar.toFixed(), "0.032", "what is there now");
  const notes: string[] = [];
  await record(at(10.5), notes);
  assert.match(notes.join(), /could not be written down/);
});

const ready = (
  identity: Omit<LabelledCluster, "expiresAt">,
  changes: Partial<TradingReady> = {},
): TradingReady => ({
  stack: identity.stack,
  businessDate: identity.businessDate,
  clusterId: identity.clusterId,
  ready: true,
  readyAt: at(0.4).toISOString(),
  missing: [],
  canaries: 3,
  accounts: null,
  stopped: [],
  clockSkewMs: 0,
  updatedAt: at(0.4).toISOString(),
  ...changes,
});

const { schedule, openHours } = values;
assert.ok(schedule);
const calendar = calendarOf({ ...schedule, openHours }, storedRules);
const status = (now: Date, ownCalendar: typeof calendar | undefined = calendar) =>
  readStatus({ stack: stack(), now, client, archiveStore, turnBucket, calendar: ownCalendar });

test("status: a day from before its opening to after its end, each as it should be", async () => {
  await begin(morning);
  const own = cluster();
  const early = await status(at(-1));
  assert.deepEqual(early.problems, []);
  assert.match(
    printStatus(early),
    /calendar +closed.*\nnext day +2026-11-20: 2026-11-20 14:00 UTC to 2026-11-20 16:00 UTC.*\nservers +none/,
  );

  await account.cluster(own);
  const { clusterId } = own;
  await account.client.expect(201, "POST", "/firewalls", {
    name: stack(),
    labels: labelsOf(own, "firewall"),
    rules: rulesOf(
      { id: "0123456789ab", address: "198.51.100.7/32", until: at(2).getTime() / 1_000, name: "ci" },
      [22],
    ),
  });
  const archive = account.archive(own);
  await writeOpened(archive);
  await archive.write(documents.ready, ready(own));
  const open = await status(goTo(1));
  assert.deepEqual(open.problems, []);
  const [there] = open.clusters ?? [];
  assert.deepEqual(
    there?.servers.map(({ state, details, pricePerHour }) => [state, details, pricePerHour]),
    [
      ["running", "cpx22 in fsn1", "0.032"],
      ["running", "cpx22 in fsn1", "0.032"],
    ],
  );
  assert.equal(there.openedAt, "2026-11-20T12:00:00.000Z");
  assert.equal(open.costToday?.amount.toFixed(), "0.064");
  const screen = printStatus(open);
  assert.match(screen, /all is as it should be/);
  assert.match(screen, /admissions +ci \(198\.51\.100\.7\/32\) until 2026-11-20 15:30 UTC/);
  assert.match(
    screen,
    new RegExp(`cluster +${stack()}/2026-11-20/${clusterId}, 0\\.064 EUR per started hour`),
  );

  assert.doesNotMatch(screen, /at work/);
  const holder = { user: "ci", host: "runner", pid: 7, run: null, since: "2026-11-20T14:20:00.000Z" };
  const turn = await takeLease({ bucket: turnBucket, key: `${stack()}/turn.json`, holder });
  assert.match(
    printStatus(await status(at(1.1))),
    /at work +ci@runner \(process 7, since 2026-11-20T14:20:00.000Z\)\n/,
  );
  await turn.release();
  await archive.write(documents.ready, ready(own, { ready: false, missing: ["canary of alpaca"] }));
  assert.match((await status(at(1.1))).problems.join(), /is not now; missing: canary of alpaca/);
  const late = await status(goTo(5));
  assert.match(late.problems.join(), /not sealed, so it may hold data that is nowhere else/);
  assert.equal(late.admissions?.length, 0, "what is over does not count");

  await writeSealedArchive(archive, { records: [] });
  await removeServers();
  for (const { id } of account.client.hetzner.project.networks())
    await account.client.expect(204, "DELETE", `/networks/${id}`);
  for (const { id } of account.client.hetzner.project.firewalls())
    await account.client.expect(204, "DELETE", `/firewalls/${id}`);
  const done = await status(goTo(6));
  assert.deepEqual(done.problems, []);
  assert.match(printStatus(done), /last +dev\d+\/2026-11-20\/priced\d+A+: sealed 2026-11-20 20:00 UTC/);
});

test("status: each source that cannot be asked is named, and the others are told", async () => {
  await begin(morning);
  const own = cluster();
  await account.cluster(own);
  await writeOpened(account.archive(own));
  await account.archive(own).write(documents.ready, ready(own));
  await bucket.down();
  const withoutBucket = await status(at(1));
  assert.match(withoutBucket.problems.join(), /could not ask the archive bucket/);
  assert.equal(withoutBucket.clusters?.[0]?.servers.length, 2);
  assert.match(printStatus(withoutBucket), /opened +not known/);
  assert.match(printStatus(withoutBucket), /cost today +not known/);
  await bucket.close();
  bucket = await startFaults(store.endpoint);
  archiveStore.close();
  archiveStore = new ArchiveStore({ ...store, endpoint: bucket.endpoint, attempts: 1 });

  account.client.hetzner.faults.add({ rules: [{ at: "request", effect: { kind: "http", status: 503 } }] });
  const withoutHetzner = await status(at(1));
  assert.match(withoutHetzner.problems.join(), /could not ask Hetzner/);
  assert.equal(withoutHetzner.lastArchived?.state, "unsealed");
  assert.match(printStatus(withoutHetzner), /servers +not known/);
  account.client.hetzner.faults.remove();

  const broken = {
    ...calendar,
    dayAt: () => Promise.reject(Object.assign(new Error("nobody answers"), { name: "CalendarError" })),
  };
  const withoutCalendar = await status(at(1), broken);
  assert.match(withoutCalendar.problems.join(), /could not ask the calendar/);
  assert.match(printStatus(withoutCalendar), /calendar +not known/);
  assert.equal(withoutCalendar.costToday?.amount.toFixed(), "0.064");
});

test("status: an archiver of which nothing comes is told", async () => {
  // Tomorrow by the simulated time: what the S3 server has just dated is a day old.
  const tomorrow = new Date(Date.now() + 24 * hour);
  await begin(tomorrow);
  const own = cluster({ expiresAt: new Date(tomorrow.getTime() + hour) });
  await account.cluster(own);
  await writeOpened(account.archive(own));
  const { problems } = await readStatus({
    stack: stack(),
    now: tomorrow,
    client,
    archiveStore,
    turnBucket,
    calendar: undefined,
  });
  assert.match(
    problems.join(),
    /Nothing of dev\d+\/.* has reached the bucket since .*logs --stack dev\d+ --service archiver/,
  );
});

interface Ended {
  code: number | null;
  out: string;
  err: string;
}

/** Where the command finds Pulumi.<stack>.yaml; its name says whether the stack has hours. */
function configured(): string {
  const folder = mkdtempSync(path.join(directory, "stack-"));
  const text = readFileSync(path.join(projectDirectory, "Pulumi.dev.yaml"), "utf8");
  const file = parse(text) as { config: Record<string, unknown> };
  delete file.config["trading:schedule"];
  writeFileSync(path.join(folder, `Pulumi.${stack()}.yaml`), stringify(file));
  return folder;
}

function trading(
  folder: string,
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): Promise<Ended> {
  const script = path.join(projectDirectory, "ops/main.ts");
  const child = spawn(process.execPath, ["--import", import.meta.resolve("tsx"), script, ...args], {
    cwd: folder,
    env: { PATH: process.env["PATH"], ...account.environment(), ...environment },
    timeout: 120_000,
  });
  const ended: Ended = { code: null, out: "", err: "" };
  child.stdout.on("data", (data) => (ended.out += String(data)));
  child.stderr.on("data", (data) => (ended.err += String(data)));
  return new Promise((resolve) => child.once("close", (code) => resolve({ ...ended, code })));
}

test("as commands: reports, JSON, exit codes; what is missing in the environment is said at once", async () => {
  const now = new Date();
  await begin(now);
  const own = cluster({
    businessDate: now.toISOString().slice(0, 10),
    expiresAt: new Date(now.getTime() + 2 * hour),
  });
  await account.cluster(own);
  await account.archive(own).write(documents.opened, {
    ...account.archive(own).identity,
    kafkaClusterId: "fabricated-kafka-id-AA",
    openedAt: now.toISOString(),
  });
  await account.archive(own).write(documents.ready, ready(own));
  const folder = configured();
  const [json, screen, report, down, nobody, all] = await Promise.all([
    trading(folder, ["status", "--stack", stack(), "--json"]),
    trading(folder, ["status", "--stack", stack()]),
    trading(folder, ["cost", "--stack", stack(), "--json"]),
    trading(folder, ["status", "--stack", stack()], { S3_ENDPOINT: "http://127.0.0.1:9" }),
    trading(folder, ["cost", "--stack", stack()], { HCLOUD_TOKEN: "", S3_BUCKET: "" }),
    trading(folder, ["cost", "--all", "--month", "2026-10"]),
  ]);
  assert.equal(json.code, 0, json.out + json.err);
  const told = JSON.parse(json.out) as { isWell: boolean; clusters: { servers: unknown[] }[] };
  assert.equal(told.isWell, true);
  assert.equal(told.clusters[0]?.servers.length, 2);
  assert.equal(screen.code, 0, screen.out + screen.err);
  assert.match(screen.out, /the stack has no trading:schedule/);
  assert.equal(report.code, 0, report.err);
  const { stacks } = JSON.parse(report.out) as { stacks: Record<string, unknown>[] };
  assert.equal(stacks[0]?.["today"], "0.064");
  assert.equal(stacks[0]?.["noForecast"], "the stack has no trading:schedule");
  assert.equal(down.code, 1);
  assert.match(down.out, /NOT as it should be[^]*could not ask the archive bucket/);
  assert.equal(nobody.code, 2);
  assert.match(nobody.err, /HCLOUD_TOKEN/);
  assert.equal(all.code, 0, all.err);
  assert.match(all.out, /in 2026-10 until/);
});

/** A SIMULATED kubectl: it writes down what it was asked for and prints a line of each namespace. */
const simulatedKubectl = `#!/usr/bin/env node
const { appendFileSync, readFileSync } = require("node:fs");
const args = process.argv.slice(2);
appendFileSync(process.env.SIMULATED_KUBECTL_RECORD, JSON.stringify({ args, kubeconfig: readFileSync(process.env.KUBECONFIG, "utf8") }) + "\\n");
console.log("[pod/simulated-in-" + args[1] + "/x] a line");
if (process.env.SIMULATED_KUBECTL_FAILS) { console.error("Unable to connect to the server"); process.exit(1); }
if (args.includes("--follow")) setInterval(() => undefined, 1000);
`;

test("logs: of the running cluster by kubectl, of a sealed day from the bucket", async () => {
  await begin(morning);
  const own = cluster();
  await writeSealedArchive(account.archive(own), { records: [] });
  const folder = configured();
  const tools = mkdtempSync(path.join(directory, "simulated-kubectl-"));
  writeFileSync(path.join(tools, "kubectl"), simulatedKubectl, { mode: 0o755 });
  symlinkSync(process.execPath, path.join(tools, "node"));
  const engine = path.join(tools, "simulated-engine.mjs");
  writeFileSync(
    engine,
    `export async function openStackEngine() {
  const outputs = process.env.SIMULATED_NO_CLUSTER ? {} : { kubeconfig: "simulated: kubeconfig" };
  return { description: "simulated", outputs: async () => outputs };
}
`,
  );
  const bare = path.join(tools, "bare");
  mkdirSync(bare);
  const recordFile = (name: string): string => path.join(tools, name);
  const run = (name: string, args: readonly string[], environment: NodeJS.ProcessEnv = {}) =>
    trading(folder, ["logs", "--stack", stack(), ...args], {
      PATH: tools,
      TRADING_ENGINE: engine,
      SIMULATED_KUBECTL_RECORD: recordFile(name),
      ...environment,
    });
  const [everything, one, failing, closed, missing, unknown, nothing, never] = await Promise.all([
    run("all", ["--since", "10m"]),
    run("one", ["--service", "archiver"]),
    run("failing", ["--service", "archiver"], { SIMULATED_KUBECTL_FAILS: "1" }),
    run("closed", [], { SIMULATED_NO_CLUSTER: "1" }),
    run("missing", [], { PATH: bare }),
    run("unknown", ["--service", "archivr"]),
    run("nothing", ["--archived"]),
    run("never", ["--date", "2020-01-02"]),
  ]);
  const asked = (name: string) =>
    readFileSync(recordFile(name), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { args: string[]; kubeconfig: string });
  assert.equal(everything.code, 0, everything.err);
  assert.deepEqual(
    asked("all").map(({ args }) => args[1]),
    ["ingestion", "kafka", "strategies"],
  );
  assert.ok(
    asked("all").every(
      ({ args, kubeconfig }) => args.includes("--since=10m") && kubeconfig === "simulated: kubeconfig",
    ),
  );
  assert.equal(everything.out.trim().split("\n").length, 3);
  assert.equal(one.code, 0, one.err);
  assert.deepEqual(
    asked("one").map(({ args }) => args.slice(0, 5)),
    [
      [
        "--namespace",
        "kafka",
        "logs",
        "--selector",
        "app.kubernetes.io/part-of=trading,app.kubernetes.io/name=archiver",
      ],
    ],
  );
  assert.equal(failing.code, 1);
  assert.match(failing.err, /Unable to connect[^]*failed \(exit code 1\).*trading admit/);
  assert.equal(closed.code, 3);
  assert.match(closed.err, /no cluster[^]*logs --stack dev\d+ --archived/);
  assert.equal(missing.code, 2);
  assert.match(missing.err, /no `kubectl` on PATH/);
  assert.equal(unknown.code, 2);
  assert.match(unknown.err, /"archivr", expected one of archiver,/);
  assert.equal(nothing.code, 1);
  assert.match(nothing.err, /Nothing is archived of any service/);
  assert.equal(never.code, 2);
  assert.match(never.err, /No cluster dev\d+\/2020-01-02\/\* is sealed/);

  const evidence = {
    "evidence/2/kubernetes/kafka/archiver-5d9-x/archiver.log.gz": "2026-11-20T19:59:00Z written\n",
    "evidence/2/kubernetes/strategies/executor-alpaca-0/executor-alpaca.log.gz":
      "2026-11-20T15:00:00Z filled\n",
  };
  const compressed = Object.fromEntries(
    Object.entries(evidence).map(([name, text]) => [name, gzipSync(text)]),
  );
  await writeSealedArchive(account.archive(own), { records: [], generation: 2, evidence: compressed });
  const [archived, recent] = await Promise.all([
    run("archived", ["--archived"]),
    run("recent", ["--archived", "--since", "10m"]),
  ]);
  assert.equal(archived.code, 0, archived.err);
  assert.equal(
    archived.out,
    "[pod/archiver-5d9-x/archiver] 2026-11-20T19:59:00Z written\n" +
      "[pod/executor-alpaca-0/executor-alpaca] 2026-11-20T15:00:00Z filled\n",
  );
  assert.equal(recent.out, "[pod/archiver-5d9-x/archiver] 2026-11-20T19:59:00Z written\n");
});
