/**
 * Hetzner's official Python client drives a whole cluster's life against the simulator. Not part of `npm test`, because
 * it needs Python, pip and a package: `npm run check:hetzner-client`. Exit code 1 when the client fails; when pip cannot
 * provide the client, it says so and ends with 0, unless CI is set.
 */
import { spawn } from "node:child_process";
import { existsSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { labDirectories } from "../directories.ts";
import { startHetzner } from "./index.ts";

const clientVersion = "2.27.0";
const script = fileURLToPath(new URL("testing/official_client.py", import.meta.url));
const directory = path.join(labDirectories.cache, `python-hcloud-${clientVersion}`);

/** Runs Python with a deadline. @returns its exit code; 127 when it cannot be started */
function python(
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

async function install(): Promise<boolean> {
  if (existsSync(directory)) return true;
  const unfinished = `${directory}.${process.pid}`;
  const options = ["--disable-pip-version-check", "--no-input"];
  const quiet = ["--quiet", "--no-warn-conflicts", "--root-user-action=ignore"];
  const target = ["--target", unfinished, `hcloud==${clientVersion}`];
  const code = await python(["-m", "pip", ...options, "install", ...quiet, ...target], {}, 180_000);
  if (code === 0) renameSync(unfinished, directory);
  rmSync(unfinished, { recursive: true, force: true });
  return code === 0;
}

if (!(await install())) {
  console.log(`skipped: pip cannot provide hcloud ${clientVersion}`);
  process.exitCode = process.env["CI"] === undefined ? 0 : 1;
} else {
  const hetzner = await startHetzner();
  const environment = { PYTHONPATH: directory, HCLOUD_TOKEN: hetzner.token, PYTHONDONTWRITEBYTECODE: "1" };
  const code = await python([script, hetzner.endpoint], environment, 120_000);
  const left = hetzner.project.billable();
  await hetzner.close();
  for (const { kind, name, pricePerHour } of left)
    console.error(`left over: ${kind} ${name}, EUR ${pricePerHour}/h`);
  process.exitCode = code === 0 && left.length === 0 ? 0 : 1;
}
