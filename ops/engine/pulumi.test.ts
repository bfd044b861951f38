/** The engine with a stand-in for the Pulumi CLI: a script that keeps a lock and a state as the file backend does. */
import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { spawnSync } from "node:child_process";
import { hostname, tmpdir } from "node:os";
import path from "node:path";
import { after, beforeEach, test } from "node:test";
import { pathToFileURL } from "node:url";
import { inspect } from "node:util";
import { openPulumi } from "./pulumi.ts";
import { StackEngineError, StackLockedError } from "./stack-engine.ts";

const directory = mkdtempSync(path.join(tmpdir(), "pulumi-engine-test-"));
const [state, lock, log] = ["state.json", "lock.json", "log"].map((name) => path.join(directory, name)) as [
  string,
  string,
  string,
];
const searched = process.env["PATH"];
after(() => {
  process.env["PATH"] = searched;
  rmSync(directory, { recursive: true, force: true });
});

/** SIMULATED: knows the commands that opening and settling a stack need, and refuses what changes a locked stack. */
const cli = `#!/bin/sh
cd '${directory}'
echo "$* $PULUMI_K8S_DELETE_UNREACHABLE" >> log
case "$1 $2" in
  refresh*|destroy*|"stack import")
    if [ -e lock.json ]; then
      echo "error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or delete the lock file with \\\`pulumi cancel\\\`." >&2
      echo "  ${pathToFileURL(lock).href}?no_tmp_dir=true: created by root@${hostname()} (pid $(cat lock.json)) at 2026-01-05T10:00:00Z" >&2
      exit 255
    fi ;;
esac
case "$1 $2" in
  version*) echo v3.248.0 ;;
  "stack export")
    cat state.json
    if [ -e broken ]; then echo "error: it broke" >&2; exit 255; fi ;;
  "stack import") cat > state.json ;;
  whoami*) [ -e offline ] && { echo "error: no route" >&2; exit 255; }; echo '{"user":"root","url":"file://state"}' ;;
  "stack history") echo "[]" ;;
  "stack output")
    if [ -e broken ]; then cat state.json; echo "error: it broke" >&2; exit 255; fi
    echo "{}" ;;
esac
`;

const urn = "urn:pulumi:dev::trading::pulumi:pulumi:Stack::trading-dev";
const pending = { type: "creating", resource: { urn: "urn:x::nodes-kafka-0", type: "t" } };
beforeEach(() => {
  mkdirSync(path.join(directory, "bin"), { recursive: true });
  const file = path.join(directory, "bin", "pulumi");
  writeFileSync(file, cli);
  chmodSync(file, 0o755);
  process.env["PATH"] = `${path.dirname(file)}${path.delimiter}${searched ?? ""}`;
  const resources = [{ urn, type: "pulumi:pulumi:Stack" }];
  writeFileSync(
    state,
    JSON.stringify({ version: 3, deployment: { resources, pending_operations: [pending] } }),
  );
  for (const file of [lock, log, ...["broken", "offline"].map((name) => path.join(directory, name))])
    rmSync(file, { force: true });
});

const open = async (lockWaitMs = 300) => {
  writeFileSync(path.join(directory, "Pulumi.yaml"), "name: trading\nruntime: nodejs\n");
  const environment = { PATH: process.env["PATH"] };
  const engine = await openPulumi({ stack: "dev", projectDirectory: directory, environment }, { lockWaitMs });
  assert.ok(engine);
  return engine;
};
const pendingNow = (): unknown =>
  (JSON.parse(readFileSync(state, "utf8")) as { deployment: { pending_operations?: unknown } }).deployment
    .pending_operations;

test("a dead run's lock goes, also where it left nothing pending", { timeout: 60_000 }, async () => {
  const engine = await open();
  const dead = spawnSync(process.execPath, ["-e", ""]).pid;
  writeFileSync(lock, String(dead));
  await engine.settle();
  assert.deepEqual([existsSync(lock), pendingNow()], [false, undefined]);
  writeFileSync(lock, String(dead));
  await engine.settle();
  assert.equal(existsSync(lock), false);
});

