/**
 * Writes `k8s/`, what Argo CD syncs: the services of the catalog and the overlays (`npm run render`).
 * Nothing there is written by hand; a test holds that the folder equals what this program makes.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { stringify } from "yaml";
import { appProject, closedDefaultProject, type GitSource, rootApplication } from "./argocd-objects.ts";
import { portOf } from "./network-peers.ts";
import { demandValid } from "./object-validation.ts";
import { type Overlay, overlayLabel, overlayObjects, overlays } from "./overlays.ts";
import { stackFileConfig } from "./stack-file.ts";
import { serviceImages } from "./versions.ts";
import { outsidePort } from "./workload-policy.ts";
import { type Images, pinOf, replicas, services, workloadObjects } from "./workloads.ts";

const notice = "# Written by `npm run render`; do not edit.\n";
const document = (value: object) => stringify(value, { aliasDuplicateObjects: false, lineWidth: 0 });
const kustomization = (content: object) =>
  notice + document({ apiVersion: "kustomize.config.k8s.io/v1beta1", kind: "Kustomization", ...content });

const objectKeys = ["trading:gitops", "trading:images", "trading:archive", "trading:venues"];

/** What is read of `Pulumi.<stack>.yaml`. The program itself checks all of it. */
interface StackFile {
  "trading:delivery"?: string;
  "trading:gitops"?: GitSource;
  "trading:images"?: Partial<Images>;
  "trading:archive"?: { endpoint?: string };
  "trading:venues"?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** Text of `Pulumi.<stack>.yaml` by stack. */
export type StackFiles = Readonly<Record<string, string>>;

function configOf(stack: string, stackFiles: StackFiles): StackFile {
  const text = stackFiles[stack];
  if (text === undefined) {
    throw new Error(
      `overlay ${stack}: found no Pulumi.${stack}.yaml, expected one with the images. ` +
        "Add the file, or name the images in components/overlays.ts.",
    );
  }
  return stackFileConfig(`Pulumi.${stack}.yaml`, text, objectKeys);
}

/**
 * The images of an overlay.
 * @throws Error when they are to be those of a stack's file that is missing
 */
export function imagesOf(name: string, overlay: Overlay, stackFiles: StackFiles): Images {
  if (overlay.images !== "of the stack's file") return overlay.images;
  return { ...serviceImages, ...configOf(name, stackFiles)["trading:images"] };
}

/**
 * The services' network policies stand in Git and let them out at one port. A stack's file that names another would have
 * services that start and never connect.
 */
function demandOpenPorts(stack: string, stackFiles: StackFiles): void {
  const config = configOf(stack, stackFiles);
  const named: [key: string, value: unknown][] = [["archive.endpoint", config["trading:archive"]?.endpoint]];
  for (const [venue, settings] of Object.entries(config["trading:venues"] ?? {})) {
    for (const [key, value] of Object.entries(settings)) {
      if (key.endsWith("Url")) named.push([`venues.${venue}.${key}`, value]);
    }
  }
  const closed = named.filter(
    ([, value]) => typeof value === "string" && URL.canParse(value) && portOf(value) !== outsidePort,
  );
  if (closed.length === 0) return;
  throw new Error(
    `Pulumi.${stack}.yaml: found ${closed.map(([key, value]) => `trading:${key} ${String(value)}`).join(", ")}, ` +
      `expected port ${outsidePort}: the services' network policies let them out at no other ` +
      "(components/workload-policy.ts).",
  );
}

/** An overlay's kustomization and the files beside it, by their names. */
function renderOverlay(name: string, overlay: Overlay, images: Images): Map<string, string> {
  const files = new Map<string, string>();
  for (const { name: service, kind, namespace } of services) {
    const resources = overlay.resources?.[service];
    if (resources === undefined) continue;
    const patch = {
      apiVersion: "apps/v1",
      kind,
      metadata: { name: service, namespace },
      spec: { template: { spec: { containers: [{ name: service, resources }] } } },
    };
    files.set(`resources-${service}.yaml`, notice + document(patch));
  }
  const patches = [...files.keys()].map((file) => ({ path: file }));
  files.set(
    "kustomization.yaml",
    kustomization({
      resources: ["../../base"],
      labels: [{ pairs: { [overlayLabel]: name }, includeSelectors: false }],
      images: services.map(({ name: service }) => {
        const pin = pinOf(service, images);
        return {
          name: `${serviceImages.registry}/${service}`,
          newName: `${images.registry}/${service}`,
          ...("digest" in pin ? pin : { newTag: pin.tag }),
        };
      }),
      replicas: services.map((service) => ({ name: service.name, count: replicas })),
      ...(patches.length === 0 ? {} : { patches }),
    }),
  );
  return files;
}

/**
 * Renders the folder.
 * @param stackFiles those of the overlays that take their images from them
 * @param rendered the overlays by name. Default: those of overlays.ts.
 * @returns text of each file by its path below `k8s/`.
 * @throws InvalidObjectsError when Kubernetes would refuse an object
 * @throws StackFileError when a stack's file has something else where an object belongs
 * @throws Error when a stack's file names a port that the services cannot reach, or an overlay what is not there
 */
export function render(
  stackFiles: StackFiles,
  rendered: Readonly<Record<string, Overlay>> = overlays,
): Map<string, string> {
  const files = new Map<string, string>();
  for (const service of services) {
    const objects = workloadObjects(service, serviceImages);
    demandValid(objects);
    files.set(
      `base/${service.namespace}/${service.name}.yaml`,
      notice + objects.map((object) => document(object)).join("---\n"),
    );
  }
  const resources = [...files.keys()].map((file) => file.slice("base/".length));
  files.set("base/kustomization.yaml", kustomization({ resources }));
  for (const stack of Object.keys(stackFiles)) demandOpenPorts(stack, stackFiles);
  for (const [name, overlay] of Object.entries(rendered)) {
    const images = imagesOf(name, overlay, stackFiles);
    demandValid(overlayObjects(name, images, overlay));
    for (const [file, content] of renderOverlay(name, overlay, images)) {
      files.set(`overlays/${name}/${file}`, content);
    }
  }
  for (const [file, content] of renderArgoCd(stackFiles)) files.set(`argocd/${file}`, content);
  return files;
}

/**
 * What a stack's Argo CD is told. Pulumi applies the same to the clusters that it makes, and says when nothing is to be
 * rolled out; this is for readers, and for a cluster that Pulumi did not make (`kubectl apply --server-side -f`).
 */
function renderArgoCd(stackFiles: StackFiles): Map<string, string> {
  const files = new Map<string, string>();
  for (const stack of Object.keys(stackFiles)) {
    const { "trading:delivery": delivery, "trading:gitops": source } = configOf(stack, stackFiles);
    if (delivery !== "gitops" || source === undefined) continue;
    const objects = [closedDefaultProject(), appProject(source), rootApplication(source)];
    files.set(`${stack}.yaml`, notice + objects.map((object) => document(object)).join("---\n"));
  }
  return files;
}

/**
 * Reads the files of the stacks whose overlay follows them. Others are not looked at: `k8s/` must not depend on what
 * somebody has for a cluster of their own. One that is missing is left out.
 * @param root folder with `Pulumi.<stack>.yaml`
 */
export function readStackFiles(root: string): Record<string, string> {
  const files: Record<string, string> = {};
  for (const [stack, { images }] of Object.entries<Overlay>(overlays)) {
    const file = path.join(root, `Pulumi.${stack}.yaml`);
    if (images === "of the stack's file" && existsSync(file)) files[stack] = readFileSync(file, "utf8");
  }
  return files;
}

/** Writes files into a folder, over what is there. @param files text by path */
export function writeFiles(folder: string, files: ReadonlyMap<string, string>): void {
  for (const [file, content] of files) {
    const target = path.join(folder, file);
    mkdirSync(path.dirname(target), { recursive: true });
    writeFileSync(target, content);
  }
}

/** Replaces the rendered parts of `k8s/` under `root`. */
export function writeRendering(root: string): void {
  const folder = path.join(root, "k8s");
  const files = render(readStackFiles(root));
  for (const part of ["base", "overlays", "argocd"])
    rmSync(path.join(folder, part), { recursive: true, force: true });
  writeFiles(folder, files);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeRendering(path.join(import.meta.dirname, ".."));
}
