import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { ProcessRegistry, startTime } from "./processes.ts";

const directory = mkdtempSync(path.join(tmpdir(), "lab-processes-"));
after(() => rmSync(directory, { recursive: true, force: true }));

test("a stopped process is gone and no longer recorded", async () => {
  const registry = new ProcessRegistry(path.join(directory, "stopped"));
  const running = await registry.start("sleeper", "sleep", ["60"]);
  assert.notEqual(startTime(running.pid), undefined);
  await registry.stopAll();
  assert.equal(startTime(running.pid), undefined);
  assert.deepEqual(readdirSync(path.join(directory, "stopped")), []);
});

test("a process that ignores SIGTERM is killed after the grace time", async () => {
  const registry = new ProcessRegistry(path.join(directory, "stubborn"));
  const running = await registry.start("stubborn", "sh", ["-c", "trap '' TERM; echo ready; sleep 60"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  assert.ok(running.child.stdout);
  await once(running.child.stdout, "data");
  await running.stop(50);
  assert.equal(running.child.signalCode, "SIGKILL");
});

test("a command that does not exist is named in the error", async () => {
  const registry = new ProcessRegistry(path.join(directory, "absent"));
  await assert.rejects(
    registry.start("broker", "no-such-command", []),
    /broker: cannot start no-such-command/,
  );
});

test("leftovers of a killed owner are ended, those of a living owner are not", async () => {
  const records = path.join(directory, "leftovers");
  const owner = spawn(
    process.execPath,
    [
      "--import",
      "tsx",
      "--input-type=module",
      "-e",
      `import { ProcessRegistry } from ${JSON.stringify(new URL("./processes.ts", import.meta.url).href)};
       const child = await new ProcessRegistry(${JSON.stringify(records)}).start("orphan", "sleep", ["60"]);
       console.log(child.pid);
       setInterval(() => {}, 1000);`,
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const [line] = (await once(owner.stdout, "data")) as [Buffer];
  const orphan = Number(line.toString());
  const registry = new ProcessRegistry(records);
  assert.deepEqual(await registry.endLeftovers(), []);
  assert.notEqual(startTime(orphan), undefined);
  owner.kill("SIGKILL");
  await once(owner, "exit");
  assert.deepEqual(await registry.endLeftovers(), ["orphan"]);
  assert.deepEqual(readdirSync(records), []);
});
