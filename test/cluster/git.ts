/** What Argo CD takes from the repository: its folders as `kubectl kustomize` makes them. */
import path from "node:path";
import { projectDirectory } from "../../lab/directories.ts";
import type { KubernetesObject } from "../../lab/kubernetes/index.ts";
import { installKubectl } from "../kubectl-tool.ts";

/** Objects of a folder below `k8s/`. @throws Error with kubectl's own words */
export async function objectsInGit(folder: string): Promise<KubernetesObject[]> {
  const kubectl = await installKubectl();
  if (kubectl === undefined) throw new Error("kubectl cannot be had from PyPI (pip has said why)");
  return (await kubectl.kustomize(path.join(projectDirectory, "k8s", folder))) as KubernetesObject[];
}
