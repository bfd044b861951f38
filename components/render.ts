/**
 * Writes `k8s/`, what Argo CD syncs: the services of the catalog and an overlay a stack (`npm run render`).
 * Nothing there is written by hand; a test holds that the folder equals what this program makes.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parse, stringify } from "yaml";
import { serviceImages } from "./versions.ts";
import { type Images, services, workloadObjects } from "./workloads.ts";

/** The stacks that have an overlay. */
export const stacks = ["dev", "prod"] as const;

const notice = "# Written by `npm run render`; do not edit.\n";
const document = (value: object) => stringify(value, { aliasDuplicateObjects: false, lineWidth: 0 });

/** The images of a stack: `trading:images` in its file, over the defaults. */
function imagesOf(stackFile: string): Images {
  const file = parse(stackFile) as { config?: Record<string, Partial<Images> | undefined> } | null;
  return { ...serviceImages, ...file?.config?.["trading:images"] };
}

/**
 * Renders the folder.
 * @param stackFiles text of `Pulumi.<stack>.yaml` by stack.
 * @returns text of each file by its path below `k8s/`.
 */
export function render(stackFiles: Readonly<Record<(typeof stacks)[number], string>>): Map<string, string> {
  const files = new Map<string, string>();
  for (const service of services) {
    const objects = workloadObjects(service, serviceImages);
    files.set(
      `base/${service.namespace}/${service.name}.yaml`,
      notice + objects.map((object) => document(object)).join("---\n"),
    );
  }
  files.set(
    "base/kustomization.yaml",
    notice +
      document({
        apiVersion: "kustomize.config.k8s.io/v1beta1",
        kind: "Kustomization",
        resources: [...files.keys()].map((file) => file.slice("base/".length)),
      }),
  );
  for (const stack of stacks) {
    const images = imagesOf(stackFiles[stack]);
    files.set(
      `overlays/${stack}/kustomization.yaml`,
      notice +
        document({
          apiVersion: "kustomize.config.k8s.io/v1beta1",
          kind: "Kustomization",
          resources: ["../../base"],
          labels: [{ pairs: { "trading/stack": stack }, includeSelectors: false }],
          images: services.map((service) => ({
            name: `${serviceImages.registry}/${service.name}`,
            newName: `${images.registry}/${service.name}`,
            newTag: images.version,
          })),
        }),
    );
  }
  return files;
}

/** Reads the stack files of a repository. @param root folder with `Pulumi.<stack>.yaml`. */
export function readStackFiles(root: string): Record<(typeof stacks)[number], string> {
  const read = (stack: string) => readFileSync(path.join(root, `Pulumi.${stack}.yaml`), "utf8");
  return { dev: read("dev"), prod: read("prod") };
}

/** Replaces the rendered parts of `k8s/` under `root`. */
export function writeRendering(root: string): void {
  const folder = path.join(root, "k8s");
  mkdirSync(folder, { recursive: true });
  for (const part of readdirSync(folder)) {
    if (part === "base" || part === "overlays") rmSync(path.join(folder, part), { recursive: true });
  }
  for (const [file, content] of render(readStackFiles(root))) {
    const target = path.join(folder, file);
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(target, content);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeRendering(path.join(import.meta.dirname, ".."));
}
