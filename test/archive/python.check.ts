/**
 * A standard S3 client that is not ours, Python's boto3, reads a sealed day, and the script of docs/archive.md finds the
 * manifest's hashes in it; with a changed record or a flipped byte it does not.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { after, before, test } from "node:test";
import { gunzipSync, gzipSync } from "node:zlib";
import { installPythonPackage } from "../../lab/python.ts";
import type { TestCluster } from "./cluster.ts";
import { documentedCode } from "./documented.ts";
import { ArchiveWorld } from "./world.ts";

const boto3 = { name: "boto3", version: "1.40.61" };

let world: ArchiveWorld;
let packages: string;
let script: string;

before(async () => {
  const directory = await installPythonPackage(boto3);
  assert.ok(directory, `pip cannot provide ${boto3.name} ${boto3.version}: the check has not been made`);
  packages = directory;
  world = await ArchiveWorld.start();
  script = path.join(world.directory, "recompute.py");
  const code = documentedCode("python", "import base64, boto3");
  assert.ok(code.trimEnd().split("\n").length <= 15, "it is shown as a script of 15 lines");
  writeFileSync(script, code);
});
after(() => world?.stop());

/** Runs the script as the documentation says. */
function recompute({ archive }: TestCluster): Promise<{ code: number | null; log: string }> {
  const { endpoint, region, bucket, accessKeyId, secretAccessKey } = world.store;
  const child = spawn("python3", [script, archive.prefix], {
    env: {
      PATH: process.env.PATH,
      HOME: world.directory,
      PYTHONPATH: packages,
      PYTHONDONTWRITEBYTECODE: "1",
      S3_ENDPOINT: endpoint,
      S3_REGION: region,
      S3_BUCKET: bucket,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
    },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 180_000,
  });
  let log = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (log += String(data)));
  return new Promise((resolve) => child.once("close", (code) => resolve({ code, log })));
}

test("the documented script finds the manifest's hashes, and sees every change", async () => {
  const cluster = await world.open({ "raw.odd": 2, "norm.json": 1, empty: 1 });
  const archiver = cluster.startArchiver();
  await cluster.records.send("raw.odd", [
    { key: null, value: null, partition: 0 },
    { key: Buffer.from([255, 0]), value: Buffer.from([0, 128, 255]), partition: 0 },
    { key: "", value: "", partition: 1, headers: { twice: ["a", "b"], bytes: Buffer.from([200]) } },
    { key: "ключ", value: "1e3", partition: 1, headers: { é: "ü" } },
    { key: "line ends", value: "a\r\nb\u2028c\u0085", partition: 1 },
    { key: "escapes", value: '{"a":"\\u00e9"}', partition: 1 },
  ]);
  const json = Array.from({ length: 2_000 }, (_, n) =>
    JSON.stringify({ n, text: 'é\u2028,"value":', value_encoding: "json", number: n / 7 }),
  );
  await cluster.records.send(
    "norm.json",
    json.map((value, n) => ({ key: `k${n}`, value })),
  );
  const { manifest } = await cluster.sealed();
  await archiver.stop();

  const whole = await recompute(cluster);
  assert.deepEqual(whole, { code: 0, log: "" });

  const name = manifest.topics.find(({ topic }) => topic === "norm.json")?.partitions[0]?.objects[0]?.name;
  assert.ok(name);
  const original = await cluster.archive.get(name);
  assert.ok(original);

  await cluster.replaceObject(name, (body) =>
    gzipSync(gunzipSync(body).toString().replace('"n":1,', '"n":2,')),
  );
  const changed = await recompute(cluster);
  assert.equal(changed.code, 1);
  assert.match(changed.log, /^\('norm\.json', 0\): not the manifest's hash$/m);
  assert.doesNotMatch(changed.log, /raw\.odd/);

  for (const at of [40, original.body.length - 6]) {
    await cluster.replaceObject(name, () => {
      const flipped = Buffer.from(original.body);
      flipped.writeUInt8(flipped.readUInt8(at) ^ 4, at);
      return flipped;
    });
    const { code } = await recompute(cluster);
    assert.notEqual(code, 0, `byte ${at}`);
  }
});
