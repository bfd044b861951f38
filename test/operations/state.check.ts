/**
 * A stack's state in a bucket that machines share: `open` and `close` from different machines, runs that are killed or frozen
 * in the middle, a bucket whose answers get lost. Processes of this machine, with working directories of their own, stand
 * for the machines; Hetzner and the inside of the cluster are simulated, the S3 server is real.
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { type EngineOptions, readState, stateLockHolder } from "../../lab/engine/index.ts";
import { createProject, type TestProject } from "../../lab/engine/testing/project.ts";
import { type Hetzner, latencyModel, startHetzner } from "../../lab/hetzner/index.ts";
import { type FaultyObjectStore, type LabObjectStore, startFaults } from "../../lab/objectstore/index.ts";
import { openStateBucket, StateBucketError } from "../../ops/engine/state-bucket.ts";
import { InfrastructureWorld, startBucket } from "../infrastructure/world.ts";
import { until } from "../until.ts";
import { Machine } from "./machine.ts";

/** A run that is killed or frozen is waited for as long; a living one renews four times in it, also on a loaded machine. */
const leaseMs = 8_000;
const timeout = 400_000;

const root = mkdtempSync(path.join(tmpdir(), "state-check-"));
let store: LabObjectStore;
/** Between the machines and the bucket, for the state alone. */
let bucket: FaultyObjectStore;
before(async () => {
  store = await startBucket();
  bucket = await startFaults(store.endpoint);
});
after(async () => {
  await bucket.close();
  await store.stop();
  rmSync(root, { recursive: true, force: true });
});

let states = 0;

/** A state that nobody has yet. */
function sharedState(): Required<Pick<EngineOptions, "stateFile" | "stateBucket">> & { object: string } {
  const key = `states/${++states}/dev.json`;
  const { accessKeyId, secretAccessKey, region } = store;
  return {
    object: `/${store.bucket}/${key}`,
    stateFile: `s3://${store.bucket}/${key}`,
    stateBucket: {
      endpoint: bucket.endpoint,
      region,
      credentials: { accessKeyId, secretAccessKey },
      leaseMs,
    },
  };
}

test("one machine opens the whole program's cluster, another one closes it", { timeout }, async () => {
  const world = await InfrastructureWorld.start({ store });
  const { object: _object, ...state } = sharedState();
  const [one, two] = [0, 1].map(() => new Machine(root, { ...world.engineOptions(), ...state })) as [
    Machine,
    Machine,
  ];
  try {
    await one.run("open");
    assert.equal(world.hetzner.project.servers().length, 4);
    const { resources = [] } = (await readState({ ...state, passphrase: world.passphrase })) ?? {};
    assert.ok(resources.length > 50);
    await two.run("close");
    assert.deepEqual(world.account(), []);
    assert.equal(await readState({ ...state, passphrase: world.passphrase }), undefined);
    assert.equal((await world.archived())[0]?.sealed, true);
  } finally {
    one.stop();
    two.stop();
    await world.stop();
  }
});

const servers = ["a", "b", "c"];

/** Servers one after the other, so that a run can be caught between them, and the end when it is let. */
const program = ({ endpoint, token }: Hetzner): string => `
  import * as hcloud from "@pulumi/hcloud";
  import { local } from "@pulumi/command";
  const provider = new hcloud.Provider("hcloud", { token: "${token}", endpoint: "${endpoint}", pollFunction: "constant", pollInterval: "50ms" });
  const labels = { project: "trading", stack: "dev", "cluster-id": "one" };
  const dependsOn: pulumi.Resource[] = [];
  for (const name of ${JSON.stringify(servers)}) {
    dependsOn.push(new hcloud.Server(name, { name, serverType: "cpx32", image: "ubuntu-24.04", location: "fsn1", labels }, { provider, dependsOn: [...dependsOn] }));
  }
  new local.Command("end", { create: "while ! [ -e go ]; do sleep 0.1; done" }, { dependsOn });
`;

interface Scene {
  hetzner: Hetzner;
  options: EngineOptions;
  /** Path of the state's object as the bucket sees it. */
  object: string;
  machine: () => Machine;
  /** Lets runs come to their end. */
  go: () => void;
  /** Exactly the program's servers are there. */
  demandServers: () => void;
  /** Nothing is there, and nobody holds the state. */
  demandEmpty: () => Promise<void>;
}

async function scene(play: (scene: Scene) => Promise<void>): Promise<void> {
  const hetzner = await startHetzner({ latency: latencyModel("fast", { create_server: 1_500 }) });
  const { object, ...state } = sharedState();
  const project: TestProject = createProject(program(hetzner), state);
  const machines: Machine[] = [];
  const names = () => hetzner.project.servers().map(({ name }) => name);
  try {
    await play({
      hetzner,
      object,
      options: project.options,
      machine: () => {
        const made = new Machine(root, project.options);
        machines.push(made);
        return made;
      },
      go: () => project.touch("go"),
      demandServers: () => assert.deepEqual(names().sort(), servers),
      demandEmpty: async () => {
        assert.deepEqual(names(), []);
        assert.equal(await readState(project.options), undefined);
        assert.equal(await stateLockHolder(project.options), undefined);
      },
    });
  } finally {
    bucket.clear();
    for (const machine of machines) machine.stop();
    project.remove();
    await hetzner.close();
  }
}

