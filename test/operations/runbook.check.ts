/**
 * Every block of docs/runbook.md, run as it is written, in the trouble that its section is about: against the simulated
 * Hetzner API, a real S3 server and the lab's engine. What runs inside the cluster is simulated (lab/cluster-inside), except
 * for the Kafka that a day is restored into.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { parseDocument } from "yaml";
import { readStackFiles, render, writeFiles } from "../../components/render.ts";
import { projectDirectory } from "../../lab/directories.ts";
import type { LabObjectStore } from "../../lab/objectstore/index.ts";
import { InfrastructureWorld, startBucket, type WorldOptions } from "../infrastructure/world.ts";
import { until } from "../until.ts";
import { follow, sections } from "./runbook.ts";

const root = mkdtempSync(path.join(tmpdir(), "runbook-"));
const timeout = 600_000;
let store: LabObjectStore;
before(async () => {
  store = await startBucket();
});
after(async () => {
  await store.stop();
  rmSync(root, { recursive: true, force: true });
});

/** Section and block of everything that was run. */
const followed = new Set<string>();

/** A clone of this repository as a person has it, but for a schedule that has nothing open now. */
function makeClone(): string {
  const directory = mkdtempSync(path.join(root, "clone-"));
  for (const name of readdirSync(projectDirectory)) {
    if (name !== "Pulumi.dev.yaml" && name !== ".git" && name !== ".lab")
      symlinkSync(path.join(projectDirectory, name), path.join(directory, name));
  }
  mkdirSync(path.join(directory, ".lab"));
  const file = parseDocument(readFileSync(path.join(projectDirectory, "Pulumi.dev.yaml"), "utf8"));
  const inTwelveHours = new Date(Date.now() + 12 * 3_600_000).toISOString().slice(11, 16);
  file.setIn(["config", "trading:schedule"], { open: inTwelveHours, timeZone: "UTC" });
  writeFileSync(path.join(directory, "Pulumi.dev.yaml"), file.toString());
  return directory;
}

/** Brokers' types in all locations that the stack asks for. */
const soldOut = (availability: "sold-out" | "available") => {
  const places = { fsn1: availability, nbg1: availability, hel1: availability };
  return { cpx32: places, cx33: places };
};

/** Scenes share a bucket: each has a day of its own, later than those before it. */
let day = 10;

interface Scene {
  world: InfrastructureWorld;
  directory: string;
  /** Runs a block of the section. @returns what it printed */
  block: (index: number) => Promise<string>;
}

/** A stack and, in front of it, a person with the page. */
async function scene(
  title: string,
  options: Omit<WorldOptions, "store">,
  play: (scene: Scene) => Promise<void>,
): Promise<void> {
  const config = { "trading:businessDate": `2031-03-${String(day++)}` };
  const world = await InfrastructureWorld.start({ store, config, ...options });
  const directory = makeClone();
  const configFile = path.join(directory, ".lab", "dev.json");
  writeFileSync(configFile, JSON.stringify(world.configuration), { mode: 0o600 });
  const environment = {
    GATE_TIMEOUT_SECONDS: "5",
    HCLOUD_ENDPOINT: world.hetzner.endpoint,
    HCLOUD_TOKEN: world.hetzner.token,
    LAB_PASSPHRASE: world.passphrase,
    LAB_STACK_CONFIG: configFile,
    LAB_STATE_FILE: world.stateFile,
    S3_ACCESS_KEY_ID: store.accessKeyId,
    S3_BUCKET: store.bucket,
    S3_ENDPOINT: world.bucket.endpoint,
    S3_REGION: store.region,
    S3_SECRET_ACCESS_KEY: store.secretAccessKey,
    TRADING_ENGINE: path.join(projectDirectory, "lab/stack-engine.ts"),
  };
  try {
    await play({
      world,
      directory,
      block: (index) => {
        followed.add(`${title} ${index}`);
        return follow(title, index, { directory, environment });
      },
    });
  } finally {
    await world.stop();
  }
}

test("where to look first", { timeout }, () =>
  scene("", {}, async ({ block }) => {
    assert.match(await block(0), /trading day/);
  }),
);

test("nothing opens: no stock anywhere, and then there is some", { timeout }, () =>
  scene("Nothing opens", { stock: soldOut("sold-out") }, async ({ world, block }) => {
    assert.match(await block(0), /Nothing is possible now/);
    world.hetzner.changeStock(soldOut("available"));
    await block(1);
    await world.demandOneCluster();
  }),
);

test("the seal fails: first it passes, then the archiver is gone for good", { timeout }, () =>
  scene("The seal fails", {}, async ({ world, block }) => {
    await world.up();
    await world.opened();
    world.inside.conduct = "refuses";
    assert.match(await block(0), /told to refuse/);
    world.inside.conduct = "seals";
    await block(1);
    await world.demandEmpty();
    await world.up();
    await until("a second cluster is opened", () => world.inside.opened.length === 2);
    world.inside.conduct = "silent";
    await block(2);
    await world.demandEmpty();
  }),
);

