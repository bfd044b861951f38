import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import test from "node:test";
import { parse, parseAllDocuments } from "yaml";
import { readStackFiles, render } from "./render.ts";
import { services } from "./workloads.ts";

const root = path.join(import.meta.dirname, "..");
const rendered = render(readStackFiles(root));

test("k8s/ is what `npm run render` makes", () => {
  const folder = path.join(root, "k8s");
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => /^(base|overlays)\//.test(file) && statSync(path.join(folder, file)).isFile())
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

test("the base holds every long-running service, no Job, no namespace, no secret", () => {
  const kinds: string[] = [];
  const names: string[] = [];
  for (const [file, content] of rendered) {
    if (!file.startsWith("base/") || file === "base/kustomization.yaml") continue;
    for (const document of parseAllDocuments(content)) {
      const object = document.toJS() as { kind: string; metadata: { name: string } };
      kinds.push(object.kind);
      if (object.kind !== "Service") names.push(object.metadata.name);
    }
  }
  assert.deepEqual([...new Set(kinds)].sort(), ["Deployment", "Service", "StatefulSet"]);
  assert.deepEqual(names.sort(), services.map((service) => service.name).sort());
});

test("an overlay runs the release that its stack's file names", () => {
  const files = readStackFiles(root);
  const file =
    "config:\n  trading:images:\n    registry: registry.example.com/trading\n    version: v9.9.9\n";
  const overlay = parse(render({ ...files, prod: file }).get("overlays/prod/kustomization.yaml") ?? "") as {
    images: { name: string; newName: string; newTag: string }[];
  };
  assert.equal(overlay.images.length, services.length);
  for (const image of overlay.images) {
    assert.equal(image.newTag, "v9.9.9");
    assert.equal(image.newName, image.name.replace("ghcr.io/trading-cz", "registry.example.com/trading"));
  }
});
