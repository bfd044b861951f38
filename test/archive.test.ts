/**
 * The archive against a real Kafka and a real S3 server: what brokers acknowledged is in the bucket, byte by byte,
 * though the archiver is killed; and the gate opens only when it is.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  type Manifest,
  manifestChecksum,
  manifestSchema,
  type SealProgress,
  sealProgressSchema,
  sealRequestSchema,
  tradingReadySchema,
} from "../services/archive/documents.ts";
import {
  type ClusterArchive,
  openArchive,
  readArchivedPartition,
  verifyArchive,
} from "../services/archive/index.ts";
import { documents } from "../services/archive/layout.ts";
import { prepareDay } from "../services/archive/prepare-day.ts";
import { type GateOptions, type GateOutcome, passGate } from "../services/archive/seal-gate.ts";
import { toInstant } from "../services/core/time.ts";
import type { TestCluster } from "./archive/cluster.ts";
import { type Program, startProgram } from "./archive/processes.ts";
import { until } from "./until.ts";
import { ArchiveWorld, newClusterId } from "./archive/world.ts";

let world: ArchiveWorld;
let cluster: TestCluster;
let archive: ClusterArchive;
let archiver: Program;

before(async () => {
  world = await ArchiveWorld.start();
  cluster = await world.open({ odd: 2, transactional: 1, quotes: 2, empty: 1 });
  archive = cluster.archive;
});

after(() => world.stop());

const gate = (more: Partial<GateOptions> = {}) =>
  passGate({
    archive,
    timeoutMs: 60_000,
    allowDataLoss: undefined,
    report: () => undefined,
    signal: new AbortController().signal,
    ...more,
  });

function manifestOf(outcome: GateOutcome): Manifest {
  assert.equal(outcome.reason, "sealed");
  assert.ok(outcome.verification.verified && outcome.verification.manifest);
  return outcome.verification.manifest;
}

/** The gate refuses with these words, and says how to go on. */
async function refused(passing: Promise<GateOutcome>, ...patterns: RegExp[]): Promise<void> {
  await assert.rejects(passing, (error: Error) => {
    assert.equal(error.name, "GateRefusedError", error.stack);
    for (const pattern of [...patterns, /Run the destroy again.*TRADING_ALLOW_DATA_LOSS=dev\//s]) {
      assert.match(error.message, pattern);
    }
    return true;
  });
}

test("prepare-day writes the marker once, and never for another Kafka", async () => {
  const CLUSTER_ID = newClusterId();
  const environment = cluster.environment({ SERVICE_NAME: "prepare-day", CLUSTER_ID, LOG_LEVEL: "fatal" });
  const opened = await prepareDay(environment);
  assert.equal(opened.kafkaClusterId, world.kafkaClusterId);
  assert.deepEqual(await prepareDay(environment), opened);
  const own = world.archive(CLUSTER_ID);
  await own.write("opened.json", { ...opened, kafkaClusterId: newClusterId() });
  await assert.rejects(prepareDay(environment), /they were created anew/);
  own.store.close();
});

test("a cluster that was never opened may go, unless its archive holds something", async () => {
  const unopened = world.archive(newClusterId());
  const lines: string[] = [];
  const report = (line: string) => void lines.push(line);
  assert.deepEqual(await gate({ archive: unopened, report }), { reason: "never-opened" });
  assert.match(lines.join(), /never held data/);
  await unopened.store.put(
    `${unopened.prefix}odd/0/${"0".repeat(20)}-${"0".repeat(20)}.ndjson.gz`,
    Buffer.alloc(1),
    { contentType: "x" },
  );
  await refused(gate({ archive: unopened, timeoutMs: 1, report }), /Not sealed/);
  assert.match(lines.join(), /has no opened.json, but odd\/0\/.*: it held data/);
  unopened.store.close();
});

test("everything committed is sealed byte by byte, though the archiver is killed midway", async () => {
  const { records } = cluster;
  archiver = cluster.startArchiver({ SEAL_DRAIN_SECONDS: "1" });
  world.services.silent = true;
  const notDrained = refused(
    gate(),
    /not sealed: Not drained within 1 s: service-a, service-b\. Look at their logs.*request the seal again/,
  );
  await records.send("odd", [
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
  await records.sendMany("quotes", 1_000);
  await until("something is in the bucket", async () => (await archive.ranges()).size > 0);
  await notDrained;
  await archiver.kill();
  world.services.silent = false;
  await records.sendMany("quotes", 1_000);

  // Two transactions that overlap: the one that began later is aborted first, so the brokers list it first.
  const [early, late, alone] = await Promise.all(
    ["early", "late", "alone"].map(async (transactionalId) => {
      const own = world.kafka.producer({ transactionalId, maxInFlightRequests: 1, idempotent: true });
      await own.connect();
      return own;
    }),
  );
  assert.ok(early && late && alone);
  const write = (by: Parameters<typeof records.send>[2] & object, value: string) =>
    records.send("transactional", [{ key: "k", value }], by);
  const earlyTransaction = await early.transaction();
  await write({ by: earlyTransaction, expected: false }, "early, aborted");
  const lateTransaction = await late.transaction();
  await write({ by: lateTransaction, expected: false }, "late, aborted");
  await lateTransaction.abort();
  const secondLate = await late.transaction();
  await write({ by: secondLate }, "late, committed");
  await earlyTransaction.abort();
  await secondLate.commit();
  const secondEarly = await early.transaction();
  await write({ by: secondEarly }, "early, committed");
  await secondEarly.commit();
  const lastTransaction = await alone.transaction();
  await write({ by: lastTransaction, expected: false }, "alone, aborted: only markers at the end");
  await lastTransaction.abort();
  await Promise.all([early, late, alone].map((one) => one.disconnect()));

  archiver = cluster.startArchiver();
  await archiver.logged(/"ready"/);
  // Created while the archiver runs: it must find it by itself.
  await world.createTopics({ "late-topic": 1 });
  await records.send("late-topic", [{ key: "k", value: "found" }]);

  const lines: string[] = [];
  const manifest = manifestOf(await gate({ verify: "deep", report: (line) => void lines.push(line) }));
  assert.match(lines.join("\n"), /asked the archiver to seal[^]*verified: \d+ records .*deep, generation 1/);
  assert.equal(manifest.generation, 1);
  assert.equal(manifest.kafkaClusterId, world.kafkaClusterId);
  await records.assertArchived(archive, manifest);
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
  const values: string[] = [];
  for await (const { value } of readArchivedPartition(archive, manifest, "transactional", 0)) {
    values.push(value?.toString() ?? "");
  }
  assert.deepEqual(values, ["late, committed", "early, committed"]);
});

test("a seal holds while nothing changes; after that, the next generation continues it", async () => {
  const { records } = cluster;
  const sealed = await cluster.manifest();
  const asked = world.services.requests.length;
  const again = manifestOf(await gate());
  assert.equal(again.checksum, sealed.checksum);
  assert.equal(world.services.requests.length, asked, "not drained again");

  await records.send("late-topic", [{ key: "k", value: "after the seal" }]);
  const next = manifestOf(await gate());
  assert.equal(next.generation, 2);
  assert.equal(world.services.requests.length, asked + 1);
  await records.assertArchived(archive, next);
  assert.deepEqual(await archive.read("manifests/1.json", manifestSchema), sealed);
  assert.deepEqual(await archive.read("manifests/2.json", manifestSchema), next);

  // Lost or damaged, but the cluster lives: put right, and the seal is what it was or continued.
  const object = next.topics.find(({ topic }) => topic === "odd")?.partitions[0]?.objects[0];
  assert.ok(object);
  await cluster.removeObjects(object.name);
  const repaired = manifestOf(await gate());
  assert.deepEqual((await verifyArchive(archive, { mode: "deep" })).problems, []);
  await archive.write("manifest.json", { ...repaired, generation: 1 });
  const restored = manifestOf(await gate());
  assert.equal(restored.checksum, repaired.checksum);
  await archive.write("manifests/1.json", { not: "a manifest" });
  assert.equal(
    manifestOf(await gate()).checksum,
    repaired.checksum,
    "an old generation's damage is no change",
  );
});

test("whether the cluster can trade is in the bucket, also from an archiver that came later", async () => {
  const readiness = await until("the drain is known", async () => {
    const document = await archive.read(documents.ready, tradingReadySchema);
    return document !== undefined && document.missing.length > 0 ? document : undefined;
  });
  assert.match(readiness.missing.join(), /the day is being closed: a drain was requested/);
  assert.deepEqual([readiness.ready, readiness.readyAt, readiness.clockSkewMs], [false, null, 0]);
  assert.equal(readiness.clusterId, archive.identity.clusterId);
});

test("an archiver killed while it drains: the next one answers the same request, or a newer one", async () => {
  world.services.silent = true;
  await cluster.records.send("late-topic", [{ key: "k", value: "changed again" }]);
  const progressOf = (requestId: string | undefined) => async (): Promise<SealProgress | undefined> => {
    const progress = await archive.read("seal-progress.json", sealProgressSchema);
    return progress?.requestId === requestId ? progress : undefined;
  };
  const requested = async () => (await archive.read("seal-request.json", sealRequestSchema))?.requestId;
  const before = await requested();
  const first = gate();
  const refusal = refused(first, /Another seal was requested meanwhile/);
  const replaced = await until("the first request", async () => {
    const id = await requested();
    return id === before ? undefined : id;
  });
  const draining = await until("the archiver waits for the drain", async () => {
    const progress = await progressOf(replaced)();
    return progress?.state === "draining" && progress.counts !== undefined ? progress : undefined;
  });
  assert.match(draining.message, /waiting for service-a, service-b to drain/);
  assert.deepEqual([draining.percent, draining.counts], [0, { services: 0, ofServices: 2 }]);

  const second = gate();
  await refusal;
  const current = await requested();
  await until("the newer request is worked on", progressOf(current));
  await archiver.kill();
  archiver = cluster.startArchiver();
  await archiver.logged(/"ready"/);
  world.services.silent = false;
  const manifest = manifestOf(await second);
  assert.equal(manifest.requestId, current);
  await cluster.records.assertArchived(archive, manifest);

  assert.equal((await archiver.stop()).code, 0);
});

/** Stands in for the archiver: says "sealed" to every request, as if the manifest in the bucket were its answer. */
async function gateAnswered(more: Partial<GateOptions> = {}): Promise<GateOutcome> {
  const asked = await archive.read("seal-request.json", sealRequestSchema);
  const passing = gate({ timeoutMs: 20_000, ...more });
  passing.catch(() => undefined);
  const requestId = await until("a new request", async () => {
    const current = (await archive.read("seal-request.json", sealRequestSchema))?.requestId;
    return current === asked?.requestId ? undefined : current;
  });
  const { generation, checksum } = JSON.parse(
    (await archive.get("manifest.json"))?.body.toString() ?? "{}",
  ) as Manifest;
  const answer = { requestId, state: "sealed", message: "sealed", updatedAt: toInstant(Date.now()) };
  await archive.write("seal-progress.json", { ...answer, generation, manifestChecksum: checksum });
  return passing;
}

test("missing, damaged, foreign or out of date: the gate refuses and says what", async () => {
  const manifest = await cluster.manifest();
  const object = manifest.topics.find(({ topic }) => topic === "odd")?.partitions[0]?.objects[0];
  assert.ok(object);
  assert.equal((await gateAnswered()).reason, "sealed");
  const original = await archive.get(object.name);
  assert.ok(original);
  const resealed = (content: Manifest) => ({ ...content, checksum: manifestChecksum(content) });

  await cluster.removeObjects(object.name);
  await refused(gateAnswered(), new RegExp(`${object.name}: is missing in the bucket`));
  const put = (body: Buffer) =>
    archive.store.put(archive.prefix + object.name, body, { contentType: "x", metadata: original.metadata });
  const flipped = Buffer.from(original.body);
  flipped.writeUInt8(flipped.readUInt8(40) ^ 1, 40);
  const { etag } = await put(flipped);
  await refused(gateAnswered(), new RegExp(`${object.name}: was changed after it had been read back`));
  // Damage that no listing shows: only the bytes themselves tell.
  const fooled = structuredClone(manifest);
  for (const { partitions } of fooled.topics) {
    for (const { objects } of partitions) {
      for (const one of objects) if (one.name === object.name) one.etag = etag;
    }
  }
  await archive.write("manifest.json", resealed(fooled));
  assert.equal((await gateAnswered()).reason, "sealed");
  await refused(gateAnswered({ verify: "deep" }), new RegExp(`${object.name}: its bytes are not those`));
  await put(original.body);

  await archive.write("manifest.json", resealed({ ...manifest, clusterId: "AnotherClusterIdAAAAAA" }));
  await refused(gateAnswered(), /of another cluster: clusterId is AnotherClusterIdAAAAAA/);
  // The archiver's word was about another manifest than the one that is there.
  const former = await archive.read("manifests/2.json", manifestSchema);
  await archive.write("manifest.json", former);
  await refused(gateAnswered(), /the bucket holds newer records .*the cluster changed after the seal/);
  await archive.write("manifest.json", manifest);
  assert.equal((await gateAnswered()).reason, "sealed");
});

test("nobody answers: the gate refuses, whatever was sealed before, and says what it knows", async () => {
  const { generation, totals } = await cluster.manifest();
  await refused(
    gate({ timeoutMs: 300 }),
    /Not sealed within 0.3 s; last: waiting for the archiver/,
    new RegExp(
      `There is a seal from .*generation ${generation}, ${totals.records} records\\), and it is whole`,
    ),
  );
});

test("data loss is allowed only in so many words, and recorded", async () => {
  const { clusterId } = archive.identity;
  for (const nearly of [`dev/${clusterId}x`, clusterId, `prod/${clusterId}`, "yes"]) {
    await refused(gate({ allowDataLoss: nearly, timeoutMs: 1 }), /Not sealed/);
  }
  assert.equal(await archive.get("data-loss-override.json"), undefined);
  const { code, log } = await cluster.startGate({ TRADING_ALLOW_DATA_LOSS: `dev/${clusterId}` }).ended;
  assert.equal(code, 0, log);
  assert.ok(log.includes(`!! DATA LOSS ALLOWED for cluster dev/${clusterId}`), log);
  const recorded = JSON.parse(
    (await archive.get("data-loss-override.json"))?.body.toString() ?? "{}",
  ) as Record<string, unknown>;
  assert.equal(recorded.stack, "dev");
  assert.equal(recorded.clusterId, clusterId);
  const { generation, checksum, sealedAt } = await cluster.manifest();
  assert.deepEqual(recorded.manifest, { generation, checksum, sealedAt, problems: [] });
});

test("a bucket that cannot be used is a refusal with advice, never a yes", async () => {
  const limits = { requestTimeoutMs: 2_000, attempts: 1 };
  const cases: [Partial<Parameters<typeof openArchive>[0]>, RegExp][] = [
    [{ secretAccessKey: "wrong" }, /keys are refused.*Check archiveAccessKeyId/],
    [{ bucket: "no-such-bucket" }, /There is no bucket "no-such-bucket" at .*Create it/],
    [{ endpoint: "http://127.0.0.1:9" }, /does not answer.*Check the network/],
  ];
  for (const [wrong, message] of cases) {
    const unusable = openArchive({ ...world.store, ...limits, ...wrong }, archive.identity);
    const allowDataLoss = `dev/${archive.identity.clusterId}`;
    await assert.rejects(gate({ archive: unusable, allowDataLoss }), (error: Error) => {
      assert.equal(error.name, "GateRefusedError");
      assert.match(error.message, message);
      assert.match(error.message, /Nothing was removed\..*run the destroy again/);
      return true;
    });
    unusable.store.close();
  }
  const { S3_BUCKET: _bucket, ...incomplete } = cluster.environment({ GATE_VERIFY: "perhaps" });
  const { code, log } = await startProgram("services/archive/gate.ts", incomplete).ended;
  assert.equal(code, 1);
  assert.match(log, /REFUSED[^]*S3_BUCKET[^]*GATE_VERIFY/);
});
