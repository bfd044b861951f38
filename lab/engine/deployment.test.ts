import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import fc from "fast-check";
import { z } from "zod";
import { ProcessRegistry } from "../processes.ts";
import { deleteResources, foundations } from "./deletion.ts";
import { Deployment } from "./deployment.ts";
import { resolvePending } from "./pending.ts";
import { IncompleteCreationError, ProviderError } from "./errors.ts";
import type { EngineEvent } from "./events.ts";
import type { Goal } from "./goal.ts";
import type { PropertyMap } from "./properties.ts";
import type { ResourceDefinition } from "./provider.ts";
import type { Providers } from "./providers.ts";
import { NotAcceptingError, type Registered } from "./registrar.ts";
import { Run } from "./run.ts";
import { SecretMask } from "./secret-mask.ts";
import { StateFile } from "./state-file.ts";
import { StateStore } from "./state.ts";

let directory = "";
let files = 0;
before(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), "engine-deployment-"));
});
after(async () => rm(directory, { recursive: true, force: true }));

/** A cloud in memory: what was called, in order, and what exists. Names can be made to fail. */
class Cloud {
  readonly calls: string[] = [];
  readonly things = new Map<string, PropertyMap>();
  readonly failing = new Map<string, Error>();
  #next = 1;

  readonly definition: ResourceDefinition = {
    inputs: z.record(z.string(), z.json()),
    replaceOn: ["image", "base"],
    nameProperty: "name",
    create: async (inputs, { signal }) => {
      const name = inputs["name"] as string;
      this.calls.push(`create ${name}`);
      if (inputs["hangs"] === true) await delay(60_000, undefined, { signal });
      const error = this.failing.get(`create ${name}`);
      if (error !== undefined && !(error instanceof IncompleteCreationError)) throw error;
      const id = `id-${this.#next++}`;
      this.things.set(id, inputs);
      if (error instanceof IncompleteCreationError)
        throw new IncompleteCreationError("half", "only half", id, inputs);
      return { id, outputs: inputs };
    },
    update: async (recorded, inputs) => {
      this.calls.push(`update ${recorded.inputs["name"] as string}`);
      this.things.set(recorded.id, inputs);
      return inputs;
    },
    delete: async (recorded) => {
      const name = recorded.inputs["name"] as string;
      this.calls.push(`delete ${name}`);
      const error = this.failing.get(`delete ${name}`);
      if (error !== undefined) throw error;
      this.things.delete(recorded.id);
    },
    find: async (inputs) => {
      const found = [...this.things].find(([, thing]) => thing["name"] === inputs["name"]);
      if (found !== undefined && found[1]["owner"] === "other")
        throw new ProviderError("name-taken", "not ours");
      return found === undefined ? undefined : { id: found[0], outputs: found[1] };
    },
  };
}

function goal(name: string, inputs: PropertyMap = {}, options: Partial<Goal> = {}): Goal {
  return {
    type: "t:m:Thing",
    name,
    custom: true,
    inputs: { name, ...inputs },
    dependencies: [],
    propertyDependencies: {},
    protect: false,
    retainOnDelete: false,
    ignoreChanges: [],
    replaceOnChanges: [],
    additionalSecretOutputs: [],
    aliases: [],
    ...options,
  };
}

interface Session {
  run: Run;
  deployment: Deployment;
  events: EngineEvent[];
  names: () => string[];
}

/** One run after the other on one state. */
function sessions(cloud: Cloud): () => Promise<Session> {
  const file = path.join(directory, `${(files += 1)}.json`);
  return async () => {
    const store = await StateStore.open(new StateFile(file), { project: "p", stack: "s" }, "x");
    const events: EngineEvent[] = [];
    const run = new Run({
      identity: { project: "p", stack: "s" },
      store,
      providers: { definition: () => cloud.definition } as unknown as Providers,
      mask: new SecretMask(),
      processes: new ProcessRegistry(path.join(directory, "processes")),
      environment: {},
      workingDirectory: directory,
      parallel: 4,
      onEvent: (event) => void events.push(event),
      abortGraceMilliseconds: 1_000,
    });
    return {
      run,
      deployment: new Deployment(run),
      events,
      names: () => store.state.resources.map(({ name }) => name).sort(),
    };
  };
}

const urn = (name: string): string => `urn:pulumi:s::p::t:m:Thing::${name}`;

