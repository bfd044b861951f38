/**
 * The archive against a real Kafka and a real S3 server: what brokers acknowledged is in the bucket, byte by byte,
 * whatever is killed; and the gate opens only when it is.
 */
import { DeleteObjectCommand, S3Client } from "@aws-sdk/client-s3";
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { Kafka, Producer } from "kafkajs";
import { pino } from "pino";
import { type LabKafka, startKafka } from "../lab/kafka/index.ts";
import { type LabObjectStore, startObjectStore } from "../lab/objectstore/index.ts";
import { ProcessRegistry } from "../lab/processes.ts";
import {
  type Manifest,
  manifestChecksum,
  manifestSchema,
  sealRequestSchema,
} from "../services/archive/documents.ts";
import {
  type ArchivedRecord,
  type ClusterArchive,
  openArchive,
  readArchive,
  verifyArchive,
} from "../services/archive/index.ts";
import { type GateOutcome, passGate } from "../services/archive/seal-gate.ts";
import { controlRecord, readControl } from "../services/bus/control.ts";
import { DrainState } from "../services/bus/drain.ts";
import { followTopics } from "../services/bus/follow.ts";
import { compression, connectKafka } from "../services/bus/kafka.ts";
import { toInstant } from "../services/core/time.ts";

const clusterId = "ArchiveTestClusterIdAA";
const identity = { stack: "dev", businessDate: "2025-10-14", clusterId };
const services = ["service-a", "service-b"];
const root = path.join(import.meta.dirname, "..");
const cacheDirectory = path.join(root, ".lab/cache");
const directory = mkdtempSync(path.join(tmpdir(), "archive-test-"));
const registry = new ProcessRegistry(path.join(directory, "processes"));
const logger = pino({ level: process.env.TEST_LOG_LEVEL ?? "silent" });

let store: LabObjectStore;
let brokers: LabKafka;
let kafka: Kafka;
let producer: Producer;
let archive: ClusterArchive;
const children = new Set<ChildProcess>();
/** What was produced and committed, by topic; timestamps are given so that they can be compared. */
const produced = new Map<string, string[]>();

before(async () => {
  [store, brokers] = await Promise.all([
    startObjectStore({ directory: path.join(directory, "s3"), cacheDirectory, registry }),
    startKafka({ directory: path.join(directory, "kafka"), cacheDirectory, registry, clusterId, brokers: 1 }),
  ]);
  kafka = connectKafka({ brokers: brokers.brokers, clientId: "archive-test", logger });
  producer = kafka.producer({ allowAutoTopicCreation: false });
  await producer.connect();
  archive = openArchive(store, identity);
});

after(async () => {
  for (const child of children) child.kill("SIGKILL");
  await producer?.disconnect();
  archive?.store.close();
  await registry.stopAll();
  rmSync(directory, { recursive: true, force: true });
});

function environment(more: Record<string, string> = {}): Record<string, string> {
  return {
    PATH: process.env.PATH ?? "",
    STACK: identity.stack,
    BUSINESS_DATE: identity.businessDate,
    CLUSTER_ID: identity.clusterId,
    KAFKA_BROKERS: brokers.brokers.join(","),
    KAFKA_REPLICATION_FACTOR: "1",
    KAFKA_MIN_INSYNC_REPLICAS: "1",
    HTTP_PORT: "0",
    S3_ENDPOINT: store.endpoint,
    S3_REGION: store.region,
    S3_BUCKET: store.bucket,
    S3_ACCESS_KEY_ID: store.accessKeyId,
    S3_SECRET_ACCESS_KEY: store.secretAccessKey,
    LOG_LEVEL: process.env.TEST_LOG_LEVEL ?? "warn",
    ...more,
  };
}

function startProcess(entry: string, more: Record<string, string> = {}) {
  const child = spawn(process.execPath, ["--import", "tsx", entry], {
    cwd: root,
    env: environment(more),
    stdio: ["ignore", process.env.TEST_LOG_LEVEL === undefined ? "ignore" : "inherit", "pipe"],
  });
  children.add(child);
  let errors = "";
  child.stderr?.on("data", (chunk: Buffer) => (errors += chunk.toString()));
  const ended = once(child, "close").then(([code]) => {
    children.delete(child);
    return { code: code as number | null, errors };
  });
  return { child, ended };
}

