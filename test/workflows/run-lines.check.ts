/**
 * Every `run:` line of the day's workflows, executed as it is written, in fresh checkouts of the commit, with the Node
 * that they name, against the lab: its Hetzner, its S3 server (archive and state), its engine in the place of the Pulumi
 * CLI, and the simulated inside of a cluster. `npm run check:workflows`.
 *
 * What is not the real thing here: the calendar's source says that every day has a session and the stack's file has other
 * hours, so that the day is now whenever this runs; the Pulumi CLI is not fetched, since another engine is named
 * (ops/release/pulumi-cli.test.ts fetches one); and people are a server of this test.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { parseDocument } from "yaml";
import { projectDirectory } from "../../lab/directories.ts";
import { nobodyThere } from "../../lab/nobody-there.ts";
import type { LabObjectStore } from "../../lab/objectstore/index.ts";
import { storedSession } from "../../ops/calendar/stored-rules.ts";
import { plusDays } from "../../ops/calendar/zoned-time.ts";
import { ArchiveStore } from "../../services/archive/store.ts";
import { newYorkDate } from "../../services/core/exchange-calendar.ts";
import { InfrastructureWorld, startBucket } from "../infrastructure/world.ts";
import { installNode } from "../images/node.ts";
import { Runner, type RunLine } from "./runner.ts";

const stack = "dev";
const minuteMs = 60_000;
const directory = mkdtempSync(path.join(tmpdir(), "run-lines-"));
const configFile = path.join(directory, "stack.json");

let store: LabObjectStore;
let world: InfrastructureWorld;
let runner: Runner;
let servers: Server[] = [];
/** What people were told, and which beats were heard, in order. */
const told: string[] = [];
/** The stack's hours, as its file says from now on. */
let hours = {};

