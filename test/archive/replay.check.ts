/**
 * `trading archive replay` on a day that the real normalizers and the real strategy made: the same events come out, byte
 * by byte and in order, whoever was killed in the day; and whatever is not the same is found.
 */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
import type { Admin } from "kafkajs";
import { type LabKafka, startKafka } from "../../lab/kafka/index.ts";
import { exitCodes } from "../../ops/exit-codes.ts";
import { clusterPath } from "../../ops/archive/select.ts";
import {
  type ArchivedRecord,
  type ClusterArchive,
  type Manifest,
  readArchive,
} from "../../services/archive/index.ts";
import type { ReplayResult } from "../../services/archive/replay.ts";
import { connectKafka } from "../../services/bus/kafka.ts";
import { createLogger } from "../../services/core/log.ts";
import type { TestCluster } from "./cluster.ts";
import { until } from "../until.ts";
import { type Program, startProgram } from "./processes.ts";
import { dayMs, daySettings, playDay } from "./replay-day.ts";
import { writeSealedArchive } from "../../lab/cluster-inside/sealed-archive.ts";
import { ArchiveWorld, cacheDirectory, newClusterId } from "./world.ts";

const events = 3_000;
const logger = createLogger({ service: "replay-check", level: "silent" });

let world: ArchiveWorld;
let cluster: TestCluster;
let manifest: Manifest;
let target: LabKafka;
let admin: Admin;

before(async () => {
  world = await ArchiveWorld.start();
  const directory = path.join(world.directory, "target");
  mkdirSync(directory);
  target = await startKafka({ directory, cacheDirectory, clusterId: newClusterId(), brokers: 1 });
  admin = connectKafka({ brokers: target.brokers, clientId: "replay-check", logger }).admin();
  await admin.connect();
});
after(async () => {
  await admin?.disconnect();
  await target?.stop();
  await world?.stop();
});

/** Makes the target empty again. */
async function emptyTarget(): Promise<void> {
  const groups = async () => (await admin.listGroups()).groups.map(({ groupId }) => groupId);
  const topics = async () => (await admin.listTopics()).filter((name) => !name.startsWith("__"));
  const used = await topics();
  if (used.length > 0) await admin.deleteTopics({ topics: used });
  await until("the target has no topics", async () => (await topics()).length === 0);
  await until("the target has no groups", async () => {
    const left = await groups();
    // A member that was killed belongs to its group until its session ends.
    if (left.length > 0) await admin.deleteGroups(left).catch(() => undefined);
    return left.length === 0;
  });
}

function startReplay(
  archive: ClusterArchive,
  settings: Record<string, string>,
  more: string[] = [],
): Program {
  const { store } = world;
  const given = Object.entries(settings).flatMap(([name, value]) => ["--set", `${name}=${value}`]);
  return startProgram(
    "ops/main.ts",
    {
      S3_ENDPOINT: store.endpoint,
      S3_REGION: store.region,
      S3_BUCKET: store.bucket,
      S3_ACCESS_KEY_ID: store.accessKeyId,
      S3_SECRET_ACCESS_KEY: store.secretAccessKey,
    },
    [
      "archive",
      "replay",
      clusterPath(archive.identity),
      "--brokers",
      target.brokers.join(","),
      ...given,
      ...more,
    ],
  );
}

/** Replays on an empty target. */
async function replayed(
  archive: ClusterArchive,
  code: number,
  settings: Record<string, string> = daySettings,
  more: string[] = [],
): Promise<ReplayResult> {
  await emptyTarget();
  const ended = await startReplay(archive, settings, ["--json", ...more]).ended;
  assert.equal(ended.code, code, ended.log);
  const line = ended.log.split("\n").find((each) => each.startsWith("{"));
  return JSON.parse(line ?? "") as ReplayResult;
}

const countsOf = (result: ReplayResult, topic: string) => {
  const found = result.topics.find((each) => each.topic === topic);
  assert.ok(found, `${topic} was not compared`);
  return found.counts;
};

test("a day is made by services that are killed, and sealed", async () => {
  cluster = await world.open();
  await playDay(world, cluster, events, ["normalize-alpaca", "strategy-dummy", "normalize-near-intents"]);
  const archiver = cluster.startArchiver();
  ({ manifest } = await cluster.sealed());
  assert.equal((await archiver.stop()).code, 0);
});

