/**
 * kcat (librdkafka's command line, C), which the export is measured against. It is no part of Kafka: one on PATH is used,
 * otherwise Debian's packages are unpacked into the lab's cache, which needs neither root nor an installation.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import path from "node:path";
import type { ProcessRegistry } from "../lab/processes.ts";
import { outputOf } from "./process-output.ts";

/** A kcat that runs. */
export interface Kcat {
  command: string;
  /** In addition to the environment. */
  environment: Record<string, string>;
  /** For example `1.7.1, librdkafka 2.0.2`. */
  version: string;
}

/** There is no kcat, and why; with how to install it. */
export interface NoKcat {
  missing: string;
}

/** What kcat needs that is not on every Debian; the C library, OpenSSL and the like are. */
const packages = ["kcat", "librdkafka1", "libyajl2"];

/** Arguments of {@link findKcat}. */
export interface KcatArguments {
  /** The lab's cache, for example `.lab/cache`; about 2 MB are put there. */
  cacheDirectory: string;
  registry: ProcessRegistry;
  signal: AbortSignal;
  /** Told what is being done, one short line at a time. */
  onProgress: (line: string) => void;
}

/** Finds kcat, or fetches it once. Never rejects but for the signal: without kcat the rest is still measured. */
export async function findKcat(args: KcatArguments): Promise<Kcat | NoKcat> {
  // Its name before version 1.7.
  for (const command of ["kcat", "kafkacat"]) {
    const version = versionOf(command, {});
    if (version !== undefined) return { command, environment: {}, version };
  }
  const target = path.resolve(args.cacheDirectory, "kcat");
  try {
    if (!existsSync(target)) await unpack(target, args);
    const command = path.join(target, "usr", "bin", "kcat");
    const libraries = path.join(target, "usr", "lib");
    // Debian keeps libraries in a folder named after the architecture.
    const folders = (await readdir(libraries)).map((folder) => path.join(libraries, folder));
    const environment = { LD_LIBRARY_PATH: folders.join(":") };
    const version = versionOf(command, environment);
    if (version !== undefined) return { command, environment, version };
    throw new Error(`${command} was unpacked, but does not run: remove ${target} to fetch it again`);
  } catch (error) {
    args.signal.throwIfAborted();
    return {
      missing:
        "kcat is not on PATH and could not be fetched. Install it (Debian: `apt-get install kcat`, macOS: " +
        `\`brew install kcat\`) and run again. ${(error as Error).message}`,
    };
  }
}

function versionOf(command: string, environment: Record<string, string>): string | undefined {
  const env = { ...process.env, ...environment };
  const { stdout } = spawnSync(command, ["-V"], { encoding: "utf8", env, timeout: 10_000 });
  return readKcatVersion(stdout ?? "");
}

/** kcat's version and its library's, from what `kcat -V` prints; undefined when it printed something else. */
export function readKcatVersion(printed: string): string | undefined {
  const [, own, library] = /^Version (\S+) \(.*librdkafka (\S+)/m.exec(printed) ?? [];
  return own === undefined ? undefined : `${own}, librdkafka ${library}`;
}

async function unpack(target: string, { registry, signal, onProgress }: KcatArguments): Promise<void> {
  onProgress("fetching kcat (0.7 MB, once)");
  // Built beside the target and renamed when whole: a half-made folder is never taken for kcat.
  const partial = `${target}.partial-${process.pid}`;
  const run = async (command: string, args: readonly string[]): Promise<void> => {
    const options = { cwd: partial, stdio: ["ignore", "pipe", "pipe"] as ["ignore", "pipe", "pipe"] };
    await outputOf(await registry.start("kcat-install", command, args, options), signal);
  };
  await mkdir(partial, { recursive: true });
  try {
    await run("apt-get", ["download", ...packages]);
    for (const file of await readdir(partial)) {
      if (file.endsWith(".deb")) await run("dpkg", ["-x", file, "."]);
    }
    await rename(partial, target);
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}
