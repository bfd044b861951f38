/**
 * Puts an overlay's images back to what the branch had before, as a commit: Git stays what says what runs, so that
 * neither the next sync, nor self-heal, nor tomorrow's cluster brings the newer version back.
 */
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { RefusedError, UsageError } from "../run.ts";
import { type FileVersion, Git, GitError } from "./git.ts";
import {
  type Pin,
  type Pins,
  pinsOf,
  stackImages,
  stackImagesIn,
  withPins,
  withStackImages,
} from "./overlay-images.ts";

/** Arguments of {@link rollBack}. */
export interface RollbackArguments {
  stack: string;
  /** Folder with `Pulumi.<stack>.yaml`, in a checkout of the branch that Argo CD follows. */
  directory: string;
  /** `trading:gitops` of the stack. */
  source: { path: string; revision: string };
  /** Tag that holds where the stack's file says nothing of a service. */
  version: string;
  /** Default: all of the overlay. */
  service?: string | undefined;
  /** Tag or digest. Default: what was there before. */
  to?: Pin | undefined;
  /** Show what would be done. */
  dryRun: boolean;
  push: boolean;
  signal?: AbortSignal;
}

/** What changed of one service. */
export interface PinChange {
  service: string;
  from: Pin;
  to: Pin;
}

/** What a rollback came to. */
export interface RollbackResult {
  stack: string;
  branch: string;
  /** Empty when everything is as wished already. */
  changes: PinChange[];
  /** Why nothing changed; null when something did. */
  unchanged: string | null;
  /** In Git's own form; empty as above. */
  diff: string;
  /** Null when there was nothing to commit, or nothing was to be done. */
  commit: string | null;
  /** Name of the remote; null when nothing was pushed. */
  pushedTo: string | null;
}

/** Says in a commit which services it rolled back: a name, or `all`. */
const trailer = "Trading-Rollback";
const everything = "all";

/**
 * Rolls back.
 * @throws UsageError for a service that the overlay has not, without a repository, or when trading:images is no object;
 *   RefusedError with uncommitted changes, on another branch, when the version wished for never was in the overlay, or when a
 *   push would take along other commits than rollbacks; GitError with Git's own words
 */
export async function rollBack(args: RollbackArguments): Promise<RollbackResult> {
  const { stack, directory, source, service, to } = args;
  const git = new Git(directory, args.signal);
  await git.demandClean(source.revision);
  const pushes = args.push && !args.dryRun;
  if (pushes) await demandOnlyRollbacks(git, source.revision);
  const overlayFile = path.posix.join(source.path, "kustomization.yaml");
  const stackFile = `Pulumi.${stack}.yaml`;
  const overlay = await readText(directory, overlayFile);
  const current = pinsOf(overlay);
  if (service !== undefined && !current.has(service)) {
    throw new UsageError(
      `--service: found ${service}, expected a service of ${overlayFile}: ${[...current.keys()].sort().join(", ")}. ` +
        "(Jobs, such as prepare-day, are Pulumi's: set trading:images.versions or digests and run an up.)",
    );
  }

  const history = new OverlayHistory(git, overlayFile);
  const wished =
    to === undefined
      ? await history.before(current, service)
      : await history.demand(current, service === undefined ? [...current.keys()] : [service], to);
  const pins = new Map([...current].map(([name, pin]) => [name, wished.pins.get(name) ?? pin]));
  const changes = [...pins].flatMap(([name, pin]): PinChange[] => {
    const from = current.get(name) ?? "";
    return from === pin ? [] : [{ service: name, from, to: pin }];
  });

  const files = [overlayFile, stackFile];
  const result = { stack, branch: source.revision, changes, diff: "", commit: null, pushedTo: null };
  if (changes.length === 0) {
    const pushedTo = pushes ? await pushPending(git, source.revision) : null;
    return { ...result, unchanged: wished.reason, pushedTo };
  }
  const before = await readText(directory, stackFile);
  const images = stackImages(stackImagesIn(stackFile, before), args.version, pins);
  const texts = [withPins(overlay, pins), withStackImages(before, images)];
  const originals = [overlay, before];
  let commit: string | null = null;
  let diff = "";
  try {
    await writeTexts(directory, files, texts);
    diff = await git.diff(files);
    if (!args.dryRun) commit = await git.commit(messageOf(args, changes), files);
  } finally {
    // A refused commit leaves nothing behind that the next try would stumble over.
    if (commit === null) await writeTexts(directory, files, originals);
  }
  const pushedTo = args.push && commit !== null ? await push(git, source.revision, commit) : null;
  return { ...result, unchanged: null, diff, commit, pushedTo };
}

/**
 * Argo CD rolls out whatever is on the branch, so a push is for rollbacks alone.
 * @throws RefusedError with the other commits that are not pushed
 */
async function demandOnlyRollbacks(git: Git, branch: string): Promise<void> {
  const others = (await git.unpushed(branch)).filter(({ message }) => rolledBack(message).length === 0);
  if (others.length === 0) return;
  const lines = others.map(({ commit, message }) => `  ${commit.slice(0, 12)} ${message.split("\n", 1)[0]}`);
  throw new RefusedError(
    `The checkout has ${others.length === 1 ? "1 commit" : `${others.length} commits`} that ` +
      `${await git.upstreamOf(branch)} has not and that --push would make live:\n${lines.join("\n")}\n` +
      "Push them yourself first when they are to go live. Otherwise roll back in another clone, or without --push.",
  );
}