test("its replay gives the same events, byte by byte, in the same order", async () => {
  const result = await replayed(cluster.archive, exitCodes.ok);
  assert.equal(result.same, true);
  const compared = result.topics.map(({ topic }) => topic);
  assert.deepEqual(compared, [
    "cmd.execute_trade",
    "dead-letter",
    "norm.stock_bar",
    "norm.stock_quote",
    "norm.stock_trade",
    "norm.swap_demand",
  ]);
  for (const topic of compared) {
    const counts = countsOf(result, topic);
    assert.ok(counts.same >= 8, `${topic}: ${counts.same} events`);
    assert.equal(counts.same, counts.replayed - counts.repeatedInReplay, topic);
  }
  // Both venues: what the strategy wants of NEAR's demands and of Alpaca's trades, and the canaries of both.
  const commands: { venue: string; payload: { instruction: { kind: string } } }[] = [];
  for await (const { value } of readArchive(cluster.archive, "cmd.execute_trade", manifest)) {
    commands.push(JSON.parse(value?.toString() ?? "") as (typeof commands)[number]);
  }
  const kinds = new Set(commands.map(({ venue, payload }) => `${venue} ${payload.instruction.kind}`));
  assert.deepEqual([...kinds].sort(), [
    "alpaca canary",
    "alpaca place_order",
    "near-intents answer_swap",
    "near-intents canary",
  ]);
  assert.ok(commands.length > 100, `${commands.length} commands`);
});

test("a target that holds records is refused, and nothing is written to it", async () => {
  const ends = async () => JSON.stringify(await admin.fetchTopicOffsets("norm.swap_demand"));
  const before = await ends();
  const ended = await startReplay(cluster.archive, daySettings).ended;
  assert.equal(ended.code, exitCodes.refused, ended.log);
  assert.match(ended.log, /The target is not empty: .*norm\.swap_demand holds records/);
  assert.equal(await ends(), before);
});

test("at ten times the day's speed it takes a tenth of the day, and gives the same", async () => {
  const result = await replayed(cluster.archive, exitCodes.ok, daySettings, ["--speed", "10"]);
  assert.ok(result.milliseconds >= (dayMs / 10) * 0.95, `${result.milliseconds} ms`);
  assert.ok(countsOf(result, "cmd.execute_trade").same > 100);
});

test("a strategy alone is replayed from the archived events", async () => {
  const result = await replayed(cluster.archive, exitCodes.ok, daySettings, ["--services", "strategy-dummy"]);
  assert.deepEqual(Object.keys(result.fed), ["norm.stock_trade", "norm.swap_demand"]);
  assert.deepEqual(
    result.topics.map(({ topic }) => topic),
    ["cmd.execute_trade", "dead-letter"],
  );
  assert.ok(countsOf(result, "cmd.execute_trade").same > 100);
});

test("another setting of the strategy, or of the normalizers, is found", async () => {
  const fewer = await replayed(cluster.archive, exitCodes.failed, { ...daySettings, DUMMY_PERCENT: "20" });
  const commands = countsOf(fewer, "cmd.execute_trade");
  assert.ok(commands.missing > 20 && commands.same > 20, JSON.stringify(commands));
  assert.deepEqual([commands.additional, commands.different, commands.outOfOrder], [0, 0, 0]);
  assert.equal(countsOf(fewer, "norm.swap_demand").missing, 0);

  const { MAX_EVENT_AGE_DAYS: _left, ...others } = daySettings;
  const younger = await replayed(cluster.archive, exitCodes.failed, others);
  assert.equal(countsOf(younger, "norm.swap_demand").missing, 0);
  assert.ok(countsOf(younger, "norm.stock_trade").missing > 20);
  assert.ok(countsOf(younger, "dead-letter").additional > 20);
});

