/** Whole days, as a person starts them: real processes, real Kafka, real S3. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { projectDirectory } from "../lab/directories.ts";
import type { DaySummary } from "../lab/day/summary.ts";

const directory = mkdtempSync(path.join(tmpdir(), "lab-day-"));
const children = new Set<ChildProcess>();
after(async () => {
  // A day that a failed test left up closes by itself; killed hard, its brokers and services would stay.
  await Promise.all(
    [...children].map(async (child) => {
      child.kill("SIGTERM");
      await Promise.race([once(child, "close"), delay(120_000, undefined, { ref: false })]);
      child.kill("SIGKILL");
    }),
  );
  rmSync(directory, { recursive: true, force: true });
});

/** A day in a folder of its own; what it prints is collected. */
function startDay(labDirectory: string, ...args: string[]) {
  const child = spawn(process.execPath, ["--import", "tsx", "lab/day.ts", "--json", ...args], {
    cwd: projectDirectory,
    env: { ...process.env, LAB_DIRECTORY: labDirectory },
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.add(child);
  const day = { child, stdout: "", stderr: "" };
  child.stdout.on("data", (chunk: Buffer) => (day.stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (day.stderr += chunk.toString()));
  const exited = once(child, "close").then(([code]) => {
    children.delete(child);
    return code as number | null;
  });
  return { ...day, exited, said: () => day };
}

type StartedDay = ReturnType<typeof startDay>;

async function waitFor(
  day: StartedDay,
  what: string,
  condition: () => boolean,
  seconds = 120,
): Promise<void> {
  const deadline = Date.now() + seconds * 1_000;
  while (!condition()) {
    assert.equal(day.child.exitCode, null, `ended before ${what}:\n${day.said().stderr}`);
    assert.ok(Date.now() < deadline, `no ${what} within ${seconds} s:\n${day.said().stderr}`);
    await delay(50);
  }
}

function summaryOf(day: StartedDay): DaySummary {
  const lines = day.said().stdout.trimEnd().split("\n");
  assert.equal(lines.length, 1, "standard output is exactly one line");
  return JSON.parse(lines[0] ?? "") as DaySummary;
}

/** Nothing runs any more, and no credentials are left on disk. */
function assertNothingLeft(labDirectory: string): void {
  assert.deepEqual(readdirSync(path.join(labDirectory, "processes")), []);
  for (const name of ["rendered", "endpoints.json", "day.lock"])
    assert.equal(existsSync(path.join(labDirectory, name)), false, name);
}

test("Ctrl-C while the stack comes up leaves nothing", async () => {
  const lab = path.join(directory, "day");
  const day = startDay(lab, "--events", "20");
  await waitFor(day, "a server", () => day.said().stderr.includes("nodes-kafka-0"));
  day.child.kill("SIGINT");
  assert.equal(await day.exited, 130, day.said().stderr);
  const summary = summaryOf(day);
  assert.deepEqual([summary.ok, summary.billable_left], [false, 0]);
  assertNothingLeft(lab);
});

test("the day after an interrupted one ends with every promise held, its archive whole and nothing left", async () => {
  const lab = path.join(directory, "day");
  const day = startDay(lab, "--events", "300", "--rate", "300", "--seed", "7");
  const code = await day.exited;
  assert.equal(code, 0, day.said().stderr);
  const summary = summaryOf(day);
  assert.deepEqual(JSON.parse(readFileSync(path.join(lab, "summary.json"), "utf8")), summary);
  assert.equal(summary.ok, true);
  assert.equal(summary.events.ingested, 300);
  assert.ok(summary.events.commands > 0 && summary.events.commands === summary.events.results);
  assert.deepEqual(Object.keys(summary.venues).sort(), ["alpaca", "near-intents"]);
  for (const [venue, { commands, results }] of Object.entries(summary.venues)) {
    assert.ok(commands > 0, venue);
    assert.equal(
      Object.values(results).reduce((sum, count) => sum + count, 0),
      commands,
      venue,
    );
  }
  assert.equal(summary.dead_letters, 0);
  assert.ok(summary.trading_ready_seconds !== null && summary.trading_ready_seconds > 0);
  assert.match(
    day.said().stderr,
    /trading-ready\.json is in the bucket: \d+ canaries, alpaca's account recorded, the clock 0 ms off/,
  );
  assert.ok(summary.resources.created > 20 && summary.resources.created === summary.resources.deleted);
  assert.deepEqual([summary.billable_left, summary.duplicates, summary.lost], [0, 0, 0]);
  assert.equal(summary.archive.verified, true);
  const { ingested, normalized, commands, results } = summary.events;
  assert.ok(summary.archive.messages >= ingested + normalized + commands + results);
  assert.ok(summary.latency_ms.p50 !== null && summary.latency_ms.p99 !== null);
  assert.ok(summary.latency_ms.p50 >= 0 && summary.latency_ms.p99 >= summary.latency_ms.p50);
  assert.match(readFileSync(path.join(lab, "report.html"), "utf8"), /All promises held/);
  assertNothingLeft(lab);
});

test("a leftover server breaks the day, here on a single broker; a second day in the clone is refused meanwhile", async () => {
  const lab = path.join(directory, "leak");
  const day = startDay(lab, "--events", "20", "--brokers", "1", "--keep");
  await waitFor(day, "an open day", () => day.said().stderr.includes("stays up until Ctrl-C"));

  const second = startDay(lab);
  assert.equal(await second.exited, 3);
  assert.match(second.said().stderr, /Another day runs in this clone.*process \d+/);

  const { hetzner } = JSON.parse(readFileSync(path.join(lab, "endpoints.json"), "utf8")) as {
    hetzner: { endpoint: string; token: string };
  };
  const created = await fetch(`${hetzner.endpoint}/servers`, {
    method: "POST",
    headers: { Authorization: `Bearer ${hetzner.token}`, "Content-Type": "application/json" },
    body: JSON.stringify({
      name: "forgotten",
      server_type: "cpx22",
      image: "ubuntu-24.04",
      location: "fsn1",
    }),
  });
  assert.equal(created.status, 201, await created.text());

  day.child.kill("SIGINT");
  assert.equal(await day.exited, 1, day.said().stderr);
  const summary = summaryOf(day);
  assert.equal(summary.ok, false);
  assert.ok(summary.billable_left >= 1);
  assert.match(
    summary.promises.find(({ held }) => !held)?.detail ?? "",
    /forgotten.*EUR 0\.\d{4}\/h/,
    "what is left is named with its price",
  );
  assert.equal(summary.archive.verified, true);
  assertNothingLeft(lab);
});

test("wrong usage ends with 2 before anything starts", async () => {
  const lab = path.join(directory, "usage");
  const day = startDay(lab, "--events", "none");
  assert.equal(await day.exited, 2);
  assert.match(day.said().stderr, /--events: found "none"/);
  assert.equal(existsSync(lab), false);
});
