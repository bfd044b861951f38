import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import test from "node:test";
import { NeverQuietError, QuietWatch } from "./quiet.ts";

test("a child that was started just after the watch is seen to work, by its name, and then to wait", async () => {
  const directory = mkdtempSync(path.join(tmpdir(), "quiet-"));
  const rest = path.join(directory, "rest");
  const watch = new QuietWatch();
  const program = `while (!require("fs").existsSync(${JSON.stringify(rest)})); process.stdin.resume();`;
  const child = spawn(process.execPath, ["-e", program], { stdio: ["pipe", "ignore", "inherit"] });
  const gone = once(child, "exit");
  try {
    await assert.rejects(watch.quiet(500), (error: unknown) => {
      assert.ok(error instanceof NeverQuietError);
      assert.match(error.message, new RegExp(`of process ${child.pid}, state R`));
      return true;
    });
    writeFileSync(rest, "");
    await watch.quiet();
    assert.equal(child.exitCode, null, "it waits for its input");
  } finally {
    child.kill("SIGKILL");
    await gone;
    await watch.close();
    rmSync(directory, { recursive: true });
  }
});
