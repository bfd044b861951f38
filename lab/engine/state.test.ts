import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { startTime } from "../processes.ts";
import { StateFormatError, StateLockedError, WrongPassphraseError } from "./errors.ts";
import { lockState } from "./state-lock.ts";
import { StateFile } from "./state-file.ts";
import { type ResourceRecord, StateStore } from "./state.ts";

let directory = "";
before(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), "engine-state-"));
});
after(async () => rm(directory, { recursive: true, force: true }));

const identity = { project: "p", stack: "s" };

function record(name: string): ResourceRecord {
  return {
    urn: `urn:${name}`,
    type: "a:b:C",
    name,
    custom: true,
    id: name,
    inputs: {},
    outputs: { value: "unmarked-but-private" },
    dependencies: [],
    propertyDependencies: {},
  };
}

test("state comes back as it was saved, encrypted as a whole, however many save at once", async () => {
  const file = path.join(directory, "state.json");
  const store = await StateStore.open(new StateFile(file), identity, "right");
  await Promise.all(
    Array.from({ length: 50 }, async (_, index) => {
      store.state.resources.push(record(`r${index}`));
      await store.save();
      // Each save includes its own change.
      const written = await StateStore.open(new StateFile(file), identity, "right");
      assert.ok(written.state.resources.some(({ name }) => name === `r${index}`));
    }),
  );
  const again = await StateStore.open(new StateFile(file), identity, "right");
  assert.deepEqual(again.state, store.state);
  const text = await readFile(file, "utf8");
  assert.ok(!text.includes("unmarked-but-private") && !text.includes("r17"));
  assert.match(text, /"stack": "s"/);
  assert.deepEqual(
    (await readdir(directory)).filter((name) => name.endsWith(".tmp")),
    [],
  );

  await assert.rejects(StateStore.open(new StateFile(file), identity, "wrong"), WrongPassphraseError);
  await assert.rejects(
    StateStore.open(new StateFile(file), { project: "p", stack: "other" }, "right"),
    /p\/s, not of p\/other/,
  );
  await writeFile(
    file,
    text.replace(/"sealed": ".{8}/, (start) => `${start.slice(0, -4)}AAAA`),
  );
  await assert.rejects(StateStore.open(new StateFile(file), identity, "right"), WrongPassphraseError);
  await writeFile(file, "{}");
  await assert.rejects(StateStore.open(new StateFile(file), identity, "right"), StateFormatError);
  await writeFile(file, "not json");
  await assert.rejects(StateStore.open(new StateFile(file), identity, "right"), StateFormatError);
});

test("a lock keeps others out until it is released", async () => {
  const file = path.join(directory, "locked.json");
  const lock = await lockState(file);
  await assert.rejects(
    lockState(file),
    (error: unknown) => error instanceof StateLockedError && error.pid === process.pid,
  );
  await lock.release();
  await (await lockState(file)).release();
});

test("the lock of a dead or a different process is broken, by one only; a live one is not", async () => {
  const file = path.join(directory, "stale.json");
  const child = spawn(process.execPath, ["-e", "setInterval(() => 0, 1000)"], { stdio: "ignore" });
  const pid = child.pid ?? 0;
  const boot = (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
  const owner = { id: "00000000-0000-4000-8000-000000000000", pid, startTime: startTime(pid), boot };
  try {
    await writeFile(`${file}.lock`, JSON.stringify(owner));
    await assert.rejects(lockState(file), StateLockedError);
    // The same pid with another start time is another process.
    await writeFile(`${file}.lock`, JSON.stringify({ ...owner, startTime: "1" }));
    await (await lockState(file)).release();
  } finally {
    child.kill("SIGKILL");
    await new Promise((resolve) => child.once("exit", resolve));
  }
  await writeFile(`${file}.lock`, JSON.stringify(owner));
  const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => lockState(file)));
  const taken = outcomes.filter((outcome) => outcome.status === "fulfilled");
  assert.equal(taken.length, 1);
  for (const outcome of outcomes) {
    if (outcome.status === "rejected")
      assert.ok(outcome.reason instanceof StateLockedError, String(outcome.reason));
  }
  await taken[0]?.value.release();
  await writeFile(`${file}.lock`, "half a lo");
  await (await lockState(file)).release();
  assert.deepEqual(
    (await readdir(directory)).filter((name) => name.startsWith("stale")),
    [],
  );
});
