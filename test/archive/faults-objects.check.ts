/** Objects and documents in the bucket that are not what they should be: the archive heals itself, or is refused. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type Manifest, manifestChecksum } from "../../services/archive/documents.ts";
import { type ClusterArchive, verifyArchive } from "../../services/archive/index.ts";
import type { TestCluster } from "./cluster.ts";
import { type Program, startProgram } from "./processes.ts";
import { until } from "../until.ts";
import { ArchiveWorld, newClusterId } from "./world.ts";

let world: ArchiveWorld;
before(async () => {
  world = await ArchiveWorld.start();
});
after(() => world?.stop());

/** What can become of an object, and what the fast verification says of it. */
const damages = {
  truncated: {
    change: (body: Buffer) => body.subarray(0, body.length - 20),
    words: /has \d+ bytes instead of \d+/,
  },
  flipped: { change: flip, words: /was changed after it had been read back/ },
  missing: { change: undefined, words: /is missing in the bucket/ },
};
type Damage = keyof typeof damages;
const kinds = Object.keys(damages) as Damage[];

function flip(body: Buffer): Buffer {
  const index = Math.floor(body.length / 2);
  body.writeUInt8(body.readUInt8(index) ^ 4, index);
  return body;
}

async function damage(cluster: TestCluster, kind: Damage, name: string): Promise<void> {
  const { change } = damages[kind];
  if (change === undefined) await cluster.removeObjects(name);
  else await cluster.replaceObject(name, change);
}

/** Both verifications find exactly problems that match, and neither says "verified". */
async function assertProblems(archive: ClusterArchive, words: RegExp): Promise<void> {
  for (const mode of ["fast", "deep"] as const) {
    const { verified, problems } = await verifyArchive(archive, { mode });
    assert.equal(verified, false, mode);
    assert.ok(
      problems.some((problem) => words.test(problem)),
      `${mode}, looking for ${String(words)}: ${problems.join("\n")}`,
    );
  }
}

/** `trading archive verify` on this cluster. */
function startVerify(cluster: TestCluster, ...more: string[]): Program {
  const { stack, businessDate, clusterId } = cluster.archive.identity;
  const path = `${stack}/${businessDate}/${clusterId}`;
  return startProgram("ops/main.ts", cluster.environment(), ["archive", "verify", path, ...more]);
}

async function assertWhole(cluster: TestCluster): Promise<void> {
  await cluster.records.assertArchived(cluster.archive, await cluster.manifest());
  const { problems } = await verifyArchive(cluster.archive, { mode: "deep" });
  assert.deepEqual(problems, []);
}

test("damaged before the seal, whether it was read back or not: exported again", async () => {
  const cluster = await world.open({ quotes: 3 });
  const archiver = cluster.startArchiver();
  for (let batch = 0; batch < 2; batch++) {
    await cluster.records.sendMany("quotes", 600);
    const stored = (await cluster.objectNames()).length;
    await until(
      "another object of each partition",
      async () => (await cluster.objectNames()).length >= stored + 3,
    );
  }
  // The first object of each partition, behind which others stand.
  const firsts = (await cluster.objectNames()).filter((name) => name.includes("/00000000000000000000-"));
  const [a = "", b = "", c = ""] = firsts.filter((name) => name.startsWith("quotes/"));
  await damage(cluster, "missing", a);
  await damage(cluster, "flipped", b);
  await damage(cluster, "truncated", c);
  await cluster.sealed();
  await assertWhole(cluster);
  await archiver.stop();
});

test("damaged while no archiver runs: the next one notices, and exports again", async () => {
  const cluster = await world.open({ quotes: 3 });
  await cluster.records.sendMany("quotes", 600);
  let archiver = cluster.startArchiver();
  await until("three objects", async () => (await cluster.objectNames()).length >= 3);
  await archiver.kill();
  const names = (await cluster.objectNames()).filter((name) => name.startsWith("quotes/"));
  for (const [index, kind] of kinds.entries()) await damage(cluster, kind, names[index] ?? "");
  archiver = cluster.startArchiver();
  await cluster.sealed();
  await assertWhole(cluster);
  await archiver.stop();
});

test("damaged after the seal: verify and gate refuse and name the object; what Kafka still has is exported again", async () => {
  const cluster = await world.open({ quotes: 1 });
  await cluster.records.sendMany("quotes", 500);
  let archiver = cluster.startArchiver();
  const { manifest } = await cluster.sealed();
  await archiver.stop();
  const object = manifest.topics.find(({ topic }) => topic === "quotes")?.partitions[0]?.objects[0];
  assert.ok(object);
  const original = await cluster.archive.get(object.name);
  assert.ok(original);
  const good = startVerify(cluster, "--deep");
  assert.equal((await good.ended).code, 0, good.log());

  for (const kind of kinds) {
    await damage(cluster, kind, object.name);
    await assertProblems(cluster.archive, new RegExp(`${object.name}: .*${damages[kind].words.source}`));
    const verify = startVerify(cluster);
    assert.equal((await verify.ended).code, 1, verify.log());
    assert.match(verify.log(), new RegExp(`NOT VERIFIED[^]*${object.name}`));
    await cluster.archive.store.put(cluster.archive.prefix + object.name, original.body, {
      contentType: "application/x-ndjson+gzip",
      metadata: { ...original.metadata },
    });
    const { problems } = await verifyArchive(cluster.archive, { mode: "fast" });
    assert.deepEqual(problems, [], `${kind}, and put right again`);
  }

  // Kafka has it: it is exported again, whatever the object is now.
  await damage(cluster, "flipped", object.name);
  archiver = cluster.startArchiver();
  await cluster.sealed();
  await assertWhole(cluster);
  await archiver.stop();

  // Kafka does not have it any more: nobody can put it right but a person with a copy.
  const again = (await cluster.manifest()).topics.find(({ topic }) => topic === "quotes")?.partitions[0]
    ?.objects[0];
  assert.ok(again);
  await damage(cluster, "missing", again.name);
  await world.removeTopics();
  archiver = cluster.startArchiver();
  await cluster.refused(/quotes\/0[^]*(no longer exists in Kafka|now there are)[^]*TRADING_ALLOW_DATA_LOSS/);
  await assertProblems(cluster.archive, /is missing in the bucket/);
  await archiver.stop();
});

