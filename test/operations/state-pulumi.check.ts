/**
 * Locks of the real Pulumi CLI in a real bucket: those of a dead run are told from those of a living one. Skipped where the
 * CLI is not on PATH; it needs no plugin.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, watch } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { inspect } from "node:util";
import { after, before, test } from "node:test";
import { createProject, type TestProject } from "../../lab/engine/testing/project.ts";
import type { LabObjectStore } from "../../lab/objectstore/index.ts";
import { isPulumiOnPath, openPulumi } from "../../ops/engine/pulumi.ts";
import { bucketBackendOf, leaseKey, locksPrefix } from "../../ops/engine/pulumi-backend.ts";
import { type FoundLease, readLease } from "../../ops/engine/lease.ts";
import { runPulumi } from "../../ops/engine/pulumi-command.ts";
import { StackLockedError } from "../../ops/engine/stack-engine.ts";
import { openStateBucket, type StateBucket } from "../../ops/engine/state-bucket.ts";
import { startBucket } from "../infrastructure/world.ts";
import { until } from "../until.ts";
import { type WithoutEmptiedFolders, withoutEmptiedFolders } from "./emptied-folders.ts";
import type { PulumiRunOptions } from "./pulumi-run.ts";

const isThere = await isPulumiOnPath(process.env["PATH"] ?? "");
const options = { timeout: 300_000, skip: isThere ? false : "there is no Pulumi CLI on PATH" };
/** A loaded machine stops for seconds, and a run that does so for three quarters of this gives its lease up. */
const leaseMs = 20_000;

let store: LabObjectStore;
let bucket: WithoutEmptiedFolders;
let project: TestProject;
let shared: StateBucket;
let environment: NodeJS.ProcessEnv;
let locks = "";
let lease = "";
const home = mkdtempSync(path.join(tmpdir(), "state-pulumi-"));
const children = new Set<ChildProcess>();

before(async () => {
  if (!isThere) return;
  store = await startBucket();
  bucket = await withoutEmptiedFolders(store.endpoint);
  // A program that takes as long as it is let.
  project = createProject(`
    import { existsSync } from "node:fs";
    while (!existsSync("go")) await new Promise((resolve) => setTimeout(resolve, 50));
  `);
  const url = `s3://${store.bucket}/pulumi?endpoint=${bucket.endpoint}&region=${store.region}&s3ForcePathStyle=true`;
  environment = {
    ...process.env,
    PULUMI_BACKEND_URL: url,
    PULUMI_HOME: home,
    PULUMI_CONFIG_PASSPHRASE: "throwaway",
    PULUMI_SKIP_UPDATE_CHECK: "true",
    AWS_ACCESS_KEY_ID: store.accessKeyId,
    AWS_SECRET_ACCESS_KEY: store.secretAccessKey,
  };
  const backend = bucketBackendOf(url, environment);
  assert.ok(backend);
  shared = openStateBucket(backend.settings);
  locks = locksPrefix(backend, "test", "dev");
  lease = leaseKey(backend, "test", "dev");
  const init = spawn("pulumi", ["stack", "init", "dev", "--non-interactive"], {
    cwd: project.directory,
    env: environment,
    stdio: "ignore",
  });
  assert.deepEqual(await once(init, "exit"), [0, null]);
});
after(async () => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(home, { recursive: true, force: true });
  if (!isThere) return;
  shared.close();
  project.remove();
  bucket.close();
  await store.stop();
});

/** Begins an `up` and waits until Pulumi's lock is there and noted. */
async function start(): Promise<{ child: ChildProcess; lock: string }> {
  const given: PulumiRunOptions = { projectDirectory: project.directory, stack: "dev", leaseMs };
  const script = path.join(import.meta.dirname, "pulumi-run.ts");
  const child = spawn(process.execPath, ["--import", "tsx", script, JSON.stringify(given)], {
    env: environment,
    stdio: ["ignore", "ignore", "inherit"],
  });
  children.add(child);
  const lock = await until("the lock is noted", async () => {
    const { holder, notes } = (await readLease(shared, lease)) ?? ({} as Partial<FoundLease>);
    const noted = (notes?.["locks"] ?? []) as string[];
    return holder?.pid === child.pid ? noted[0] : undefined;
  });
  assert.deepEqual(await shared.list(locks), [lock]);
  return { child, lock };
}

async function engine(notes: string[] = []) {
  const opened = await openPulumi(
    { projectDirectory: project.directory, stack: "dev", environment, note: (line) => void notes.push(line) },
    { lockWaitMs: 500, leaseMs },
  );
  assert.ok(opened);
  return opened;
}

test("a living run's lock is respected, with a word whose it is; a killed one's goes", options, async () => {
  const { child } = await start();
  const notes: string[] = [];
  const other = await engine(notes);
  await assert.rejects(other.settle(), (error: unknown) => {
    assert.ok(error instanceof StackLockedError);
    assert.match(error.message, new RegExp(`held by \\S+ \\(process ${child.pid}, since \\S+\\)`));
    return true;
  });
  child.kill("SIGKILL");
  await other.settle();
  assert.deepEqual(await shared.list(locks), []);
  assert.match(
    notes.join("\n"),
    new RegExp(`lease of \\S+ \\(process ${child.pid}[^]*has run out[^]*broke the lock of a dead run`),
  );
});

