/** The Git repository that holds an overlay, through the `git` command of the machine. */
import { execFile } from "node:child_process";
import { RefusedError, UsageError } from "../run.ts";

/** Git said no; its own words are in the message. */
export class GitError extends Error {
  override readonly name = "GitError";
}

/** One commit in which a file changed. */
export interface FileVersion {
  commit: string;
  /** Whole commit message. */
  message: string;
  /** The file's text in that commit. */
  text: string;
}

const longestOutput = 64 * 1024 * 1024;
/** Between commits of a log, and between their parts: no message holds these. */
const [recordEnd, fieldEnd] = ["\x1e", "\x1f"];

/** A checkout. Paths are relative to its directory, which may lie below the repository's root. */
export class Git {
  readonly #directory: string;
  readonly #signal: AbortSignal | undefined;

  constructor(directory: string, signal?: AbortSignal) {
    this.#directory = directory;
    this.#signal = signal;
  }

  /**
   * Demands a repository with a branch checked out and nothing changed in it.
   * @param revision the branch that must be checked out
   * @throws UsageError without a repository or without `git`; RefusedError on another branch or with changes
   */
  async demandClean(revision: string): Promise<void> {
    const inside = await this.#run("rev-parse", "--is-inside-work-tree").catch((error: unknown) => {
      throw error instanceof GitError
        ? new UsageError(
            `${this.#directory} is not in a Git repository, expected a checkout of the one that Argo CD follows. ` +
              "Run the command in one.",
            { cause: error },
          )
        : error;
    });
    if (inside.trim() !== "true") throw new UsageError(`${this.#directory} is no Git work tree.`);
    const branch = (await this.#run("branch", "--show-current")).trim();
    if (branch !== revision) {
      throw new RefusedError(
        `The checkout is on ${branch === "" ? "no branch" : `the branch ${branch}`}, but Argo CD follows ${revision} ` +
          `(trading:gitops.revision). Do \`git switch ${revision}\` and \`git pull\` first.`,
      );
    }
    const changed = (await this.#run("status", "--porcelain", "--untracked-files=no")).trimEnd();
    if (changed !== "") {
      throw new RefusedError(
        `The checkout has changes that are not committed:\n${changed}\nCommit or stash them first, so that the rollback is a ` +
          "commit of its own.",
      );
    }
  }

  /** Whether older commits are missing here. */
  async isShallow(): Promise<boolean> {
    return (await this.#run("rev-parse", "--is-shallow-repository")).trim() === "true";
  }

  /**
   * The versions of a file, newest first, as the branch had them: what came with a merge counts as of the merge.
   * @yields from the newest; read as many as are needed
   */
  async *history(file: string): AsyncGenerator<FileVersion> {
    const format = `--format=%H${fieldEnd}%B${recordEnd}`;
    const log = await this.#run("log", "--first-parent", format, "--", file);
    for (const record of log.split(recordEnd)) {
      const [commit = "", message = ""] = record.trim().split(fieldEnd);
      if (commit === "") continue;
      const text = await this.#run("show", `${commit}:./${file}`).catch((error: unknown) => {
        // The commit that removed it.
        if (error instanceof GitError) return undefined;
        throw error;
      });
      if (text !== undefined) yield { commit, message, text };
    }
  }

  /** What is changed in some files and not committed. */
  diff(files: readonly string[]): Promise<string> {
    return this.#run("diff", "--no-color", "--no-ext-diff", "--", ...files);
  }

  /** Commits some files and nothing else. @returns the commit */
  async commit(message: string, files: readonly string[]): Promise<string> {
    await this.#run("commit", "--quiet", "--message", message, "--only", "--", ...files);
    return (await this.#run("rev-parse", "HEAD")).trim();
  }

  /**
   * The commits of the branch that its remote is not known to have, newest first.
   * @throws RefusedError when nothing is known of the remote's branch
   */
  async unpushed(branch: string): Promise<Omit<FileVersion, "text">[]> {
    const remote = await this.#remoteOf(branch);
    const known = `refs/remotes/${remote}/${branch}`;
    await this.#run("rev-parse", "--verify", "--quiet", known).catch((error: unknown) => {
      throw error instanceof GitError
        ? new RefusedError(
            `It is not known here what ${remote}/${branch} has, so not what a push would take along. ` +
              `Do \`git fetch ${remote}\` first.`,
            { cause: error },
          )
        : error;
    });
    const log = await this.#run("log", `--format=%H${fieldEnd}%B${recordEnd}`, `${known}..HEAD`, "--");
    return log.split(recordEnd).flatMap((record) => {
      const [commit = "", message = ""] = record.trim().split(fieldEnd);
      return commit === "" ? [] : [{ commit, message }];
    });
  }

  /** The remote's branch as people write it, such as `origin/master`. */
  async upstreamOf(branch: string): Promise<string> {
    return `${await this.#remoteOf(branch)}/${branch}`;
  }

  /** Pushes what is checked out to its branch; never by force. @returns the remote's name */
  async push(branch: string): Promise<string> {
    const remote = await this.#remoteOf(branch);
    await this.#run("push", "--porcelain", remote, `HEAD:refs/heads/${branch}`);
    return remote;
  }

  async #remoteOf(branch: string): Promise<string> {
    return this.#run("config", "--get", `branch.${branch}.remote`).then(
      (name) => name.trim(),
      () => "origin",
    );
  }

  /** @throws GitError with what Git wrote; UsageError when there is no `git` */
  #run(...args: string[]): Promise<string> {
    return new Promise((resolve, reject) => {
      execFile(
        "git",
        args,
        {
          cwd: this.#directory,
          maxBuffer: longestOutput,
          signal: this.#signal,
          // Its messages are shown, and nobody is there to be asked for a password.
          env: { ...process.env, LC_ALL: "C", GIT_TERMINAL_PROMPT: "0" },
        },
        (error, stdout, stderr) => {
          if (error === null) resolve(stdout);
          else if (error.code === "ENOENT") reject(new UsageError("There is no `git` on PATH. Install it."));
          else if (error.name === "AbortError") reject(new Error("interrupted", { cause: error }));
          else {
            const said = `${stderr}\n${stdout}`.trim() || error.message;
            reject(new GitError(`\`git ${args[0]}\` failed: ${said}`, { cause: error }));
          }
        },
      );
    });
  }
}
