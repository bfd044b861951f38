import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";
import { isDead, locksIn, removeLock } from "./pulumi-locks.ts";

const directory = mkdtempSync(path.join(tmpdir(), "pulumi-locks-test-"));
after(() => rmSync(directory, { recursive: true, force: true }));

/** As Pulumi 3.248 says it. */
const message = (...locks: string[]): string =>
  `error: the stack is currently locked by ${locks.length} lock(s). Either wait for the other process(es) to end or delete ` +
  `the lock file with \`pulumi cancel\`.\n${locks.map((lock) => `  ${lock}`).join("\n")}\n`;

const since = "2026-01-05T10:00:00Z";
const lockOf = (url: string, host: string, pid: number) =>
  `${url}: created by root@${host} (pid ${pid}) at ${since}`;

test("the holders stand in the CLI's message; Pulumi Cloud names none", () => {
  const text = message(
    lockOf("s3://bucket/.pulumi/locks/a.json", "one", 7),
    lockOf("file:///b.json", "two", 8),
  );
  const at = new Date(since);
  assert.deepEqual(locksIn(text), [
    { url: "s3://bucket/.pulumi/locks/a.json", user: "root", host: "one", pid: 7, since: at },
    { url: "file:///b.json", user: "root", host: "two", pid: 8, since: at },
  ]);
  assert.deepEqual(locksIn("error: [409] Conflict: Another update is currently in progress."), []);
});

test("dead is who has ended on this machine, and elsewhere who began half a day ago", async () => {
  const ended = spawnSync(process.execPath, ["-e", ""]).pid;
  const [file, bucket] = ["file:///a.json", "s3://bucket/a.json"];
  const at = new Date(since);
  const judge = (url: string, host: string, pid: number, hours: number) =>
    isDead({ url, user: "root", host, pid, since: at }, new Date(at.getTime() + hours * 3_600_000));
  assert.equal(await judge(file, hostname(), ended, 0), true);
  assert.equal(await judge(file, "another", ended, 11), false);
  assert.equal(await judge(bucket, hostname(), ended, 11), false, "a runner's name is not unique");
  assert.equal(await judge(bucket, "another", ended, 13), true);

  const other = spawn("sleep", ["60"]);
  try {
    const pid = other.pid ?? 0;
    // By the kernel's name of it, which is the program file's: an id that a later process has.
    assert.equal(await judge(file, hostname(), pid, 13), existsSync(`/proc/${pid}/comm`));
  } finally {
    other.kill();
  }
});

test("a lock of a file backend goes by its own name, others are left to the CLI", async () => {
  const file = path.join(directory, "a b.json");
  writeFileSync(file, "{}");
  writeFileSync(`${file}.attrs`, "{}");
  const [lock] = locksIn(message(lockOf(`${pathToFileURL(file).href}?no_tmp_dir=true`, "one", 7)));
  assert.ok(lock);
  assert.equal(await removeLock(lock), true);
  assert.deepEqual([existsSync(file), existsSync(`${file}.attrs`)], [false, false]);
  assert.equal(await removeLock(lock), true, "somebody else was faster");
  assert.equal(await removeLock({ ...lock, url: "s3://bucket/a.json" }), false);
});
