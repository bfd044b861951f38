/** A part of the lab alone, as a person starts and ends it from a shell. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { projectDirectory } from "../lab/directories.ts";
import { until } from "./until.ts";

test("a part that is ended by its shell and by npm, twice at once, ends its own processes first", async (t) => {
  const directory = mkdtempSync(path.join(tmpdir(), "lab-part-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  // Detached: a process group of its own, which is what `kill %1` signals.
  const part = spawn("npm", ["run", "--silent", "lab", "--", "s3"], {
    cwd: projectDirectory,
    env: { ...process.env, LAB_DIRECTORY: directory },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  let said = "";
  for (const stream of [part.stdout, part.stderr])
    stream.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const closed = once(part, "close");
  await until("the part is up", () => said.includes('"endpoint"'), 120_000);
  assert.equal(readdirSync(path.join(directory, "processes")).length, 1);
  process.kill(-(part.pid ?? 0), "SIGTERM");
  await closed;
  assert.match(said, /SIGTERM: stopping s3/);
  assert.deepEqual(readdirSync(path.join(directory, "processes")), [], "its server has ended");
});
