/** A day of the lab whose Kubernetes objects a real control plane takes, as a person starts it. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import type { DaySummary } from "../../lab/day/summary.ts";
import { projectDirectory } from "../../lab/directories.ts";
import { whySkipped } from "./world.ts";

const skip = await whySkipped();
/** Three brokers, ten services and a Kubernetes on two busy processors. */
const deadlineMs = 600_000;

test("npm start -- --kubernetes real", { skip, timeout: deadlineMs + 30_000 }, async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), "cluster-day-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const day = ["lab/day.ts", "--json", "--kubernetes", "real", "--events", "500"];
  // SIGTERM lets a day that is late close by itself.
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ["--import", "tsx", ...day], {
    cwd: projectDirectory,
    env: { ...process.env, LAB_DIRECTORY: directory },
    timeout: deadlineMs,
    maxBuffer: 64 * 1024 * 1024,
  });
  const summary = JSON.parse(stdout) as DaySummary;
  assert.equal(summary.ok, true, stderr);
  assert.equal(summary.events.ingested, 500);
  assert.ok(summary.events.commands > 0 && summary.events.commands === summary.events.results);
  assert.match(stderr, /Kubernetes v[\d.]+ has taken \d+ objects and placed \d+ pods/);
  assert.deepEqual(readdirSync(path.join(directory, "processes")), [], "nothing runs any more");
});