const startArchiver = (drainSeconds = 60) =>
  startProcess("services/apps/archiver.ts", {
    SERVICE_NAME: "archiver",
    DRAINING_SERVICES: services.join(","),
    ARCHIVE_ROTATE_BYTES: "100000",
    ARCHIVE_ROTATE_SECONDS: "1",
    SEAL_DRAIN_SECONDS: String(drainSeconds),
  });

async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 60_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await delay(50);
  }
}

interface Message {
  key: string | Buffer | null;
  value: string | Buffer | null;
  headers?: Record<string, string | Buffer | (string | Buffer)[]>;
}
let clock = Date.parse("2025-10-14T13:30:00Z");

/** A record in a form that can be compared. */
function print(record: Pick<ArchivedRecord, "key" | "value" | "headers" | "timestamp">): string {
  const bytes = (content: Buffer | null): string => content?.toString("latin1") ?? "(null)";
  const headers = record.headers.map(([name, value]) => `${name}=${bytes(value)}`).join(",");
  return `${record.timestamp} ${bytes(record.key)} [${headers}] ${bytes(record.value)}`;
}

const toBuffer = (content: string | Buffer | null) => (content === null ? null : Buffer.from(content));

async function send(
  topic: string,
  messages: Message[],
  by: Pick<Producer, "send"> = producer,
  committed = true,
): Promise<void> {
  const stamped = messages.map((message) => ({ ...message, timestamp: String(clock++) }));
  await by.send({ topic, acks: -1, compression, messages: stamped });
  if (!committed) return;
  const known = produced.get(topic) ?? [];
  produced.set(topic, known);
  for (const { key, value, headers, timestamp } of stamped) {
    known.push(
      print({
        key: toBuffer(key),
        value: toBuffer(value),
        timestamp,
        headers: Object.entries(headers ?? {}).flatMap(([name, values]) =>
          [values].flat().map((one) => [name, toBuffer(one)] as const),
        ),
      }),
    );
  }
}

async function assertArchived(manifest: Manifest): Promise<void> {
  for (const [topic, expected] of produced) {
    const found: string[] = [];
    for await (const record of readArchive(archive, topic, manifest)) found.push(print(record));
    // Partitions come one after the other; the clock gives the order in which the records were sent.
    assert.deepEqual(found.sort(), [...expected].sort(), topic);
  }
}

const gate = (more: { allowDataLoss?: string; timeoutMs?: number; of?: ClusterArchive } = {}) =>
  passGate({
    archive: more.of ?? archive,
    timeoutMs: more.timeoutMs ?? 60_000,
    allowDataLoss: more.allowDataLoss,
    report: (line) => logger.info(line),
    signal: new AbortController().signal,
  });

function manifestOf(outcome: GateOutcome): Manifest {
  assert.equal(outcome.reason, "sealed");
  assert.ok(outcome.verification.manifest);
  return outcome.verification.manifest;
}

/** Services that have nothing to finish: they answer each drain request at once. */
async function answerDrains(): Promise<{ requests: readonly string[]; stop(): Promise<void> }> {
  const state = new DrainState();
  const follower = await followTopics({
    kafka,
    topics: ["control"],
    name: "answering-services",
    context: { logger, fatal: (error) => logger.error({ err: error }, "control reader failed") },
    onRecord: (record) => {
      const requestId = state.apply(readControl(record));
      if (requestId === undefined) return;
      const messages = services.map((service) => {
        const { key, value } = controlRecord(
          { type: "drained", service, requestId, at: toInstant(Date.now()) },
          service,
        );
        return { key, value };
      });
      void producer.send({ topic: "control", acks: -1, compression, messages });
    },
  });
  return { requests: state.requests, stop: () => follower.stop() };
}

