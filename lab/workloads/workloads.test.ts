import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { stringify } from "yaml";
import { ProcessRegistry, startTime } from "../processes.ts";
import { startWorkloads, type Workloads } from "./index.ts";
import { programOf } from "./programs.ts";

const root = mkdtempSync(path.join(tmpdir(), "lab-workloads-"));
const running: Workloads[] = [];
after(async () => {
  await Promise.all(running.map((workloads) => workloads.stop(100)));
  rmSync(root, { recursive: true, force: true });
});

/** A pod's program: writes its environment to a file, then serves its readiness probe. */
const server = `
  require("node:fs").writeFileSync(process.env.OUT + "/" + process.env.SERVICE_NAME + ".json", JSON.stringify(process.env));
  require("node:http").createServer((request, response) => response.end()).listen(+process.env.HTTP_PORT, "127.0.0.1");
  process.on("SIGTERM", () => process.exit(0));`;

function workload(kind: string, name: string, script: string, extra: object = {}, spec: object = {}): object {
  return {
    kind,
    metadata: { name, namespace: "strategies" },
    spec: {
      ...spec,
      template: {
        spec: {
          containers: [
            {
              name,
              command: ["node", "-e", script],
              env: [{ name: "SERVICE_NAME", value: name }],
              envFrom: [{ configMapRef: { name: "settings" } }],
              readinessProbe: { httpGet: { path: "/readyz" } },
              ...extra,
            },
          ],
        },
      },
    },
  };
}

function prepare(name: string, objects: object[]) {
  const directory = path.join(root, name);
  mkdirSync(path.join(directory, "rendered/1-manifest"), { recursive: true });
  mkdirSync(path.join(directory, "out"));
  const settings = {
    kind: "ConfigMap",
    metadata: { name: "settings", namespace: "strategies" },
    data: { OUT: path.join(directory, "out"), SHARED: "from the map", SERVICE_NAME: "from the map" },
  };
  writeFileSync(
    path.join(directory, "rendered/1-manifest/all.yaml"),
    [settings, ...objects].map((object) => stringify(object)).join("---\n"),
  );
  const events: string[] = [];
  return {
    directory,
    events,
    args: {
      objects: path.join(directory, "rendered"),
      registry: new ProcessRegistry(path.join(directory, "processes")),
      logDirectory: path.join(directory, "logs"),
      volumeDirectory: path.join(directory, "volumes"),
      workingDirectory: directory,
      onEvent: (line: string) => events.push(line),
    },
  };
}

test("a job runs first, then pods with settings, secrets and volumes, and nothing of this process's environment", async () => {
  const secret = {
    kind: "Secret",
    metadata: { name: "keys", namespace: "strategies" },
    data: { TOKEN: Buffer.from("s3cret").toString("base64") },
  };
  const marker = `require("node:fs").writeFileSync(process.env.OUT + "/job", "done")`;
  const stateful = {
    env: [
      { name: "SERVICE_NAME", value: "executor" },
      { name: "STATE_DIRECTORY", value: "/var/lib/state" },
      { name: "GREETING", value: "$(SERVICE_NAME) costs $$5 at $(NOBODY)" },
      { name: "TOKEN", valueFrom: { secretKeyRef: { name: "keys", key: "TOKEN" } } },
    ],
    volumeMounts: [{ name: "state", mountPath: "/var/lib/state" }],
  };
  const orderly = `if (!require("node:fs").existsSync(process.env.OUT + "/job")) process.exit(9);${server}`;
  const { directory, args, events } = prepare("whole", [
    workload("StatefulSet", "executor", orderly, stateful),
    workload("Job", "prepare", marker),
    secret,
  ]);
  process.env["LAB_WORKLOADS_TEST"] = "must not be seen";
  const workloads = await startWorkloads(args);
  running.push(workloads);
  await workloads.ready();
  delete process.env["LAB_WORKLOADS_TEST"];
  const seen = JSON.parse(readFileSync(path.join(directory, "out/executor.json"), "utf8")) as Record<
    string,
    string
  >;
  assert.equal(seen["SHARED"], "from the map");
  assert.equal(seen["SERVICE_NAME"], "executor");
  assert.equal(seen["TOKEN"], "s3cret");
  assert.equal(seen["GREETING"], "executor costs $5 at $(NOBODY)");
  assert.equal(seen["LAB_WORKLOADS_TEST"], undefined);
  assert.ok(seen["STATE_DIRECTORY"]?.startsWith(directory) && existsSync(seen["STATE_DIRECTORY"]));
  assert.equal(seen["HTTP_PORT"], String(workloads.pods[0]?.port));
  assert.deepEqual(events, ["job prepare done", "executor-0 is ready"]);
});