async function pushPending(git: Git, branch: string): Promise<string | null> {
  return (await git.unpushed(branch)).length > 0 ? push(git, branch, "HEAD") : null;
}

/** @throws GitError that says that the commit is there */
async function push(git: Git, branch: string, commit: string): Promise<string> {
  try {
    return await git.push(branch);
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
    throw new GitError(
      `The rollback is committed (${commit.slice(0, 12)}), but not pushed, so nothing is rolled back yet. ${error.message}\n` +
        `Bring the checkout up to date (\`git pull --rebase\`) and run the command again; where ${branch} takes pull requests ` +
        "only, make one of this commit.",
      { cause: error },
    );
  }
}

/** What the overlay's history says. */
class OverlayHistory {
  readonly #git: Git;
  readonly #file: string;

  constructor(git: Git, file: string) {
    this.#git = git;
    this.#file = file;
  }

  /**
   * The images before the last change of a service's, or of any.
   * @throws RefusedError when there was no other before
   */
  async before(current: Pins, service: string | undefined): Promise<{ pins: Pins; reason: string }> {
    const names = service === undefined ? [...current.keys()] : [service];
    let newer: FileVersion | undefined;
    for await (const version of this.#git.history(this.#file)) {
      const pins = pinsOf(version.text);
      const differs = names.some((name) => pins.has(name) && pins.get(name) !== current.get(name));
      if (differs) {
        const undone = rolledBack(newer?.message ?? "");
        if (undone.includes(everything) || (service !== undefined && undone.includes(service))) {
          const reason =
            `It was rolled back already, by ${newer?.commit.slice(0, 12)}. Name what else should run with --to; before it were: ` +
            `${(await this.#known(names)).join(", ")}.`;
          return { pins: current, reason };
        }
        const chosen = new Map(
          names.flatMap((name): [string, Pin][] => {
            const pin = pins.get(name);
            return pin === undefined ? [] : [[name, pin]];
          }),
        );
        return { pins: chosen, reason: "" };
      }
      newer = version;
    }
    throw new RefusedError(
      `${this.#file} never had another image of ${service ?? "any service"} on this branch, so there is nothing to go back to.` +
        (await this.#shallowHint()),
    );
  }

  /**
   * Demands that an image was in the overlay before: one that never ran here may not even exist.
   * @throws RefusedError with what was
   */
  async demand(current: Pins, names: readonly string[], to: Pin): Promise<{ pins: Pins; reason: string }> {
    const missing = new Set(names);
    for (const name of names) if (current.get(name) === to) missing.delete(name);
    if (missing.size > 0) {
      for await (const { text } of this.#git.history(this.#file)) {
        const pins = pinsOf(text);
        for (const name of missing) if (pins.get(name) === to) missing.delete(name);
        if (missing.size === 0) break;
      }
    }
    if (missing.size > 0) {
      throw new RefusedError(
        `--to: ${to} never was in ${this.#file} for ${[...missing].sort().join(", ")}, expected one of ` +
          `${(await this.#known([...missing])).join(", ")}. A version that has not run here is a deployment: change ` +
          `trading:images and run \`npm run render\`.${await this.#shallowHint()}`,
      );
    }
    return { pins: new Map(names.map((name) => [name, to])), reason: `${to} is what the overlay has.` };
  }

  /** What services have had, newest first, each once. */
  async #known(names: readonly string[]): Promise<Pin[]> {
    const found = new Set<Pin>();
    for await (const { text } of this.#git.history(this.#file)) {
      const pins = pinsOf(text);
      for (const name of names) {
        const pin = pins.get(name);
        if (pin !== undefined) found.add(pin);
      }
      if (found.size >= 10) break;
    }
    return [...found];
  }

  async #shallowHint(): Promise<string> {
    return (await this.#git.isShallow())
      ? " This checkout is shallow: `git fetch --unshallow` brings what is older."
      : "";
  }
}

/** The services that a commit with this message rolled back; none when it is another commit. */
function rolledBack(message: string): string[] {
  const [, names = ""] = new RegExp(`^${trailer}: (.+)$`, "m").exec(message) ?? [];
  return names.split(", ").filter(Boolean);
}

function messageOf({ stack, service }: RollbackArguments, changes: readonly PinChange[]): string {
  const [first] = changes;
  const subject =
    service === undefined || first === undefined
      ? `Roll back ${stack}: ${changes.length === 1 ? "1 service" : `${changes.length} services`}`
      : `Roll back ${service} of ${stack} to ${shortPin(first.to)}`;
  const lines = changes.map(({ service: name, from, to }) => `${name}: ${from} -> ${to}`);
  return `${subject}\n\n${lines.join("\n")}\n\n${trailer}: ${service ?? everything}\n`;
}

/** A digest as people tell it apart. */
export function shortPin(pin: Pin): string {
  return pin.startsWith("sha256:") ? pin.slice(0, "sha256:".length + 12) : pin;
}

async function readText(directory: string, file: string): Promise<string> {
  try {
    return await readFile(path.join(directory, file), "utf8");
  } catch (error) {
    throw new UsageError(
      `${file} cannot be read in ${directory}: ${(error as Error).message}. ` +
        "Expected the checkout with the stack's file and its overlay (trading:gitops.path).",
      { cause: error },
    );
  }
}

async function writeTexts(
  directory: string,
  files: readonly string[],
  texts: readonly string[],
): Promise<void> {
  for (const [index, file] of files.entries())
    await writeFile(path.join(directory, file), texts[index] ?? "");
}
