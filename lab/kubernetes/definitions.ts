/**
 * The custom resource definitions of what the cluster's charts bring, each from its own project's release, of the version
 * that components/versions.ts pins (tests hold this), in the lab's cache.
 *
 * | from | definitions |
 * |---|---|
 * | Go module of the Prometheus operator | the chart kube-prometheus-stack has the same files |
 * | Go module of Argo CD | the chart argo-cd has the same |
 * | Go module of k3s's Helm controller | `HelmChart`; k3s 1.36 brings the controller's line 0.17 |
 * | Strimzi's own generator, see strimzi-definitions.ts | the chart strimzi-kafka-operator has the same |
 */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { parseAllDocuments } from "yaml";
import { charts } from "../../components/versions.ts";
import { ProcessRegistry } from "../processes.ts";
import type { KubernetesObject } from "./api.ts";
import { ControlPlaneError } from "./errors.ts";
import type { InstallArguments } from "./install.ts";
import { goUnavailable, runTool } from "./run-tool.ts";
import { generateStrimziDefinitions } from "./strimzi-definitions.ts";

/** A Go module of which only some files are wanted. */
interface ModuleFiles {
  module: string;
  version: string;
  /** As `go mod download -json` prints it: what the public checksum database knows. */
  sum: string;
  /** In the module. */
  folder: string;
}

/** Where the definitions come from. */
export const definitionModules = {
  prometheusOperator: {
    module: "github.com/prometheus-operator/prometheus-operator",
    version: "v0.93.1",
    sum: "h1:4Juk8v93RdG1DSGD/mGp+SeQKPmnlLIj2iq3blLZgFY=",
    folder: "example/prometheus-operator-crd",
  },
  argoCd: {
    module: "github.com/argoproj/argo-cd/v3",
    version: "v3.4.4",
    sum: "h1:PmYfvrLRecuOXjoUjBVx0nRwtJv/Wc9a3jaWs37EyyI=",
    folder: "manifests/crds",
  },
  helmController: {
    module: "github.com/k3s-io/helm-controller",
    version: "v0.17.9",
    sum: "h1:HhZTiFhVDzhbAYeb/aSlExWhJTnDTpHypMqu5Mh8Uow=",
    folder: "pkg/crds/yaml/generated",
  },
} as const satisfies Record<string, ModuleFiles>;

/**
 * Large definitions of kinds that no object of ours is of. The API server takes seconds of processor time for each, so they
 * stay out; an object of such a kind is refused, and this is the place to mend it.
 */
const unused: ReadonlySet<string> = new Set([
  "alertmanagerconfigs.monitoring.coreos.com",
  "alertmanagers.monitoring.coreos.com",
  "prometheusagents.monitoring.coreos.com",
  "prometheuses.monitoring.coreos.com",
  "scrapeconfigs.monitoring.coreos.com",
  "thanosrulers.monitoring.coreos.com",
  "applicationsets.argoproj.io",
  "kafkabridges.kafka.strimzi.io",
  "kafkaconnects.kafka.strimzi.io",
  "kafkamirrormaker2s.kafka.strimzi.io",
]);

/** Downloading Argo CD's module takes about 20 s, once. */
const downloadDeadlineMs = 300_000;

/**
 * Makes the definitions available; does nothing when they are already there.
 * @returns CustomResourceDefinition objects.
 * @throws ControlPlaneUnavailableError when this machine cannot fetch them, ControlPlaneError when they are not what is pinned
 *   or cannot be generated; with the tools' own words.
 */
export async function installDefinitions(args: InstallArguments): Promise<KubernetesObject[]> {
  const pins = { definitionModules, strimzi: charts.strimzi.version };
  const fingerprint = createHash("sha256").update(JSON.stringify(pins)).digest("hex").slice(0, 12);
  const target = path.resolve(args.cacheDirectory, `definitions-${fingerprint}`);
  if (!existsSync(target)) {
    args.onProgress?.(
      "fetching the custom resource definitions of Strimzi, Prometheus, Argo CD and k3s (once)",
    );
    const partial = `${target}.partial-${process.pid}`;
    await mkdir(partial, { recursive: true });
    try {
      const registry = args.registry ?? new ProcessRegistry(path.join(args.cacheDirectory, "processes"));
      await generateStrimziDefinitions({ ...args, registry }, partial);
      for (const source of Object.values(definitionModules)) await copyFiles(source, partial, args, registry);
      await rename(partial, target).catch((error: unknown) => {
        if (!existsSync(target)) throw error; // otherwise another installation was faster
      });
    } finally {
      await rm(partial, { recursive: true, force: true });
    }
  }
  const definitions: KubernetesObject[] = [];
  for (const file of (await readdir(target)).sort()) {
    for (const document of parseAllDocuments(await readFile(path.join(target, file), "utf8"))) {
      const object = document.toJS() as KubernetesObject | null;
      if (object?.kind === "CustomResourceDefinition" && !unused.has(object.metadata.name))
        definitions.push(object);
    }
  }
  return definitions;
}

async function copyFiles(
  { module, version, sum, folder }: ModuleFiles,
  target: string,
  { signal }: InstallArguments,
  registry: ProcessRegistry,
): Promise<void> {
  const told = await runTool({
    name: "definitions-download",
    command: "go",
    args: ["mod", "download", "-json", `${module}@${version}`],
    // Not in any module: nothing of ours depends on these.
    directory: target,
    environment: { GOWORK: "off", GOTOOLCHAIN: "local", GOFLAGS: "" },
    deadlineMs: downloadDeadlineMs,
    install: "Install Go 1.26 or newer: https://go.dev/dl.",
    unavailable: goUnavailable,
    registry,
    signal,
  });
  const downloaded = JSON.parse(told) as { Dir: string; Sum: string };
  if (downloaded.Sum !== sum) {
    throw new ControlPlaneError(
      `Go module ${module} ${version}: its sum is ${downloaded.Sum}, expected ${sum} (lab/kubernetes/definitions.ts). ` +
        "When the version was raised, put the new sum there.",
    );
  }
  const directory = path.join(downloaded.Dir, folder);
  for (const file of await readdir(directory)) {
    if (!file.endsWith(".yaml") || file === "kustomization.yaml") continue;
    const name = `${path.basename(module)}-${file}`;
    await writeFile(path.join(target, name), await readFile(path.join(directory, file)));
  }
}
