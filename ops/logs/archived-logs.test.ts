/** Logs of a sealed day, from a bucket in memory, named as the archive's evidence names them. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { beforeEach, test } from "node:test";
import { gzipSync } from "node:zlib";
import { catalog } from "../../services/catalog.ts";
import type { ClusterEntry } from "../../services/archive/catalogue.ts";
import type { Manifest, ManifestEvidence } from "../../services/archive/documents.ts";
import { MemoryStore } from "../../services/archive/memory-store.ts";
import type { ArchiveStore } from "../../services/archive/store.ts";
import { logPieces, printArchivedLogs } from "./archived-logs.ts";
import { kubectlArguments } from "./running-logs.ts";
import { demandService, namespacesOf, serviceOf } from "./services.ts";

const identity = { stack: "dev", businessDate: "2026-11-20", clusterId: "ClusterA" };
const prefix = "dev/2026-11-20/ClusterA/";
let store: MemoryStore;
beforeEach(() => {
  store = new MemoryStore();
});

async function evidence(files: Readonly<Record<string, string>>): Promise<ManifestEvidence[]> {
  const all: ManifestEvidence[] = [];
  for (const [name, content] of Object.entries(files)) {
    const body = gzipSync(content);
    const { etag } = await store.put(prefix + name, body);
    all.push({ name, bytes: body.length, sha256: createHash("sha256").update(body).digest("hex"), etag });
  }
  return all;
}

const pod = "executor-alpaca-0";
const folder = "evidence/1/kubernetes/strategies";
const files = {
  [`${folder}/${pod}/executor-alpaca.log.gz`]: "2026-11-20T15:00:00.1Z three\n",
  [`${folder}/${pod}/executor-alpaca.previous.log.gz`]: "2026-11-20T14:00:00Z one\n",
  [`${folder}/${pod}/executor-alpaca.previous.part-2.log.gz`]: "2026-11-20T14:30:00Z two\n  and more of it\n",
  [`${folder}/strategy-dummy-7c9f-x2x/strategy-dummy.log.gz`]: "2026-11-20T14:00:01Z dummy\n",
  [`${folder}/events.ndjson.gz`]: "{}\n",
  "evidence/1/logs/archiver.log.gz": '{"level":"info","time":"2026-11-20T15:30:00.000Z","msg":"sealed"}\n',
};

async function printed(
  options: { service?: string; sinceMs?: number } = {},
  changes = {},
): Promise<string[]> {
  const manifest = {
    evidence: await evidence({ ...files, ...changes }),
    sealedAt: "2026-11-20T16:00:00.000Z",
  };
  const lines: string[] = [];
  await printArchivedLogs(
    store as unknown as ArchiveStore,
    { identity, manifest: manifest as unknown as Manifest } satisfies Partial<ClusterEntry>,
    {
      service: options.service,
      sinceMs: options.sinceMs,
      print: (text) => void lines.push(...text.split("\n")),
      progress: () => undefined,
      signal: new AbortController().signal,
    },
  );
  return lines;
}

test("each container's lives and parts in order, each line with its source, as kubectl writes it", async () => {
  assert.deepEqual(await printed({ service: "executor-alpaca" }), [
    `[pod/${pod}/executor-alpaca] 2026-11-20T14:00:00Z one`,
    `[pod/${pod}/executor-alpaca] 2026-11-20T14:30:00Z two`,
    `[pod/${pod}/executor-alpaca]   and more of it`,
    `[pod/${pod}/executor-alpaca] 2026-11-20T15:00:00.1Z three`,
  ]);
  assert.equal((await printed()).length, 6, "all pods, and no events");
});

test("--since counts back from the seal, whatever form a line's time has", async () => {
  assert.deepEqual(
    (await printed({ sinceMs: 90 * 60_000 })).map((line) =>
      line.replace(/^.*(two|and more|three|sealed).*$/, "$1"),
    ),
    ["sealed", "two", "and more", "three"],
  );
});

test("a piece that is damaged or missing is named and not shown", async () => {
  const all = await evidence(files);
  const [first] = logPieces(all, "executor-alpaca");
  assert.ok(first);
  const body = store.objects.get(prefix + first.name);
  const entry = {
    identity,
    manifest: { evidence: all, sealedAt: "2026-11-20T16:00:00Z" } as unknown as Manifest,
  };
  const print = () =>
    printArchivedLogs(store as unknown as ArchiveStore, entry, {
      service: "executor-alpaca",
      sinceMs: undefined,
      print: () => undefined,
      progress: () => undefined,
      signal: new AbortController().signal,
    });
  store.objects.set(prefix + first.name, Buffer.concat([body ?? Buffer.alloc(0), Buffer.from("x")]));
  await assert.rejects(print(), {
    name: "EvidenceError",
    message: /previous\.log\.gz is not what the manifest/,
  });
  store.objects.delete(prefix + first.name);
  await assert.rejects(print(), { name: "EvidenceError", message: /in the manifest and not in the bucket/ });
});

test("a pod is of the service with the longest name that begins its own", () => {
  assert.equal(serviceOf("strategy-dummy-7c9f-x2x"), "strategy-dummy");
  assert.equal(serviceOf("archiver"), "archiver");
  assert.equal(serviceOf("kafka-0"), undefined);
  for (const { name } of catalog) assert.equal(serviceOf(`${name}-0`), name);
});

test("kubectl is asked for one service in its namespace, for all in each; an unknown one is refused with the list", () => {
  assert.deepEqual(namespacesOf("archiver"), ["kafka"]);
  assert.deepEqual(namespacesOf(undefined), ["ingestion", "kafka", "strategies"]);
  const args = kubectlArguments("kafka", { service: "archiver", follow: true, since: "10m" }).join(" ");
  assert.match(
    args,
    /^--namespace kafka logs --selector app\.kubernetes\.io\/part-of=trading,app\.kubernetes\.io\/name=archiver /,
  );
  assert.match(args, /--tail=-1 --since=10m --follow/);
  assert.doesNotMatch(
    kubectlArguments("kafka", { service: undefined, follow: false, since: undefined }).join(" "),
    /name=|follow|since/,
  );
  assert.throws(() => demandService("archivr"), { name: "UsageError", message: /archiver, executor-alpaca/ });
});
