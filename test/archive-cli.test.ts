/** `trading archive` as people run it: processes, a real S3 server, exit codes. Restoring is in restore.test.ts. */
import { DuckDBInstance } from "@duckdb/node-api";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { type LabObjectStore, startObjectStore } from "../lab/objectstore/index.ts";
import { ProcessRegistry } from "../lab/processes.ts";
import { readEntry } from "../services/archive/catalogue.ts";
import { type ArchivedRecord, type ClusterArchive, openArchive } from "../services/archive/index.ts";
import { planPruneOf } from "../services/archive/prune.ts";
import { documentedCode } from "./archive/documented.ts";
import { writeSealedArchive } from "../lab/cluster-inside/sealed-archive.ts";

const root = path.join(import.meta.dirname, "..");
const directory = mkdtempSync(path.join(tmpdir(), "archive-cli-test-"));
const registry = new ProcessRegistry(path.join(directory, "processes"));
const cacheDirectory = path.join(root, ".lab/cache");
const [first, second, third] = ["FirstClusterIdAAAAAAAA", "SecondClusterIdAAAAAAA", "ThirdClusterIdAAAAAAAA"];

let store: LabObjectStore;
const opened: ClusterArchive[] = [];

function cluster(clusterId: string, businessDate = "2025-10-14", stack = "dev"): ClusterArchive {
  const archive = openArchive(store, { stack, businessDate, clusterId });
  opened.push(archive);
  return archive;
}

const records = Array.from({ length: 10 }, (_, index): ArchivedRecord => {
  const value = Buffer.from(`{"n":${index}}`);
  return {
    topic: index < 6 ? "raw.quotes" : "norm.quotes",
    partition: index % 2,
    offset: String(Math.floor(index / 2)),
    timestamp: "1760448600000",
    key: null,
    headers: [],
    value,
  };
}).map((record) =>
  record.topic === "raw.quotes" ? record : { ...record, offset: String(+record.offset - 3) },
);

interface Ended {
  code: number | null;
  out: string;
  err: string;
}

/** Runs a command to its end. */
function trading(args: readonly string[], environment: Record<string, string> = {}): Promise<Ended> {
  const child = spawn(process.execPath, ["--import", "tsx", "ops/main.ts", "archive", ...args], {
    cwd: root,
    env: {
      PATH: process.env.PATH,
      S3_ENDPOINT: store.endpoint,
      S3_REGION: store.region,
      S3_BUCKET: store.bucket,
      S3_ACCESS_KEY_ID: store.accessKeyId,
      S3_SECRET_ACCESS_KEY: store.secretAccessKey,
      ...environment,
    },
    timeout: 180_000,
  });
  const ended: Ended = { code: null, out: "", err: "" };
  child.stdout.on("data", (data) => (ended.out += String(data)));
  child.stderr.on("data", (data) => (ended.err += String(data)));
  return new Promise((resolve) => child.once("close", (code) => resolve({ ...ended, code })));
}

before(async () => {
  store = await startObjectStore({ directory: path.join(directory, "s3"), cacheDirectory, registry });
  const evidence = { "evidence/events.ndjson": '{"reason":"Started"}\n' };
  await writeSealedArchive(cluster(first), { records, objectRecords: 2, evidence });
  await writeSealedArchive(cluster(first), { records, objectRecords: 2, evidence, generation: 2 });
  await writeSealedArchive(cluster(second), { records });
  await writeSealedArchive(cluster(third, "2025-10-15"), { records });
  const unsealed = cluster(first, "2025-10-13");
  await writeSealedArchive(unsealed, { records });
  await unsealed.store.remove([`${unsealed.prefix}manifest.json`]);
});

after(async () => {
  for (const archive of opened) archive.store.close();
  await registry.stopAll();
  rmSync(directory, { recursive: true, force: true });
});