test("an archived event that was changed, lost, invented or moved is found, and nothing else", async () => {
  const archived: ArchivedRecord[] = [];
  for (const { topic } of manifest.topics) {
    if (/^(control|exec)/.test(topic)) continue;
    for await (const record of readArchive(cluster.archive, topic, manifest)) archived.push(record);
  }
  const textOf = ({ value }: ArchivedRecord): string => value?.toString("latin1") ?? "";
  const normal = archived.filter(({ topic }) => topic === "norm.swap_demand");
  // Repetitions would hide what happens to one of the two.
  const once = normal.filter(
    (record) => normal.filter((other) => textOf(other) === textOf(record)).length === 1,
  );
  const demands = once.filter((record) => textOf(record).includes('"norm.swap_demand"'));
  const [changed, lost] = demands;
  const [first, second] = demands.slice(2).flatMap((record, index, all) => {
    const next = all.slice(index + 1).find((other) => other.key?.equals(record.key ?? Buffer.of()));
    return next === undefined ? [] : [[record, next] as const];
  })[0] ?? [undefined, undefined];
  assert.ok(changed && lost && first && second);
  const idOf = (record: ArchivedRecord): string =>
    (JSON.parse(textOf(record)) as { event_id: string }).event_id;
  const records = archived.flatMap((record): ArchivedRecord[] => {
    if (record === lost) return [];
    if (record === first) return [{ ...record, value: second.value }];
    if (record === second) return [{ ...record, value: first.value }];
    if (record !== changed) return [record];
    const value = Buffer.from(textOf(record).replace('"min_deadline_ms":', '"min_deadline_ms":1'), "latin1");
    return [{ ...record, value }];
  });
  const last = records
    .filter(({ topic, partition }) => topic === "norm.swap_demand" && partition === changed.partition)
    .at(-1);
  const invented = "11111111-1111-5111-8111-111111111111";
  records.push({
    ...changed,
    offset: String(BigInt(last?.offset ?? 0) + 1n),
    value: Buffer.from(textOf(changed).replace(idOf(changed), invented), "latin1"),
  });

  const forged = world.archive(newClusterId());
  try {
    await writeSealedArchive(forged, { records });
    const result = await replayed(forged, exitCodes.failed, daySettings, [
      "--services",
      "normalize-near-intents",
    ]);
    const [demand] = result.topics.filter(({ topic }) => topic === "norm.swap_demand");
    assert.ok(demand);
    const { different, missing, additional, outOfOrder } = demand.counts;
    assert.deepEqual({ different, missing, additional }, { different: 1, missing: 1, additional: 1 });
    assert.ok(outOfOrder >= 1);
    const listed = Object.fromEntries(demand.differences.map((difference) => [difference.kind, difference]));
    assert.equal(listed.missing?.id, invented);
    assert.equal(listed.additional?.id, idOf(lost));
    assert.equal(listed.different?.id, idOf(changed));
    assert.equal(listed.different?.field?.field, "payload.min_deadline_ms");
    assert.equal(listed.order?.key, first.key?.toString());
    assert.equal(countsOf(result, "dead-letter").missing, 0);
  } finally {
    forged.store.close();
  }
});

test("a service that does not start is an error with its words, and everything is ended", async () => {
  await emptyTarget();
  const ended = await startReplay(cluster.archive, { DUMMY_PERCENT: "101" }).ended;
  assert.equal(ended.code, exitCodes.failed, ended.log);
  assert.match(ended.log, /strategy-dummy ended with 2.*DUMMY_PERCENT: expected a whole number/s);
  const wrong = await startReplay(cluster.archive, {}, ["--services", "executor-alpaca"]).ended;
  assert.equal(wrong.code, exitCodes.usage, wrong.log);
  assert.match(wrong.log, /found executor-alpaca, expected some of normalize-near-intents, /);
});

test("Ctrl-C ends the services that it started", async () => {
  await emptyTarget();
  const program = startReplay(cluster.archive, daySettings, ["--speed", "0.1"]);
  const parent = program.child.pid ?? 0;
  await until("services consume", async () => {
    const { groups } = await admin.listGroups();
    return groups.some(({ groupId }) => groupId === "strategy-dummy");
  });
  const services = childrenOf(parent);
  assert.equal(services.length, 3);
  program.child.kill("SIGINT");
  const ended = await program.ended;
  assert.equal(ended.code, exitCodes.interrupted, ended.log);
  assert.deepEqual(childrenOf(parent), []);
  for (const pid of services) assert.throws(() => process.kill(pid, 0), { code: "ESRCH" });
});

/** Field 4 of /proc/<pid>/stat is the parent, see proc(5). */
function childrenOf(parent: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
        return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]) === parent;
      } catch {
        return false;
      }
    });
}