test("a pod that exits is restarted, and stop ends it for good", async () => {
  const { args } = prepare("restart", [workload("Deployment", "reader", server)]);
  const workloads = await startWorkloads(args);
  running.push(workloads);
  await workloads.ready();
  const [pod] = workloads.pods;
  const first = pod?.process?.pid;
  assert.ok(pod && first !== undefined);
  process.kill(first, "SIGKILL");
  const deadline = Date.now() + 30_000;
  while (pod.process === undefined || pod.process.pid === first) {
    assert.ok(Date.now() < deadline, "not restarted");
    await delay(20);
  }
  await workloads.ready();
  assert.equal(pod.restarts, 1);
  const second = pod.process.pid;
  await workloads.stop();
  assert.equal(startTime(second), undefined);
});

test("a job that fails beyond its limit is told with its log", async () => {
  const failing = workload(
    "Job",
    "prepare",
    `console.error("no bucket"); process.exit(3)`,
    {},
    { backoffLimit: 1 },
  );
  await assert.rejects(
    startWorkloads(prepare("failing", [failing]).args),
    /Job prepare failed 2 times.*no bucket/s,
  );
});

test("without a command an image of a service runs that service's program, and any other image is refused", () => {
  const container = (image: string, command: string[] = []) => ({
    name: "c",
    image,
    command,
    args: [],
    env: [],
    envFrom: [],
    ports: [],
    volumeMounts: [],
  });
  const archiver = ["node", "--import", "tsx", "services/apps/archiver.ts"];
  const images = ["ghcr.io/trading-cz/archiver:v1.0.0", "localhost:5000/t/archiver@sha256:0123", "archiver"];
  for (const image of images) assert.deepEqual(programOf(container(image), "kafka/archiver"), archiver);
  assert.deepEqual(programOf(container("archiver", ["node", "-e", "0"]), "kafka/archiver"), [
    "node",
    "-e",
    "0",
  ]);
  assert.throws(
    () => programOf(container("quay.io/other:v1"), "kafka/other"),
    /kafka\/other cannot start: found the image "quay\.io\/other:v1" and no command, expected .*archiver/,
  );
});

test("every missing reference and unusable object is named", async () => {
  const refers = workload("Deployment", "reader", server, {
    envFrom: [{ secretRef: { name: "absent" } }, { configMapRef: { name: "optional", optional: true } }],
    env: [{ name: "KEY", valueFrom: { configMapKeyRef: { name: "settings", key: "NONE" } } }],
  });
  await assert.rejects(
    startWorkloads(prepare("missing", [refers]).args),
    /strategies\/reader cannot start: Secret strategies\/absent is missing; KEY: ConfigMap strategies\/settings has no key NONE/,
  );
  const unresolved = workload("Deployment", "reader", server, {
    env: [{ name: "NODE", valueFrom: { fieldRef: { fieldPath: "spec.nodeName" } } }],
  });
  await assert.rejects(startWorkloads(prepare("field", [unresolved]).args), /valueFrom.*fieldRef/);
  const broken = { kind: "Deployment", metadata: { name: "x" }, spec: {} };
  await assert.rejects(startWorkloads(prepare("broken", [broken]).args), /all\.yaml: spec\.template/);
  await assert.rejects(startWorkloads(prepare("empty", []).args), /holds no workloads/);
});
