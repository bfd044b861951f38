/**
 * The Pulumi CLI of a machine that has none, such as a CI runner: one version, by checksum. The provider plugins are
 * fetched by the CLI itself, in the versions that package-lock.json has, and without checksums of ours.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFile, mkdir, rename, rm, stat, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

/**
 * Not older than package.json's `@pulumi/pulumi`, which a test holds, and the first line whose state backend writes to other
 * servers than AWS's as the variables of docs/state.md say (pulumi/pulumi#24109, #24292).
 */
export const pulumiVersion = "3.259.0";

/**
 * sha256 of the releases by platform, from Pulumi's own Homebrew formula of that version
 * (https://github.com/pulumi/homebrew-tap, Formula/pulumi.rb).
 */
export const pulumiChecksums: Readonly<Record<string, string>> = {
  "linux-x64": "94ba357acac23d01474084c4b00098dc0f7bc70ce13f34c777459254a5f718e5",
  "linux-arm64": "edc8327463a72160bb36cf82cf5062da9c8a244290a706d9980988e7bf486853",
};

/** Where releases are; the same files are at GitHub, which a Forgejo's runners need not reach. */
export const pulumiReleases = "https://get.pulumi.com/releases/sdk";

/** It cannot be installed; the message says why and what to do. */
export class PulumiInstallError extends Error {
  override readonly name = "PulumiInstallError";
}

export interface InstallArguments {
  /** Parent of the folder that is made. */
  directory: string;
  /** `<process.platform>-<process.arch>`. */
  platform: string;
  /** The folder of the CLI is added to the file that this names, so that later steps of a CI job find it. */
  pathFile?: string | undefined;
  /** Default: {@link pulumiReleases}. */
  releases?: string;
  /** Default: {@link pulumiChecksums}. */
  checksums?: Readonly<Record<string, string>>;
  /** Longest download, with repetitions, in milliseconds. Default: 300,000. */
  timeoutMs?: number;
  /** Before each repetition of a download that failed, in milliseconds. Default: 2,000 and 8,000. */
  retryDelaysMs?: readonly number[];
}

/**
 * Installs the CLI, unless it is there already.
 * @returns the folder that belongs on PATH
 * @throws PulumiInstallError
 */
export async function installPulumi(args: InstallArguments): Promise<string> {
  const { directory, platform, pathFile, releases = pulumiReleases, checksums = pulumiChecksums } = args;
  const expected = checksums[platform];
  if (expected === undefined) {
    throw new PulumiInstallError(
      `Pulumi CLI: no checksum for ${platform}, expected one of ${Object.keys(checksums).join(", ")}. ` +
        "Install the CLI yourself (https://www.pulumi.com/docs/install/), or add the platform in ops/release/pulumi-cli.ts.",
    );
  }
  const target = path.join(directory, `pulumi-${pulumiVersion}-${platform}`);
  if (!(await isThere(target))) {
    const url = `${releases}/pulumi-v${pulumiVersion}-${platform}.tar.gz`;
    const archive = await download(url, args.timeoutMs ?? 300_000, args.retryDelaysMs ?? [2_000, 8_000]);
    const found = createHash("sha256").update(archive).digest("hex");
    if (found !== expected) {
      throw new PulumiInstallError(
        `${url}: found sha256 ${found}, expected ${expected}. Nothing of it was used. Somebody has changed the file, or the ` +
          "checksum in ops/release/pulumi-cli.ts is another version's.",
      );
    }
    await unpack(archive, target);
  }
  const folder = path.join(target, "pulumi");
  if (pathFile !== undefined) await appendFile(pathFile, `${folder}\n`);
  return folder;
}

async function isThere(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}

/** A morning does not fail for one dropped connection. */
async function download(url: string, timeoutMs: number, retryDelaysMs: readonly number[]): Promise<Buffer> {
  const signal = AbortSignal.timeout(timeoutMs);
  for (let attempt = 0; ; attempt += 1) {
    try {
      const response = await fetch(url, { signal });
      if (!response.ok) throw new Error(`it answers with status ${response.status}`);
      return Buffer.from(await response.arrayBuffer());
    } catch (error) {
      const delay = retryDelaysMs[attempt];
      if (delay !== undefined && !signal.aborted) {
        await sleep(delay);
        continue;
      }
      const { message, cause } = error as Error;
      const reason = cause instanceof Error ? `${message}: ${cause.message}` : message;
      throw new PulumiInstallError(
        `${url} cannot be fetched (${attempt + 1} attempts): ${reason}. Run it again.`,
        { cause: error },
      );
    }
  }
}

/** A killed run leaves nothing that looks whole. */
async function unpack(archive: Buffer, target: string): Promise<void> {
  const unfinished = `${target}.${process.pid}`;
  try {
    await mkdir(unfinished, { recursive: true });
    const file = path.join(unfinished, "release.tar.gz");
    await writeFile(file, archive);
    await promisify(execFile)("tar", ["-xzf", file, "-C", unfinished]);
    await rm(file);
    await rename(unfinished, target);
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
}