test("a lock that no lease knows is respected for 12 hours", options, async () => {
  const write = async (since: Date): Promise<string> => {
    const key = `${locks}00000000-0000-4000-8000-000000000000.json`;
    await shared.remove(key);
    const content = { pid: 1, username: "somebody", hostname: "elsewhere", timestamp: since.toISOString() };
    await shared.put(key, JSON.stringify(content), "if-absent");
    return key;
  };
  const key = await write(new Date(Date.now() - 11 * 3_600_000));
  const other = await engine();
  await assert.rejects(
    other.settle(),
    (error: unknown) => error instanceof StackLockedError && error.message.includes("somebody@elsewhere"),
  );
  assert.deepEqual(await shared.list(locks), [key]);
  await write(new Date(Date.now() - 13 * 3_600_000));
  const notes: string[] = [];
  await (await engine(notes)).settle();
  assert.deepEqual(await shared.list(locks), []);
  assert.match(notes.join("\n"), /broke the lock of a dead run: somebody@elsewhere \(process 1\), since/);
});

test("a run that was frozen kills its Pulumi when it wakes up and its lease is gone", options, async () => {
  const { child, lock } = await start();
  const { pid } = JSON.parse((await shared.get(lock))?.text ?? "{}") as { pid: number };
  // As a machine is frozen: both.
  process.kill(pid, "SIGSTOP");
  child.kill("SIGSTOP");
  const ended = once(child, "exit");
  const other = await engine();
  await assert.rejects(other.settle(), StackLockedError, "its process is still on this machine");
  child.kill("SIGCONT");
  const [code] = (await ended) as [number];
  assert.equal(code, 1);
  await until("Pulumi is killed", () => {
    try {
      process.kill(pid, 0);
      return false;
    } catch {
      return true;
    }
  });
  await other.settle();
  assert.deepEqual(await shared.list(locks), []);
});

/** An output of the program. */
const secret = "made-up-token-52c1";

test("secrets of a state stay encrypted when its pending creations are forgotten", options, async () => {
  const scratch = path.join(home, "scratch");
  mkdirSync(scratch);
  const made = createProject(`export const token = pulumi.secret("${secret}"), open = "word";`);
  const run = (command: string[]): Promise<string> =>
    runPulumi([...command, "--stack", "dev"], { cwd: made.directory, environment });
  const former = process.env["TMPDIR"];
  const files: string[] = [];
  try {
    const opened = await openPulumi(
      { projectDirectory: made.directory, stack: "dev", environment },
      { lockWaitMs: 500, leaseMs },
    );
    assert.ok(opened);
    await opened.up({ signal: new AbortController().signal });
    assert.doesNotMatch(await run(["stack", "export"]), new RegExp(secret));
    // As a killed Pulumi leaves it; an import of its own would drop what is pending.
    const key = `${locks.replace(/locks\/.*$/, "")}stacks/test/dev.json`;
    const found = await shared.get(key);
    assert.ok(found);
    const checkpoint = JSON.parse(found.text) as {
      checkpoint: { latest: { resources: { urn: string }[]; pending_operations?: unknown } };
    };
    const { latest } = checkpoint.checkpoint;
    const [root] = latest.resources;
    assert.ok(root);
    const begun = { ...root, urn: `${root.urn}-child`, type: "random:index/randomId:RandomId", custom: true };
    latest.pending_operations = [{ resource: { ...begun, outputs: undefined }, type: "creating" }];
    await shared.put(key, JSON.stringify(checkpoint), { ifMatch: found.etag });
    assert.equal((await opened.state())?.pending.length, 1);

    process.env["TMPDIR"] = scratch;
    const watched = watch(scratch, (_event, name) => void files.push(name ?? ""));
    await opened.settle();
    watched.close();
    assert.equal((await opened.state())?.pending.length, 0);
    assert.deepEqual(
      files.filter((name) => name.startsWith("automation-")),
      [],
    );
    for (const entry of readdirSync(scratch, { recursive: true, withFileTypes: true }))
      if (entry.isFile())
        assert.doesNotMatch(
          readFileSync(path.join(entry.parentPath, entry.name), "utf8"),
          new RegExp(secret),
        );
    // It can still be opened.
    assert.deepEqual(await opened.outputs(), { token: secret, open: "word" });

    // Refused: the passphrase is another one.
    const wrong = await openPulumi({
      projectDirectory: made.directory,
      stack: "dev",
      environment: { ...environment, PULUMI_CONFIG_PASSPHRASE: "another" },
    });
    await assert.rejects(wrong?.outputs() ?? Promise.resolve(), (error: unknown) => {
      assert.match((error as Error).message, /incorrect passphrase/);
      assert.doesNotMatch(inspect(error, { depth: Infinity, showHidden: true }), new RegExp(secret));
      return true;
    });
  } finally {
    if (former === undefined) delete process.env["TMPDIR"];
    else process.env["TMPDIR"] = former;
    made.remove();
  }
});
