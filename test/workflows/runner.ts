/**
 * A forge's runner, as far as the check of the workflows needs one: a fresh checkout for each job, a shell for each `run:`
 * line as it is written, and expressions resolved from what the test gives. Actions are not run: what each of them would
 * leave behind (the checkout, Node on PATH, the artifact) is played or looked at here.
 */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import { parse } from "yaml";
import { projectDirectory } from "../../lab/directories.ts";
import type { Job, Workflow } from "./workflow.ts";

/** What a forge knows: `secrets.NAME`, `vars.NAME`, `matrix.stack`. */
export type Contexts = Readonly<Record<"secrets" | "vars" | "matrix", Readonly<Record<string, string>>>>;

/** One `run:` line that was executed. */
export interface RunLine {
  name: string;
  line: string;
  /** Exit code. */
  code: number;
  /** Both streams, as they came. */
  output: string;
}

export interface RunnerOptions {
  /** For everything that is made. */
  directory: string;
  /** What the machine has besides: the lab's addresses, the engine. */
  environment: Readonly<Record<string, string>>;
  /** Folders that come first on PATH. */
  path: readonly string[];
  contexts: Contexts;
}

/** Longest `run:` line. */
const lineDeadlineMs = 400_000;

/** Actions that the runner knows, with what it does in their place. */
const actions = {
  "actions/checkout": "a clone",
  "actions/setup-node": "Node is on PATH",
  "actions/upload-artifact": "its path must hold files",
} as const;

/**
 * Resolves the expressions in a value. The language has more; whatever else a workflow says fails the test that runs it.
 * @throws AssertionError for what nobody gives
 */
export function resolve(value: unknown, contexts: Contexts, where: string): string {
  return String(value).replaceAll(/\$\{\{(.*?)\}\}/g, (_whole, expression: string) => {
    const [, context = "", name = ""] = /^\s*(secrets|vars|matrix)\.(\w+)\s*$/.exec(expression) ?? [];
    const found = contexts[context as keyof Contexts]?.[name];
    assert.ok(found !== undefined, `${where}: nobody gives \${{${expression}}}`);
    return found;
  });
}

function resolveAll(values: Job["env"], contexts: Contexts, where: string): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values ?? {}).map(([name, value]) => [
      name,
      resolve(value, contexts, `${where}, ${name}`),
    ]),
  );
}

/** What a shell on a runner has of this machine: nothing that could make a line succeed which would not there. */
function machineEnvironment(): Record<string, string> {
  const strange =
    /^(TRADING|LAB|HCLOUD|S3|APCA|AWS|PULUMI|GITHUB|RUNNER|npm|INIT_CWD|NODE_OPTIONS|NODE_TEST)/;
  return Object.fromEntries(
    Object.entries(process.env).filter(
      (entry): entry is [string, string] => entry[1] !== undefined && !strange.test(entry[0]),
    ),
  );
}

function isInstallation(line: string): boolean {
  return /^npm ci\b/.test(line);
}

