/** Records and topics of every kind that Kafka allows, and some that vanish: exactly archived, or named as lost. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { verifyArchive } from "../../services/archive/index.ts";
import { withAdmin } from "../../services/bus/cluster-admin.ts";
import { encodeEvent } from "../../services/core/envelope.ts";
import { newEvent } from "../../services/core/events.ts";
import { derivedEventId } from "../../services/core/ids.ts";
import type { JournalEntry } from "../../services/core/trading.ts";
import type { TestCluster } from "./cluster.ts";
import { until } from "../until.ts";
import { type Program } from "./processes.ts";
import { ArchiveWorld } from "./world.ts";

let world: ArchiveWorld;
before(async () => {
  world = await ArchiveWorld.start();
});
after(() => world?.stop());

async function assertWhole(cluster: TestCluster): Promise<void> {
  await cluster.records.assertArchived(cluster.archive, await cluster.manifest());
  const { problems } = await verifyArchive(cluster.archive, { mode: "deep" });
  assert.deepEqual(problems, []);
}

/** Whatever stands in the bucket, neither verification calls it verified. */
async function assertNotVerified(cluster: TestCluster): Promise<void> {
  for (const mode of ["fast", "deep"] as const) {
    const { verified } = await verifyArchive(cluster.archive, { mode });
    assert.equal(verified, false, mode);
  }
}

/** Resolves when everything that was read so far is stored: by its objects, a topic reaches this offset. */
const stored = (cluster: TestCluster, topic: string, end: number) =>
  until(`${topic} is stored up to ${end}`, async () => {
    const names = (await cluster.objectNames()).filter((name) => name.startsWith(`${topic}/0/`));
    return names.some((name) => Number(/-(\d+)\.ndjson/.exec(name)?.[1]) + 1 >= end);
  });

/** Largest memory that a process ever held, in MB (VmHWM of proc(5)). */
function peakMegabytes(program: Program): number {
  const status = readFileSync(`/proc/${program.child.pid}/status`, "utf8");
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1_024;
}

test("large, binary, empty and absent: every record comes back byte by byte, within the memory of its pod", async () => {
  const cluster = await world.open({ odd: 3 });
  await world.createTopics({ large: 1, "dead-letter": 1 }, { "max.message.bytes": String(20 * 1024 * 1024) });
  const archiver = cluster.startArchiver();
  await cluster.records.send("odd", [
    { key: null, value: null },
    { key: "", value: "" },
    { key: Buffer.from([0, 255, 254]), value: Buffer.from([0xc3, 0x28, 0, 10, 13]) },
    { key: "line ends", value: "a\nb\r\n\u2028\u2029\u0000" },
    { key: "number", value: '{"price": 1.10}' },
    { key: "big number", value: "12345678901234567890" },
    { key: "twice", value: '{"a":1,"a":2}' },
    { key: "deep", value: "[".repeat(5_000) + "]".repeat(5_000) },
    { key: "surrogate", value: '"\\ud800"' },
    { key: "prototype", value: '{"__proto__":{"a":1},"1":2,"0":1}' },
    { key: "mark", value: Buffer.from([0xef, 0xbb, 0xbf, 0x31]) },
    { key: "headers", value: "x", headers: { a: ["1", "2"], b: Buffer.from([255]), empty: "", ž: "ž" } },
    ...Array.from({ length: 200 }, () => ({ key: randomBytes(5), value: randomBytes(300) })),
  ]);
  for (let index = 0; index < 4; index++) {
    await cluster.records.send("large", [{ key: "5 MB", value: randomBytes(5_000_000) }]);
  }
  await cluster.records.send("large", [{ key: "text", value: JSON.stringify("žluťoučký ".repeat(400_000)) }]);
  await cluster.records.send("dead-letter", [{ key: "20 MB", value: randomBytes(20_000_000) }]);
  await cluster.sealed();
  const peak = peakMegabytes(archiver);
  assert.ok(peak < 512, `the pod's limit is 512 MB, it held ${peak}`);
  await assertWhole(cluster);
  const largest = (await cluster.manifest()).topics.find(({ topic }) => topic === "dead-letter");
  assert.ok((largest?.partitions[0]?.objects[0]?.bytes ?? 0) > 16 * 1024 * 1024, "it was stored in parts");
  await archiver.stop();
});

