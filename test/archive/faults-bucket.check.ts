/** The bucket is not as it should be, or not there: the archiver waits and goes on by itself, the gate says what to do. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openArchive, verifyArchive } from "../../services/archive/index.ts";
import type { TestCluster } from "./cluster.ts";
import { until } from "../until.ts";
import { seed, startRandom } from "./random.ts";
import { ArchiveWorld } from "./world.ts";

let world: ArchiveWorld;
before(async () => {
  world = await ArchiveWorld.start();
});
after(() => world?.stop());

/** The object of records that a request writes, if it does. */
const writesRecords = ({ method, path }: { method: string; path: string }) =>
  method === "PUT" && path.includes(".ndjson.");

/** Seals, and asserts that the archive is what was written, by its manifest and by its bytes. */
async function assertSealed(cluster: TestCluster): Promise<void> {
  const { manifest } = await cluster.sealed();
  await cluster.records.assertArchived(cluster.archive, manifest);
  const { problems } = await verifyArchive(cluster.archive, { mode: "deep" });
  assert.deepEqual(problems, []);
}

test("wrong keys and a bucket that is missing: archiver and gate end and say what to correct", async () => {
  const cluster = await world.open({ quotes: 1 });
  await cluster.records.sendMany("quotes", 10);
  const wrongSecret = { S3_SECRET_ACCESS_KEY: "wrong" };
  const wrongKey = { S3_ACCESS_KEY_ID: "NOBODY" };
  // The other key's rights are for one bucket only: it would be told nothing of others.
  const { accessKeyId: S3_ACCESS_KEY_ID, secretAccessKey: S3_SECRET_ACCESS_KEY } = world.store;
  const noBucket = { S3_BUCKET: "no-such-bucket", S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY };
  const keys = /keys are refused[^]*Check archiveAccessKeyId and archiveSecretAccessKey/;
  const missing = /There is no bucket \\*"no-such-bucket\\*" at [^]*Create it, or correct/;
  await Promise.all([
    ...(
      [
        [wrongSecret, keys],
        [wrongKey, keys],
        [noBucket, missing],
      ] as const
    ).map(async ([wrong, words]) => {
      const { code, log } = await cluster.startArchiver(wrong).ended;
      assert.notEqual(code, 0, log);
      assert.match(log, words);
      assert.doesNotMatch(log, new RegExp(world.store.writer.secretAccessKey));
    }),
    ...(
      [
        [wrongSecret, keys],
        [noBucket, missing],
      ] as const
    ).map(async ([wrong, words]) => {
      const { code, log } = await cluster.startGate(wrong).ended;
      assert.equal(code, 1, log);
      assert.match(log, /REFUSED/);
      assert.match(log, words);
    }),
  ]);
  assert.equal(await cluster.archive.get("manifest.json"), undefined);

  const archiver = cluster.startArchiver();
  await assertSealed(cluster);
  assert.equal((await archiver.stop()).code, 0);
});

test("a full bucket is named, and when there is room again the archiver goes on by itself", async () => {
  for (const [status, code] of [
    [403, "QuotaExceeded"], // Ceph, which Hetzner runs
    [507, "InsufficientStorage"],
  ] as const) {
    const cluster = await world.open({ quotes: 2 });
    const full = cluster.faults.add({ kind: "error", status, code, matches: writesRecords });
    await cluster.records.sendMany("quotes", 1_000);
    const archiver = cluster.startArchiver();
    await until("an object was refused", () => full.hits > 0);
    const gate = cluster.startGate();
    await gate.logged(/is full[^]*Raise its quota or remove old archives/);
    assert.deepEqual(await cluster.objectNames(), []);
    assert.equal(await cluster.archive.get("manifest.json"), undefined);

    full.remove();
    const { code: exit, log } = await gate.ended;
    assert.equal(exit, 0, log);
    await cluster.records.assertArchived(cluster.archive, await cluster.manifest());
    assert.equal(archiver.child.exitCode, null, "it was not restarted");
    assert.equal((await archiver.stop()).code, 0);
  }
});

test("a bucket so full that not even a request fits: the gate refuses and says so", async () => {
  const cluster = await world.open({ quotes: 1 });
  cluster.faults.add({
    kind: "error",
    status: 403,
    code: "QuotaExceeded",
    matches: ({ method }) => method !== "GET",
  });
  const { code, log } = await cluster.startGate({ S3_ENDPOINT: cluster.faults.endpoint }).ended;
  assert.equal(code, 1, log);
  assert.match(log, /REFUSED[^]*is full[^]*Raise its quota/);
});

