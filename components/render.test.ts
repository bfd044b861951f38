import assert from "node:assert/strict";
import {
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import test from "node:test";
import { parse, parseAllDocuments, stringify } from "yaml";
import { readStackFiles, render } from "./render.ts";
import { serviceImages } from "./versions.ts";
import { services, workloadObjects } from "./workloads.ts";

const root = path.join(import.meta.dirname, "..");
const rendered = render(readStackFiles(root));

test("k8s/ is what `npm run render` makes", () => {
  const folder = path.join(root, "k8s");
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => statSync(path.join(folder, file)).isFile())
    .sort();
  assert.deepEqual(files, [...rendered.keys()].sort());
  for (const file of files) {
    assert.equal(
      readFileSync(path.join(folder, file), "utf8"),
      rendered.get(file),
      `${file}: run npm run render`,
    );
  }
});

test("a stack's file of somebody's own, such as README's Pulumi.lab.yaml, changes nothing", (context) => {
  const folder = mkdtempSync(path.join(tmpdir(), "render-"));
  context.after(() => rmSync(folder, { recursive: true }));
  for (const stack of ["dev", "prod"]) {
    copyFileSync(path.join(root, `Pulumi.${stack}.yaml`), path.join(folder, `Pulumi.${stack}.yaml`));
  }
  const before = render(readStackFiles(folder));
  // An overlay that does not follow a stack's file does not read one either.
  for (const own of ["lab", "mine", "staging"]) {
    copyFileSync(path.join(root, "Pulumi.dev.yaml"), path.join(folder, `Pulumi.${own}.yaml`));
  }
  writeFileSync(path.join(folder, "Pulumi.broken.yaml"), "config: [");
  assert.deepEqual(render(readStackFiles(folder)), before);
});

test("the base holds all that a long-running service is made of, no Job, no namespace, no secret", () => {
  const found: string[] = [];
  for (const [file, content] of rendered) {
    if (!file.startsWith("base/") || file === "base/kustomization.yaml") continue;
    for (const document of parseAllDocuments(content)) {
      const object = document.toJS() as { kind: string; metadata: { name: string } };
      found.push(`${object.kind} ${object.metadata.name}`);
    }
  }
  const images = { registry: "r", version: "v" };
  const wanted = services.flatMap((service) =>
    workloadObjects(service, images).map(({ kind, metadata }) => `${kind} ${metadata.name}`),
  );
  assert.deepEqual(found.sort(), wanted.sort());
  assert.deepEqual([...new Set(found.map((each) => each.split(" ")[0]))].sort(), [
    "ConfigMap",
    "Deployment",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "PodMonitor",
    "Service",
    "ServiceAccount",
    "StatefulSet",
  ]);
});

test("pods are bound to nodes by kubernetes.io/hostname and by nothing else", () => {
  const keys = new Set<string>();
  const collect = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    for (const [key, inner] of Object.entries(value)) {
      if (key === "nodeSelector") for (const label of Object.keys(inner as object)) keys.add(label);
      assert.ok(!["affinity", "tolerations", "topologySpreadConstraints", "nodeName"].includes(key), key);
      collect(inner);
    }
  };
  for (const content of rendered.values()) {
    for (const document of parseAllDocuments(content)) collect(document.toJS());
  }
  assert.deepEqual([...keys], ["kubernetes.io/hostname"]);
});

interface Kustomization {
  images: { name: string; newName: string; newTag?: string; digest?: string }[];
  replicas: { name: string; count: number }[];
  patches?: { path: string }[];
}

function kustomization(files: ReadonlyMap<string, string>, overlay: string): Kustomization {
  return parse(files.get(`overlays/${overlay}/kustomization.yaml`) ?? "") as Kustomization;
}

test("an overlay runs the release that its stack's file names, by tag or by digest", () => {
  const digest = `sha256:${"0123456789abcdef".repeat(4)}`;
  const file =
    "config:\n  trading:images:\n    registry: registry.example.com/trading\n    version: v9.9.9\n" +
    `    versions:\n      strategy-dummy: v9.9.8\n    digests:\n      archiver: ${digest}\n`;
  const overlay = kustomization(render({ ...readStackFiles(root), prod: file }), "prod");
  assert.equal(overlay.images.length, services.length);
  for (const image of overlay.images) {
    assert.equal(image.newName, image.name.replace("ghcr.io/trading-cz", "registry.example.com/trading"));
    const pinned = image.name.endsWith("/archiver");
    const tag = image.name.endsWith("/strategy-dummy") ? "v9.9.8" : "v9.9.9";
    assert.equal(image.newTag, pinned ? undefined : tag);
    assert.equal(image.digest, pinned ? digest : undefined);
  }
});

