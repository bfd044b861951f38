/** The stack run by the Pulumi CLI, through Pulumi's Automation API, with the backend and secrets that the user has set up. */
import { access, constants, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type * as automationModule from "@pulumi/pulumi/automation/index.js";
import type { EngineEvent, Stack } from "@pulumi/pulumi/automation/index.js";
import { parseDocument } from "yaml";
import { PulumiFailures } from "./pulumi-failures.ts";
import {
  clusterOf,
  failedRun,
  nameOfUrn,
  type PendingCreation,
  type StackEngine,
  type StackEngineArguments,
  StackEngineError,
  type StackEvent,
  StackLockedError,
  StackRunAbortedError,
  type StackRunOptions,
  type StackState,
  StackUnavailableError,
} from "./stack-engine.ts";

/** Loaded when it is needed only: it is large, and most commands do not need it. */
type Automation = typeof automationModule;

/** A run that ends at this moment is waited for. */
const lockWaitMs = 30_000;
const lockPollMs = 1_000;

/** What `pulumi stack export` gives, as far as it is read here. */
interface Checkpoint {
  resources?: CheckpointResource[];
  pending_operations?: { resource: CheckpointResource; type: string }[];
}
interface CheckpointResource {
  urn: string;
  type: string;
  custom?: boolean;
  id?: string;
  inputs?: Record<string, unknown>;
  outputs?: Record<string, unknown>;
}

/**
 * Opens a stack with the Pulumi CLI.
 * @returns undefined when there is no CLI on PATH.
 * @throws StackUnavailableError when the CLI is too old, or there is no such stack.
 */
export async function openPulumi(args: StackEngineArguments): Promise<StackEngine | undefined> {
  if (!(await isOnPath(args.environment["PATH"] ?? ""))) return undefined;
  const automation = await import("@pulumi/pulumi/automation/index.js");
  const pulumiCommand = await automation.PulumiCommand.get().catch((error: unknown) => {
    throw new StackUnavailableError(
      `The Pulumi CLI on PATH cannot be used: ${messageOf(error)}. 3.248 or newer is needed: https://www.pulumi.com/docs/install/`,
      [],
      { cause: error },
    );
  });
  const envVars = Object.fromEntries(
    Object.entries({ PULUMI_SKIP_UPDATE_CHECK: "true", ...args.environment }).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    ),
  );
  try {
    const stack = await automation.LocalWorkspace.selectStack(
      { stackName: args.stack, workDir: args.projectDirectory },
      { pulumiCommand, envVars },
    );
    return new PulumiEngine(automation, stack, args, String(pulumiCommand.version ?? ""));
  } catch (error) {
    if (error instanceof automation.StackNotFoundError) {
      throw new StackUnavailableError(
        `There is no stack ${args.stack} in this Pulumi backend. Make it with \`pulumi stack init ${args.stack}\`, ` +
          "or log in to the backend that has it (`pulumi login`).",
        [],
        { cause: error },
      );
    }
    throw new StackUnavailableError(
      `The Pulumi CLI cannot open the stack ${args.stack}: ${messageOf(error)}`,
      [],
      {
        cause: error,
      },
    );
  }
}

async function isOnPath(searched: string): Promise<boolean> {
  for (const folder of searched.split(path.delimiter).filter(Boolean)) {
    for (const name of ["pulumi", "pulumi.exe"]) {
      const found = await access(path.join(folder, name), constants.X_OK).then(
        () => true,
        () => false,
      );
      if (found) return true;
    }
  }
  return false;
}

class PulumiEngine implements StackEngine {
  readonly description: string;
  readonly adoptsPending = false;
  readonly #automation: Automation;
  readonly #stack: Stack;
  readonly #args: StackEngineArguments;

  constructor(automation: Automation, stack: Stack, args: StackEngineArguments, version: string) {
    this.#automation = automation;
    this.#stack = stack;
    this.#args = args;
    this.description = `Pulumi CLI ${version}`.trim();
  }

  async config(): Promise<Record<string, string>> {
    const values = await this.#told("config", () => this.#stack.getAllConfig());
    return Object.fromEntries(Object.entries(values).map(([key, { value }]) => [key, value]));
  }

  async settle(): Promise<void> {
    const exported = await this.#told("stack export", () => this.#stack.exportStack());
    const checkpoint = exported.deployment as Checkpoint | undefined;
    if ((checkpoint?.pending_operations ?? []).length === 0) return;
    const deployment: Checkpoint = { ...checkpoint };
    delete deployment.pending_operations;
    const until = performance.now() + lockWaitMs;
    for (;;) {
      try {
        // The backend refuses an import while another run holds the stack.
        await this.#told("stack import", () => this.#stack.importStack({ ...exported, deployment }));
        return;
      } catch (error) {
        if (!(error instanceof StackLockedError)) throw error;
        if (this.#holdersAreDead(error.message)) await this.#told("cancel", () => this.#stack.cancel());
        else if (performance.now() > until) throw error;
        else await delay(lockPollMs);
      }
    }
  }

  /** Whether all that hold the lock were processes of this machine and have ended; only a file backend says who they are. */
  #holdersAreDead(message: string): boolean {
    const holders = [...message.matchAll(/created by \S+@(\S+) \(pid (\d+)\)/g)];
    return (
      holders.length > 0 && holders.every(([, host, pid]) => host === hostname() && !isAlive(Number(pid)))
    );
  }