test("aborted transactions and the markers behind the last record are not archived and leave no gap", async () => {
  const cluster = await world.open({ mixed: 1, aborted: 1 });
  const archiver = cluster.startArchiver();
  const { kafka } = world;
  for (let index = 0; index < 4; index++) {
    const end = index % 2 === 0 ? "commit" : "abort";
    await cluster.records.transaction(kafka, "mixed", [{ key: "a", value: `${index} ${end}` }], end);
    if (index === 1) await cluster.records.send("mixed", [{ key: "b", value: "in between" }]);
  }
  await cluster.records.transaction(kafka, "aborted", [{ key: "a", value: "never" }], "abort");
  const { manifest } = await cluster.sealed();
  await assertWhole(cluster);
  const partition = (name: string) => manifest.topics.find(({ topic }) => topic === name)?.partitions[0];
  assert.deepEqual(
    [partition("mixed")?.records, partition("mixed")?.logEnd, partition("aborted")?.records],
    [3, "9", 0],
  );
  assert.equal(partition("aborted")?.logEnd, "2");
  await archiver.stop();
});

test("topics that come and go midway: a new dated one is archived, a deleted one keeps what was archived", async () => {
  const cluster = await world.open({ gone: 1, stays: 1 });
  const archiver = cluster.startArchiver();
  await cluster.records.sendMany("gone", 200);
  await stored(cluster, "gone", 200);
  await world.admin.deleteTopics({ topics: ["gone"] });
  await archiver.logged(/the topic was deleted/);
  await world.createTopics({ "stock-stream-2025-10-15": 2 });
  await cluster.records.sendMany("stock-stream-2025-10-15", 200);
  await cluster.records.sendMany("stays", 100);
  const { manifest } = await cluster.sealed();
  await assertWhole(cluster);
  const deleted = manifest.topics.map(({ topic, deleted }) => [topic, deleted] as const);
  assert.deepEqual(deleted, [
    ["control", false],
    ["gone", true],
    ["stays", false],
    ["stock-stream-2025-10-15", false],
  ]);
  assert.equal(archiver.child.exitCode, null);
  await archiver.stop();
});

for (const [than, count] of [
  ["fewer", 50],
  ["more", 600],
] as const)
  test(`a topic that was deleted and created again, with ${than} records than before: never verified`, async () => {
    const cluster = await world.open({ quotes: 1 });
    let archiver = cluster.startArchiver();
    await cluster.records.sendMany("quotes", 300);
    await stored(cluster, "quotes", 300);
    await archiver.kill();
    await world.removeTopics();
    await world.createTopics({ quotes: 1 });
    await cluster.records.forget("quotes");
    await cluster.records.sendMany("quotes", count, 300, { expected: false });
    archiver = cluster.startArchiver();
    await cluster.refused(/quotes\/0[^]*created again/);
    await assertNotVerified(cluster);
    await archiver.stop();
  });

test("records deleted from Kafka before they were archived are a loss, named with their offsets, never verified", async () => {
  const cluster = await world.open({ quotes: 1 });
  let archiver = cluster.startArchiver();
  await cluster.records.sendMany("quotes", 100);
  await stored(cluster, "quotes", 100);
  await archiver.kill();
  await cluster.records.sendMany("quotes", 200, 300, { expected: false });
  await withAdmin(world.kafka, async (admin) => {
    // It finds the leader only of topics that it was asked about before.
    await admin.fetchTopicOffsets("quotes");
    await admin.deleteTopicRecords({ topic: "quotes", partitions: [{ partition: 0, offset: "250" }] });
  });
  archiver = cluster.startArchiver();
  const words = /quotes\/0: offsets 100 to 249 were deleted from Kafka before they were archived/;
  await cluster.refused(words);
  await assertNotVerified(cluster);
  // Asked again, by another archiver: it is not forgotten.
  await archiver.kill();
  archiver = cluster.startArchiver();
  await cluster.refused(words);
  await assertNotVerified(cluster);
  await archiver.stop();
});

