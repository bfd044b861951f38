/**
 * The services' images without a container engine: the Dockerfile's steps are executed, and every service is started
 * from the files that they ship, alone. What base images bring besides Node is not here.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { serviceImageBases } from "../../components/versions.ts";
import { generateNearQuotes } from "../../lab/session/index.ts";
import { projectDirectory } from "../../lab/directories.ts";
import { servicePackages } from "../../images/packages.ts";
import { chainStart } from "../../services/archive/record-hash.ts";
import { catalog, secretVariables } from "../../services/catalog.ts";
import { until } from "../until.ts";
import { PipelineWorld, type ServiceName } from "../pipeline-world.ts";
import { buildImages, type Image } from "./build.ts";
import { Container, makeBase, whyNoContainers } from "./container.ts";
import { contextFiles, readDockerfile } from "./dockerfile.ts";
import { installNode } from "./node.ts";

/** What the services read in common and has no default. */
const commonVariables = ["SERVICE_NAME", "STACK", "CLUSTER_ID", "BUSINESS_DATE", "KAFKA_BROKERS"];
/** Above the largest, so that a package which comes in by mistake is noticed. MiB, the base image's 120 not counted. */
const largestTree = 10;

const stages = readDockerfile(readFileSync(path.join(projectDirectory, "Dockerfile"), "utf8"));
const ignore = readFileSync(path.join(projectDirectory, ".dockerignore"), "utf8");
const context = {
  root: projectDirectory,
  files: contextFiles(projectDirectory, ignore, [
    "images",
    "services",
    "test",
    "lab",
    "stacks",
    ".git",
    ".lab",
  ]),
};

const node = await installNode();
const noContainers = await whyNoContainers();
const skipBuild = typeof node === "string" ? node : false;
const skip = skipBuild === false ? (noContainers ?? false) : skipBuild;

const directory = mkdtempSync(path.join(tmpdir(), "images-"));
const base = path.join(directory, "base");
const images = new Map<string, Image>();
const containers: Container[] = [];

function image(name: string): Image {
  const found = images.get(name);
  assert.ok(found !== undefined, `the image of ${name} was not built`);
  return found;
}

/** The files that a service's image adds, by their path in it. */
function files(name: string): string[] {
  const { root } = image(name);
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => `/${path.relative(root, path.join(entry.parentPath, entry.name))}`)
    .sort();
}

function run(
  name: string,
  options: { command?: readonly string[]; environment?: Record<string, string> } = {},
): Container {
  const container = new Container({ image: image(name), base, ...options });
  containers.push(container);
  return container;
}

before(async () => {
  if (typeof node === "string") return;
  const args = { stages, context, directory: path.join(directory, "build"), nodeFolder: node.folder };
  const built = await buildImages(
    args,
    catalog.map(({ name }) => ({ SERVICE: name, VERSION: "v1.2.3" })),
  );
  for (const [index, { name }] of catalog.entries()) images.set(name, built[index] as Image);
  await makeBase(base, node.folder);
});
after(async () => {
  for (const container of containers) await container.remove();
  rmSync(directory, { recursive: true, force: true });
});

test("the builder is sent sources and the list of packages, nothing else", () => {
  const others = context.files.filter(
    (file) =>
      ![".npmrc", "package.json", "package-lock.json"].includes(file) &&
      !/^(images|services)\/.*\.ts$/.test(file),
  );
  assert.deepEqual(
    others.filter((file) => !file.startsWith("services/core/schemas/")),
    [],
  );
  assert.deepEqual(
    context.files.filter((file) => /\.(test|check)\.ts$|testing|fixtures/.test(file)),
    [],
  );
  assert.ok(context.files.includes("services/apps/archiver.ts"));
});

test("base images are those of components/versions.ts, by digest", () => {
  assert.deepEqual(
    stages.map((stage) => stage.base),
    [serviceImageBases.build, serviceImageBases.runtime],
  );
  for (const stage of stages) assert.match(stage.base, /^[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}$/);
  assert.match(serviceImageBases.build, new RegExp(`^node:${serviceImageBases.node}-`));
});

test("what runs: as nobody in particular, by a version that can be found again", { skip: skipBuild }, () => {
  const { configuration } = image("archiver");
  assert.equal(configuration.user, "1000:1000");
  assert.equal(configuration.workingDirectory, "/app");
  assert.equal(configuration.labels["org.opencontainers.image.title"], "archiver");
  assert.equal(configuration.labels["org.opencontainers.image.version"], "v1.2.3");
  assert.ok(
    serviceImageBases.runtime.startsWith(`${configuration.labels["org.opencontainers.image.base.name"]}@`),
  );
});

test("the packages that are named are those that services use", { skip: skipBuild }, () => {
  const shipped = new Set(
    catalog.flatMap(({ name }) => {
      const { root } = image(name);
      const manifest = readFileSync(path.join(root, "app/package.json"), "utf8");
      return Object.keys((JSON.parse(manifest) as { dependencies: Record<string, string> }).dependencies);
    }),
  );
  assert.deepEqual(
    servicePackages.filter((name) => !shipped.has(name)),
    [],
    "images/packages.ts names more than services import",
  );
});

