/**
 * Makes overlays name the images of a release, by digest, as one commit on the branch that Argo CD follows: the stacks'
 * files and what `npm run render` makes of them.
 */
import { readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { catalog } from "../../services/catalog.ts";
import { stackFileConfig, StackFileError } from "../../components/stack-file.ts";
import { Git } from "../rollback/git.ts";
import {
  isDigest,
  pinsOf,
  stackImagesIn,
  type StackImages,
  withPins,
  withStackImages,
} from "../rollback/overlay-images.ts";
import { UsageError } from "../run.ts";

export interface BumpArguments {
  /** The checkout. */
  directory: string;
  /** The stacks whose overlays are to name the release. */
  stacks: readonly string[];
  /** The branch that must be checked out. */
  branch: string;
  /** The release's tag, such as `v1.2.3`. */
  version: string;
  /** By service, for all of the catalog. */
  digests: ReadonlyMap<string, string>;
  /** Whether to push the commit, also one that an earlier run has made. */
  push: boolean;
  signal?: AbortSignal;
}

export interface BumpResult {
  version: string;
  /** Null when the overlays name the release already. */
  commit: string | null;
  /** The remote's name; null when nothing was pushed. */
  pushedTo: string | null;
  diff: string;
}

/**
 * Reads a folder with a file for each service that holds its image's digest, as the release's jobs leave it.
 * @throws UsageError with everything that is missing or wrong
 */
export async function readDigests(directory: string): Promise<Map<string, string>> {
  const files = await readdir(directory).catch((error: unknown) => {
    throw new UsageError(`--digests: ${directory} cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  });
  const digests = new Map<string, string>();
  const mistakes: string[] = [];
  for (const service of files.sort()) {
    const digest = (await readFile(path.join(directory, service), "utf8")).trim();
    if (!isDigest(digest)) {
      mistakes.push(
        `  ${service}: found ${JSON.stringify(digest.slice(0, 80))}, expected sha256: and 64 hexadecimal digits`,
      );
    }
    digests.set(service, digest);
  }
  const known = catalog.map(({ name }) => name);
  for (const service of known)
    if (!digests.has(service))
      mistakes.push(`  ${service}: has no digest; its image may not have been pushed`);
  for (const service of digests.keys())
    if (!known.includes(service)) mistakes.push(`  ${service}: is no service of services/catalog.ts`);
  if (mistakes.length > 0) throw new UsageError(`--digests ${directory}:\n${mistakes.join("\n")}`);
  return digests;
}

/**
 * Makes the commit.
 * @throws UsageError for a stack that Argo CD does not deliver or whose files cannot be read; RefusedError with uncommitted
 *   changes or on another branch; GitError with Git's own words
 */
export async function bump(args: BumpArguments): Promise<BumpResult> {
  const { directory, stacks, branch, version, digests } = args;
  const git = new Git(directory, args.signal);
  await git.demandClean(branch);
  const changes = new Map<string, { before: string; after: string }>();
  for (const stack of stacks) {
    const stackFile = `Pulumi.${stack}.yaml`;
    const stackText = await readText(directory, stackFile);
    const overlayFile = overlayOf(stackFile, stackText);
    const overlayText = await readText(directory, overlayFile);
    const images = releasedImages(stackImagesIn(stackFile, stackText), version, digests);
    const running = new Map([...digests].filter(([service]) => pinsOf(overlayText).has(service)));
    changes.set(overlayFile, { before: overlayText, after: withPins(overlayText, running) });
    changes.set(stackFile, { before: stackText, after: withStackImages(stackText, images) });
  }
  const changed = [...changes].filter(([, { before, after }]) => before !== after);
  const files = changed.map(([file]) => file);
  let commit: string | null = null;
  let diff = "";
  if (changed.length > 0) {
    try {
      for (const [file, { after }] of changed) await writeFile(path.join(directory, file), after);
      diff = await git.diff(files);
      commit = await git.commit(messageOf(args), files);
    } finally {
      // A refused commit leaves nothing behind that the next try would stumble over.
      if (commit === null)
        for (const [file, { before }] of changed) await writeFile(path.join(directory, file), before);
    }
  }
  const pushes = args.push && (commit !== null || (await git.unpushed(branch)).length > 0);
  return { version, commit, diff, pushedTo: pushes ? await git.push(branch) : null };
}

/** A release is of all services: what ran another version until now runs this one. */
function releasedImages(
  before: StackImages,
  version: string,
  digests: ReadonlyMap<string, string>,
): StackImages {
  const { versions: _versions, digests: _digests, ...others } = before;
  return {
    ...others,
    version,
    digests: Object.fromEntries([...digests].sort(([one], [other]) => (one < other ? -1 : 1))),
  };
}

function messageOf({ stacks, version, digests }: BumpArguments): string {
  const lines = [...digests].map(([service, digest]) => `${service}: ${digest}`);
  return `Release ${version}: ${stacks.join(" and ")}\n\n${lines.join("\n")}\n`;
}

/** @throws UsageError when the stack is none that Argo CD delivers */
function overlayOf(stackFile: string, text: string): string {
  try {
    const { "trading:delivery": delivery, "trading:gitops": gitops } = stackFileConfig(stackFile, text, [
      "trading:gitops",
    ]) as { "trading:delivery"?: string; "trading:gitops"?: { path?: string } };
    if (delivery === "gitops" && gitops?.path !== undefined)
      return path.posix.join(gitops.path, "kustomization.yaml");
  } catch (error) {
    throw error instanceof StackFileError ? new UsageError(error.message, { cause: error }) : error;
  }
  throw new UsageError(
    `${stackFile}: expected trading:delivery gitops and trading:gitops with a path. What Pulumi delivers itself has no overlay: ` +
      "set trading:images there and run `pulumi up`.",
  );
}

async function readText(directory: string, file: string): Promise<string> {
  try {
    return await readFile(path.join(directory, file), "utf8");
  } catch (error) {
    throw new UsageError(`${file} cannot be read in ${directory}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
