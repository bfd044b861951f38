/** A whole day with `profile: single-node`: real processes, one real broker, real S3. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { projectDirectory } from "../../lab/directories.ts";
import type { DaySummary } from "../../lab/day/summary.ts";

const deadlineMs = 240_000;

const directory = mkdtempSync(path.join(tmpdir(), "single-node-"));
after(() => rmSync(directory, { recursive: true, force: true }));

/** Runs a day to its end. @throws AssertionError when it has none within the deadline; it is then told to close. */
async function runDay(
  ...args: string[]
): Promise<{ code: number | null; said: string; summary: DaySummary }> {
  const child = spawn(process.execPath, ["--import", "tsx", "lab/day.ts", "--json", ...args], {
    cwd: projectDirectory,
    env: { ...process.env, LAB_DIRECTORY: directory },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const closed = once(child, "close");
  let [printed, said] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (printed += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const isLate = await Promise.race([closed.then(() => false), delay(deadlineMs, true, { ref: false })]);
  if (isLate) {
    child.kill("SIGTERM");
    await Promise.race([closed, delay(60_000, undefined, { ref: false })]);
    child.kill("SIGKILL");
  }
  assert.equal(isLate, false, `no end within ${deadlineMs / 1000} s:\n${said}`);
  assert.equal(printed.trimEnd().split("\n").length, 1, said);
  return { code: child.exitCode, said, summary: JSON.parse(printed) as DaySummary };
}

test("a day on a single node keeps every promise, with one server and one broker", async () => {
  const { code, said, summary } = await runDay(
    ...["--profile", "single-node", "--events", "300", "--rate", "300", "--seed", "7"],
  );
  assert.equal(code, 0, said);
  assert.equal(summary.ok, true);
  assert.equal(summary.profile, "single-node");
  for (const { promise, held, detail } of summary.promises) assert.ok(held, `${promise}: ${detail}`);
  assert.equal(summary.events.ingested, 300);
  assert.ok(summary.events.commands > 0 && summary.events.commands === summary.events.results);
  assert.deepEqual([summary.lost, summary.duplicates, summary.billable_left], [0, 0, 0]);
  assert.equal(summary.archive.verified, true);
  assert.equal(summary.resources.deleted, summary.resources.created);
  const ports = summary.promises.find(({ promise }) => promise.includes("listens to the internet"));
  assert.equal(ports?.detail, "1 server looked at");
  assert.match(said, /Bringing up the dev stack \(single-node\)/);
});

test("three brokers have no place on a single node: that is wrong usage, before anything starts", async () => {
  const { code, summary } = await runDay("--profile", "single-node", "--brokers", "3");
  assert.equal(code, 2);
  assert.match(summary.error ?? "", /^--brokers: found 3, expected 1/);
  assert.equal(summary.resources.created, 0);
});