/** On `name`, through the property that cannot change in place. */
const standingOn = (name: string): Partial<Goal> => ({
  dependencies: [urn(name)],
  propertyDependencies: { base: [urn(name)] },
});

test("a replacement under a fixed name deletes first, with everything that cannot stay without it", async () => {
  const cloud = new Cloud();
  const session = sessions(cloud);
  const all = async (image: string): Promise<void> => {
    const { deployment, run } = await session();
    const server = await deployment.register(goal("server", { image }));
    const base = { base: server.id };
    await deployment.register(goal("disk", base, standingOn("server")));
    await deployment.register(goal("pod", {}, { deletedWith: urn("server"), dependencies: [urn("server")] }));
    await deployment.register(goal("watcher", { watched: server.id }, { dependencies: [urn("server")] }));
    await deployment.removeRest();
    assert.deepEqual(run.failures, []);
    if (image === "two")
      assert.deepEqual({ ...run.counts }, { created: 0, updated: 1, replaced: 3, deleted: 0, same: 0 });
  };
  await all("one");
  cloud.calls.length = 0;
  await all("two");
  assert.deepEqual(cloud.calls, [
    "delete disk",
    "delete server",
    "create server",
    "create disk",
    "create pod",
    "update watcher",
  ]);
});

test("without a fixed name the new one comes first, and the old one goes at the end of the run", async () => {
  const cloud = new Cloud();
  const session = sessions(cloud);
  const first = await session();
  await first.deployment.register(goal("thing", { image: "one" }, { deleteBeforeReplace: false }));
  const second = await session();
  await second.deployment.register(goal("thing", { image: "two" }, { deleteBeforeReplace: false }));
  assert.deepEqual(second.names(), ["thing", "thing"]);
  await second.deployment.removeRest();
  assert.deepEqual(cloud.calls, ["create thing", "create thing", "delete thing"]);
  assert.deepEqual(
    [second.run.counts.replaced, second.run.counts.deleted, second.names()],
    [1, 0, ["thing"]],
  );
});

test("a creation that failed half way is recorded, and replaced by the next run", async () => {
  const cloud = new Cloud();
  const session = sessions(cloud);
  const first = await session();
  cloud.failing.set("create server", new IncompleteCreationError("half", "", "", {}));
  await assert.rejects(first.deployment.register(goal("server")), NotAcceptingError);
  assert.deepEqual(
    first.run.failures.map(({ code, message }) => [code, message]),
    [["half", "only half"]],
  );
  await assert.rejects(
    first.deployment.register(goal("late")),
    NotAcceptingError,
    "nothing new after a failure",
  );
  cloud.failing.clear();
  const second = await session();
  const made = await second.deployment.register(goal("server"));
  assert.equal(made.id, "id-2");
  assert.deepEqual(cloud.calls, ["create server", "delete server", "create server"]);
  assert.equal(second.run.counts.replaced, 1);
});

test("pending creations: taken over when found, made when not, reported when someone else's, forgotten when unwanted", async () => {
  const cloud = new Cloud();
  const session = sessions(cloud);
  const first = await session();
  // As a lost answer: nobody knows whether it was done.
  for (const name of ["found", "absent", "foreign", "unwanted"])
    cloud.failing.set(`create ${name}`, new Error("connection lost"));
  await Promise.allSettled(
    ["found", "absent", "foreign", "unwanted"].map((name) => first.deployment.register(goal(name))),
  );
  assert.equal(first.run.parts.store.state.pendingCreations.length, 4);
  cloud.failing.clear();
  cloud.things.set("there", { name: "found" });
  cloud.things.set("unwanted-thing", { name: "unwanted" });
  cloud.things.set("theirs", { name: "foreign", owner: "other" });

  const second = await session();
  assert.equal((await second.deployment.register(goal("found"))).id, "there");
  assert.match((await second.deployment.register(goal("absent"))).id, /^id-/);
  await second.deployment.removeRest();
  assert.ok(!cloud.things.has("unwanted-thing"), "found and deleted");
  assert.ok(cloud.things.has("theirs"), "someone else's is left alone");
  assert.ok(
    second.events.some((event) => event.kind === "diagnostic" && /left alone: not ours/.test(event.message)),
  );
  assert.deepEqual(second.run.parts.store.state.pendingCreations, []);

  const third = await session();
  third.run.parts.store.state.pendingCreations = [
    {
      urn: urn("foreign"),
      type: "t:m:Thing",
      name: "foreign",
      custom: true,
      inputs: { name: "foreign" },
      dependencies: [],
      propertyDependencies: {},
    },
  ];
  await assert.rejects(third.deployment.register(goal("foreign")), NotAcceptingError);
  assert.equal(third.run.failures[0]?.code, "name-taken");
  await resolvePending(third.run, () => true);
});

