import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { pino } from "pino";
import { toInstant } from "../core/time.ts";
import { ArchiveDocumentError } from "./cluster-archive.ts";
import { type Manifest, type SealProgress, sealProgressSchema } from "./documents.ts";
import { documents } from "./layout.ts";
import { MemoryStore } from "./memory-store.ts";
import { SealError } from "./seal-error.ts";
import { answerSealRequests, type Sealing } from "./seal-requests.ts";
import { SealProgressWriter } from "./seal-progress.ts";
import { ArchiveBucketFullError } from "./store.ts";

const logger = pino({ level: "silent" });
const identity = { stack: "dev", businessDate: "2025-10-14", clusterId: "SealRequestsTestClustA" };
const checksum = "a".repeat(64);
const totals = { topics: 1, partitions: 1, objects: 1, records: 7, bytes: 70 };
const sealed = { manifest: { generation: 3, checksum, totals } as Manifest, unchanged: false };

/** An archiver's watch over a bucket in memory. */
function watching(seal: Sealing) {
  const store = new MemoryStore();
  const archive = store.archive(identity);
  let abort = new AbortController();
  const start = () => answerSealRequests({ archive, logger, seal, signal: abort.signal, pollMs: 1 });
  let done = start();
  const progress = () =>
    archive.read(documents.sealProgress, sealProgressSchema).catch((error: unknown) => {
      assert.ok(error instanceof ArchiveDocumentError);
      return undefined;
    });
  const stop = async () => {
    abort.abort(new Error("the archiver stops"));
    await done;
  };
  return {
    store,
    archive,
    request: (requestId: string) =>
      archive.write(documents.sealRequest, { requestId, requestedAt: toInstant(Date.now()) }),
    until: async (condition: (progress: SealProgress) => boolean): Promise<SealProgress> => {
      for (const end = performance.now() + 20_000; performance.now() < end; await delay(1)) {
        const found = await progress();
        if (found !== undefined && condition(found)) return found;
      }
      throw new Error(`not within 20 s; last: ${JSON.stringify(await progress())}`);
    },
    stop,
    /** Another archiver takes its place. */
    replace: async () => {
      await stop();
      abort = new AbortController();
      done = start();
    },
  };
}

test("a request is answered once, with what the seal came to", async () => {
  const asked: string[] = [];
  const archiver = watching((requestId) => {
    asked.push(requestId);
    return asked.length === 1 ? Promise.resolve(sealed) : Promise.reject(new SealError("Not drained"));
  });
  await archiver.request("first");
  const answered = await archiver.until(({ state }) => state === "sealed");
  assert.deepEqual(answered, {
    requestId: "first",
    state: "sealed",
    message: "sealed: 7 records, generation 3",
    percent: 100,
    counts: totals,
    generation: 3,
    manifestChecksum: checksum,
    updatedAt: answered.updatedAt,
  });
  await archiver.request("second");
  const failed = await archiver.until(({ state }) => state === "failed");
  assert.deepEqual([failed.requestId, failed.message], ["second", "Not drained"]);
  await archiver.replace();
  await archiver.request("third");
  await archiver.until(({ requestId, state }) => requestId === "third" && state === "failed");
  await archiver.stop();
  assert.deepEqual(asked, ["first", "second", "third"]);
});

test("a newer request takes the place of one that is worked on, and has the last word", async () => {
  const aborted: string[] = [];
  const archiver = watching(async (requestId, signal, onProgress) => {
    if (requestId === "newer") return sealed;
    onProgress({ state: "exporting", message: "on its way", percent: 10 });
    await new Promise((resolve) => signal.addEventListener("abort", resolve));
    aborted.push(String(signal.reason));
    onProgress({ state: "failed", message: "must not be seen" });
    throw signal.reason;
  });
  await archiver.request("older");
  await archiver.until(({ message, percent }) => message === "on its way" && percent === 10);
  await archiver.request("newer");
  await archiver.until(({ requestId, state }) => requestId === "newer" && state === "sealed");
  assert.match(aborted.join(), /a newer seal-request has come/);
  await archiver.stop();
});

test("a bucket that is away or full is waited for, and the answer is said when it is back", async () => {
  let tries = 0;
  const archiver = watching(() => {
    tries++;
    if (tries === 1) return Promise.reject(new ArchiveBucketFullError("The bucket is full."));
    // From now on nothing can be written, for a while: not even that it is sealed.
    const put = archiver.store.put.bind(archiver.store);
    let refusals = 2;
    archiver.store.put = (key, body) =>
      refusals-- > 0 ? Promise.reject(new ArchiveBucketFullError("Still full.")) : put(key, body);
    return Promise.resolve(sealed);
  });
  await archiver.request("patient");
  await archiver.until(({ message }) =>
    message.includes("waiting for the bucket, then going on: The bucket is full."),
  );
  await archiver.until(({ state }) => state === "sealed");
  assert.equal(tries, 2, "what was sealed is not sealed again because it could not be said");
  await archiver.stop();
});

test("unreadable documents of a request are passed over", async () => {
  const archiver = watching(() => Promise.resolve(sealed));
  await archiver.archive.write(documents.sealRequest, { request: "?" });
  await archiver.archive.write(documents.sealProgress, "?");
  await archiver.request("readable");
  await archiver.until(({ state }) => state === "sealed");
  await archiver.stop();
});

test("the progress is a sign of life, also while nothing changes", async () => {
  const archive = new MemoryStore().archive(identity);
  const writer = new SealProgressWriter({
    archive,
    requestId: "alive",
    onError: (error) => assert.fail(String(error)),
    pauseMs: 1,
    heartbeatMs: 5,
  });
  writer.report({ state: "exporting", message: "the same all the time" });
  const times = new Set<string>();
  for (const end = performance.now() + 20_000; times.size < 3 && performance.now() < end; await delay(2)) {
    const found = await archive.read(documents.sealProgress, sealProgressSchema);
    if (found !== undefined) times.add(found.updatedAt);
  }
  assert.equal(times.size, 3);
  await writer.end({ state: "failed", message: "the end" });
  writer.report({ state: "exporting", message: "too late" });
  await writer.stop();
  const last = await archive.read(documents.sealProgress, sealProgressSchema);
  assert.equal(last?.message, "the end");
});