for (const { name, entry, secrets } of catalog) {
  describe(name, () => {
    test("ships its program, native packages, licences, and nothing else", { skip: skipBuild }, (t) => {
      const allowed = [
        /^\/app\/package\.json$/,
        new RegExp(`^/app/services/apps/(${name}|kill-switch)\\.js(\\.map)?$`),
        /^\/app\/services\/shared\/[\w-]+\.js(\.map)?$/,
        /^\/app\/services\/[a-z]+\/[a-z-]+-worker\.js(\.map)?$/,
        /^\/app\/node_modules\/(lz4-napi|@antoniomuso\/lz4-napi-linux-x64-gnu)\/[\w.-]+$/,
        /^\/app\/licenses\/(@[\w-]+\/)?[\w.-]+@[\w.-]+\/[\w.-]+$/,
      ];
      const shipped = files(name);
      assert.deepEqual(
        shipped.filter((file) => !allowed.some((kind) => kind.test(file))),
        [],
      );
      const { root } = image(name);
      const manifest = JSON.parse(readFileSync(path.join(root, "app/package.json"), "utf8")) as {
        main: string;
        dependencies: Record<string, string>;
      };
      assert.equal(manifest.main, entry.replace(/\.ts$/, ".js"));
      assert.deepEqual(
        Object.entries(manifest.dependencies).filter(
          ([dependency, version]) => !shipped.includes(`/app/licenses/${dependency}@${version}/package.txt`),
        ),
        [],
        "packages without their licence",
      );
      const bytes = shipped.reduce((sum, file) => sum + statSync(path.join(root, file)).size, 0);
      t.diagnostic(`${(bytes / 2 ** 20).toFixed(1)} MiB in ${shipped.length} files on top of the base image`);
      assert.ok(bytes < largestTree * 2 ** 20, `${bytes} bytes`);
    });

    test("starts from its files alone, and names every variable that it misses", { skip }, async () => {
      const container = run(name);
      assert.equal(await container.exited, 2, container.output);
      for (const variable of [...commonVariables, ...secrets.flatMap((secret) => secretVariables[secret])])
        assert.match(container.output, new RegExp(`- ${variable}: is missing`), container.output);
    });
  });
}

test("an error is told with the lines of the sources", { skip }, async () => {
  const environment = { SERVICE_NAME: "x", STACK: "dev", CLUSTER_ID: "x", BUSINESS_DATE: "2025-10-14" };
  const container = run("strategy-dummy", { environment: { ...environment, KAFKA_BROKERS: "127.0.0.1:1" } });
  assert.equal(await container.exited, 1, container.output);
  assert.match(container.output, /\(\/app\/services\/strategies\/service\.ts:\d+:\d+\)/);
});

test("nothing but /tmp can be written, and nobody is root", { skip }, async () => {
  const program = `
    const { writeFileSync } = await import("node:fs");
    const refused = (file) => { try { writeFileSync(file, ""); return "written"; } catch ({ code }) { return code; } };
    console.log(JSON.stringify({ ids: [process.pid, process.getuid(), process.getgid(), process.getgroups()],
      app: refused("/app/x"), root: refused("/x"), tmp: refused("/tmp/x") }));`;
  const container = run("archiver", { command: ["node", "--input-type=module", "--eval", program] });
  assert.equal(await container.exited, 0, container.output);
  assert.deepEqual(JSON.parse(container.output), {
    ids: [1, 1000, 1000, [1000]],
    app: "EROFS",
    root: "EROFS",
    tmp: "written",
  });
});

test("the archiver's thread is there, and reads what services compress", { skip }, async () => {
  const program = `
    const { Worker } = await import("node:worker_threads");
    const worker = new Worker("/app/services/archive/read-back-worker.js", { execArgv: [] });
    worker.on("message", ({ failure }) => { console.log(failure); process.exit(); });
    const range = { topic: "t", partition: 0, first: 0n, last: 0n };
    const before = ${JSON.stringify(chainStart)};
    worker.postMessage({ id: 1, name: "t/0.jsonl.zst", range, body: new Uint8Array(8), before });`;
  const container = run("archiver", { command: ["node", "--input-type=module", "--eval", program] });
  assert.equal(await container.exited, 0, container.output);
  assert.match(container.output, /^t\/0\.jsonl\.zst: /);
});

test(
  "on a real Kafka: quotes come in and out normalized, and SIGTERM stops process 1",
  { skip },
  async (t) => {
    const world = await PipelineWorld.start("aW1hZ2VzLWNoZWNrLTAwMQ");
    try {
      const names = ["ingest-near-intents", "normalize-near-intents"] satisfies ServiceName[];
      const running = names.map((name) => {
        const environment = { ...world.environment(name, { LOG_LEVEL: "info" }), DRAIN_AFTER: "" };
        return { name, container: run(name, { environment }) };
      });
      for (const { name, container } of running)
        await until(`${name} is ready: ${container.output}`, () =>
          container.output.includes(`"msg":"ready"`),
        );
      const generator = generateNearQuotes(1);
      const quotes = Array.from({ length: 50 }, () => generator.next().value);
      assert.equal(await world.near.play(quotes, { ratePerSecond: 200 }), 50);
      await until("all quotes normalized", async () => (await world.count("norm.swap_demand")) === 50);
      for (const { name, container } of running) {
        const port = /"port":(\d+)/.exec(container.output)?.[1] ?? "";
        assert.equal((await fetch(`http://127.0.0.1:${port}/healthz`)).status, 200);
        t.diagnostic(`${name}: at most ${container.peakMiB} MiB`);
        container.kill("SIGTERM");
        assert.equal(await container.exited, 0, container.output);
        assert.match(container.output, /"msg":"stopped"/);
      }
    } finally {
      await world.stop();
    }
  },
);