test("list, show and verify tell what the bucket holds; a doubtful name is refused with the candidates", async () => {
  const [list, show, fast, deep, ambiguous, nowhere, last] = await Promise.all([
    trading(["list", "--json"]),
    trading(["show", `dev/2025-10-14/${first}`]),
    trading(["verify", "--stack", "dev", "--date", "2025-10-15"]),
    trading(["verify", "--deep", `dev/2025-10-14/${first}`, "--json"]),
    trading(["verify", "--stack", "dev", "--date", "2025-10-14"]),
    trading(["show", "dev/2025-10-14/nobody"]),
    trading(["verify", "--stack", "dev", "--last"]),
  ]);
  assert.equal(list.code, 0, list.err);
  assert.deepEqual(
    (JSON.parse(list.out) as Record<string, unknown>[]).map((entry) => [
      entry.businessDate,
      entry.clusterId,
      entry.state,
      entry.generation,
      entry.records,
    ]),
    [
      ["2025-10-13", first, "unsealed", null, null],
      ["2025-10-14", first, "sealed", 2, 10],
      ["2025-10-14", second, "sealed", 1, 10],
      ["2025-10-15", third, "sealed", 1, 10],
    ],
  );
  assert.equal(show.code, 0, show.err);
  assert.match(show.out, /: sealed$/m);
  assert.match(show.out, /raw\.quotes\/1 +0-2 +3 +2 +\d+ +[0-9a-f]{64}/);
  assert.match(show.out, /normalize +raw.quotes\/0 +1/);
  assert.match(show.out, /evidence\/events\.ndjson +\d+ +[0-9a-f]{64}/);
  assert.match(show.out, /^ +1 +2025-10-14T20:00:00.000Z +10 +[0-9a-f]{64}\n +2 /m);
  assert.equal(fast.code, 0, fast.out + fast.err);
  assert.match(fast.out, /^verified \(by the manifest and one listing\).*10 records of 2 topics/);
  assert.equal(deep.code, 0, deep.out + deep.err);
  assert.equal((JSON.parse(deep.out) as { mode: string }).mode, "deep");
  assert.equal(ambiguous.code, 2);
  assert.match(ambiguous.err, new RegExp(`not one cluster but 2.*${first}.*${second}`, "s"));
  assert.equal(nowhere.code, 2);
  assert.match(nowhere.err, /There is no cluster dev\/2025-10-14\/nobody/);
  assert.equal(last.code, 0, last.err);
  assert.match(last.out, new RegExp(third));
});

