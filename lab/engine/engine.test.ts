import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import {
  AbortedError,
  DeploymentFailedError,
  destroy,
  type EngineEvent,
  readOutputs,
  readState,
  StateLockedError,
  up,
  WrongPassphraseError,
} from "./index.ts";
import { createProject, type TestProject } from "./testing/project.ts";

/** Runs a test in a project of its own. */
async function inProject(
  program: string,
  body: (project: TestProject) => Promise<void>,
  given?: Parameters<typeof createProject>[1],
): Promise<void> {
  const project = createProject(program, given);
  try {
    await body(project);
  } finally {
    project.remove();
  }
}

function names(events: readonly EngineEvent[], kind: EngineEvent["kind"], operation?: string): string[] {
  return events
    .filter((event) => "urn" in event && "operation" in event)
    .filter((event) => event.kind === kind && (operation === undefined || event.operation === operation))
    .map((event) => ("name" in event ? event.name : ""));
}

async function failureOf(work: Promise<unknown>): Promise<DeploymentFailedError> {
  const error: unknown = await work.then(
    () => assert.fail("this should have failed"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof DeploymentFailedError, String(error));
  return error;
}

/** A shell command that waits until a file is there, at most 20 s. */
const waitFor = (file: string): string =>
  `for i in $(seq 400); do [ -e ${file} ] && exit 0; sleep 0.05; done; echo no ${file} >&2; exit 1`;

test("creates in parallel but in order, keeps what is, updates, replaces, deletes, and destroys in reverse", async () => {
  const program = (version: 1 | 2): string => `
    import { local } from "@pulumi/command";
    import * as random from "@pulumi/random";
    class Group extends pulumi.ComponentResource {
      constructor(name: string) {
        super("test:index:Group", name);
        // Each waits for the other: done one after the other, both would fail.
        const left = new local.Command("left", { create: "touch left; ${waitFor("right")}", delete: "echo left >> deleted" }, { parent: this });
        const right = new local.Command("right", { create: "touch right; ${waitFor("left")}", delete: "echo right >> deleted" }, { parent: this });
        new local.Command("after", { create: "test -e left -a -e right", delete: "echo after >> deleted" }, { parent: this, dependsOn: [left, right] });
        this.registerOutputs({});
      }
    }
    const group = new Group("group");
    const id = new random.RandomString("id", { length: 21, special: false, keepers: { at: String(Date.now()) } }, { ignoreChanges: ["keepers"] });
    const changed = new local.Command("changed", { create: "echo ${version}", update: "echo updated $PULUMI_COMMAND_STDOUT" , environment: { VERSION: "${version}" } }, { dependsOn: group });
    const triggered = new local.Command("triggered", { create: "echo made", delete: "echo triggered >> deleted", triggers: ["${version}"] });
    ${version === 1 ? 'new local.Command("gone", { create: "true", delete: "echo gone >> deleted" });' : ""}
    export const identifier = id.result;
    export const printed = changed.stdout;
    export const nested = { list: [1, true, null], made: triggered.stdout };
  `;
  await inProject(program(1), async (project) => {
    const first = await up(project.options);
    assert.deepEqual(
      [first.created, first.updated, first.replaced, first.deleted, first.same],
      [7, 0, 0, 0, 0],
    );
    assert.equal(first.outputs["printed"], "1");
    assert.deepEqual(first.outputs["nested"], { list: [1, true, null], made: "made" });
    assert.ok((first.firstRegistrationMilliseconds ?? 0) > 0);
    const finished = names(project.events, "resource-finished");
    assert.ok(finished.indexOf("after") > Math.max(finished.indexOf("left"), finished.indexOf("right")));

    const unchanged = await up(project.options);
    assert.deepEqual([unchanged.same, unchanged.created], [7, 0]);
    assert.equal(unchanged.outputs["identifier"], first.outputs["identifier"]);

    project.write(program(2));
    const second = await up(project.options);
    assert.deepEqual(
      [second.created, second.updated, second.replaced, second.deleted, second.same],
      [0, 1, 1, 1, 4],
    );
    assert.equal(second.outputs["printed"], "updated 1");
    const deletedFile = path.join(project.directory, "deleted");
    assert.deepEqual(readFileSync(deletedFile, "utf8").trim().split("\n").sort(), ["gone", "triggered"]);

    assert.deepEqual(await readOutputs(project.options), second.outputs);
    const gone = await destroy(project.options);
    assert.equal(gone.deleted, 6);
    const order = readFileSync(deletedFile, "utf8").trim().split("\n").slice(2);
    assert.ok(order.indexOf("after") < Math.min(order.indexOf("left"), order.indexOf("right")), order.join());
    assert.equal(existsSync(project.stateFile), false);
    assert.equal(await readState(project.options), undefined);
  });
});

test("begins no more operations at once than allowed", async () => {
  const program = `
    import { local } from "@pulumi/command";
    for (let i = 0; i < 6; i += 1) new local.Command("c" + i, { create: "sleep 0.1" });
  `;
  await inProject(
    program,
    async (project) => {
      await up(project.options);
      let running = 0;
      let most = 0;
      for (const event of project.events) {
        if (!("component" in event) || event.component) continue;
        running += event.kind === "resource-started" ? 1 : -1;
        most = Math.max(most, running);
      }
      assert.equal(most, 2);
    },
    { parallel: 2 },
  );
});

test("secrets are in clear neither in the state nor in events nor in errors", async () => {
  const secret = "hunter2-hunter2";
  const program = `
    import { local } from "@pulumi/command";
    import * as random from "@pulumi/random";
    const config = new pulumi.Config();
    const given = config.requireSecret("given");
    const password = new random.RandomPassword("password", { length: 24, special: false });
    const shown = new local.Command("shown", { create: "echo $GIVEN; echo $MADE >&2", environment: { GIVEN: given, MADE: password.result } });
    console.log("the program leaks", config.require("given"));
    export const made = password.result;
    export const printed = shown.stdout;
    export const open = config.require("open");
    export const careless = "leaks " + config.require("given");
    new local.Command("fails", { create: "echo $GIVEN; exit 3", environment: { GIVEN: given } }, { dependsOn: shown });
  `;
  await inProject(
    program,
    async (project) => {
      const error = await failureOf(up(project.options));
      assert.match(error.message, /exited with 3: echo \$GIVEN/);
      const clear = await readOutputs({ ...project.options, showSecrets: true });
      const { made } = clear;
      assert.ok(typeof made === "string");
      assert.equal(clear["printed"], secret);
      assert.equal(clear["open"], "an open value");
      const masked = await readOutputs(project.options);
      assert.deepEqual(
        [masked["made"], masked["printed"], masked["open"]],
        ["[secret]", "[secret]", "an open value"],
      );

      const files = readFileSync(project.stateFile, "utf8");
      const told = JSON.stringify(project.events) + error.message;
      for (const hidden of [secret, made]) {
        for (const form of [hidden, Buffer.from(hidden).toString("base64")]) {
          assert.ok(!files.includes(form), "the state file holds a secret");
          assert.ok(!told.includes(form), `an event holds a secret: ${told}`);
        }
      }
      // The events did carry these lines, masked.
      assert.match(told, /the program leaks \[secret\]/);

      await assert.rejects(readState({ ...project.options, passphrase: "wrong" }), WrongPassphraseError);
      await assert.rejects(up({ ...project.options, passphrase: "wrong" }), WrongPassphraseError);
    },
    { config: { given: secret, open: "an open value" }, secretKeys: ["given"] },
  );
});

test("a failing gate leaves everything that it stands on; deletedWith needs no provider call", async () => {
  const program = `
    import { local } from "@pulumi/command";
    const log = (name: string) => ({ create: "true", delete: "echo " + name + " >> deleted" });
    const server = new local.Command("server", log("server"));
    const inside = new local.Command("inside", log("inside"), { deletedWith: server, dependsOn: server });
    const deeper = new local.Command("deeper", log("deeper"), { deletedWith: inside, dependsOn: inside });
    new local.Command("gate", { create: ":", delete: "echo checking; test -n \\"$ALLOW\\" -a $RECORDED = yes", environment: { RECORDED: "yes" } }, { dependsOn: [server, inside, deeper] });
    new local.Command("beside", log("beside"));
  `;
  await inProject(program, async (project) => {
    await up(project.options);
    const error = await failureOf(destroy(project.options));
    assert.equal(error.failures.length, 1);
    assert.match(error.message, /delete of command:local:Command gate: the command exited with 1/);
    const deleted = path.join(project.directory, "deleted");
    assert.equal(readFileSync(deleted, "utf8"), "beside\n", "what the gate does not reach goes");
    const left = (await readState(project.options))?.resources.filter((resource) => resource.custom);
    assert.deepEqual(left?.map((resource) => resource.name).sort(), ["deeper", "gate", "inside", "server"]);

    const result = await destroy({ ...project.options, environment: { ALLOW: "1" } });
    assert.equal(result.deleted, 4);
    assert.equal(
      readFileSync(deleted, "utf8"),
      "beside\nserver\n",
      "no delete command of what goes with the server",
    );
  });
});

test("after a stop the running operation ends, nothing new begins, and the next run goes on", async () => {
  const program = `
    import { local } from "@pulumi/command";
    const slow = new local.Command("slow", { create: "touch begun; sleep 0.7; touch ended" });
    new local.Command("next", { create: "test -e ended" }, { dependsOn: slow });
    setInterval(() => console.error("still here"), 20).unref();
  `;
  const saidAfterwards: string[] = [];
  const stop = new AbortController();
  await inProject(program, async (project) => {
    const options = {
      ...project.options,
      signal: stop.signal,
      onEvent: (event: EngineEvent) => {
        project.events.push(event);
        if (stop.signal.aborted && event.kind === "diagnostic" && event.source === "stderr")
          saidAfterwards.push(event.message);
        if (event.kind === "resource-started" && event.name === "slow") stop.abort();
      },
    };
    await assert.rejects(up(options), AbortedError);
    assert.ok(existsSync(path.join(project.directory, "ended")), "the running command was awaited");
    assert.deepEqual(saidAfterwards, [], "how its end comes about in the program is nobody's business");
    const state = await readState(project.options);
    assert.deepEqual(
      state?.resources.filter((resource) => resource.custom).map((resource) => resource.name),
      ["slow"],
    );
    assert.deepEqual(state?.pendingCreations, []);
    const next = await up(project.options);
    assert.deepEqual([next.created, next.same], [1, 1]);

    const late = new AbortController();
    late.abort();
    await assert.rejects(destroy({ ...project.options, signal: late.signal }), AbortedError);
    assert.equal(
      (await readState(project.options))?.resources.filter((resource) => resource.custom).length,
      2,
    );
  });
});

test("an operation that does not end in time after a stop, or within its custom timeout, is ended", async () => {
  const program = (options: string): string => `
    import { local } from "@pulumi/command";
    new local.Command("endless", { create: "touch begun; sleep 600" }, ${options});
    // This would keep the program alive for ever.
    setInterval(() => undefined, 1_000);
  `;
  const stop = new AbortController();
  await inProject(program("{}"), async (project) => {
    const began = performance.now();
    const running = up({
      ...project.options,
      signal: stop.signal,
      abortGraceMilliseconds: 200,
      onEvent: (event) => {
        if (event.kind === "resource-started" && event.name === "endless") stop.abort();
      },
    });
    await assert.rejects(running, AbortedError);
    assert.ok(performance.now() - began < 60_000);
    project.write(program('{ customTimeouts: { create: "300ms" } }'));
    const error = await failureOf(up(project.options));
    assert.match(error.message, /not done after 300ms, the limit that customTimeouts.create sets/);
    assert.equal(error.failures[0]?.code, "timeout");
  });
});

test("unsupported options, unknown properties and duplicate names are refused by name, and nothing is made", async () => {
  const program = `
    import { local, remote } from "@pulumi/command";
    const kind = new pulumi.Config().require("kind");
    if (kind === "import") new local.Command("c", { create: "touch made" }, { import: "4711" });
    if (kind === "typo") new remote.Command("c", { create: "true", connection: { host: 3, prot: 22 } as never });
    if (kind === "twice") for (const _ of [1, 2]) new local.Command("c", { create: "true" });
    if (kind === "throws") throw new Error("the program's own trouble");
    if (kind === "logs") pulumi.log.error("the program says no");
    if (kind === "protect" || kind === "unprotected") new local.Command("kept", { create: "true" }, { protect: kind === "protect" });
  `;
  const expected: Record<string, RegExp> = {
    import: /command:local:Command "c": "import" is not supported/,
    typo: /connection.host: Invalid input: expected string, received number[^]*connection: Unrecognized key: "prot"/,
    twice: /two resources have this type and name/,
    throws: /exit code \d+[^]*the program's own trouble/,
    logs: /the program says no/,
  };
  await inProject(program, async (project) => {
    for (const [kind, message] of Object.entries(expected)) {
      const error = await failureOf(up({ ...project.options, config: { kind } }));
      assert.match(error.message, message, kind);
      assert.equal(existsSync(path.join(project.directory, "made")), false, kind);
    }
    await up({ ...project.options, config: { kind: "protect" } });
    assert.match((await failureOf(destroy(project.options))).message, /kept is protected/);
    await up({ ...project.options, config: { kind: "unprotected" } });
    assert.equal((await destroy(project.options)).deleted, 1);
  });
});

test("a renamed resource keeps its identity through aliases, also below a renamed parent", async () => {
  const program = (group: string, name: string, aliases: string): string => `
    import * as random from "@pulumi/random";
    class Group extends pulumi.ComponentResource {
      readonly id: pulumi.Output<string>;
      constructor(name: string, opts: pulumi.ComponentResourceOptions) {
        super("test:index:Group", name, {}, opts);
        this.id = new random.RandomUuid(name + "-${name}", {}, { parent: this${aliases} }).result;
      }
    }
    export const id = new Group("${group}", { ${group === "old" ? "" : 'aliases: [{ name: "old" }]'} }).id;
  `;
  await inProject(program("old", "uuid", ""), async (project) => {
    const first = await up(project.options);
    project.write(program("new", "uuid", ""));
    const second = await up(project.options);
    assert.deepEqual([second.same, second.created, second.deleted], [1, 0, 0]);
    assert.equal(second.outputs["id"], first.outputs["id"]);
    project.write(program("new", "identifier", ', aliases: [{ name: name + "-uuid" }]'));
    const third = await up(project.options);
    assert.deepEqual([third.same, third.outputs["id"]], [1, first.outputs["id"]]);
  });
});

test("two runs on one state do not meet", async () => {
  const program = `
    import { local } from "@pulumi/command";
    new local.Command("wait", { create: ${JSON.stringify(waitFor("go"))} });
  `;
  await inProject(program, async (project) => {
    let second: Promise<unknown> | undefined;
    await up({
      ...project.options,
      onEvent: (event) => {
        if (event.kind !== "resource-started" || event.name !== "wait") return;
        second = assert.rejects(up(project.options), StateLockedError).finally(() => {
          project.touch("go");
        });
      },
    });
    assert.ok(second !== undefined);
    await second;
  });
});
