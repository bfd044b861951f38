/** An archived day comes back into a real Kafka exactly as it was, and only where it does no harm. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { pino } from "pino";
import { type LabKafka, startKafka } from "../lab/kafka/index.ts";
import { type LabObjectStore, startObjectStore } from "../lab/objectstore/index.ts";
import { ProcessRegistry } from "../lab/processes.ts";
import type { ArchivedRecord, ClusterArchive, Manifest } from "../services/archive/index.ts";
import { openArchive } from "../services/archive/index.ts";
import { restore, type RestoreOptions } from "../services/archive/restore.ts";
import { topicSettings } from "../services/bus/cluster-admin.ts";
import { connectKafka, type Kafka } from "../services/bus/kafka.ts";
import { writeSealedArchive } from "../lab/cluster-inside/sealed-archive.ts";

const directory = mkdtempSync(path.join(tmpdir(), "restore-test-"));
const registry = new ProcessRegistry(path.join(directory, "processes"));
const cacheDirectory = path.join(import.meta.dirname, "../.lab/cache");
const logger = pino({ level: process.env.TEST_LOG_LEVEL ?? "silent" });
const identity = { stack: "dev", businessDate: "2025-10-14", clusterId: "RestoreTestClusterIdAA" };

let store: LabObjectStore;
let brokers: LabKafka;
let kafka: Kafka;
let archive: ClusterArchive;
let manifest: Manifest;

/** Offsets with gaps, as transactions leave them. */
function record(topic: string, partition: number, offset: number, more: Partial<ArchivedRecord> = {}) {
  const timestamp = String(Date.UTC(2019, 0, 1) + offset);
  const value = Buffer.from(`{"n":${offset}}`);
  const made: ArchivedRecord = {
    topic,
    partition,
    offset: String(offset),
    timestamp,
    key: null,
    headers: [],
    value,
    ...more,
  };
  return made;
}

const odd = [
  record("raw.odd", 1, 3, { value: null, key: Buffer.from("tombstone") }),
  record("raw.odd", 1, 5, { value: Buffer.alloc(0), key: Buffer.alloc(0) }),
  record("raw.odd", 1, 7, { value: Buffer.from([0, 255, 128]), key: Buffer.from([255]) }),
  record("raw.odd", 1, 8, {
    headers: [
      ["none", null],
      ["empty", Buffer.alloc(0)],
      ["bytes", Buffer.from([200])],
    ],
  }),
  record("raw.odd", 1, 9, {
    headers: [
      ["twice", Buffer.from("a")],
      ["twice", Buffer.from("b")],
    ],
  }),
  record("raw.odd", 1, 10, { timestamp: "0" }),
  record("raw.odd", 1, 11, { timestamp: String(Date.UTC(2100, 0, 1)) }),
  record("raw.odd", 1, 12, { value: Buffer.alloc(5_000_000, "large ") }),
  record("raw.odd", 1, 14),
];
const many = Array.from({ length: 20_000 }, (_, index) =>
  record("raw.many", index % 2, index * 2, {
    key: Buffer.from(`k${index}`),
    value: Buffer.alloc(200, index),
  }),
);
const commanded = record("cmd.execute_trade", 0, 0);

before(async () => {
  [store, brokers] = await Promise.all([
    startObjectStore({ directory: path.join(directory, "s3"), cacheDirectory, registry }),
    startKafka({
      directory: path.join(directory, "kafka"),
      cacheDirectory,
      registry,
      clusterId: "cmVzdG9yZS10ZXN0LTAwMQ",
      brokers: 1,
    }),
  ]);
  kafka = connectKafka({ brokers: brokers.brokers, clientId: "restore-test", logger });
  archive = openArchive(store, identity);
  manifest = await writeSealedArchive(archive, {
    records: [...odd, ...many, commanded],
    objectRecords: 3_000,
  });
});

after(async () => {
  archive?.store.close();
  await registry.stopAll();
  rmSync(directory, { recursive: true, force: true });
});

function restored(options: Partial<RestoreOptions> = {}) {
  const signal = AbortSignal.timeout(180_000);
  return restore({ kafka, archive, manifest, logger, signal, ...options });
}

test("every record is back as it was, proven by the manifest's hashes; commands are left out", async () => {
  const phases = new Set<string>();
  const result = await restored({ onProgress: ({ phase }) => phases.add(phase) });
  assert.deepEqual(result.problems, []);
  assert.equal(result.proven, true);
  assert.deepEqual(result.leftOut, ["cmd.execute_trade"]);
  assert.equal(result.records, odd.length + many.length);
  assert.deepEqual([...phases], ["writing", "reading back"]);
  for (const { topic, partition, whole, targetSha256 } of result.partitions) {
    const archived = manifest.topics.find((entry) => entry.topic === topic)?.partitions[partition];
    assert.ok(whole);
    assert.equal(targetSha256, archived?.recordsSha256, `${topic}/${partition}`);
  }
  const settings = await topicSettings(kafka, ["raw.odd", "raw.many"]);
  for (const own of settings.values()) assert.equal(own["retention.ms"], "-1");
});

