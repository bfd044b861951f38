/**
 * docs/adding-a-service.md is true: its row, added to the catalog in memory, makes every object that the page names, and
 * changes those of the others as it says.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { runInNewContext } from "node:vm";
import { parse, parseAllDocuments } from "yaml";
import { catalog, type Deployable } from "../services/catalog.ts";

const root = path.join(import.meta.dirname, "..");
const read = (file: string) => readFileSync(path.join(root, file), "utf8");
const page = read("docs/adding-a-service.md");
const [entry = "", rowText = ""] = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code ?? "");

const { requests, limits } = catalog.find(({ name }) => name === "strategy-dummy") ?? assert.fail("no dummy");
const evaluated: unknown = runInNewContext(`(${rowText.trim().replace(/,$/, "")})`, {
  small: { requests, limits },
});
const row = JSON.parse(JSON.stringify(evaluated)) as Deployable;
/** The same as a service with a volume that talks to a venue. */
const stateful: Deployable = {
  ...row,
  name: "executor-example",
  kind: "StatefulSet",
  reads: ["cmd.execute_trade"],
  writes: ["exec.trade_result"],
  secrets: ["alpaca-credentials"],
  reaches: ["alpaca"],
  stateDirectory: "/var/lib/unrip/executor-state",
};

// Everything is derived when its module is loaded, so the rows are there before.
(catalog as Deployable[]).push(row, stateful);
const { render, readStackFiles } = await import("../components/render.ts");
const { overlays } = await import("../components/overlays.ts");
const { placedPods } = await import("../components/placed-pods.ts");
const { minimumOf } = await import("../components/capacity.ts");
const { imagesAhead } = await import("../components/cloud-init/images-ahead.ts");
const { serviceImages } = await import("../components/versions.ts");
const files = render(readStackFiles(root));

interface KubernetesObject {
  kind: string;
  metadata: { name: string; namespace: string };
  data?: Record<string, string>;
  spec?: unknown;
}

function objectsOf(name: string): KubernetesObject[] {
  const service = catalog.find((each) => each.name === name);
  const text = files.get(`base/${service?.namespace}/${name}.yaml`);
  assert.ok(text !== undefined, `no file of ${name}`);
  return parseAllDocuments(text).map((document) => document.toJS() as KubernetesObject);
}

/** Variables of a service, from its ConfigMap and its container. */
function variablesOf(name: string): Record<string, string | undefined> {
  const objects = objectsOf(name);
  const data = objects.find(({ kind }) => kind === "ConfigMap")?.data;
  const pods = objects.find(({ kind }) => kind === "Deployment" || kind === "StatefulSet")?.spec as {
    template: { spec: { containers: [{ env?: { name: string; value: string }[] }] } };
  };
  const { env = [] } = pods.template.spec.containers[0];
  return { ...data, ...Object.fromEntries(env.map(({ name: variable, value }) => [variable, value])) };
}

const listed = (name: string, variable: string) => (variablesOf(name)[variable] ?? "").split(",");

test("the page's program is like the dummy's, and its row and file have the same name", () => {
  const asDummy = entry.replaceAll("rising-bars", "dummy").replaceAll("RisingBars", "Dummy");
  assert.equal(asDummy, read("services/apps/strategy-dummy.ts"));
  assert.ok(page.includes(`\`${row.entry}\``));
  assert.equal(row.entry, `services/apps/${row.name}.ts`);
});

test("a row makes every object of the page's table and no other", () => {
  const inTable = [...page.matchAll(/^\| `(\w+)` +\|/gm)].map(([, kind]) => kind);
  const made = objectsOf(row.name);
  assert.deepEqual(made.map(({ kind }) => kind).sort(), inTable.sort());
  for (const { metadata } of made) {
    assert.equal(metadata.name, row.name);
    assert.equal(metadata.namespace, row.namespace);
  }
});

test("with a volume and a venue it has what the page says beside the table", () => {
  const kinds = objectsOf(stateful.name).map(({ kind }) => kind);
  const usual = objectsOf(row.name).map(({ kind }) => kind);
  assert.deepEqual(
    kinds.filter((kind) => !usual.includes(kind)),
    ["Service", "StatefulSet", "PodDisruptionBudget"],
  );
  assert.deepEqual(
    usual.filter((kind) => !kinds.includes(kind)),
    ["Deployment"],
  );
  const open = JSON.stringify(objectsOf(stateful.name).find(({ kind }) => kind === "NetworkPolicy"));
  const closed = JSON.stringify(objectsOf(row.name).find(({ kind }) => kind === "NetworkPolicy"));
  assert.ok(open.includes('"0.0.0.0/0"') && !closed.includes('"0.0.0.0/0"'));
});

test("Argo CD finds it: base and every overlay name it", () => {
  const base = parse(files.get("base/kustomization.yaml") ?? "") as { resources: string[] };
  assert.ok(base.resources.includes(`strategies/${row.name}.yaml`));
  for (const overlay of Object.keys(overlays)) {
    const { images, replicas } = parse(files.get(`overlays/${overlay}/kustomization.yaml`) ?? "") as {
      images: { name: string }[];
      replicas: { name: string; count: number }[];
    };
    assert.ok(
      images.some(({ name }) => name === `${serviceImages.registry}/${row.name}`),
      overlay,
    );
    assert.deepEqual(
      replicas.find(({ name }) => name === row.name),
      { name: row.name, count: 1 },
    );
  }
});

test("the others know of it: the drain's order, the seal, the monitor", () => {
  assert.ok(listed("executor-alpaca", "DRAIN_AFTER").includes(row.name), "who reads what it writes");
  assert.deepEqual(listed(row.name, "DRAIN_AFTER"), ["normalize-alpaca"], "who writes what it reads");
  for (const { name } of [row, stateful]) assert.ok(listed("archiver", "DRAINING_SERVICES").includes(name));
  assert.ok(listed("result-monitor", "MONITORED_GROUPS").includes(`${row.name}:norm.stock_bar`));
  assert.ok(listed("result-monitor", "CANARY_VENUES").includes("example"));
});

test("two more services fit on the 4 GB of seed 000's control plane; a third one rules those types out", () => {
  assert.deepEqual(minimumOf("cluster").controlPlane, { cores: 2, memory: 4 });
  (catalog as Deployable[]).push({ ...row, name: "strategy-third" });
  try {
    assert.deepEqual(minimumOf("cluster").controlPlane, { cores: 2, memory: 5 });
  } finally {
    (catalog as Deployable[]).pop();
  }
});

test("its pod counts in what must fit, and the node fetches its image ahead", () => {
  for (const profile of ["cluster", "single-node"] as const) {
    assert.equal(placedPods(profile).find(({ name }) => name === row.name)?.node, "k3s-control");
    const image = `${serviceImages.registry}/${row.name}:${serviceImages.version}`;
    assert.ok(imagesAhead(profile, "k3s-control", serviceImages).includes(image));
  }
});