/** See the module's description. */
export class Runner {
  readonly #options: RunnerOptions;
  /** What `npm ci` left, by its line: the next job of the same commit gets it, since installing takes a minute. */
  readonly #installed = new Map<string, string>();

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  /** A clone of the commit that is checked out here. */
  checkout(): string {
    const folder = path.join(mkdtempSync(path.join(this.#options.directory, "runner-")), "checkout");
    execFileSync("git", ["clone", "--quiet", "--local", projectDirectory, folder], { stdio: "pipe" });
    return folder;
  }

  /** A workflow as it stands in a checkout. */
  workflow(checkout: string, id: string): Workflow {
    const file = `.github/workflows/${id}.yml`;
    const text = readFileSync(path.join(checkout, file), "utf8");
    return { ...(parse(text) as Omit<Workflow, "file" | "id" | "text">), file, id, text };
  }

  /**
   * Runs a job to its end, or to the first line that fails.
   * @param prepare is told the checkout before the first line, for example to write a stack's file
   */
  async run(
    id: string,
    jobId: string,
    prepare: (checkout: string) => void = () => undefined,
  ): Promise<RunLine[]> {
    const checkout = this.checkout();
    prepare(checkout);
    const workflow = this.workflow(checkout, id);
    const job = workflow.jobs[jobId];
    assert.ok(job, `${workflow.file} has no job ${jobId}`);
    const { contexts, environment, path: folders } = this.#options;
    const runnerFolder = path.dirname(checkout);
    const pathFile = path.join(runnerFolder, "path");
    writeFileSync(pathFile, "");
    const shared = {
      ...machineEnvironment(),
      CI: "true",
      GITHUB_ACTIONS: "true",
      GITHUB_PATH: pathFile,
      RUNNER_TEMP: runnerFolder,
      ...environment,
      ...resolveAll(workflow.env, contexts, workflow.file),
      ...resolveAll(job.env, contexts, `${workflow.file}, ${jobId}`),
    };
    const lines: RunLine[] = [];
    for (const [index, step] of job.steps.entries()) {
      const where = `${workflow.file}, ${jobId}, step ${index + 1}`;
      const failed = lines.some(({ code }) => code !== 0);
      if (step.uses !== undefined) {
        const action = step.uses.split("@")[0] ?? "";
        assert.ok(action in actions, `${where}: ${action} is not known here`);
        if (action === "actions/upload-artifact") this.#demandArtifact(checkout, step.with, where);
        continue;
      }
      // Only artifacts are kept after a failure.
      if (failed || step.run === undefined) continue;
      const added = readFileSync(pathFile, "utf8").split("\n").filter(Boolean);
      const PATH = [...added, ...folders, process.env["PATH"] ?? ""].join(path.delimiter);
      const own = resolveAll(step.env, contexts, where);
      const ended = await this.#shell(step.run, checkout, { ...shared, PATH, ...own });
      lines.push({ name: step.name ?? step.run, line: step.run, ...ended });
    }
    this.#keepPackages(checkout, lines);
    return lines;
  }

  #keepPackages(checkout: string, lines: readonly RunLine[]): void {
    const installed = lines.find(({ line, code }) => isInstallation(line) && code === 0);
    if (installed === undefined) return;
    const kept = path.join(this.#options.directory, `packages-${this.#installed.size}`);
    const known = this.#installed.get(installed.line) ?? kept;
    renameSync(path.join(checkout, "node_modules"), known);
    this.#installed.set(installed.line, known);
  }

  #demandArtifact(checkout: string, inputs: Record<string, unknown> | undefined, where: string): void {
    const folder = path.join(checkout, String(inputs?.["path"]));
    const files = existsSync(folder) ? readdirSync(folder) : [];
    assert.ok(files.length > 0, `${where}: ${String(inputs?.["path"])} holds nothing to keep`);
  }

  /** As runners do: a file for `bash -e`. */
  async #shell(
    line: string,
    cwd: string,
    environment: Record<string, string>,
  ): Promise<Pick<RunLine, "code" | "output">> {
    const before = isInstallation(line) ? this.#installed.get(line) : undefined;
    if (before !== undefined) {
      renameSync(before, path.join(cwd, "node_modules"));
      return { code: 0, output: "(what the same line left in another checkout of this commit)" };
    }
    const file = path.join(path.dirname(cwd), "line.sh");
    writeFileSync(file, line);
    const child = spawn("bash", ["-e", file], {
      cwd,
      env: environment,
      stdio: ["ignore", "pipe", "pipe"],
      timeout: lineDeadlineMs,
    });
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (chunk: Buffer) => (output += chunk.toString("utf8")));
    const code = await new Promise<number>((done, failed) => {
      child.once("error", failed);
      child.once("close", (status, signal) => {
        if (signal !== null) output += `\nended by ${signal}`;
        done(status ?? 1);
      });
    });
    return { code, output };
  }
}
