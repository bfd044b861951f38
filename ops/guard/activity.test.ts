import assert from "node:assert/strict";
import { test } from "node:test";
import { documents } from "../../services/archive/layout.ts";
import { MemoryStore } from "../../services/archive/memory-store.ts";
import { type ArchiveStore, ArchiveUnreachableError } from "../../services/archive/store.ts";
import { readActivities } from "./activity.ts";
import type { SeenCluster } from "./sight.ts";

const identity = { stack: "dev", businessDate: "2026-11-20", clusterId: "A" };
const name = "dev/2026-11-20/A";
const seen = (changes: Partial<SeenCluster> = {}): SeenCluster =>
  ({ name, stack: "dev", cluster: identity, held: "opened", ...changes }) as SeenCluster;

/** A bucket whose objects were written at these times, one after the other. */
function bucket(...times: string[]): MemoryStore {
  const store = new MemoryStore();
  const list = store.list.bind(store);
  store.list = async (prefix) =>
    (await list(prefix)).map((object, index) => ({ ...object, modified: Date.parse(times[index] ?? "") }));
  return store;
}
const read = (store: MemoryStore, clusters: SeenCluster[]) =>
  readActivities({ stack: "dev", clusters }, store as unknown as ArchiveStore);

test("the youngest object of the cluster's own folder, and when its seal was asked for", async () => {
  const store = bucket("2026-11-20T14:58:00Z", "2026-11-20T14:03:00Z");
  const archive = store.archive(identity);
  await archive.write("a.json", {});
  const requestedAt = "2026-11-20T14:03:00.000Z";
  await archive.write(documents.sealRequest, { requestId: "r", requestedAt });
  await store.archive({ ...identity, clusterId: "B" }).write("a.json", {});
  assert.deepEqual((await read(store, [seen()])).get(name), {
    youngestObjectAt: new Date("2026-11-20T14:58:00Z"),
    sealRequestedAt: new Date(requestedAt),
  });
});

test("what never was opened is not read; nor is a broken request, and a bucket that is away breaks nothing", async () => {
  const store = bucket("2026-11-20T14:58:00Z");
  assert.equal((await read(store, [seen({ held: "never" }), seen({ cluster: undefined })])).size, 0);
  await store.archive(identity).write(documents.sealRequest, { requestId: 7 });
  assert.equal((await read(store, [seen()])).get(name)?.sealRequestedAt, undefined);
  store.list = () => Promise.reject(new ArchiveUnreachableError("away"));
  assert.equal((await read(store, [seen()])).size, 0);
});
