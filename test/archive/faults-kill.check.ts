/**
 * The archiver is killed (SIGKILL) at many points, chosen by a seed and by name, and started again: nothing is lost,
 * nothing is twice in the archive, and the request that a killed archiver left is answered by the next.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { SeenRequest } from "../../lab/objectstore/index.ts";
import { sealRequestSchema } from "../../services/archive/documents.ts";
import { verifyArchive } from "../../services/archive/index.ts";
import type { TestCluster } from "./cluster.ts";
import { until } from "../until.ts";
import { seed, startRandom } from "./random.ts";
import { ArchiveWorld } from "./world.ts";

let world: ArchiveWorld;
before(async () => {
  world = await ArchiveWorld.start();
});
after(() => world?.stop());

/** Where an archiver is killed: at one of its requests to the bucket. */
interface KillPoint {
  readonly name: string;
  readonly matches: (request: SeenRequest) => boolean;
  /** Before the request reaches the server, or when it was carried out and the answer is on its way. */
  readonly when: "before" | "after";
}

/** Starts an archiver and resolves when it was killed at the point. */
async function killAt(cluster: TestCluster, { name, matches, when }: KillPoint): Promise<void> {
  const archiver = cluster.startArchiver();
  const fault = cluster.faults.add({
    kind: "meanwhile",
    times: 1,
    matches,
    [when]: () => archiver.kill(),
  });
  try {
    await until(`killed ${when} ${name} (seed ${seed})`, () => fault.hits > 0, 40_000);
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${archiver.log().slice(-4_000)}`, { cause: error });
  } finally {
    fault.remove();
  }
  assert.equal((await archiver.ended).code, null);
}

/** Matches the `number`th request that `matches` does, counted from 0. */
function nth(number: number, matches: (request: SeenRequest) => boolean = () => true) {
  let count = 0;
  return (request: SeenRequest): boolean => matches(request) && count++ === number;
}

const put = (pattern: RegExp) => (request: SeenRequest) =>
  request.method === "PUT" && pattern.test(request.path);
const get = (pattern: RegExp) => (request: SeenRequest) =>
  request.method === "GET" && pattern.test(request.path);

async function assertWhole(cluster: TestCluster): Promise<void> {
  await cluster.records.assertArchived(cluster.archive, await cluster.manifest());
  const { problems } = await verifyArchive(cluster.archive, { mode: "deep" });
  assert.deepEqual(problems, []);
}

test("killed during the day, at any request: the next archiver goes on where the bucket ends", async () => {
  const cluster = await world.open({ quotes: 3, orders: 1 });
  const random = startRandom();
  for (let round = 0; round < 7; round++) {
    const number = random(16);
    const killed = { done: false };
    const writing = (async () => {
      while (!killed.done) {
        await cluster.records.sendMany("quotes", 100 + random(200));
        await cluster.records.transaction(
          world.kafka,
          "orders",
          [{ key: "k", value: `order of round ${round}` }],
          random(2) === 0 ? "commit" : "abort",
        );
        await delay(50);
      }
    })();
    const when = random(2) === 0 ? "before" : "after";
    await killAt(cluster, { name: `request ${number}`, matches: nth(number), when }).finally(() => {
      killed.done = true;
    });
    await writing;
  }
  const archiver = cluster.startArchiver();
  await cluster.sealed();
  await assertWhole(cluster);
  await archiver.stop();
});

test("killed at every step of a seal: the one request is answered in the end", async () => {
  const cluster = await world.open({ quotes: 3 });
  await cluster.records.sendMany("quotes", 2_000);
  const gate = cluster.gate(200_000);
  gate.catch(() => undefined);
  const request = await until("the request", () =>
    cluster.archive.read("seal-request.json", sealRequestSchema),
  );

  world.services.silent = true;
  let archiver = cluster.startArchiver();
  await archiver.logged(/drain requested/);
  await archiver.kill();
  world.services.silent = false;

  const exporting: KillPoint[] = [
    { name: "the upload of an object", matches: nth(0, put(/\.ndjson\./)), when: "before" },
    { name: "the upload of an object", matches: nth(1, put(/\.ndjson\./)), when: "after" },
    { name: "the look at the bucket", matches: nth(0, ({ query }) => query.has("list-type")), when: "after" },
    { name: "the read-back of an object", matches: nth(0, get(/\.ndjson\./)), when: "before" },
    { name: "the read-back of an object", matches: nth(1, get(/\.ndjson\./)), when: "after" },
  ];
  for (const point of exporting) {
    await cluster.records.sendMany("quotes", 300);
    await killAt(cluster, point);
  }

  // Each generation's manifest is written twice: under its number, then as the one that counts.
  const copy = /\/manifests\/[^/]+$/;
  const manifest = /\/manifest\.json$/;
  const sealing: KillPoint[] = [
    { name: "the first progress", matches: nth(0, put(/seal-progress/)), when: "after" },
    { name: "the manifest's copy", matches: nth(0, put(copy)), when: "before" },
    { name: "the manifest's copy", matches: nth(0, put(copy)), when: "after" },
    { name: "the manifest", matches: nth(0, put(manifest)), when: "before" },
    { name: "the manifest", matches: nth(0, put(manifest)), when: "after" },
  ];
  for (const point of sealing) await killAt(cluster, point);
  assert.equal((await cluster.manifest()).generation, 1);

  archiver = cluster.startArchiver();
  await archiver.logged(/"msg":"sealed"/);
  await archiver.kill();

  archiver = cluster.startArchiver();
  const outcome = await gate;
  assert.equal(outcome.reason, "sealed");
  const sealed = await cluster.manifest();
  assert.equal(sealed.requestId, request.requestId);
  assert.equal(sealed.generation, 1, "what was written before the kill was gone on with");
  assert.equal(world.services.requests.filter((id) => id === request.requestId).length, 1);
  await assertWhole(cluster);
  // It may have had nothing left to do, and still be starting.
  await archiver.logged(/"msg":"ready"/);
  assert.equal((await archiver.stop()).code, 0);
});