test("staging runs the release of versions.ts, whatever the stacks' files pin", () => {
  const file = "config:\n  trading:images:\n    version: v9.9.9\n";
  const files = render({ dev: file, prod: file });
  for (const image of kustomization(files, "staging").images) {
    assert.equal(image.newTag, serviceImages.version);
  }
  for (const image of kustomization(files, "dev").images) assert.equal(image.newTag, "v9.9.9");
});

test("an overlay changes what its row says, and nothing that is no service", () => {
  const images = { registry: "r.example.com", version: "v1.0.0" };
  const overlay = { images, resources: { archiver: { limits: { memory: "1Gi" } } } };
  const files = render({}, { big: overlay });
  assert.deepEqual(kustomization(files, "big").patches, [{ path: "resources-archiver.yaml" }]);
  assert.deepEqual(parse(files.get("overlays/big/resources-archiver.yaml") ?? ""), {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "archiver", namespace: "kafka" },
    spec: {
      template: { spec: { containers: [{ name: "archiver", resources: { limits: { memory: "1Gi" } } }] } },
    },
  });
  const unknown = { images, resources: { "prepare-day": { limits: { cpu: "1" } }, archver: {} } };
  assert.throws(
    () => render({}, { big: unknown }),
    /overlay big, resources: found prepare-day, archver, expected .*archiver/,
  );
});

test("a stack's file that names a port which the services cannot reach is refused", () => {
  const file =
    "config:\n  trading:archive:\n    endpoint: https://s3.example.com:9000\n" +
    "  trading:venues:\n    alpaca:\n      streamUrl: ws://stream.example.com/v2\n      restUrl: https://api.example.com\n";
  assert.throws(
    () => render({ ...readStackFiles(root), prod: file }),
    /Pulumi\.prod\.yaml: found trading:archive\.endpoint https:\/\/s3\.example\.com:9000, trading:venues\.alpaca\.streamUrl ws:\/\/stream\.example\.com\/v2, expected port 443/,
  );
});

test("values that are JSON text, as `pulumi config set` writes them, are read as the program reads them", () => {
  const values = {
    "trading:images": { version: "v9.9.9" },
    "trading:archive": { endpoint: "https://s3.example.com" },
    "trading:gitops": {
      repository: "https://git.example.com/a.git",
      path: "k8s/overlays/dev",
      revision: "master",
    },
    "trading:venues": { alpaca: { restUrl: "https://api.example.com" } },
  };
  const asText = Object.fromEntries(
    Object.entries(values).map(([key, value]) => [key, JSON.stringify(value)]),
  );
  const renderWith = (config: object) =>
    render({
      ...readStackFiles(root),
      dev: stringify({ config: { "trading:delivery": "gitops", ...config } }),
    });
  assert.deepEqual(renderWith(asText), renderWith(values));
  assert.equal(kustomization(renderWith(asText), "dev").images[0]?.newTag, "v9.9.9");
  assert.throws(
    () => renderWith({ "trading:archive": '{"endpoint":"https://s3.example.com:9000"}' }),
    /found trading:archive\.endpoint https:\/\/s3\.example\.com:9000, expected port 443/,
  );
});

test("values that are no objects are refused, each by its key", () => {
  const config = {
    "trading:images": "v9.9.9",
    "trading:archive": ["trading-archive"],
    "trading:gitops": "[]",
    "trading:venues": null,
  };
  assert.throws(
    () => render({ ...readStackFiles(root), dev: stringify({ config }) }),
    (error: Error) => {
      assert.match(error.message, /^Pulumi\.dev\.yaml/);
      for (const key of Object.keys(config))
        assert.match(error.message, new RegExp(`${key}: found .*object`));
      return true;
    },
  );
});

test("an overlay without the stack's file that it follows says so", () => {
  assert.throws(() => render({}), /overlay dev: found no Pulumi\.dev\.yaml/);
});

test("a stack that is delivered by Argo CD has its project and its Application, and no other", () => {
  const gitops =
    "{ repository: https://git.example.com/a.git, path: k8s/overlays/prod, revision: production }";
  const file = (delivery: string) =>
    `config:\n  trading:delivery: ${delivery}\n  trading:gitops: ${gitops}\n`;
  const files = render({ dev: file("direct"), prod: file("gitops") });
  assert.deepEqual(
    [...files.keys()].filter((name) => name.startsWith("argocd/")),
    ["argocd/prod.yaml"],
  );
  const objects = parseAllDocuments(files.get("argocd/prod.yaml") ?? "").map(
    (document) => document.toJS() as { kind: string; metadata: { name: string; namespace: string } },
  );
  assert.deepEqual(
    objects.map(({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name}`),
    ["AppProject argocd/default", "AppProject argocd/trading", "Application argocd/trading"],
  );
});
