import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { acquireLock } from "./lock.ts";
import { startTime } from "./processes.ts";

const directory = mkdtempSync(path.join(tmpdir(), "lab-lock-"));
after(() => rmSync(directory, { recursive: true, force: true }));

test("a second holder is refused with exit code 3 and the pid, until the first releases", () => {
  const file = path.join(directory, "day.lock");
  const release = acquireLock(file, "Another day runs in this clone");
  assert.throws(
    () => acquireLock(file, "Another day runs in this clone"),
    (error: Error & { exitCode?: number }) =>
      error.exitCode === 3 && error.message.includes(`process ${process.pid}`),
  );
  release();
  release();
  assert.equal(existsSync(file), false);
  acquireLock(file, "Another day runs in this clone")();
});

test("the lock of a process that is gone, or whose pid now belongs to another, is taken over", () => {
  const file = path.join(directory, "stale.lock");
  for (const holder of [`${process.pid} 1`, "999999999 77", "", `1 ${startTime(1) ?? ""}9`]) {
    writeFileSync(file, holder);
    acquireLock(file, "Another day runs in this clone")();
  }
});
