/**
 * The program run by the Pulumi CLI and the real provider plugins, against the same lab. Pulumi's Automation API
 * writes the stack's configuration beside `Pulumi.yaml`; so that it does not touch the repository's own files, it
 * works in a folder of links to them.
 */
import { randomBytes } from "node:crypto";
import { copyFileSync, mkdirSync, symlinkSync } from "node:fs";
import path from "node:path";
import {
  CommandError,
  type EngineEvent,
  LocalWorkspace,
  PulumiCommand,
  type Stack,
} from "@pulumi/pulumi/automation/index.js";
import { labDirectories } from "../directories.ts";
import { exitCodes, LabError } from "../errors.ts";
import { type DayEngine, type EngineArguments, readStackOutputs } from "./engines.ts";
import type { TimelineEntry } from "./report.ts";

/** What the program and the export gate need of the repository. */
const linked = ["stacks", "components", "services", "node_modules", "package.json", "tsconfig.json"];

async function findCommand(): Promise<PulumiCommand> {
  try {
    return await PulumiCommand.get();
  } catch {
    throw new LabError(
      "--engine pulumi needs the Pulumi CLI, 3.248 or newer, on PATH: not found, or too old.\n" +
        "Install it (https://www.pulumi.com/docs/install/), or use the lab's own engine: npm start",
      exitCodes.usage,
    );
  }
}

/** A folder that looks like the repository to Pulumi, with configuration files of its own. */
function makeProjectFolder(projectDirectory: string): string {
  const folder = path.join(labDirectories.state, "project");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  copyFileSync(path.join(projectDirectory, "Pulumi.yaml"), path.join(folder, "Pulumi.yaml"));
  for (const name of linked) symlinkSync(path.join(projectDirectory, name), path.join(folder, name));
  return folder;
}

/** Says which command failed; its own words have been shown as progress, and they may be long. */
async function told<T>(command: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    throw new LabError(`\`pulumi ${command}\` failed; what it said stands above.`);
  }
}

/** The resource's name from its URN. */
function nameOf(urn: string): string {
  return urn.split("::").at(-1) ?? urn;
}

/** How many resources cost a provider call: not the stack, not components. */
async function countResources(stack: Stack): Promise<number> {
  const exported = await stack.exportStack();
  const { resources = [] } = exported.deployment as { resources?: { custom?: boolean }[] };
  return resources.filter(({ custom }) => custom === true).length;
}

/**
 * Opens the stack on an empty local backend, encrypted with a throwaway passphrase.
 * @throws LabError (exit code 2) when there is no Pulumi CLI on PATH.
 */
export async function openPulumiCli(args: EngineArguments): Promise<DayEngine> {
  const pulumiCommand = await findCommand();
  const { progress, configuration } = args;
  const timeline: TimelineEntry[] = [];
  const began = new Map<string, number>();
  const backend = path.join(labDirectories.state, "backend");
  mkdirSync(backend, { recursive: true, mode: 0o700 });
  const stack = await LocalWorkspace.createOrSelectStack(
    { stackName: args.stack, workDir: makeProjectFolder(args.projectDirectory) },
    {
      pulumiCommand,
      envVars: {
        ...args.environment,
        PULUMI_BACKEND_URL: `file://${backend}`,
        PULUMI_CONFIG_PASSPHRASE: randomBytes(24).toString("base64url"),
        PULUMI_SKIP_UPDATE_CHECK: "true",
      },
    },
  );
  const secret = new Set(configuration.secretKeys);
  await stack.setAllConfig(
    Object.fromEntries(
      Object.entries(configuration.values).map(([key, value]) => [key, { value, secret: secret.has(key) }]),
    ),
  );

  const onEvent = (event: EngineEvent): void => {
    const metadata = (event.resourcePreEvent ?? event.resOutputsEvent ?? event.resOpFailedEvent)?.metadata;
    if (metadata === undefined || metadata.op === "same") return;
    const key = `${metadata.op} ${metadata.urn}`;
    if (event.resourcePreEvent !== undefined) {
      began.set(key, progress.seconds);
      return;
    }
    timeline.push({
      name: nameOf(metadata.urn),
      operation: event.resOpFailedEvent === undefined ? metadata.op : "failed",
      from: began.get(key) ?? progress.seconds,
      to: progress.seconds,
    });
  };
  const onOutput = (text: string): void => {
    for (const line of text.split("\n")) if (line.trim() !== "") progress.line(line.trimEnd());
  };

  return {
    timeline,
    stateFiles: [backend],
    up: async (signal) => {
      const { outputs } = await told("up", stack.up({ onEvent, onOutput, signal, color: "never" }));
      const plain = Object.fromEntries(
        Object.entries(outputs).map(([name, output]) => [name, output.value as unknown]),
      );
      return { outputs: readStackOutputs(plain), created: await countResources(stack) };
    },
    destroy: async () => {
      const before = await countResources(stack);
      await told("destroy", stack.destroy({ onEvent, onOutput, color: "never" }));
      return { deleted: before - (await countResources(stack)) };
    },
    hasResources: async () => (await countResources(stack)) > 0,
  };
}
