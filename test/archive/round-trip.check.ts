/**
 * The round trip: a day with everything that Kafka can hold is sealed, restored into an empty Kafka, and sealed there by
 * another archiver into another bucket. Both manifests have the same hash for every partition.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, test } from "node:test";
import type { Manifest } from "../../services/archive/index.ts";
import { restore, type RestoreResult } from "../../services/archive/restore.ts";
import { LogWriter } from "../../services/bus/log-writer.ts";
import type { LogHeader } from "../../services/bus/kafka-log.ts";
import { createLogger } from "../../services/core/log.ts";
import type { TestCluster } from "./cluster.ts";
import { ArchiveWorld } from "./world.ts";

const logger = createLogger({ service: "round-trip", level: "silent" });
const megabyte = 1024 * 1024;

let day: ArchiveWorld;
let empty: ArchiveWorld;
let cluster: TestCluster;
let manifest: Manifest;

before(async () => {
  [day, empty] = await Promise.all([ArchiveWorld.start(), ArchiveWorld.start()]);
});
after(() => Promise.all([day?.stop(), empty?.stop()]));

/** Records that kafkajs's own producer cannot write: headers without a value, in any order, with one name twice. */
async function writeOddHeaders(topic: string): Promise<void> {
  const writer = new LogWriter({
    kafka: day.kafka,
    topics: [topic],
    logger,
    signal: AbortSignal.timeout(60_000),
  });
  await writer.start();
  const headers: readonly (readonly LogHeader[])[] = [
    [["null", null]],
    [
      ["z", Buffer.from("1")],
      ["a", Buffer.from([0xff, 0])],
      ["z", Buffer.alloc(0)],
      ["10", Buffer.from("x")],
    ],
    [
      ["constructor", Buffer.from("c")],
      ["", Buffer.from("no name")],
    ],
    [],
  ];
  const output = writer.partition(topic, 0);
  let timestamp = Date.parse("2025-10-14T13:30:00.000Z");
  for (const each of headers) {
    // Times that go backwards are kept as they are.
    await output.add({ key: null, value: null, headers: each, timestamp: String((timestamp -= 1_000)) });
  }
  await output.flush();
  await writer.stop();
}

test("a day with everything that Kafka can hold is sealed", async () => {
  cluster = await day.open({
    "norm.quotes": 3,
    "raw.odd": 2,
    transactional: 3,
    "cmd.execute_trade": 1,
    empty: 4,
  });
  await day.createTopics({ "dead-letter": 1, compacted: 1 }, { "max.message.bytes": String(20 * megabyte) });
  const { records } = cluster;
  await records.sendMany("norm.quotes", 5_000);
  await records.sendMany("cmd.execute_trade", 200);
  await records.send("raw.odd", [
    { key: null, value: null },
    { key: "", value: "" },
    { key: Buffer.from([0, 255, 254]), value: Buffer.from([0xc3, 0x28, 0]) },
    { key: "text", value: "žluťoučký \u2028 \ud83d\ude80\r\n" },
    {
      key: "json",
      value: '{"a": 1.10, "a": 2}',
      headers: { a: ["1", "2"], b: Buffer.from([255]), empty: "" },
    },
    { key: "number", value: "12345678901234567890" },
    { key: "deep", value: "[".repeat(5_000) + "]".repeat(5_000) },
    { key: "before 1970", value: "x", timestamp: 0 },
    { key: "partition 1", value: "x", partition: 1 },
  ]);
  await writeOddHeaders("raw.odd");
  // A message larger than what is fetched or written at once, one that cannot be compressed, and small ones around them.
  await records.send("dead-letter", [{ key: "before", value: "x" }]);
  await records.send("dead-letter", [
    { key: "5 MB", value: Buffer.alloc(5 * megabyte, "0123456789abcdef€") },
  ]);
  await records.send("dead-letter", [{ key: "5 MB", value: randomBytes(5 * megabyte) }]);
  await records.send("dead-letter", [{ key: "behind", value: null }]);
  // Offsets with gaps: committed and aborted transactions, one behind the other and at the end of the log.
  for (const end of ["commit", "abort", "commit", "abort"] as const) {
    await records.transaction(
      day.kafka,
      "transactional",
      Array.from({ length: 10 }, (_, index) => ({ key: `command-${index}`, value: `{"state":"${end}"}` })),
      end,
    );
  }
  const archiver = cluster.startArchiver();
  ({ manifest } = await cluster.sealed());
  assert.equal((await archiver.stop()).code, 0);
});

/** What must be the same of every partition: not objects and offsets, in which two archivers differ. */
function hashesOf({ topics }: Manifest): Record<string, string> {
  return Object.fromEntries(
    topics
      // The control topic holds what is said at each seal, so each cluster has its own.
      .filter(({ topic }) => topic !== "control")
      .flatMap(({ topic, partitions }) =>
        partitions.map(
          (each) => [`${topic}/${each.partition}`, `${each.records} ${each.recordsSha256}`] as const,
        ),
      )
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

function restoreInto(target: ArchiveWorld, topics: readonly string[]): Promise<RestoreResult> {
  return restore({
    kafka: target.kafka,
    archive: cluster.archive,
    manifest,
    topics,
    allow: { commands: true },
    signal: AbortSignal.timeout(120_000),
    logger,
  });
}

test("restored into an empty Kafka and sealed again, every partition has the same hash", async () => {
  const second = await empty.open();
  const topics = manifest.topics.map(({ topic }) => topic).filter((topic) => topic !== "control");
  const restored = await restoreInto(empty, topics);
  assert.deepEqual([restored.problems, restored.proven], [[], true]);
  const archiver = second.startArchiver();
  const { manifest: again } = await second.sealed();
  assert.equal((await archiver.stop()).code, 0);

  const hashes = hashesOf(manifest);
  assert.deepEqual(hashesOf(again), hashes);
  assert.equal(Object.keys(hashes).length, 3 + 2 + 3 + 1 + 4 + 1 + 1);
  assert.equal(new Set(Object.values(hashes)).size > 8, true, "hashes tell partitions apart");
  const partitions = (of: Manifest) =>
    of.topics.find(({ topic }) => topic === "transactional")?.partitions ?? [];
  const ends = (of: Manifest) => partitions(of).reduce((sum, { logEnd }) => sum + Number(logEnd), 0);
  assert.equal(ends(again), 20, "what was aborted is not restored, nor are transaction markers");
  assert.ok(ends(manifest) > 40, "the day had them");
  assert.notEqual(again.kafkaClusterId, manifest.kafkaClusterId);
});

test("one changed record on the way shows in its partition's hash, and in no other", async () => {
  const third = await empty.open();
  const topics = ["norm.quotes", "raw.odd"];
  await restoreInto(empty, topics);
  await empty.producer.send({ topic: "raw.odd", messages: [{ key: "one", value: "more", partition: 1 }] });
  const archiver = third.startArchiver();
  const { manifest: again } = await third.sealed();
  assert.equal((await archiver.stop()).code, 0);
  const [hashes, other] = [hashesOf(manifest), hashesOf(again)];
  const changed = Object.keys(other).filter((partition) => other[partition] !== hashes[partition]);
  assert.deepEqual(changed, ["raw.odd/1"]);
});
