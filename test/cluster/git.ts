/** What Argo CD takes from the repository: its folders as `kubectl kustomize` makes them. */
import { readFileSync } from "node:fs";
import path from "node:path";
import { parseAllDocuments } from "yaml";
import { projectDirectory } from "../../lab/directories.ts";
import type { KubernetesObject } from "../../lab/kubernetes/index.ts";
import { installKubectl } from "../kubectl-tool.ts";

/** Objects of a file below `k8s/`. */
export function objectsInFile(file: string): KubernetesObject[] {
  const text = readFileSync(path.join(projectDirectory, "k8s", file), "utf8");
  return parseAllDocuments(text).map((document) => document.toJS() as KubernetesObject);
}

/** Objects of a folder below `k8s/`. @throws Error with kubectl's own words */
export async function objectsInGit(folder: string): Promise<KubernetesObject[]> {
  const kubectl = await installKubectl();
  if (kubectl === undefined) throw new Error("kubectl cannot be had from PyPI (pip has said why)");
  return (await kubectl.kustomize(path.join(projectDirectory, "k8s", folder))) as KubernetesObject[];
}