/** Waits until so many servers are begun. */
const begun = ({ hetzner }: Scene, count: number): Promise<boolean> =>
  until(`${count} servers are begun`, () => hetzner.project.servers().length >= count);

test("while one machine works, another one is refused and told who it is", { timeout }, () =>
  scene(async (at) => {
    const working = at.machine().start("up");
    await begun(at, 1);
    const holder = await stateLockHolder(at.options);
    assert.deepEqual([holder?.pid, holder?.isAlive], [working.child.pid, true]);
    const refused = at.machine().start("destroy");
    assert.equal(await refused.ended(), 1);
    assert.match(refused.said(), new RegExp(`StackLockedError[^]*process ${working.child.pid}`));
    at.go();
    assert.equal(await working.ended(), 0, working.said());
    at.demandServers();
    await at.machine().run("destroy");
    await at.demandEmpty();
  }),
);

test(
  "a run that was frozen for longer than its lease writes nothing over its successor's state, makes nothing more, and ends",
  { timeout },
  () =>
    scene(async (at) => {
      const frozen = at.machine().start("up");
      await begun(at, 1);
      frozen.child.kill("SIGSTOP");
      at.go();
      await at.machine().run("up");
      at.demandServers();
      const ids = at.hetzner.project.servers().map(({ id }) => id);
      const before = await readState(at.options);
      frozen.child.kill("SIGCONT");
      assert.equal(await frozen.ended(), 1);
      assert.match(frozen.said(), /StackLockedError[^]*has taken this state over/);
      assert.deepEqual(await readState(at.options), before);
      assert.deepEqual(
        at.hetzner.project.servers().map(({ id }) => id),
        ids,
      );
      await at.machine().run("destroy");
      await at.demandEmpty();
    }),
);

test("runs that are killed while they write, and one whose answers get lost", { timeout }, () =>
  scene(async (at) => {
    const { object, machine } = at;
    at.go();
    for (const [nth, when] of [
      [2, "before"],
      [4, "after"],
    ] as const) {
      let writes = 0;
      const killed = machine().start("up");
      const kill = (): void => void (++writes === nth && killed.child.kill("SIGKILL"));
      bucket.add({
        kind: "meanwhile",
        matches: (request) => request.method === "PUT" && request.path === object,
        ...(when === "before" ? { before: kill } : { after: kill }),
      });
      assert.equal(await killed.ended(), null, `${killed.said()} after ${writes} writes`);
      bucket.clear();
    }
    const lose = (): unknown =>
      bucket.add({
        kind: "lose-answer",
        matches: (request) => request.method === "PUT" && request.path.startsWith(object),
        times: 3,
      });
    lose();
    await machine().run("up");
    at.demandServers();
    lose();
    await machine().run("destroy");
    await at.demandEmpty();
  }),
);

test("conditions of writes as the bucket keeps them, with answers that get lost", { timeout }, async () => {
  const { accessKeyId, secretAccessKey, region } = store;
  const open = (secret: string) =>
    openStateBucket({
      endpoint: bucket.endpoint,
      region,
      bucket: store.bucket,
      credentials: { accessKeyId, secretAccessKey: secret },
    });
  const shared = open(secretAccessKey);
  try {
    const key = "conditions/a";
    assert.equal(await shared.get(key), undefined);
    const made = await Promise.all(["1", "2", "3"].map((text) => shared.put(key, text, "if-absent")));
    const [etag, ...more] = made.filter((one) => one !== undefined);
    assert.ok(etag !== undefined && more.length === 0);
    bucket.add({ kind: "lose-answer", matches: ({ method }) => method === "PUT", times: 1 });
    const next = await shared.put(key, "4", { ifMatch: etag });
    assert.ok(next, "what was carried out is known as its own");
    assert.equal(await shared.put(key, "5", { ifMatch: etag }), undefined);
    const found = await shared.get(key);
    assert.deepEqual([found?.text, found?.etag], ["4", next]);
    assert.ok((found?.ageMs ?? -1) >= 0 && (found?.ageMs ?? Infinity) < 60_000);
    assert.deepEqual(await shared.list("conditions/"), [key]);
    await shared.remove(key);
    assert.equal(await shared.put(key, "6", { ifMatch: next }), undefined, "nothing there to match");
  } finally {
    bucket.clear();
    shared.close();
  }
  const stranger = open("wrong");
  await assert.rejects(
    stranger.get("a"),
    (error: unknown) => error instanceof StateBucketError && /keys are refused/.test(error.message),
  );
  stranger.close();
});