test("the destroy fails: the network does not go at first", { timeout }, () =>
  scene("The destroy fails", {}, async ({ world, block }) => {
    await world.up();
    await world.opened();
    const [rule = ""] = world.hetzner.faults.add({
      rules: [
        {
          at: "request",
          method: "DELETE",
          path: "/networks/{id}",
          effect: { kind: "error", code: "server_error" },
        },
      ],
    });
    assert.match(await block(0), /network/);
    world.hetzner.faults.remove(rule);
    await block(1);
    await world.demandEmpty();
  }),
);

test("leaked servers: never opened, and past their time", { timeout }, () =>
  scene("Leaked servers", {}, async ({ world, block }) => {
    world.hetzner.faults.add({
      rules: [
        {
          at: "request",
          method: "POST",
          path: "/servers",
          body: { name: "dev-kafka-2" },
          effect: { kind: "error", code: "server_error" },
        },
      ],
    });
    await world.failed("up", {
      config: { "trading:expiresAt": new Date(Date.now() - 3_600_000).toISOString() },
    });
    rmSync(world.stateFile);
    assert.match(await block(0), /dev-kafka-0/);
    assert.deepEqual(world.billing(), []);
  }),
);

test("a stuck lock: its process is dead", { timeout }, () =>
  scene("A stuck lock", {}, async ({ world, block }) => {
    await world.up();
    await world.opened();
    // As a run leaves it that was killed: a process id of one that has ended.
    const pid = Number(execFileSync("sh", ["-c", "echo $$"], { encoding: "utf8" }));
    writeFileSync(
      `${world.stateFile}.lock`,
      JSON.stringify({ id: randomUUID(), pid, startTime: "1", boot: "" }),
    );
    await block(0);
    await world.demandEmpty();
  }),
);

test("lost state: what holds data is sealed, then a new one opens", { timeout }, () =>
  scene("Lost state", {}, async ({ world, block }) => {
    await world.up();
    const first = await world.opened();
    rmSync(world.stateFile);
    await block(0);
    assert.notEqual(await world.opened(), first);
    await world.demandOneCluster();
    assert.ok((await world.archived()).find(({ clusterId }) => clusterId === first)?.sealed);
  }),
);

test("restore a day", { timeout }, () =>
  scene("Restore a day", {}, async ({ world, block }) => {
    await world.up();
    await world.opened();
    await world.destroy();
    assert.match(await block(0), /restored/);
  }),
);

test("roll back a service: the branch's end is a release that is broken", { timeout }, async () => {
  const directory = path.join(root, "checkout");
  const bare = path.join(root, "bare");
  const git = (...args: string[]): string =>
    execFileSync("git", args, { cwd: directory, encoding: "utf8", stdio: "pipe" });
  mkdirSync(directory);
  for (const name of readdirSync(projectDirectory)) {
    if (![".git", ".lab", "node_modules"].includes(name))
      cpSync(path.join(projectDirectory, name), path.join(directory, name), { recursive: true });
  }
  symlinkSync(path.join(projectDirectory, "node_modules"), path.join(directory, "node_modules"));
  git("init", "--quiet", "--initial-branch=master");
  git("config", "user.name", "Test");
  git("config", "user.email", "test@example.com");
  git("config", "commit.gpgsign", "false");
  for (const version of ["v1.0.0", "v1.1.0"]) {
    const file = path.join(directory, "Pulumi.dev.yaml");
    const document = parseDocument(readFileSync(file, "utf8"));
    document.setIn(["config", "trading:images"], document.createNode({ version }));
    writeFileSync(file, document.toString({ lineWidth: 0 }));
    writeFiles(path.join(directory, "k8s"), render(readStackFiles(directory)));
    git("add", "--all");
    git("commit", "--quiet", "--message", `release ${version}`);
  }
  execFileSync("git", ["clone", "--quiet", "--bare", directory, bare]);
  git("remote", "add", "origin", bare);
  git("fetch", "--quiet", "origin");
  git("branch", "--quiet", "--set-upstream-to=origin/master", "master");
  const title = "Roll back a service";
  followed.add(`${title} 0`);
  assert.match(await follow(title, 0, { directory, environment: {} }), /v1\.1\.0.*v1\.0\.0/s);
  const sent = execFileSync("git", ["show", "master:k8s/overlays/dev/kustomization.yaml"], {
    cwd: bare,
    encoding: "utf8",
  });
  assert.equal(sent.match(/newTag: v1\.0\.0/g)?.length, 1, "one service went back");
});

test("every block of the page was run", () => {
  const written = [...sections].flatMap(([title, blocks]) => blocks.map((_, index) => `${title} ${index}`));
  assert.deepEqual([...followed].sort(), written.sort());
});