test("the S3 server is away for a while, during the day and during the seal", async () => {
  const cluster = await world.open({ quotes: 3 });
  const archiver = cluster.startArchiver();
  await cluster.records.sendMany("quotes", 500);
  await until("something is stored", async () => (await cluster.objectNames()).length > 0);

  await cluster.faults.down();
  await cluster.records.sendMany("quotes", 2_000);
  await archiver.logged(/does not answer[^]*trying again/);
  await cluster.faults.up();
  await until("what came meanwhile is stored", async () => {
    const last = (await cluster.objectNames()).map((name) => Number(/-(\d+)\.ndjson/.exec(name)?.[1]));
    return last.reduce((a, b) => Math.max(a, b), 0) > 700;
  });

  // Away from the first look on that the archiver takes at the request.
  await cluster.records.sendMany("quotes", 500);
  const gone = cluster.faults.add({
    kind: "meanwhile",
    times: 1,
    matches: ({ method, path }) => method === "PUT" && path.endsWith("seal-progress.json"),
    before: () => cluster.faults.down(),
  });
  const gate = cluster.startGate();
  await until("the server went away", () => gone.hits > 0);
  await gate.logged(/waiting for the archiver/);
  await cluster.faults.up();
  const { code, log } = await gate.ended;
  assert.equal(code, 0, log);
  await cluster.records.assertArchived(cluster.archive, await cluster.manifest());
  assert.equal(archiver.child.exitCode, null, "it was not restarted");
  await archiver.stop();
});

test("a slow S3 server makes the archive late, not wrong", async () => {
  const cluster = await world.open({ quotes: 2 });
  cluster.faults.add({ kind: "slow", latencyMs: 100, bytesPerSecond: 200_000 });
  const archiver = cluster.startArchiver();
  await cluster.records.sendMany("quotes", 3_000);
  await assertSealed(cluster);
  await archiver.stop();
});

test("a third of all requests goes wrong in some way: everything is archived once", async () => {
  const cluster = await world.open({ quotes: 3 });
  const random = startRandom();
  const kinds = [
    { kind: "reset" },
    { kind: "lose-answer" },
    { kind: "cut-request", afterBytes: 100 },
    { kind: "cut-answer", afterBytes: 50 },
    { kind: "corrupt-request", atByte: 60 },
    { kind: "error", status: 500, code: "InternalError" },
    { kind: "error", status: 503, code: "SlowDown" },
  ] as const;
  for (const fault of kinds) {
    cluster.faults.add({ ...fault, matches: () => random(kinds.length * 3) === 0 });
  }
  const archiver = cluster.startArchiver();
  for (let batch = 0; batch < 6; batch++) {
    await cluster.records.sendMany("quotes", 500);
    const stored = (await cluster.objectNames()).length;
    await until("more is stored", async () => (await cluster.objectNames()).length > stored);
  }
  await assertSealed(cluster);
  const names = await cluster.objectNames();
  assert.equal(archiver.child.exitCode, null, `seed ${seed}: it was not restarted`);
  assert.ok(names.length > 10, names.join("\n"));
  await archiver.stop();
});

test("a bit that flips on the way up is refused by the server and sent again; on the way down it is read again", async () => {
  const cluster = await world.open({ quotes: 1 });
  const up = cluster.faults.add({
    kind: "corrupt-request",
    atByte: 50,
    times: 1,
    matches: writesRecords,
  });
  const down = cluster.faults.add({
    kind: "corrupt-answer",
    atByte: 50,
    times: 1,
    matches: ({ method, path }) => method === "GET" && path.includes(".ndjson."),
  });
  const archiver = cluster.startArchiver();
  await cluster.records.sendMany("quotes", 200);
  await assertSealed(cluster);
  assert.deepEqual([up.hits, down.hits], [1, 1]);
  await archiver.stop();
});

test("an archiver whose key may not delete can do all it has to", async () => {
  // All programs here use such a key; this shows that it is one.
  const cluster = await world.open({ quotes: 1 });
  const archiver = cluster.startArchiver();
  await cluster.records.sendMany("quotes", 100);
  await assertSealed(cluster);
  const [name = ""] = await cluster.objectNames();
  const theirs = openArchive({ ...world.store, ...world.store.writer }, cluster.archive.identity);
  await assert.rejects(theirs.store.remove([theirs.prefix + name]), { name: "ArchiveCredentialsError" });
  theirs.store.close();
  assert.ok((await cluster.objectNames()).includes(name));
  await archiver.stop();
});
