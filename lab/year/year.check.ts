/**
 * The simulated year: a slice with the hard days of autumn (summer time ends in Europe on 25 October and in America on
 * 1 November, Thanksgiving, the half day behind it) and dense faults holds; without a safeguard it does not.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const root = mkdtempSync(path.join(tmpdir(), "year-check-"));
after(() => rmSync(root, { recursive: true, force: true }));

function start(seed: number, options: readonly string[]) {
  const main = fileURLToPath(new URL("main.ts", import.meta.url));
  const child = spawn(process.execPath, ["--import", "tsx", main, "--seed", String(seed), ...options], {
    env: { ...process.env, LAB_DIRECTORY: root },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => {
    said += chunk.toString();
    process.stderr.write(chunk);
  });
  const ended = once(child, "close").then(([code]) => ({
    code: code as number | null,
    lastLine: said.trimEnd().split("\n").at(-1) ?? "",
  }));
  return { child, ended, said: () => said };
}

const play = (seed: number, options: string): ReturnType<typeof start>["ended"] =>
  start(seed, options.split(" ")).ended;

interface Evidence {
  findings: { kind: string; date: string }[];
}
const evidence = (seed: number): Evidence =>
  JSON.parse(readFileSync(path.join(root, "year", String(seed), "evidence.json"), "utf8")) as Evidence;

const { YEAR_SEED: seed = "10", YEAR_DAYS: days = "45" } = process.env;

test(`${days} days of autumn with dense faults: every promise holds`, { timeout: 3_000_000 }, async () => {
  const { code, lastLine } = await play(
    Number(seed),
    `--from 2026-10-19 --days ${days} --faults dense --lanes 2`,
  );
  assert.match(
    lastLine,
    /^year: ok days=\d+ opened=\d+ unsealed_removed=0 leaked=0 cost_over_ideal=\d+\.\d%$/,
  );
  assert.equal(code, 0);
  const page = readFileSync(path.join(root, "year", seed, "report.html"), "utf8");
  assert.match(page, /<svg[^]*2026-10-26/);
});

test("without a guard, a day whose close never starts leaks", { timeout: 600_000 }, async () => {
  const { code, lastLine } = await play(
    77,
    "--from 2026-10-20 --days 1 --faults dense --lanes 1 --mutate no-guard",
  );
  assert.match(lastLine, /^year: failed days=1 .* leaked=1 /);
  assert.equal(code, 1);
  assert.deepEqual(
    evidence(77).findings.map(({ kind, date }) => `${kind} ${date}`),
    ["leaked 2026-10-20"],
  );
});

test("a close that does not wait for the seal is found", { timeout: 600_000 }, async () => {
  const { code, lastLine } = await play(
    2,
    "--from 2026-10-20 --days 1 --lanes 1 --mutate close-without-seal",
  );
  assert.match(lastLine, /^year: failed days=1 opened=1 unsealed_removed=1 /);
  assert.equal(code, 1);
});

test("Ctrl-C in the middle of a day leaves no process and no lock", { timeout: 600_000 }, async () => {
  const { child, ended, said } = start(3, ["--from", "2026-10-20", "--days", "3", "--lanes", "1"]);
  while (!said().includes("2026-10-20: ")) {
    assert.equal(child.exitCode, null, "it still runs");
    await delay(100);
  }
  child.kill("SIGINT");
  const { code, lastLine } = await ended;
  assert.equal(code, 130);
  assert.match(lastLine, /^year: failed interrupted/);
  const folder = path.join(root, "year");
  assert.ok(!existsSync(path.join(folder, "3.lock")), "no lock");
  const processes = path.join(folder, "3.processes");
  assert.deepEqual(existsSync(processes) ? readdirSync(processes) : [], [], "no process");
});