test("an operation over its time says so, whatever its provider threw, and stays to be looked up", async () => {
  const { deployment, run } = await sessions(new Cloud())();
  const slow = goal("slow", { hangs: true }, { customTimeouts: { create: "30ms" } });
  await assert.rejects(deployment.register(slow), NotAcceptingError);
  assert.deepEqual(run.failures, [
    {
      urn: urn("slow"),
      operation: "create",
      code: "timeout",
      message: "not done after 30ms, the limit that customTimeouts.create sets",
    },
  ]);
  assert.equal(run.parts.store.state.pendingCreations.length, 1);
});

test("a generated name stays, a protected resource is not replaced, another provider means a replacement", async () => {
  const cloud = new Cloud();
  const session = sessions(cloud);
  const first = await session();
  const unnamed = { inputs: { image: "one" } };
  const made: Registered = await first.deployment.register(goal("x", {}, unnamed));
  const name = made.outputs["name"];
  assert.match(name as string, /^x-[0-9a-f]{7}$/);
  await first.deployment.register(goal("kept", { image: "one" }, { protect: true }));
  const second = await session();
  assert.equal((await second.deployment.register(goal("x", {}, unnamed))).outputs["name"], name);
  assert.equal(second.run.counts.same, 1);
  await assert.rejects(
    second.deployment.register(goal("kept", { image: "two" }, { protect: true })),
    NotAcceptingError,
  );
  assert.match(second.run.failures[0]?.message ?? "", /"kept" is protected/);
  const third = await session();
  const moved = await third.deployment.register(
    goal("x", {}, { ...unnamed, provider: "urn:provider::other" }),
  );
  assert.notEqual(moved.id, made.id);
  assert.equal(third.run.counts.replaced, 1);
});

test("deletion keeps every order, whatever fails: nothing goes before what stands on it", async () => {
  const graph = fc.integer({ min: 1, max: 12 }).chain((size) =>
    fc.tuple(
      // Each resource may stand on any earlier one.
      fc.array(fc.array(fc.nat(), { maxLength: 3 }), { minLength: size, maxLength: size }),
      fc.array(fc.option(fc.nat(), { freq: 3 }), { minLength: size, maxLength: size }),
      fc.array(fc.boolean(), { minLength: size, maxLength: size }),
    ),
  );
  await fc.assert(
    fc.asyncProperty(graph, async ([edges, withs, fails]) => {
      const cloud = new Cloud();
      const session = sessions(cloud);
      const { deployment, run } = await session();
      for (const [index, targets] of edges.entries()) {
        const earlier = (target: number): string => urn(`r${target % index}`);
        const deletedWith = withs[index];
        await deployment.register(
          goal(
            `r${index}`,
            {},
            {
              dependencies: index === 0 ? [] : targets.map(earlier),
              ...(index === 0 || deletedWith === null || deletedWith === undefined
                ? {}
                : { deletedWith: earlier(deletedWith) }),
            },
          ),
        );
        if (fails[index] === true && index % 3 === 0) cloud.failing.set(`delete r${index}`, new Error("no"));
      }
      const { state } = run.parts.store;
      const before = [...state.resources];
      cloud.calls.length = 0;
      await deleteResources(run, before);
      const left = new Set(state.resources.map((record) => record.urn));
      for (const record of before) {
        // What is left has everything left that it stands on.
        if (left.has(record.urn))
          for (const base of foundations(record)) assert.ok(left.has(base), `${record.name} lost ${base}`);
        const position = cloud.calls.indexOf(`delete ${record.name}`);
        if (record.deletedWith !== undefined) assert.equal(position, -1, "deletedWith asks no provider");
        for (const base of foundations(record)) {
          const below = cloud.calls.indexOf(`delete ${base.split("::").at(-1)}`);
          assert.ok(position === -1 || below === -1 || position < below, "deleted before what stands on it");
        }
      }
      const failed = cloud.calls.filter((call) => cloud.failing.has(call));
      assert.equal(run.failures.length, failed.length);
      if (failed.length === 0) assert.equal(left.size, 0);
      assert.equal(run.counts.deleted, before.length - left.size);
    }),
    { numRuns: 40 },
  );
});