test("a cluster that was never opened may go", async () => {
  const ended = await startProcess("services/archive/gate.ts").ended;
  assert.equal(ended.code, 0, ended.errors);
  assert.match(ended.errors, /never held data/);
});

test("prepare-day creates the topics and the marker, and does nothing the second time", async () => {
  const first = await startProcess("services/apps/prepare-day.ts", { SERVICE_NAME: "prepare-day" }).ended;
  assert.equal(first.code, 0, first.errors);
  const opened = await archive.get("opened.json");
  assert.ok(opened);
  const marker = JSON.parse(opened.body.toString()) as Record<string, unknown>;
  assert.deepEqual({ ...identity, kafkaClusterId: clusterId, openedAt: marker.openedAt }, marker);

  const second = await startProcess("services/apps/prepare-day.ts", { SERVICE_NAME: "prepare-day" }).ended;
  assert.equal(second.code, 0, second.errors);
  assert.deepEqual((await archive.get("opened.json"))?.body, opened.body);
});

test("everything committed is sealed byte by byte, though the archiver is killed midway", async () => {
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({
    waitForLeaders: true,
    topics: [
      { topic: "odd", numPartitions: 2 },
      { topic: "transactional", numPartitions: 1 },
      { topic: "empty", numPartitions: 1 },
    ],
  });
  let archiver = startArchiver(1);
  // Nobody answers the drain yet.
  await assert.rejects(
    gate(),
    /not sealed: Not drained within 1 s: service-a, service-b\. Look at their logs/,
  );

  await send("odd", [
    { key: "plain", value: JSON.stringify({ price: 1.5, text: "žluťoučký \u2028", nested: [null, {}] }) },
    { key: null, value: null },
    { key: Buffer.from([0, 255, 254]), value: Buffer.from([0xc3, 0x28, 0]) },
    { key: "", value: "" },
    { key: "number", value: '{"price": 1.10}' },
    { key: "twice", value: '{"a":1,"a":2}' },
    { key: "big", value: "12345678901234567890" },
    { key: "deep", value: "[".repeat(5_000) + "]".repeat(5_000) },
    { key: "headers", value: "x", headers: { a: ["1", "2"], b: Buffer.from([255]), empty: "" } },
    { key: "megabyte", value: Buffer.alloc(1_000_000, "0123456789abcdef€") },
  ]);
  for (let batch = 0; batch < 20; batch++) {
    await send(
      "raw.near-intents.quote",
      Array.from({ length: 100 }, (_, index) => ({
        key: `pair-${index % 7}`,
        value: JSON.stringify({ event_id: `${batch}-${index}`, payload: "x".repeat(200) }),
      })),
    );
    if (batch === 10) {
      await until("something is in the bucket", async () => (await archive.ranges()).size > 0);
      archiver.child.kill("SIGKILL");
      await archiver.ended;
    }
  }

  // Two transactions that overlap: the one that began later is aborted first, so the brokers list it first.
  const [early, late, alone] = await Promise.all(
    ["early", "late", "alone"].map(async (transactionalId) => {
      const own = kafka.producer({ transactionalId, maxInFlightRequests: 1, idempotent: true });
      await own.connect();
      return own;
    }),
  );
  assert.ok(early && late && alone);
  const earlyTransaction = await early.transaction();
  await send("transactional", [{ key: "e", value: "early, aborted" }], earlyTransaction, false);
  const lateTransaction = await late.transaction();
  await send("transactional", [{ key: "l", value: "late, aborted" }], lateTransaction, false);
  await lateTransaction.abort();
  const secondLate = await late.transaction();
  await send("transactional", [{ key: "l", value: "late, committed" }], secondLate);
  await earlyTransaction.abort();
  await secondLate.commit();
  const secondEarly = await early.transaction();
  await send("transactional", [{ key: "e", value: "early, committed" }], secondEarly);
  await secondEarly.commit();
  const lastTransaction = await alone.transaction();
  await send(
    "transactional",
    [{ key: "a", value: "alone, aborted: only markers at the end" }],
    lastTransaction,
    false,
  );
  await lastTransaction.abort();
  await Promise.all([early, late, alone].map((one) => one.disconnect()));

  archiver = startArchiver();
  const answering = await answerDrains();
  // Created while the archiver runs: it must find it by itself.
  await admin.createTopics({ waitForLeaders: true, topics: [{ topic: "late-topic", numPartitions: 1 }] });
  await send("late-topic", [{ key: "k", value: "found" }]);
  await admin.disconnect();

  const sealing = await startProcess("services/archive/gate.ts").ended;
  assert.equal(sealing.code, 0, sealing.errors);
  assert.match(sealing.errors, /asked the archiver to seal[^]*verified: \d+ records/);
  const manifest = await archive.read("manifest.json", manifestSchema);
  assert.ok(manifest);
  assert.equal(manifest.generation, 1);
  assert.equal(manifest.kafkaClusterId, clusterId);
  await assertArchived(manifest);
  const topics = manifest.topics.map(({ topic }) => topic);
  assert.ok(
    topics.includes("empty") && topics.includes("control") && !topics.some((t) => t.startsWith("__")),
    topics.join(", "),
  );
  const [transactional] = manifest.topics.find(({ topic }) => topic === "transactional")?.partitions ?? [];
  assert.equal(transactional?.records, 2);
  assert.ok(
    Number(transactional.logEnd) > Number(transactional.lastOffset) + 1,
    "markers follow the last record",
  );

  // Unchanged: no new drain, no new generation.
  const again = manifestOf(await gate());
  assert.equal(again.checksum, manifest.checksum);
  assert.equal(
    answering.requests.length,
    2,
    "the first one failed, the second one sealed, the third one changed nothing",
  );

  // Changed: the next generation continues.
  await send("late-topic", [{ key: "k", value: "after the seal" }]);
  const next = manifestOf(await gate());
  assert.equal(next.generation, 2);
  assert.equal(answering.requests.length, 3);
  await assertArchived(next);

  // A lost object is exported again while the cluster lives.
  const lost = next.topics
    .find(({ topic }) => topic === "odd")
    ?.partitions.flatMap(({ objects }) => objects)[0];
  assert.ok(lost);
  await removeObject(lost.name);
  const repaired = manifestOf(await gate());
  assert.equal(repaired.generation, 3);
  await assertArchived(repaired);

  archiver.child.kill("SIGTERM");
  assert.equal((await archiver.ended).code, 0);
  await answering.stop();
});