  async state(): Promise<StackState | undefined> {
    const exported = await this.#told("stack export", () => this.#stack.exportStack());
    const { resources = [], pending_operations = [] } = (exported.deployment ?? {}) as Checkpoint;
    if (resources.length + pending_operations.length === 0) return undefined;
    const pending = pending_operations
      .filter(({ type }) => type === "creating")
      .map(({ resource }) => resource);
    return {
      resources: resources.map(({ urn, type, id = "" }) => ({ urn, type, id, name: nameOfUrn(urn) })),
      pending: pending.map(({ urn, type, inputs }): PendingCreation => {
        const name = inputs?.["name"];
        return { urn, type, resourceName: typeof name === "string" ? name : undefined };
      }),
      cluster: clusterOf(
        [...resources, ...pending].map(({ inputs, outputs }) => ({ ...inputs, ...outputs })),
      ),
    };
  }

  async outputs(): Promise<Record<string, unknown>> {
    const outputs = await this.#told("stack output", () => this.#stack.outputs());
    return Object.fromEntries(Object.entries(outputs).map(([name, { value }]) => [name, value as unknown]));
  }

  async up(options: StackRunOptions): Promise<{ outputs: Record<string, unknown> }> {
    const { outputs } = await this.#run("up", options, (run) => this.#stack.up(run));
    return {
      outputs: Object.fromEntries(
        Object.entries(outputs)
          .filter(([, { secret }]) => !secret)
          .map(([name, { value }]) => [name, value as unknown]),
      ),
    };
  }

  async destroy(options: StackRunOptions): Promise<void> {
    await this.#run("destroy", options, (run) => this.#stack.destroy(run));
  }

  async refresh(
    urns: readonly string[],
    options: Pick<StackRunOptions, "signal" | "onEvent">,
  ): Promise<void> {
    if (urns.length === 0) return;
    await this.#run("refresh", options, (run) => this.#stack.refresh({ ...run, target: [...urns] }));
  }

  /** Runs a command of the CLI; what fails is told by resource. */
  async #run<T>(
    command: "up" | "destroy" | "refresh",
    { config, signal, onEvent }: StackRunOptions,
    work: (run: {
      onEvent: (event: EngineEvent) => void;
      signal: AbortSignal;
      color: "never";
      configFile?: string;
    }) => Promise<T>,
  ): Promise<T> {
    signal.throwIfAborted();
    const failures = new PulumiFailures();
    const folder =
      config === undefined || Object.keys(config).length === 0 ? undefined : await this.#configFolder(config);
    try {
      return await work({
        signal,
        color: "never",
        onEvent: (event) => {
          failures.see(event);
          const told = eventOf(event);
          if (told !== undefined) onEvent?.(told);
        },
        ...(folder === undefined ? {} : { configFile: folder.file }),
      });
    } catch (error) {
      if (signal.aborted) {
        throw new StackRunAbortedError(
          `${command} was stopped. What was done is in the state; run it again to go on.`,
          [],
          {
            cause: error,
          },
        );
      }
      this.#throwIfLocked(error);
      throw failedRun(`pulumi ${command}`, failures.all(messageOf(error)), error);
    } finally {
      if (folder !== undefined) await rm(folder.directory, { recursive: true, force: true });
    }
  }

  /** The stack's configuration file with some values replaced, as a copy: what is for one run only never reaches Git. */
  async #configFolder(
    config: Readonly<Record<string, string>>,
  ): Promise<{ directory: string; file: string }> {
    const name = `Pulumi.${this.#args.stack}.yaml`;
    const directory = await mkdtemp(path.join(tmpdir(), "trading-config-"));
    const file = path.join(directory, name);
    try {
      const document = parseDocument(await readFile(path.join(this.#args.projectDirectory, name), "utf8"));
      for (const [key, value] of Object.entries(config)) document.setIn(["config", key], value);
      await writeFile(file, document.toString(), { mode: 0o600 });
      return { directory, file };
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      throw new StackEngineError(`${name} cannot be read: ${messageOf(error)}`, [], { cause: error });
    }
  }

  async #told<T>(command: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#throwIfLocked(error);
      throw new StackEngineError(`\`pulumi ${command}\` failed: ${messageOf(error)}`, [], { cause: error });
    }
  }

  #throwIfLocked(error: unknown): void {
    if (!(error instanceof this.#automation.ConcurrentUpdateError)) return;
    throw new StackLockedError(
      `Another run works on the stack ${this.#args.stack}: wait until it ends. If it is dead for certain, ` +
        `\`pulumi cancel -s ${this.#args.stack}\` takes its lock away.\n${messageOf(error)}`,
      [],
      { cause: error },
    );
  }
}

function eventOf(event: EngineEvent): StackEvent | undefined {
  const { resourcePreEvent, resOutputsEvent, resOpFailedEvent, diagnosticEvent } = event;
  const metadata = (resourcePreEvent ?? resOutputsEvent ?? resOpFailedEvent)?.metadata;
  if (metadata !== undefined) {
    if (metadata.op === "same") return undefined;
    const status =
      resourcePreEvent !== undefined ? "started" : resOutputsEvent !== undefined ? "done" : "failed";
    return {
      kind: "resource",
      status,
      operation: metadata.op,
      type: metadata.type,
      name: nameOfUrn(metadata.urn),
    };
  }
  if (diagnosticEvent === undefined || diagnosticEvent.ephemeral === true) return undefined;
  const { severity, message } = diagnosticEvent;
  const text = message.replaceAll(/<\{%[^%]*%\}>/g, "").trim();
  if (text === "") return undefined;
  return {
    kind: "line",
    text,
    severity: severity === "warning" ? "warning" : severity.startsWith("error") ? "error" : "info",
  };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
