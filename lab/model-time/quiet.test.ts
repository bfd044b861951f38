import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import test from "node:test";
import { until } from "../../test/until.ts";
import { NeverQuietError, QuietWatch } from "./quiet.ts";

test("a child that was started just after the watch is seen to work, by its name, and then to wait", async () => {
  const directory = mkdtempSync(path.join(tmpdir(), "quiet-"));
  const rest = path.join(directory, "rest");
  const watch = new QuietWatch();
  const program = `while (!require("fs").existsSync(${JSON.stringify(rest)})); process.stdin.resume();`;
  const child = spawn(process.execPath, ["-e", program], { stdio: ["pipe", "ignore", "inherit"] });
  const gone = once(child, "exit");
  try {
    // On a busy machine this process itself may be what was seen most; not again and again.
    const named = new RegExp(`of process ${child.pid}, state R`);
    await until("the child is named", async () => {
      const error = await watch.quiet(500).then(
        () => assert.fail("it was quiet, though the child works"),
        (reason: unknown) => reason,
      );
      assert.ok(error instanceof NeverQuietError);
      return named.test(error.message);
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