test("a command whose end nobody knows: not sealed, the command and the venue are named; sealed once it has ended", async () => {
  const cluster = await world.open({ "exec.journal": 3 });
  const at = "2025-10-14T20:00:00.000Z";
  const command_id = derivedEventId("cmd.execute_trade", "unknown");
  const journal = async (state: JournalEntry["state"], more: Partial<JournalEntry> = {}): Promise<void> => {
    const event = newEvent("exec.journal", {
      event_id: derivedEventId("exec.journal", command_id, state, "7"),
      venue: "alpaca",
      observed_at: at,
      ingested_at: at,
      payload: { command_id, idempotency_key: "s:1", state, epoch: 7, at, ...more },
      causation_id: command_id,
      correlation_id: command_id,
    });
    await cluster.records.send("exec.journal", [
      { key: command_id, value: encodeEvent(event), partition: 1 },
    ]);
  };
  const command: JournalEntry["command"] = {
    command_id,
    idempotency_key: "s:1",
    strategy: "s",
    venue: "alpaca",
    deadline: "2025-10-14T20:30:00.000Z",
    limits: { max_notional: "1000" },
    instruction: {
      kind: "place_order",
      symbol: "AAPL",
      side: "buy",
      quantity: "5",
      order_type: "limit",
      limit_price: "10",
      time_in_force: "day",
    },
  };
  const archiver = cluster.startArchiver();
  await journal("INTENT", { command, reference: { client_order_id: command_id } });
  await journal("UNKNOWN");
  const words = new RegExp(`${command_id} at alpaca: UNKNOWN since ${at}[^]*request the seal again`, "i");
  await cluster.refused(words);
  assert.equal(await cluster.archive.get("manifest.json"), undefined);
  await assertNotVerified(cluster);
  const common = { command_id, idempotency_key: "s:1", strategy: "s", reference: {}, completed_at: at };
  await journal("EXPIRED", {
    command,
    result: {
      ...common,
      status: "EXPIRED",
      filled: { kind: "order", quantity: "0" },
      reason: { code: "NOT_AT_VENUE", message: "the venue does not know it" },
    },
  });
  await cluster.sealed();
  await assertWhole(cluster);
  await archiver.stop();
});

// The last one: it leaves a thousand partitions behind.
test("a thousand partitions: ready in seconds, within the memory of its pod, and sealed", async () => {
  const cluster = await world.open();
  await world.createTopics({ wide: 1_000 });
  for (let at = 0; at < 1_000; at += 250) {
    await cluster.records.send(
      "wide",
      Array.from({ length: 250 }, (_, index) => ({
        key: `${at + index}`,
        value: JSON.stringify({ partition: at + index }),
        partition: at + index,
      })),
    );
  }
  const begun = performance.now();
  const archiver = cluster.startArchiver();
  await archiver.logged(/"msg":"ready"/);
  const readyMs = performance.now() - begun;
  await cluster.sealed();
  const sealedMs = performance.now() - begun;
  const peak = peakMegabytes(archiver);
  await assertWhole(cluster);
  const figures = `ready after ${Math.round(readyMs)} ms, sealed after ${Math.round(sealedMs)} ms, ${Math.round(peak)} MB`;
  assert.ok(readyMs < 30_000 && sealedMs < 60_000 && peak < 512, figures);
  console.log(figures);
  await archiver.stop();
});