async function removeObject(name: string): Promise<void> {
  const { accessKeyId, secretAccessKey, endpoint, region, bucket } = store;
  const client = new S3Client({
    endpoint,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
  await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: archive.prefix + name }));
  client.destroy();
}

/** Stands in for the archiver: says "sealed" to every request, as if the manifest in the bucket were its answer. */
async function gateAnswered(): Promise<GateOutcome> {
  const asked = await archive.read("seal-request.json", sealRequestSchema);
  const manifest = JSON.parse((await archive.get("manifest.json"))?.body.toString() ?? "{}") as Manifest;
  const passing = gate({ timeoutMs: 20_000 });
  passing.catch(() => undefined);
  let requestId = asked?.requestId;
  await until("a new request", async () => {
    requestId = (await archive.read("seal-request.json", sealRequestSchema))?.requestId;
    return requestId !== asked?.requestId;
  });
  const { generation, checksum } = manifest;
  const answer = { requestId, state: "sealed", message: "sealed", updatedAt: toInstant(Date.now()) };
  await archive.write("seal-progress.json", { ...answer, generation, manifestChecksum: checksum });
  return passing;
}

test("missing, damaged or foreign: the gate refuses and says what, and opens when it is right again", async () => {
  const manifest = await archive.read("manifest.json", manifestSchema);
  const object = manifest?.topics.find(({ topic }) => topic === "odd")?.partitions[0]?.objects[0];
  assert.ok(manifest && object);
  assert.equal((await gateAnswered()).reason, "sealed");
  const original = await archive.get(object.name);
  assert.ok(original);
  const put = (body: Buffer) =>
    archive.store.put(archive.prefix + object.name, body, {
      contentType: "x",
      metadata: { ...original.metadata },
    });
  const refusal = (pattern: RegExp) =>
    assert.rejects(gateAnswered(), (error: Error) => {
      assert.equal(error.name, "GateRefusedError");
      assert.match(error.message, pattern);
      assert.match(
        error.message,
        /Run the destroy again.*TRADING_ALLOW_DATA_LOSS=dev\/ArchiveTestClusterIdAA/s,
      );
      return true;
    });

  await removeObject(object.name);
  await refusal(new RegExp(`${object.name}: is missing in the bucket`));

  const flipped = Buffer.from(original.body);
  flipped.writeUInt8(flipped.readUInt8(40) ^ 1, 40);
  await put(flipped);
  await refusal(new RegExp(`${object.name}: was changed after it had been read back`));
  await put(original.body);

  const resealed = (content: Manifest) => ({ ...content, checksum: manifestChecksum(content) });
  await archive.write("manifest.json", resealed({ ...manifest, clusterId: "AnotherClusterIdAAAAAA" }));
  await refusal(/of another cluster: clusterId is AnotherClusterIdAAAAAA/);
  await archive.write("manifest.json", { ...manifest, sealedAt: "2025-10-14T20:00:00.000Z" });
  await refusal(/its checksum does not match/);
  const gap = structuredClone(manifest);
  const gapped = gap.topics.flatMap(({ partitions }) => partitions).find(({ objects }) => objects.length > 1);
  gapped?.objects.splice(0, 1);
  await archive.write("manifest.json", resealed(gap));
  await refusal(/no object covers the offsets from 0 to/);

  await archive.write("manifest.json", manifest);
  const verification = await verifyArchive(archive, { mode: "deep" });
  assert.deepEqual(verification.problems, []);
  assert.equal(verification.messages, manifest.totals.records);
  assert.equal(verification.messagesByTopic.odd, produced.get("odd")?.length);
});

