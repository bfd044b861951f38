/** The stack run by the Pulumi CLI, through Pulumi's Automation API, with the backend and secrets that the user has set up. */
import { access, constants, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type * as automationModule from "@pulumi/pulumi/automation/index.js";
import type { EngineEvent, Stack } from "@pulumi/pulumi/automation/index.js";
import { parseDocument } from "yaml";
import { causeOf, messageOf, PulumiCommandError, runPulumi } from "./pulumi-command.ts";
import { eventOf } from "./pulumi-events.ts";
import { PulumiFailures } from "./pulumi-failures.ts";
import { bucketBackendOf } from "./pulumi-backend.ts";
import { LeaseLostError } from "./lease.ts";
import { type PulumiLease, PulumiLeases } from "./pulumi-lease.ts";
import { isDead, locksIn, mayRunHere, type PulumiLock, removeLock } from "./pulumi-locks.ts";
import { runIdentity } from "./run-identity.ts";
import {
  clusterOf,
  failedRun,
  nameOfUrn,
  type PendingCreation,
  type StackDestroyOptions,
  type StackEngine,
  type StackEngineArguments,
  StackEngineError,
  StackLockedError,
  StackRunAbortedError,
  type StackRunOptions,
  type StackState,
  StackUnavailableError,
} from "./stack-engine.ts";
import { openStateBucket, StateBucketError } from "./state-bucket.ts";

/** Loaded when it is needed only: it is large, and most commands do not need it. */
type Automation = typeof automationModule;

/** A run that ends at this moment is waited for. */
const defaultLockWaitMs = 30_000;
const lockPollMs = 1_000;
/** Of the CLI. */
const oldestVersion = "3.248.0";

/** https://www.pulumi.com/registry/packages/kubernetes/installation-configuration/ */
const deleteUnreachable = "PULUMI_K8S_DELETE_UNREACHABLE";

/** What a locked backend says: a folder or a bucket, Pulumi Cloud (as the Automation API's ConcurrentUpdateError). */
const lockedTexts = ["the stack is currently locked by", "[409] Conflict"];

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
 * @param patience longest wait for another run that is under way, and how long a lease lasts, in ms
 * @returns undefined when there is no CLI on PATH.
 * @throws StackUnavailableError when the CLI is too old, or there is no such stack.
 */
export async function openPulumi(
  args: StackEngineArguments,
  { lockWaitMs = defaultLockWaitMs, leaseMs }: { lockWaitMs?: number; leaseMs?: number } = {},
): Promise<StackEngine | undefined> {
  if (!(await isPulumiOnPath(args.environment["PATH"] ?? ""))) return undefined;
  const automation = await import("@pulumi/pulumi/automation/index.js");
  const pulumiCommand = await automation.PulumiCommand.get().catch((error: unknown) => {
    throw new StackUnavailableError(
      `The Pulumi CLI on PATH cannot be used: ${messageOf(error)}. ${oldestVersion} or newer is needed: https://www.pulumi.com/docs/install/`,
      [],
      { cause: causeOf(error) },
    );
  });
  const { version } = pulumiCommand;
  if (version !== null && version.compare(oldestVersion) < 0) {
    throw new StackUnavailableError(
      `The Pulumi CLI on PATH is ${version.version}. ${oldestVersion} or newer is needed: https://www.pulumi.com/docs/install/`,
    );
  }
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
    return new PulumiEngine(automation, stack, args, {
      version: version?.version ?? "",
      lockWaitMs,
      leaseMs,
    });
  } catch (error) {
    if (error instanceof automation.StackNotFoundError) {
      throw new StackUnavailableError(
        `There is no stack ${args.stack} in this Pulumi backend. Make it with \`pulumi stack init ${args.stack}\`, ` +
          "or log in to the backend that has it (`pulumi login`).",
        [],
        { cause: causeOf(error) },
      );
    }
    throw new StackUnavailableError(
      `The Pulumi CLI cannot open the stack ${args.stack}: ${messageOf(error)}`,
      [],
      {
        cause: causeOf(error),
      },
    );
  }
}

