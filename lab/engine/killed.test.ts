import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { latencyModel, startHetzner } from "../hetzner/index.ts";
import { family, readOrNothing } from "../model-time/family.ts";
import { startTime } from "../processes.ts";
import { DeploymentFailedError, destroy, readState, up } from "./index.ts";
import { createProject, type TestProject } from "./testing/project.ts";

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (!(await condition())) {
    if (performance.now() > deadline) assert.fail(`waited 60 s in vain: ${what}`);
    await delay(20);
  }
}

/** A server whose creation takes a while, and a command that does too. */
const program = (endpoint: string, token: string, cluster: string): string => `
  import * as hcloud from "@pulumi/hcloud";
  import { local } from "@pulumi/command";
  const provider = new hcloud.Provider("hcloud", { token: "${token}", endpoint: "${endpoint}", pollFunction: "constant", pollInterval: "50ms" });
  const labels = { project: "trading", stack: "dev", "cluster-id": "${cluster}" };
  const key = new hcloud.SshKey("key", { name: "dev", publicKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIiwX+G+9LCY+Qi7kvsqHY4wfy12KPgsWvG1rup68Oe/", labels }, { provider });
  new hcloud.Server("server", { name: "dev-server", serverType: "cpx32", image: "ubuntu-24.04", location: "fsn1", sshKeys: [key.id], labels }, { provider });
  new local.Command("command", { create: "echo $$ > pid; for i in $(seq 600); do [ -e go ] && exit 0; sleep 0.1; done; exit 1" });
`;

/** `up` in a process of its own, to be killed. */
function runUp({ options: { onEvent: _onEvent, ...options } }: TestProject) {
  const script = fileURLToPath(new URL("testing/run-up.ts", import.meta.url));
  const killed = spawn(process.execPath, ["--import", "tsx", script, JSON.stringify(options)], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  return { killed, ended: new Promise((resolve) => killed.once("exit", resolve)) };
}

test("a run killed in the middle of a creation leaves no process, and the next one takes over what it began", async () => {
  const hetzner = await startHetzner({ latency: latencyModel("fast", { create_server: 2_000 }) });
  const project = createProject(program(hetzner.endpoint, hetzner.token, "one"));
  try {
    const { killed, ended } = runUp(project);
    const pidFile = path.join(project.directory, "pid");
    // The API knows the server, but the engine has not seen it run.
    await until(
      "the server and the command to be begun",
      () => hetzner.project.servers().length === 1 && existsSync(pidFile),
    );
    killed.kill("SIGKILL");
    await ended;
    const state = await readState(project.options);
    const pending = state?.pendingCreations.map((urn) => urn.split("::").at(-1)).sort();
    const made = state?.resources.map((resource) => resource.name) ?? [];
    assert.ok(pending?.includes("command"), `pending: ${pending?.join()}`);
    // Depending on the moment the server is begun or, when the kill came late, done.
    assert.ok(pending?.includes("server") || made.includes("server"), `pending: ${pending?.join()}`);
    const command = Number(readFileSync(pidFile, "utf8"));

    project.touch("go");
    const result = await up(project.options);
    assert.equal(hetzner.project.servers().length, 1, "the server was not made twice");
    assert.equal(startTime(command), undefined, "the command of the killed run is gone");
    assert.equal(result.created + result.same, 4);
    assert.deepEqual((await readState(project.options))?.pendingCreations, []);
    assert.deepEqual(readdirSync(`${project.stateFile}.processes`), []);

    await destroy(project.options);
    assert.deepEqual(hetzner.project.billable(), []);
  } finally {
    project.remove();
    await hetzner.close();
  }
});

test("the program of a killed run ends by itself, also where no other run follows", async () => {
  const hetzner = await startHetzner({ latency: latencyModel("fast", { create_server: 2_000 }) });
  // It says something when nobody reads it any more.
  const project = createProject(
    `${program(hetzner.endpoint, hetzner.token, "one")}\n  setInterval(() => console.warn("still here"), 50);`,
  );
  const programs: number[] = [];
  try {
    const { killed, ended } = runUp(project);
    await until("the command to be begun", () => existsSync(path.join(project.directory, "pid")));
    const isProgram = (pid: string): boolean =>
      readOrNothing(`/proc/${pid}/cmdline`).includes("@pulumi/pulumi/cmd/run");
    programs.push(...family().filter(isProgram).map(Number));
    assert.equal(programs.length, 1);
    killed.kill("SIGKILL");
    await ended;
    await until("the program is gone", () => programs.every((pid) => startTime(pid) === undefined));
  } finally {
    for (const pid of programs) if (startTime(pid) !== undefined) process.kill(pid, "SIGKILL");
    project.touch("go");
    project.remove();
    await hetzner.close();
  }
});

test("what another cluster left under the same name is named, and stays", async () => {
  const hetzner = await startHetzner({});
  const project = createProject(program(hetzner.endpoint, hetzner.token, "one"));
  try {
    project.touch("go");
    await up(project.options);
    // As if the state of that cluster were lost.
    writeFileSync(`${project.stateFile}.lost`, readFileSync(project.stateFile));
    const other = { ...project.options, stateFile: path.join(project.directory, "other.json") };
    project.write(program(hetzner.endpoint, hetzner.token, "two"));
    const error = await up(other).then(
      () => assert.fail("the name is taken"),
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof DeploymentFailedError);
    assert.match(error.message, /uniqueness_error/);
    assert.deepEqual((await readState(other))?.pendingCreations, []);
    await destroy(other);
    assert.equal(hetzner.project.servers().length, 1, "the first cluster's server is untouched");
    await destroy(project.options);
    assert.deepEqual(hetzner.project.billable(), []);
  } finally {
    project.remove();
    await hetzner.close();
  }
});