test("wrong usage is 2, a bucket that cannot be used is 1, and each says what to do", async () => {
  const [unset, stackOnly, date, keys, bucket, topic, noStack] = await Promise.all([
    trading(["list"], { S3_ENDPOINT: "", S3_SECRET_ACCESS_KEY: "" }),
    trading(["list", "--stack", "dev"], {
      S3_ENDPOINT: "",
      S3_REGION: "",
      S3_BUCKET: "",
      S3_ACCESS_KEY_ID: "",
    }),
    trading(["list", "--date", "yesterday"]),
    trading(["list"], { S3_SECRET_ACCESS_KEY: "wrong" }),
    trading(["verify", `dev/2025-10-14/${first}`], { S3_BUCKET: "no-such-bucket" }),
    trading([
      ...["restore", `dev/2025-10-14/${first}`, "--brokers", "127.0.0.1:1"],
      ...["--topics", "raw.quotes,nowhere", "--rename", "neither=x"],
    ]),
    trading(["prune", "--stack", "", "--keep-days", "30", "--yes"]),
  ]);
  assert.equal(unset.code, 2);
  assert.match(unset.err, /S3_ENDPOINT: is missing\n +S3_SECRET_ACCESS_KEY: is missing/);
  assert.equal(stackOnly.code, 2);
  assert.match(
    stackOnly.err,
    /which bucket to use:\n +S3_ACCESS_KEY_ID: is missing\n/,
    "the rest is the stack's",
  );
  assert.equal(date.code, 2);
  assert.match(date.err, /Expected a date like 2025-10-14/);
  assert.equal(keys.code, 1);
  assert.match(keys.err, /keys are refused/);
  assert.equal(bucket.code, 1);
  assert.match(bucket.err, /There is no bucket "no-such-bucket"/);
  assert.equal(topic.code, 2);
  assert.match(
    topic.err,
    /--topics: the archive has no topic nowhere\.\n--rename: the archive has no topic neither\./,
  );
  assert.equal(noStack.code, 2);
  assert.match(noStack.err, /--stack: found "", expected a stack's name/);
});

test("verify ends with 1 and names what is damaged", async () => {
  const archive = cluster("DamagedClusterIdAAAAAA", "2025-10-10");
  const manifest = await writeSealedArchive(archive, { records, objectRecords: 2 });
  const [object, other] = manifest.topics.flatMap(({ partitions }) => partitions[0]?.objects ?? []);
  assert.ok(object && other);
  const body = Buffer.from((await archive.get(object.name))?.body ?? []);
  body.writeUInt8(body.readUInt8(30) ^ 1, 30);
  await archive.store.put(archive.prefix + object.name, body, { contentType: "application/gzip" });
  await archive.store.remove([archive.prefix + other.name]);
  const verify = ["verify", "--stack", "dev", "--date", "2025-10-10"];
  for (const { code, out } of await Promise.all([trading(verify), trading([...verify, "--deep"])])) {
    assert.equal(code, 1);
    assert.match(out, /^NOT VERIFIED/);
    assert.ok(out.includes(object.name) && out.includes(`${other.name}: is missing`), out);
    assert.doesNotMatch(out, /^verified/m);
  }
});

test("prune removes only what is sealed, verified and old, shows it first, and can be interrupted", async () => {
  const old = cluster("OldClusterIdAAAAAAAAAA", "2020-01-02", "prod");
  const unsealed = cluster("UnsealedClusterIdAAAAA", "2020-01-03", "prod");
  const manifest = await writeSealedArchive(old, { records, objectRecords: 1 });
  await writeSealedArchive(unsealed, { records });
  await unsealed.store.remove([`${unsealed.prefix}manifest.json`]);
  const prune = ["prune", "--stack", "prod", "--keep-days", "30"];
  const names = async (archive: ClusterArchive) =>
    (await archive.store.list(archive.prefix)).map(({ key }) => key.slice(archive.prefix.length));
  const before = await names(old);

  const { accessKeyId: S3_ACCESS_KEY_ID, secretAccessKey: S3_SECRET_ACCESS_KEY } = store.writer;
  const [dry, refused, alive] = await Promise.all([
    trading([...prune, "--json"]),
    trading([...prune, "--yes"], { S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY }),
    trading(["prune", `prod/2020-01-03/${unsealed.identity.clusterId}`, "--yes"]),
  ]);
  assert.equal(dry.code, 1, "one that is old enough must stay");
  const { clusters } = JSON.parse(dry.out) as { clusters: { action: string; reasons: string[] }[] };
  assert.deepEqual(
    clusters.map(({ action }) => action),
    ["prune", "keep"],
  );
  assert.match(clusters[1]?.reasons.join() ?? "", /it is unsealed; to remove it all the same, name it/);
  assert.equal(refused.code, 3);
  assert.match(refused.err, /may not delete.*nothing of prod\/2020-01-02\/.* was removed/);
  assert.equal(alive.code, 3);
  assert.match(alive.err, /was written to 0 minutes ago: the cluster may be alive/);
  assert.deepEqual(await names(old), before, "nothing has changed");

  // As an interruption leaves it: the marker is there, some objects are gone.
  await old.write("pruned.json", {
    ...old.identity,
    prunedAt: "2025-01-01T00:00:00.000Z",
    finishedAt: null,
    by: "somebody@somewhere",
    unsealed: false,
    generation: manifest.generation,
    manifestChecksum: manifest.checksum,
    records: manifest.totals.records,
  });
  const objects = manifest.topics.flatMap(({ partitions }) => partitions.flatMap((each) => each.objects));
  await old.store.remove(objects.slice(0, 4).map(({ name }) => old.prefix + name));
  assert.equal((await readEntry(old)).state, "pruning");

  const done = await trading([...prune, "--yes"]);
  assert.equal(done.code, 1, "the unsealed one stays");
  assert.match(done.out, /OldClusterIdAAAAAAAAAA +pruning +pruned +8 /);
  assert.deepEqual(await names(old), ["opened.json", "pruned.json"]);
  const entry = await readEntry(old);
  assert.equal(entry.state, "pruned");
  assert.equal(entry.pruned?.by, "somebody@somewhere");
  assert.equal(entry.pruned?.records, 10);
  assert.ok((await names(unsealed)).length > 3);

  // An hour later somebody names it.
  const later = await planPruneOf(unsealed, await readEntry(unsealed), Date.now() + 3_700_000);
  assert.equal(later.action, "prune");
});

test("DuckDB runs the documented query on the objects as they are in the bucket", async () => {
  const archive = cluster("DuckDbClusterIdAAAAAAA");
  const result = (offset: number, venue: string, status: string): ArchivedRecord => ({
    topic: "exec.trade_result",
    partition: offset % 3,
    offset: String(Math.floor(offset / 3)),
    timestamp: String(1_760_448_600_000 + offset),
    key: Buffer.from("command"),
    headers: [["none", null]],
    value: Buffer.from(JSON.stringify({ event_id: `e${offset}`, venue, payload: { status, filled: 1 / 3 } })),
  });
  const results = ["FILLED", "CANCELED", "FILLED", "DENIED", "FILLED"].map((status, offset) =>
    result(offset, offset < 3 ? "alpaca" : "near-intents", status),
  );
  results.push({ ...result(6, "", ""), value: Buffer.from([255, 0]) }, { ...result(9, "", ""), value: null });
  await writeSealedArchive(archive, { records: results, objectRecords: 1 });
  // DuckDB's own S3 support is a download: the objects lie in a folder as they lie in the bucket.
  const bucket = path.join(directory, "bucket");
  for (const { key } of await archive.store.list(`${archive.prefix}exec.trade_result/`)) {
    mkdirSync(path.dirname(path.join(bucket, key)), { recursive: true });
    writeFileSync(path.join(bucket, key), (await archive.store.get(key))?.body ?? "");
  }
  const query = documentedCode("sql", "read_json");
  assert.ok(query.includes("s3://trading-archive-dev/"));
  const database = await DuckDBInstance.create();
  const connection = await database.connect();
  const answer = await connection.runAndReadAll(query.replace("s3://trading-archive-dev", bucket));
  connection.closeSync();
  database.closeSync();
  assert.deepEqual(answer.getRowsJson(), [
    ["alpaca", "CANCELED", 1, "2025-10-14 13:30:00.001"],
    ["alpaca", "FILLED", 2, "2025-10-14 13:30:00"],
    ["near-intents", "DENIED", 1, "2025-10-14 13:30:00.003"],
    ["near-intents", "FILLED", 1, "2025-10-14 13:30:00.004"],
  ]);
});