async function listen(answer: Parameters<typeof createServer>[1]): Promise<string> {
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

before(async () => {
  // SIMULATED: an exchange that never rests.
  const calendar = await listen((request, response) => {
    const { searchParams: asked } = new URL(request.url ?? "", "http://exchange");
    const days: object[] = [];
    for (let date = asked.get("start") ?? ""; date <= (asked.get("end") ?? ""); date = plusDays(date, 1))
      days.push({ date, open: "09:30", close: "16:00" });
    response.end(JSON.stringify(days));
  });
  const people = await listen((request, response) => {
    let text = "";
    request.on("data", (chunk: Buffer) => (text += chunk.toString()));
    request.on("end", () => {
      const { kind } = (text === "" ? {} : JSON.parse(text)) as { kind?: string };
      told.push(kind ?? `beat ${request.url?.split("/").slice(2).join(" ")}`);
      response.end();
    });
  });
  store = await startBucket();
  const alpaca = { ...nobodyThere.alpaca, rest: calendar };
  world = await InfrastructureWorld.start({ store, stack });
  const venues = JSON.parse(world.configuration.values["trading:venues"] ?? "{}") as { alpaca: object };
  world.configuration.values["trading:venues"] = JSON.stringify({
    ...venues,
    alpaca: { ...venues.alpaca, restUrl: calendar },
  });
  const node = await installNode();
  if (typeof node === "string") throw new Error(node);
  const { hetzner } = world;
  runner = new Runner({
    directory,
    path: [node.folder],
    environment: {
      // With its own packages: the workflows install none of those that only a lab needs.
      TRADING_ENGINE: path.join(projectDirectory, "lab/stack-engine.ts"),
      LAB_STACK_CONFIG: configFile,
      LAB_PASSPHRASE: world.passphrase,
      LAB_STATE_FILE: `s3://${store.bucket}/state-of-${stack}.json`,
      LAB_STATE_S3_ENDPOINT: store.endpoint,
      LAB_STATE_S3_REGION: store.region,
      LAB_STATE_S3_ACCESS_KEY_ID: store.accessKeyId,
      LAB_STATE_S3_SECRET_ACCESS_KEY: store.secretAccessKey,
      HCLOUD_ENDPOINT: hetzner.endpoint,
      S3_ENDPOINT: store.endpoint,
      S3_REGION: store.region,
      S3_BUCKET: store.bucket,
      APCA_API_BASE_URL: calendar,
      GATE_TIMEOUT_SECONDS: "60",
    },
    contexts: {
      matrix: { stack },
      vars: { PULUMI_BACKEND_URL: `s3://${store.bucket}` },
      secrets: {
        STATE_ACCESS_KEY_ID: store.accessKeyId,
        STATE_SECRET_ACCESS_KEY: store.secretAccessKey,
        PULUMI_CONFIG_PASSPHRASE: world.passphrase,
        HCLOUD_TOKEN: hetzner.token,
        ARCHIVE_ACCESS_KEY_ID: store.accessKeyId,
        ARCHIVE_SECRET_ACCESS_KEY: store.secretAccessKey,
        ALPACA_KEY_ID: alpaca.keyId,
        ALPACA_SECRET_KEY: alpaca.secret,
        TRADING_WEBHOOK_URL: `${people}/told`,
        TRADING_HEARTBEAT_URL: `${people}/beat/{job}`,
      },
    },
  });
});

after(async () => {
  await world.stop();
  await store.stop();
  for (const server of servers) server.close();
  servers = [];
  // Tens of thousands of files: a disk that discards what is freed takes minutes, which nobody needs to wait for.
  spawn("rm", ["-rf", directory], { detached: true, stdio: "ignore" }).unref();
});

/**
 * Lets the stack's only hour of the day end at a moment, in the engine's configuration and, for what reads it, in the
 * stack's file.
 */
function closeAt(closesAt: Date): void {
  const opensAt = new Date(closesAt.getTime() - 60 * minuteMs);
  hours = {
    open: opensAt.toISOString().slice(11, 16),
    timeZone: "UTC",
    leadMinutes: 5,
    deadlineMinutes: 15,
  };
  const { values, secretKeys } = world.configuration;
  const changed = { ...values, "trading:openHours": "1", "trading:schedule": JSON.stringify(hours) };
  writeFileSync(configFile, JSON.stringify({ values: changed, secretKeys }));
  chmodSync(configFile, 0o600);
}

function writeStackFile(checkout: string): void {
  const file = path.join(checkout, `Pulumi.${stack}.yaml`);
  const document = parseDocument(readFileSync(file, "utf8"));
  document.setIn(["config", "trading:openHours"], 1);
  document.setIn(["config", "trading:schedule"], document.createNode(hours));
  writeFileSync(file, document.toString());
}

/** The whole minute that comes some minutes after the one that goes on. */
const minuteFromNow = (minutes: number): Date =>
  new Date((Math.floor(Date.now() / minuteMs) + minutes) * minuteMs);

/** Writes into the account that what is there should have been gone at a moment, as if that time had passed. */
async function endClusterAt(moment: Date): Promise<void> {
  const { endpoint, token } = world.hetzner;
  const ask = async (method: string, route: string, body?: object): Promise<Record<string, unknown>> => {
    const response = await fetch(`${endpoint}/${route}`, {
      method,
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    assert.ok(response.ok, `${method} ${route}: ${response.status}`);
    return (await response.json()) as Record<string, unknown>;
  };
  for (const kind of ["servers", "networks", "firewalls", "placement_groups", "ssh_keys", "primary_ips"]) {
    const listed = (await ask("GET", kind))[kind] as { id: number; labels: Record<string, string> }[];
    for (const { id, labels } of listed) {
      if (labels["expires-at"] === undefined) continue;
      const changed = { ...labels, "expires-at": String(moment.getTime() / 1_000) };
      await ask("PUT", `${kind}/${id}`, { labels: changed });
    }
  }
}

/** Runs a job; all lines but the last one must succeed. @returns the last one */
async function run(id: string, job: string, code: number): Promise<RunLine> {
  const lines = await runner.run(id, job, writeStackFile);
  for (const { name, output, code: ended } of lines.slice(0, -1))
    assert.equal(ended, 0, `${name}:\n${output}`);
  const last = lines.at(-1);
  assert.ok(last);
  assert.equal(last.code, code, `${last.line}:\n${last.output}`);
  return last;
}

test("the morning: every line of trading-day-open; once more changes nothing", async () => {
  closeAt(minuteFromNow(57));
  await run("trading-day-open", "open", 0);
  const servers = world.hetzner.project.servers().map(({ id }) => id);
  assert.equal(servers.length, 4);
  assert.ok(told.includes("opened"), told.join(", "));
  assert.ok(told.includes("beat open"), told.join(", "));
  const { output } = await run("trading-day-open", "open", 0);
  assert.match(output, /already open/);
  assert.deepEqual(
    world.hetzner.project.servers().map(({ id }) => id),
    servers,
  );
});

test("the guard finds all as it should be, but for a session that the stored rules do not know", async () => {
  closeAt(minuteFromNow(50));
  const isUsualDay = storedSession(newYorkDate(new Date()))?.closesEarly === false;
  const { output } = await run("guard", "look", isUsualDay ? 0 : 1);
  assert.match(
    output,
    isUsualDay
      ? /all is as it should be/
      : /: found \(.*\):\n {2}failed:\n {4}The calendars differ for .*\n\n*$/,
  );
  assert.ok(told.includes("beat guard"), told.join(", "));
});

test("the end of the day: every line of trading-day-close, which waits for its time; once more finds nothing", async () => {
  const closesAt = minuteFromNow(1);
  closeAt(closesAt);
  const { output } = await run("trading-day-close", "close", 0);
  assert.ok(Date.now() >= closesAt.getTime(), "it waited");
  assert.match(output, /closed: /);
  assert.deepEqual(world.account(), []);
  assert.ok(told.includes("closed"), told.join(", "));
  assert.match((await run("trading-day-close", "close", 0)).output, /nothing was open/);
});

test("a close that never came: the guard's look finds it, and its second job closes", async () => {
  // A day that was closed within its hours stays closed: what the bucket has of the last one is not to count.
  const archiveStore = new ArchiveStore(store);
  await archiveStore.remove((await archiveStore.list(`${stack}/`)).map(({ key }) => key));
  archiveStore.close();
  closeAt(minuteFromNow(57));
  await run("trading-day-open", "open", 0);
  // Past its deadline, which is 15 minutes after its end.
  closeAt(minuteFromNow(-20));
  await endClusterAt(minuteFromNow(-20));
  told.length = 0;
  await run("guard", "look", 1);
  assert.ok(
    told.some((kind) => kind === "still-open" || kind === "unsealed"),
    told.join(", "),
  );
  assert.notDeepEqual(world.account(), [], "a look changes nothing");
  await run("guard", "close", 1);
  assert.deepEqual(world.account(), []);
  // By its id: folders stand in no order of time, and something of the first cluster may be there again.
  const clusterId = await world.opened();
  const own = (await world.archived()).find((archived) => archived.clusterId === clusterId);
  assert.equal(own?.sealed, true);
});