test("nobody answers: the gate refuses after its time", async () => {
  await assert.rejects(gate({ timeoutMs: 500 }), /Not sealed within 0.5 s; last: waiting for the archiver/);
});

test("data loss is allowed only in so many words, and recorded", async () => {
  for (const nearly of [`dev/${clusterId}x`, clusterId, `prod/${clusterId}`, "yes"]) {
    await assert.rejects(gate({ allowDataLoss: nearly, timeoutMs: 200 }), /Not sealed/, nearly);
  }
  assert.equal(await archive.get("data-loss-override.json"), undefined);
  const ended = await startProcess("services/archive/gate.ts", {
    TRADING_ALLOW_DATA_LOSS: `dev/${clusterId}`,
  }).ended;
  assert.equal(ended.code, 0, ended.errors);
  assert.match(ended.errors, /!! DATA LOSS ALLOWED for cluster dev\/ArchiveTestClusterIdAA/);
  const recorded = JSON.parse(
    (await archive.get("data-loss-override.json"))?.body.toString() ?? "{}",
  ) as object;
  assert.deepEqual(
    { ...recorded, overriddenAt: "", by: "", manifest: undefined },
    { stack: "dev", clusterId, overriddenAt: "", by: "", manifest: undefined },
  );
});

test("a bucket that cannot be used is a refusal with advice, never a yes", async () => {
  const cases: [string, Record<string, string>, RegExp][] = [
    ["secret", { S3_SECRET_ACCESS_KEY: "wrong" }, /keys are refused.*Check archiveAccessKeyId/],
    ["bucket", { S3_BUCKET: "no-such-bucket" }, /There is no bucket "no-such-bucket" at .*Create it/],
    ["address", { S3_ENDPOINT: "http://127.0.0.1:9" }, /does not answer.*Check the network/],
  ];
  await Promise.all(
    cases.map(async ([what, wrong, message]) => {
      const allow = { TRADING_ALLOW_DATA_LOSS: `dev/${clusterId}` };
      const ended = await startProcess("services/archive/gate.ts", { ...wrong, ...allow }).ended;
      assert.equal(ended.code, 1, `${what}: ${ended.errors}`);
      assert.match(ended.errors, message, what);
    }),
  );
});