test("a dead run's lock goes however long the command took that met it", { timeout: 60_000 }, async () => {
  const engine = await open(0);
  writeFileSync(lock, String(spawnSync(process.execPath, ["-e", ""]).pid));
  await engine.settle();
  assert.equal(existsSync(lock), false);
});

test(
  "another machine's run that is under way is waited for, then told, and nothing is changed",
  { timeout: 60_000 },
  async () => {
    const file = path.join(directory, "bin", "pulumi");
    writeFileSync(
      file,
      cli
        .replace(`root@${hostname()}`, "root@another")
        .replace("2026-01-05T10:00:00Z", new Date().toISOString()),
    );
    const engine = await open();
    writeFileSync(lock, "1");
    await assert.rejects(engine.settle(), StackLockedError);
    assert.deepEqual([existsSync(lock), pendingNow()], [true, [pending]]);
  },
);

test(
  "objects are forgotten in the destroy that says so, and in no later one",
  { timeout: 60_000 },
  async () => {
    const engine = await open();
    const { signal } = new AbortController();
    await engine.destroy({ signal, forgetKubernetes: true });
    await engine.destroy({ signal });
    const destroys = readFileSync(log, "utf8")
      .split("\n")
      .filter((line) => line.startsWith("destroy"));
    assert.deepEqual(
      destroys.map((line) => line.endsWith(" true")),
      [true, false],
    );
  },
);

const secret = "made-up-token-7f3a";

/** A failed command's error, with all that hangs on it, holds no secret. */
const demandNoSecret = (error: unknown): true => {
  assert.ok(error instanceof StackEngineError);
  assert.match(error.message, /it broke|currently locked/);
  assert.doesNotMatch(inspect(error, { depth: Infinity, showHidden: true }), new RegExp(secret));
  return true;
};

test(
  "a state's secrets are asked for encrypted, and never stand in a file beside it, nor in a message",
  { timeout: 60_000 },
  async () => {
    const scratch = path.join(directory, "tmp");
    mkdirSync(scratch);
    const former = process.env["TMPDIR"];
    process.env["TMPDIR"] = scratch;
    try {
      // Locked by another machine's run from the import on, after it was read with creations pending.
      const file = path.join(directory, "bin", "pulumi");
      const refused = cli
        .replace("refresh*|destroy*|", "")
        .replace(`root@${hostname()}`, "root@another")
        .replace("2026-01-05T10:00:00Z", new Date().toISOString());
      writeFileSync(file, refused);
      const deployment = {
        resources: [{ urn, type: "t", inputs: { secret } }],
        pending_operations: [pending],
      };
      writeFileSync(state, JSON.stringify({ version: 3, deployment }));
      writeFileSync(lock, "1");
      const engine = await open();
      await assert.rejects(engine.settle(), demandNoSecret);
      assert.deepEqual(readdirSync(scratch), [], "a refused import leaves nothing");
      rmSync(lock);
      await engine.settle();
      assert.equal(pendingNow(), undefined);
      assert.deepEqual(readdirSync(scratch), []);
      assert.doesNotMatch(readFileSync(log, "utf8"), /stack export.*--show-secrets|made-up-token/);
      writeFileSync(path.join(directory, "broken"), "");
      await assert.rejects(engine.state(), demandNoSecret);
      await assert.rejects(engine.outputs(), demandNoSecret);
    } finally {
      if (former === undefined) delete process.env["TMPDIR"];
      else process.env["TMPDIR"] = former;
    }
  },
);

test("a backend that cannot be asked is not taken for one without a lease", { timeout: 60_000 }, async () => {
  const engine = await open();
  writeFileSync(path.join(directory, "offline"), "");
  await assert.rejects(engine.settle(), /`pulumi whoami` failed: no route/);
  assert.equal(pendingNow() === undefined, false);
});

test("a CLI that is too old is refused", { timeout: 60_000 }, async () => {
  writeFileSync(path.join(directory, "bin", "pulumi"), cli.replace("v3.248.0", "v3.247.9"));
  await assert.rejects(open(), /is 3\.247\.9\. 3\.248\.0 or newer is needed/);
});
