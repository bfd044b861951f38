import {
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from "@aws-sdk/client-s3";
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { ProcessRegistry } from "../processes.ts";
import {
  type LabObjectStore,
  ObjectStoreInstallError,
  ObjectStorePortInUseError,
  installObjectStore,
  startObjectStore,
} from "./index.ts";

const directory = mkdtempSync(path.join(tmpdir(), "objectstore-"));
const registry = new ProcessRegistry(path.join(directory, "processes"));
const cacheDirectory = path.join(import.meta.dirname, "../../.lab/cache");
const start = (more: { port?: number } = {}) =>
  startObjectStore({ directory: path.join(directory, "store"), cacheDirectory, registry, ...more });

after(async () => {
  await registry.stopAll();
  rmSync(directory, { recursive: true, force: true });
});

function client(
  store: LabObjectStore,
  keys: { accessKeyId?: string; secretAccessKey?: string } = {},
): S3Client {
  return new S3Client({
    endpoint: store.endpoint,
    region: store.region,
    forcePathStyle: true,
    maxAttempts: 1,
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    credentials: { accessKeyId: store.accessKeyId, secretAccessKey: store.secretAccessKey, ...keys },
  });
}

test("stores objects, refuses wrong and missing credentials, and serves the same data after a restart", async () => {
  const first = await start();
  const name = { Bucket: first.bucket, Key: "dev/2025-10-14/a b+c/0.ndjson.gz" };
  await client(first).send(new PutObjectCommand({ ...name, Body: "hello" }));

  const list = new ListObjectsV2Command({ Bucket: first.bucket });
  await assert.rejects(client(first, { secretAccessKey: "wrong" }).send(list), {
    name: "SignatureDoesNotMatch",
  });
  await assert.rejects(client(first, { accessKeyId: "NOBODY" }).send(list), { name: "InvalidAccessKeyId" });
  const anonymous = await fetch(`${first.endpoint}/${name.Bucket}/${encodeURI(name.Key)}`);
  assert.equal(anonymous.status, 403);
  await assert.rejects(client(first).send(new ListObjectsV2Command({ Bucket: "elsewhere" })), {
    name: "NoSuchBucket",
  });

  const writer = client(first, first.writer);
  await writer.send(new PutObjectCommand({ ...name, Body: "hello" }));
  await writer.send(list);
  await writer.send(new GetObjectCommand(name));
  await assert.rejects(writer.send(new DeleteObjectCommand(name)), { name: "AccessDenied" });
  const Delete = { Objects: [{ Key: name.Key }] };
  const refused = await writer.send(new DeleteObjectsCommand({ Bucket: first.bucket, Delete }));
  assert.equal(refused.Errors?.[0]?.Code, "AccessDenied");
  await assert.rejects(writer.send(new DeleteBucketCommand({ Bucket: first.bucket })), {
    name: "AccessDenied",
  });

  await first.stop();
  await assert.rejects(fetch(first.endpoint), "nothing answers after stop");
  assert.equal(
    existsSync(path.join(directory, "store", "identities.json")),
    false,
    "keys do not stay on disk",
  );

  for (let round = 0; round < 2; round++) {
    const again = await start();
    assert.equal(again.bucket, first.bucket);
    assert.notEqual(again.secretAccessKey, first.secretAccessKey);
    await assert.rejects(client(first, { ...first }).send(list), "the former keys are void");
    const found = await client(again).send(new GetObjectCommand(name));
    assert.equal(await found.Body?.transformToString(), "hello");
    const later = { Bucket: again.bucket, Key: `later/${round}` };
    await client(again).send(new PutObjectCommand({ ...later, Body: "x".repeat(5_000_000) }));
    const listed = await client(again).send(list);
    assert.deepEqual(
      listed.Contents?.map((object) => object.Key),
      [name.Key, ...Array.from({ length: round + 1 }, (_, index) => `later/${index}`)],
    );
    await again.stop();
  }
});

test("a taken port is named", async () => {
  const squatter = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => squatter.once("listening", resolve));
  const { port } = squatter.address() as AddressInfo;
  await assert.rejects(start({ port }), (error: unknown) => {
    assert.ok(error instanceof ObjectStorePortInUseError);
    assert.match(error.message, new RegExp(`127\\.0\\.0\\.1:${port}: already in use`));
    return true;
  });
  squatter.close();
});

test("without python3 the installation says what to install, and leaves nothing half-made", async () => {
  const cache = path.join(directory, "empty-cache");
  const before = process.env.PATH;
  process.env.PATH = directory;
  try {
    await assert.rejects(installObjectStore(cache), (error: unknown) => {
      assert.ok(error instanceof ObjectStoreInstallError);
      assert.match(error.message, /apt-get install python3/);
      return true;
    });
  } finally {
    process.env.PATH = before;
  }
  assert.equal(existsSync(path.join(cache, "seaweedfs-4.48")), false);
});