test("what could do harm is refused before anything is written, all of it at once", async () => {
  await assert.rejects(restored({ topics: ["raw.odd", "cmd.execute_trade", "nowhere"] }), (error: Error) => {
    assert.equal(error.name, "RestoreRefusedError");
    assert.match(error.message, /nowhere is not in the archive/);
    assert.match(error.message, /cmd.execute_trade is read by services that act on it.*--commands/);
    return true;
  });
  await assert.rejects(restored({ topics: ["raw.odd"] }), /raw.odd is not empty \(9 offsets\).*--non-empty/);
  await assert.rejects(
    restored({ rename: () => "one" }),
    /raw.many and raw.odd would both be restored into one|raw.odd and raw.many would both/,
  );
  await assert.rejects(restored({ rename: (topic) => `control/${topic}` }), /cannot be the name of a topic/);
  const changed = { ...manifest, sealedAt: "2025-10-14T21:00:00.000Z" };
  await assert.rejects(restored({ manifest: changed }), /its checksum does not match/);
});

test("a part of a day: one partition, a time range, another name; and behind what is there", async () => {
  const from = Date.UTC(2019, 0, 1) + 1_000;
  const rename = (topic: string) => `restored.${topic}`;
  const part = { topics: ["raw.many"], partitions: [1], from, to: from + 1_000, rename };
  const first = await restored(part);
  assert.deepEqual(first.problems, []);
  const wanted = many.filter(
    ({ partition, timestamp }) => partition === 1 && +timestamp >= from && +timestamp < from + 1_000,
  );
  assert.deepEqual(
    first.partitions.map(({ target, partition, records, whole }) => ({ target, partition, records, whole })),
    [{ target: "restored.raw.many", partition: 1, records: wanted.length, whole: false }],
  );
  const again = await restored({ ...part, allow: { nonEmpty: true } });
  assert.equal(again.proven, true);
  const commands = await restored({ topics: ["cmd.execute_trade"], allow: { commands: true } });
  assert.equal(commands.records, 1);
});

test("commands are not restored where an executor runs", async () => {
  const consumer = kafka.consumer({ groupId: "executor-alpaca", maxWaitTimeInMs: 100 });
  await consumer.connect();
  await consumer.subscribe({ topic: "cmd.execute_trade" });
  const joined = new Promise((resolve) => consumer.on("consumer.group_join", resolve));
  await consumer.run({ eachMessage: async () => undefined });
  await joined;
  try {
    await assert.rejects(
      restored({ topics: ["cmd.execute_trade"], allow: { commands: true, nonEmpty: true } }),
      /executor-alpaca runs there/,
    );
  } finally {
    await consumer.disconnect();
  }
});

/** Runs `trading archive restore`. */
function command(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const { endpoint, region, bucket, accessKeyId, secretAccessKey } = store;
  const cluster = `${identity.stack}/${identity.businessDate}/${identity.clusterId}`;
  const words = ["archive", "restore", cluster, "--brokers", brokers.brokers.join(","), ...args];
  const environment = {
    PATH: process.env.PATH,
    S3_ENDPOINT: endpoint,
    S3_REGION: region,
    S3_BUCKET: bucket,
    S3_ACCESS_KEY_ID: accessKeyId,
    S3_SECRET_ACCESS_KEY: secretAccessKey,
  };
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      ["--import", "tsx", "ops/main.ts", ...words],
      { cwd: path.join(import.meta.dirname, ".."), env: environment, timeout: 180_000 },
      (_error, out, err) => resolve({ code: child.exitCode ?? -1, out, err }),
    );
  });
}

test("trading archive restore: done is 0, wrong usage 2, refused 3", async () => {
  const [done, usage, refused] = await Promise.all([
    command("--topics", "raw.odd", "--rename", "raw.odd=raw.even", "--json"),
    command("--from", "2025-10-14T13:30", "--partitions", "1"),
    command("--topics", "raw.odd,cmd.execute_trade", "--prefix", "cmd."),
  ]);
  assert.equal(done.code, 0, done.err);
  assert.equal((JSON.parse(done.out) as { proven: boolean }).proven, true);
  assert.equal(usage.code, 2, usage.err);
  assert.match(usage.err, /Expected a time with its zone/);
  assert.equal(refused.code, 3, refused.err);
  assert.match(refused.err, /cmd.raw.odd is read by services.*--commands/);
});
