/** The cluster's kubeconfig, from the stack's outputs, as a file that lives only as long as somebody needs it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { StackEngine } from "../engine/stack-engine.ts";
import { RefusedError } from "../run.ts";

/**
 * Reads the administrator's kubeconfig.
 * @throws RefusedError when there is no cluster; StackEngineError
 */
export async function readKubeconfig(engine: Pick<StackEngine, "outputs">, stack: string): Promise<string> {
  const { kubeconfig } = await engine.outputs();
  if (typeof kubeconfig === "string" && kubeconfig !== "") return kubeconfig;
  throw new RefusedError(
    `The stack ${stack} has no kubeconfig among its outputs, so it has no cluster. Make one with \`trading open --stack ${stack}\`.`,
  );
}

/**
 * Writes a kubeconfig to a file that nobody else can read, and removes it when the work ends, however it ends.
 * @param work is given the file
 */
export async function withKubeconfig<T>(kubeconfig: string, work: (file: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(path.join(tmpdir(), "trading-ui-"));
  const remove = (): void => rmSync(directory, { recursive: true, force: true });
  // A second Ctrl-C ends the process at once.
  process.on("exit", remove);
  try {
    const file = path.join(directory, "kubeconfig");
    writeFileSync(file, kubeconfig, { mode: 0o600 });
    return await work(file);
  } finally {
    remove();
    process.off("exit", remove);
  }
}
