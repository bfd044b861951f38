/** Python packages from PyPI that checks of the lab need: one pinned version each, in the lab's cache. */
import { spawn } from "node:child_process";
import { existsSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import { labDirectories } from "./directories.ts";

/** A package as PyPI knows it; what it depends on is left to pip. */
export interface PythonPackage {
  name: string;
  /** Exact. */
  version: string;
}

/**
 * Runs Python, its output being ours.
 * @returns its exit code: 127 when it cannot be started, 1 when the deadline ended it.
 */
export function runPython(
  args: readonly string[],
  environment: Record<string, string>,
  deadlineMs: number,
): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn("python3", args, {
      env: { ...process.env, ...environment },
      stdio: ["ignore", "inherit", "inherit"],
      timeout: deadlineMs,
    });
    child.once("error", (error) => {
      console.error(`python3 cannot be started: ${error.message}`);
      resolve(127);
    });
    child.once("exit", (code) => resolve(code ?? 1));
  });
}

/**
 * Installs a package beside nothing else, unless it is there already.
 * @returns its folder, for PYTHONPATH; undefined when pip cannot provide it (pip has said why).
 */
export async function installPythonPackage({ name, version }: PythonPackage): Promise<string | undefined> {
  const directory = path.join(labDirectories.cache, `python-${name}-${version}`);
  if (existsSync(directory)) return directory;
  const unfinished = `${directory}.${process.pid}`;
  const options = ["--disable-pip-version-check", "--no-input"];
  const quiet = ["--quiet", "--no-warn-conflicts", "--root-user-action=ignore"];
  const target = ["--target", unfinished, `${name}==${version}`];
  const code = await runPython(["-m", "pip", ...options, "install", ...quiet, ...target], {}, 180_000);
  if (code === 0) renameSync(unfinished, directory);
  rmSync(unfinished, { recursive: true, force: true });
  return code === 0 ? directory : undefined;
}
