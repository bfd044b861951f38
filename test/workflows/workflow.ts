/** The workflows of both forges, read as far as the tests judge them. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { parse } from "yaml";
import { projectDirectory } from "../../lab/directories.ts";

export type Forge = "github" | "forgejo";

/** What two of a group may do to each other. */
export interface Concurrency {
  group: string;
  "cancel-in-progress"?: boolean | string;
}

export interface Step {
  id?: string;
  name?: string;
  if?: string;
  uses?: string;
  run?: string;
  shell?: string;
  "working-directory"?: string;
  with?: Record<string, unknown>;
  env?: Record<string, unknown>;
}

export interface Job {
  "runs-on": string;
  "timeout-minutes"?: number;
  permissions?: Record<string, string>;
  environment?: string;
  concurrency?: Concurrency;
  container?: { image: string };
  strategy?: { matrix?: Record<string, unknown> };
  needs?: string | string[];
  if?: string;
  env?: Record<string, unknown>;
  steps: Step[];
}

export interface Workflow {
  /** As a message names it: `.github/workflows/ci.yml`. */
  file: string;
  /** File name without its end. */
  id: string;
  text: string;
  name: string;
  on: {
    schedule?: { cron: string }[];
    workflow_dispatch?: { inputs?: Record<string, { type?: string; options?: string[] }> } | null;
  } & Record<string, unknown>;
  permissions?: Record<string, string>;
  concurrency?: Concurrency;
  env?: Record<string, unknown>;
  jobs: Record<string, Job>;
}

/** Paths of all workflow files of a forge. */
export function workflowFiles(forge: Forge): string[] {
  const folder = path.join(projectDirectory, `.${forge}`, "workflows");
  return readdirSync(folder)
    .sort()
    .map((name) => path.join(folder, name));
}

/** All workflows of a forge. */
export function readWorkflows(forge: Forge): Workflow[] {
  return workflowFiles(forge).map((file) => {
    const text = readFileSync(file, "utf8");
    const id = path.basename(file).replace(/\.ya?ml$/, "");
    return {
      ...(parse(text) as Omit<Workflow, "file" | "id" | "text">),
      file: path.relative(projectDirectory, file),
      id,
      text,
    };
  });
}

/** One workflow. @throws Error when there is none */
export function readWorkflow(forge: Forge, id: string): Workflow {
  const found = readWorkflows(forge).find((workflow) => workflow.id === id);
  if (found === undefined) throw new Error(`.${forge}/workflows has no ${id}`);
  return found;
}

/** Every job of some workflows, with words for messages. */
export function jobsOf(
  workflows: readonly Workflow[],
): { where: string; workflow: Workflow; id: string; job: Job }[] {
  return workflows.flatMap((workflow) =>
    Object.entries(workflow.jobs).map(([id, job]) => ({
      where: `${workflow.file}, job ${id}`,
      workflow,
      id,
      job,
    })),
  );
}
