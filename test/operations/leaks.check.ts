/** `trading leaks` as people run it, against the lab's Hetzner and S3 server. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { archiveMark } from "../../components/archive-mark.ts";
import { writeOpened, writeSealedArchive } from "../../lab/cluster-inside/sealed-archive.ts";
import { labDirectories, projectDirectory } from "../../lab/directories.ts";
import { type LabObjectStore, startObjectStore } from "../../lab/objectstore/index.ts";
import { readCostDocuments } from "../../ops/cost/cost-document.ts";
import { LabelledAccount, type LabelledCluster, labelsOf } from "./labelled-account.ts";

const directory = mkdtempSync(path.join(tmpdir(), "leaks-check-"));
let store: LabObjectStore;
let account: LabelledAccount;
let round = 0;
before(async () => {
  store = await startObjectStore({
    directory: path.join(directory, "s3"),
    cacheDirectory: labDirectories.cache,
  });
});
after(async () => {
  await store.stop();
  rmSync(directory, { recursive: true, force: true });
});
beforeEach(async () => {
  round += 1;
  account = await LabelledAccount.start(store);
});
afterEach(() => account.stop());

const hour = 3_600_000;
const inHours = (hours: number): Date => new Date(Date.now() + hours * hour);

function cluster(name: string, changes: Partial<LabelledCluster> = {}): LabelledCluster {
  const clusterId = `${name}${round}`.padEnd(22, "A");
  return { stack: "dev", businessDate: "2026-11-19", clusterId, expiresAt: inHours(-2), ...changes };
}

async function leaks(args: readonly string[], changes: Record<string, string> = {}) {
  const child = spawn(process.execPath, ["--import", "tsx", "ops/main.ts", "leaks", ...args], {
    cwd: projectDirectory,
    env: { PATH: process.env["PATH"], ...account.environment(), ...changes },
    timeout: 120_000,
  });
  let [out, err] = ["", ""];
  child.stdout.on("data", (data: Buffer) => (out += data.toString()));
  child.stderr.on("data", (data: Buffer) => (err += data.toString()));
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, out, err };
}

test("lists what outlived its expires-at and what never got one, with age and prices, and nothing else", async () => {
  await account.cluster(cluster("over"));
  await account.cluster(cluster("open", { expiresAt: inHours(2) }));
  await account.cluster(cluster("prod", { stack: "prod" }));
  const nothing = cluster("none", { expiresAt: undefined });
  await account.server(labelsOf(nothing, "kafka"));
  await account.server({ project: "website", role: "k3s-control", stack: "dev" });
  const before = account.names();

  const { code, out } = await leaks(["--stack", "dev", "--json"]);
  assert.equal(code, 1);
  const { leaks: found } = JSON.parse(out) as {
    leaks: {
      name: string;
      held: string;
      expiresAt: string | null;
      pricePerHour: string;
      costSoFar: string;
      resources: { kind: string; pricePerHour: string | null }[];
    }[];
  };
  const [over, never] = found.sort((a, b) => (a.name > b.name ? -1 : 1));
  assert.equal(found.length, 2);
  assert.match(over?.name ?? "", /^dev\/2026-11-19\/over/);
  assert.equal(over?.held, "never");
  assert.ok(Math.abs(Date.parse(over?.expiresAt ?? "") - inHours(-2).getTime()) < 300_000);
  assert.ok(Number(over?.pricePerHour) > 0);
  assert.equal(over?.costSoFar, over?.pricePerHour, "one started hour");
  const sum = (over?.resources ?? []).reduce((total, { pricePerHour }) => total + Number(pricePerHour), 0);
  assert.ok(Math.abs(sum - Number(over?.pricePerHour)) < 1e-9);
  assert.equal(never?.expiresAt, null);
  assert.match(never?.name ?? "", /none/);

  const all = await leaks(["--all-stacks"]);
  assert.equal(all.code, 1);
  assert.match(all.out, /dev\/2026-11-19\/over.*never held data.*2 h \d min ago/);
  assert.match(all.out, /prod\/2026-11-19\/prod/);
  assert.match(all.out, /never got one/);
  assert.match(all.out, /costs 0\.\d+ EUR per started hour/);
  assert.doesNotMatch(all.out, /open\d|other-/);
  assert.deepEqual(account.names(), before, "it only looks");
});

test("without a bucket it lists all the same and says what it does not know; it removes nothing", async () => {
  await account.cluster(cluster("over"));
  const before = account.names();
  const { code, out, err } = await leaks(["--all-stacks"], { S3_ACCESS_KEY_ID: "" });
  assert.equal(code, 1);
  assert.match(out, /over.*not known/);
  assert.match(err, /S3_ACCESS_KEY_ID: is missing/);
  assert.equal((await leaks(["--stack", "dev", "--destroy"], { S3_ACCESS_KEY_ID: "" })).code, 2);
  assert.deepEqual(account.names(), before);
});

test("a cluster whose archive is in another bucket is not taken for one that never held data", async () => {
  const { endpoint } = store;
  const own = cluster("own", { archive: archiveMark({ endpoint, bucket: store.bucket }) });
  const strange = cluster("strange", { archive: archiveMark({ endpoint, bucket: "another-bucket" }) });
  for (const each of [own, strange]) await account.cluster(each);
  const listed = await leaks(["--stack", "dev"]);
  assert.match(listed.out, /strange\d+A+.*not known/);
  const { code, out, err } = await leaks(["--stack", "dev", "--destroy"]);
  assert.equal(code, 3, err);
  assert.match(out, /removed what was left of dev\/2026-11-19\/own\d+A+ \(never-opened\)/);
  assert.match(err, /The archive of dev\/2026-11-19\/strange\d+A+ is not in the bucket/);
  assert.equal(account.names().filter((name) => name.includes("strang")).length, 3);
});

test("destroys what never held data and what is sealed; an unsealed cluster stays, with its price and the command", async () => {
  const [never, sealed, unsealed] = [cluster("never"), cluster("sealed"), cluster("unsealed")];
  for (const each of [never, sealed, unsealed]) await account.cluster(each);
  const young = cluster("young", { expiresAt: undefined });
  await account.server(labelsOf(young, "kafka"));
  await account.cluster(cluster("open", { expiresAt: inHours(2) }));
  await account.server({ project: "website", role: "web", "cluster-id": "website" });
  const manifest = await writeSealedArchive(account.archive(sealed), { records: [] });
  await writeOpened(account.archive(unsealed));

  const [{ code, out, err }] = await Promise.all([
    leaks(["--stack", "dev", "--destroy"]),
    account.answerSeal(sealed, manifest),
  ]);
  assert.equal(code, 3, err);
  assert.match(out, /removed what was left of dev\/2026-11-19\/never\d+A+ \(never-opened\)/);
  assert.match(out, /removed what was left of dev\/2026-11-19\/sealed\d+A+ \(sealed\)/);
  assert.match(
    err,
    /unsealed\d+A+ was opened and is not sealed[^]*trading -- close --stack dev[^]*costs 0\.\d+ EUR[^]*server dev-unseal-k3s-control/,
  );
  assert.match(err, /young\d+A+ has no expires-at and is less than a day old/);
  const stays = account.names();
  const of = (name: string): number => stays.filter((other) => other.includes(name)).length;
  assert.deepEqual([of("never"), of("sealed") - of("unsealed"), of("unseal")], [0, 0, 3]);
  assert.deepEqual([of("young"), of("open"), of("websit")], [1, 3, 1]);
  const { documents: costs } = await readCostDocuments(account.archive(never).store, "dev", () => true);
  const ended = (id: string) =>
    costs.find(({ clusterId }) => clusterId === id)?.servers.map(({ goneAt }) => goneAt !== null);
  assert.deepEqual(
    [ended(never.clusterId), ended(unsealed.clusterId)],
    [
      [true, true],
      [false, false],
    ],
  );

  const lost = await leaks(["--stack", "dev", "--destroy", "--json"], {
    TRADING_ALLOW_DATA_LOSS: `dev/${unsealed.clusterId}`,
  });
  assert.equal(lost.code, 3, "the young one stays");
  const { cleared } = JSON.parse(lost.out) as { cleared: { release: string }[] };
  assert.deepEqual(
    cleared.map(({ release }) => release),
    ["data-loss-allowed"],
  );
  assert.equal(account.names().filter((name) => name.includes("unseal")).length, 0);
});

test("what cannot be removed is named, and the rest goes; the next run ends it", async () => {
  const [one, other] = [cluster("one"), cluster("two")];
  for (const each of [one, other]) await account.cluster(each);
  const { project, faults } = account.client.hetzner;
  const stuck = project.servers().find(({ name }) => name.includes("one") && name.endsWith("kafka"));
  const [rule = ""] = faults.add({
    rules: [
      {
        at: "request",
        method: "DELETE",
        path: `/servers/${stuck?.id}`,
        effect: { kind: "error", code: "protected", message: "it is protected" },
      },
    ],
  });
  const { code, err } = await leaks(["--stack", "dev", "--destroy"]);
  assert.equal(code, 1, err);
  assert.match(err, new RegExp(`${stuck?.name}.*protected`));
  assert.deepEqual(
    project.servers().map(({ name }) => name),
    [stuck?.name],
  );
  faults.remove(rule);
  const { code: again, out } = await leaks(["--stack", "dev", "--destroy"]);
  assert.equal(again, 0, out);
  assert.deepEqual(account.names(), []);
  assert.deepEqual(
    [(await leaks(["--stack", "dev"])).code, (await leaks(["--stack", "dev"])).out],
    [0, "nothing outlived its expires-at\n"],
  );
});

test("it has to be said where to look", async () => {
  assert.equal((await leaks([])).code, 2);
  assert.equal((await leaks(["--stack", "dev", "--all-stacks"])).code, 2);
});