/** Whether there is a Pulumi CLI. @param searched the folders of PATH, as PATH has them */
export async function isPulumiOnPath(searched: string): Promise<boolean> {
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
  readonly #lockWaitMs: number;
  readonly #leaseMs: number | undefined;

  constructor(
    automation: Automation,
    stack: Stack,
    args: StackEngineArguments,
    { version, lockWaitMs, leaseMs }: { version: string; lockWaitMs: number; leaseMs: number | undefined },
  ) {
    this.#leaseMs = leaseMs;
    this.#lockWaitMs = lockWaitMs;
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
    await this.#leased((lease) =>
      this.#untilFree(lease, async () => {
        await this.#demandFree();
        const exported = await this.#export();
        const deployment: Checkpoint = { ...exported.deployment };
        if ((deployment.pending_operations ?? []).length === 0) return;
        delete deployment.pending_operations;
        // This process may have been frozen since it read it, and then another run may have come and gone.
        await lease?.confirm();
        // A run that began meanwhile holds the stack, and the backend refuses this.
        await this.#pulumi(["stack", "import"], JSON.stringify({ ...exported, deployment }));
      }),
    );
  }

  /** Leases of the stack; undefined where its backend is no bucket. Close them. */
  async #leases(): Promise<PulumiLeases | undefined> {
    const { environment, stack } = this.#args;
    const { workspace } = this.#stack;
    const named = environment["PULUMI_BACKEND_URL"] || undefined;
    // Without an answer it is not known whether there is a lease to hold.
    const url = named ?? (await this.#told("whoami", () => workspace.whoAmI())).url ?? "";
    const backend = bucketBackendOf(url, environment);
    if (backend === undefined) return undefined;
    const { name: project } = await workspace.projectSettings();
    return new PulumiLeases({
      bucket: openStateBucket(backend.settings),
      backend,
      project,
      stack,
      holder: runIdentity(environment),
      leaseMs: this.#leaseMs,
    });
  }

  /** Does `work` with the stack's lease, where there is one. @throws StackLockedError */
  async #leased<T>(
    work: (lease: PulumiLease | undefined) => Promise<T>,
    signal = this.#args.signal,
  ): Promise<T> {
    const leases = await this.#leases();
    if (leases === undefined) return work(undefined);
    try {
      const lease = await leases.take(signal).catch((error: unknown) => {
        if (signal?.aborted !== true) throw error;
        throw new StackRunAbortedError("The wait for another run's lease was stopped; nothing was done.");
      });
      const { takenFrom } = lease;
      if (takenFrom !== undefined) this.#note(`the lease of ${takenFrom} has run out: taken over`);
      try {
        return await work(lease);
      } finally {
        await lease.release();
      }
    } catch (error) {
      if (error instanceof LeaseLostError) {
        throw new StackLockedError(
          `${error.message} What Pulumi was doing was killed: run this again when the other run has ended.`,
          [],
          { cause: causeOf(error) },
        );
      }
      if (error instanceof StateBucketError)
        throw new StackEngineError(error.message, [], { cause: causeOf(error) });
      throw error;
    } finally {
      leases.close();
    }
  }

  /** Does `work` again while the stack is held, by dead runs until their locks are gone, by others for a while. */
  async #untilFree(lease: PulumiLease | undefined, work: () => Promise<void>): Promise<void> {
    const until = performance.now() + this.#lockWaitMs;
    for (;;) {
      try {
        await (lease === undefined ? work() : lease.during(work));
        await lease?.forgetLeft();
        return;
      } catch (error) {
        if (!(error instanceof StackLockedError)) throw error;
        // However long the command itself took.
        if (await this.#unlockDead(error.message, lease)) continue;
        if (performance.now() > until || this.#args.signal?.aborted === true) throw error;
        await delay(Math.min(lockPollMs, this.#lockWaitMs));
      }
    }
  }

  /** @returns whether all that held the stack were dead, and do so no more. */
  async #unlockDead(message: string, lease: PulumiLease | undefined): Promise<boolean> {
    const locks = locksIn(message);
    const dead = await Promise.all(
      locks.map(async (lock) => {
        // Of a run that was killed, or frozen, alone: what it began may go on.
        if (lease?.isLeft(lock) === true) return !(await mayRunHere(lock));
        return isDead(lock);
      }),
    );
    if (locks.length === 0 || dead.includes(false)) return false;
    const removed = await Promise.all(locks.map((lock) => this.#remove(lock, lease)));
    if (removed.includes(false)) await this.#told("cancel", () => this.#stack.cancel());
    for (const { user, host, pid, since } of locks) {
      this.#note(
        `broke the lock of a dead run: ${user}@${host} (process ${pid}), since ${since.toISOString()}`,
      );
    }
    return true;
  }

  async #remove(lock: PulumiLock, lease: PulumiLease | undefined): Promise<boolean> {
    if (lease === undefined || !lock.url.startsWith("s3:")) return removeLock(lock);
    await lease.remove(lock);
    return true;
  }

  #note(line: string): void {
    this.#args.note?.(line);
  }

  /**
   * Takes the stack's lock and gives it back, by the one command that changes nothing: a look at the stack's own root. An
   * import would do so, too, but could put a state back that was read while another run still went on.
   * @throws StackLockedError
   */
  async #demandFree(): Promise<void> {
    const { resources = [] } = (await this.#export()).deployment ?? {};
    const root = resources.find(({ type }) => type === "pulumi:pulumi:Stack");
    // Without a root there is nothing, or what a program left that did not even begin.
    const target = root ?? resources[0];
    await this.#told("refresh", () =>
      this.#stack.refresh({ color: "never", ...(target === undefined ? {} : { target: [target.urn] }) }),
    );
  }

  /** The state with its secrets encrypted, as an import takes them back. */
  async #export(): Promise<{ version: number; deployment: Checkpoint | undefined }> {
    const text = await this.#pulumi(["stack", "export"]);
    const exported = JSON.parse(text) as { version: number; deployment?: Checkpoint | null };
    return { ...exported, deployment: exported.deployment ?? undefined };
  }

  #pulumi(command: readonly string[], input?: string): Promise<string> {
    const { stack, projectDirectory: cwd } = this.#args;
    const environment = { ...process.env, ...this.#stack.workspace.envVars };
    return this.#told(command.join(" "), () =>
      runPulumi([...command, "--stack", stack], { cwd, environment, input }),
    );
  }

  async state(): Promise<StackState | undefined> {
    const { resources = [], pending_operations = [] } = (await this.#export()).deployment ?? {};
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

  async destroy({ forgetKubernetes = false, ...options }: StackDestroyOptions): Promise<void> {
    const { envVars } = this.#stack.workspace;
    // For this run alone: in any other it would forget what a cluster that is only out of reach still has.
    if (forgetKubernetes) this.#stack.workspace.envVars = { ...envVars, [deleteUnreachable]: "true" };
    try {
      await this.#run("destroy", options, (run) => this.#stack.destroy(run));
    } finally {
      this.#stack.workspace.envVars = envVars;
    }
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
    const held = (lease: PulumiLease | undefined): Promise<T> => {
      const begun = (): Promise<T> =>
        work({
          signal,
          color: "never",
          onEvent: (event) => {
            failures.see(event);
            const told = eventOf(event);
            if (told !== undefined) onEvent?.(told);
          },
          ...(folder === undefined ? {} : { configFile: folder.file }),
        });
      return lease === undefined ? begun() : lease.during(begun);
    };
    try {
      return await this.#leased(held, signal);
    } catch (error) {
      if (error instanceof StackLockedError || error instanceof StackRunAbortedError) throw error;
      if (signal.aborted) {
        throw new StackRunAbortedError(
          `${command} was stopped. What was done is in the state; run it again to go on.`,
          [],
          {
            cause: causeOf(error),
          },
        );
      }
      this.#throwIfLocked(error);
      throw failedRun(`pulumi ${command}`, failures.all(messageOf(error)), causeOf(error));
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
      throw new StackEngineError(`${name} cannot be read: ${messageOf(error)}`, [], {
        cause: causeOf(error),
      });
    }
  }

  async #told<T>(command: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#throwIfLocked(error);
      if (error instanceof StackEngineError) throw error;
      throw new StackEngineError(`\`pulumi ${command}\` failed: ${messageOf(error)}`, [], {
        cause: causeOf(error),
      });
    }
  }

  #throwIfLocked(error: unknown): void {
    const isLocked =
      error instanceof PulumiCommandError
        ? lockedTexts.some((text) => error.said.includes(text))
        : error instanceof this.#automation.ConcurrentUpdateError;
    if (!isLocked) return;
    throw new StackLockedError(
      `Another run works on the stack ${this.#args.stack}: wait until it ends. If it is dead for certain, ` +
        `\`pulumi cancel -s ${this.#args.stack}\` takes its lock away.\n${messageOf(error)}`,
      [],
      { cause: causeOf(error) },
    );
  }
}