test("a manifest of another cluster, and one that was changed: never verified; the archiver writes the right one again", async () => {
  const other = await world.open({ quotes: 1 });
  await other.records.sendMany("quotes", 50);
  const otherArchiver = other.startArchiver();
  const { manifest: foreign } = await other.sealed();
  await otherArchiver.stop();

  const cluster = await world.open({ quotes: 1 });
  await cluster.records.sendMany("quotes", 100);
  let archiver = cluster.startArchiver();
  const { manifest } = await cluster.sealed();
  await archiver.stop();

  const resealed = (content: Manifest): Manifest => ({ ...content, checksum: manifestChecksum(content) });
  const { clusterId } = cluster.archive.identity;
  const emptied = resealed({
    ...manifest,
    clusterId,
    topics: [],
    totals: { ...manifest.totals, topics: 0, partitions: 0, objects: 0, records: 0, bytes: 0 },
  });
  // After those with an exclamation mark, an archiver has to put it right.
  const cases: [what: string, document: unknown, words: RegExp][] = [
    ["foreign", foreign, /of another cluster: clusterId is/],
    ["foreign, renamed!", resealed({ ...foreign, clusterId }), /is missing in the bucket|instead of/],
    ["changed", { ...manifest, sealedAt: "2025-10-14T20:00:00.000Z" }, /its checksum does not match/],
    ["emptied!", emptied, /the manifest does not know it/],
    ["of another format", { ...manifest, format: 7 }, /manifest\.json is not valid: format/],
    ["half of it!", undefined, /manifest\.json is not JSON/],
  ];
  for (const [what, document, words] of cases) {
    const whole = JSON.stringify(document ?? manifest);
    const body = document === undefined ? whole.slice(0, whole.length / 2) : whole;
    await cluster.archive.store.put(`${cluster.archive.prefix}manifest.json`, body, {
      contentType: "application/json",
    });
    await assertProblems(cluster.archive, words);
    if (!what.endsWith("!")) continue;
    archiver = cluster.startArchiver();
    const { manifest: right } = await cluster.sealed();
    assert.ok(right.generation >= manifest.generation, what);
    await assertWhole(cluster);
    await archiver.stop();
  }
});

test("requests and progress that are no such thing do not stop the archiver; a damaged marker never means that nothing was there", async () => {
  const cluster = await world.open({ quotes: 1 });
  await cluster.records.sendMany("quotes", 100);
  const archiver = cluster.startArchiver();
  const garbage = (name: string, body: string) =>
    cluster.archive.store.put(cluster.archive.prefix + name, body, { contentType: "application/json" });
  await garbage("seal-request.json", "\u0000 not JSON");
  await garbage("seal-progress.json", '{"requestId":1}');
  await archiver.logged(/seal-request\.json is not JSON/);
  await cluster.sealed();
  await assertWhole(cluster);
  assert.equal(archiver.child.exitCode, null);

  const opened = await cluster.archive.get("opened.json");
  await garbage("opened.json", "{}");
  await cluster.refused(/opened\.json is not valid/);
  assert.ok(opened);
  await garbage("opened.json", opened.body.toString());
  await cluster.sealed();
  await archiver.stop();
});

test("two clusters on one date: the second leaves the first one's archive alone, and one folder has one Kafka", async () => {
  const first = await world.open({ quotes: 2 });
  await first.records.sendMany("quotes", 300);
  let archiver = first.startArchiver();
  const { manifest } = await first.sealed();
  await archiver.stop();
  const listed = await first.archive.store.list(first.archive.prefix);

  const second = await world.open({ quotes: 2 });
  assert.equal(second.archive.identity.businessDate, first.archive.identity.businessDate);
  await second.records.sendMany("quotes", 500);
  archiver = second.startArchiver();
  await second.sealed();
  await assertWhole(second);
  await archiver.stop();
  assert.deepEqual(await first.archive.store.list(first.archive.prefix), listed);
  assert.equal((await first.manifest()).checksum, manifest.checksum);
  await first.records.assertArchived(first.archive, manifest);

  // Brokers that were created anew below the same cluster's name: their offsets begin again.
  await second.archive.write("opened.json", {
    ...second.archive.identity,
    kafkaClusterId: newClusterId(),
    openedAt: "2025-10-14T10:00:00.000Z",
  });
  const before = await second.archive.store.list(`${second.archive.prefix}quotes/`);
  archiver = second.startArchiver();
  await second.refused(/Kafka/, 20_000);
  assert.deepEqual(await second.archive.store.list(`${second.archive.prefix}quotes/`), before);
  await archiver.stop();
});
