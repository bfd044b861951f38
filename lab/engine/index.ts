/**
 * The lab engine: runs an unmodified Pulumi program (Node.js, ES module) without the Pulumi CLI, by answering
 * Pulumi's own resource-monitor protocol. It is a rehearsal tool: it does what the trading program uses, and refuses
 * everything else by name. Its providers talk to whatever endpoint the program's provider resources name.
 */
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ProcessRegistry } from "../processes.ts";
import { deleteResources } from "./deletion.ts";
import { Deployment } from "./deployment.ts";
import { AbortedError, ConfigurationError, DeploymentFailedError, EngineError } from "./errors.ts";
import { startMonitor } from "./monitor.ts";
import type { DestroyResult, EngineOptions, PreviewResult, UpResult } from "./options.ts";
import { resolvePending } from "./pending.ts";
import { Plan } from "./planning.ts";
import { startProgram } from "./program.ts";
import { type Project, readProject } from "./project.ts";
import { masked, plainMap, type PropertyMap } from "./properties.ts";
import { Providers } from "./providers.ts";
import type { Registrar } from "./registrar.ts";
import { forgetGone } from "./refresh.ts";
import { Run } from "./run.ts";
import { SecretMask } from "./secret-mask.ts";
import type { LockedState, StateLockHolder } from "./state-place.ts";
import { readOnly, type StateLocation, withStatePlace } from "./state-places.ts";
import { type StackState, StateStore } from "./state.ts";
import { rootStackType, shortName } from "./urn.ts";

export type { EngineClock } from "./clock.ts";
export * from "./errors.ts";
export type * from "./events.ts";
export type { DestroyResult, EngineOptions, PreviewResult, UpResult } from "./options.ts";
export type { PlannedOperation, RegisteredResource } from "./planning.ts";
export { type PropertyChange, propertyChanges } from "./property-changes.ts";
export type { PropertyMap, PropertyValue } from "./properties.ts";
export type { KubernetesLife } from "./providers/kubernetes-life.ts";
export type { StateLockHolder } from "./state-place.ts";
export type { StateObjectSettings } from "./state-object.ts";
export { createTreeRenderer, type TreeRenderer, type TreeRendererOptions } from "./tree.ts";

/** How long the program may go on after the last operation of a failed or stopped run, in milliseconds. */
const programGraceMilliseconds = 3_000;

function checkOptions(options: EngineOptions): void {
  const problems: string[] = [];
  const { passphrase, parallel, secretKeys, config } = options;
  if (passphrase === "") problems.push("passphrase: must not be empty");
  if (parallel !== undefined && !(Number.isInteger(parallel) && parallel >= 1)) {
    problems.push("parallel: must be a whole number, at least 1");
  }
  for (const key of secretKeys) {
    if (!(key in config)) problems.push(`secretKeys: "${key}" is not a key of config`);
  }
  if (!/^[\w.-]+$/.test(options.stack)) problems.push("stack: letters, digits, '.', '-' and '_' only");
  if (problems.length > 0) throw new ConfigurationError("options of the lab engine", problems);
}

/**
 * The caller's environment, without what would reach from the caller's own clusters and Pulumi into the rehearsal (the SDK
 * takes KUBECONFIG as a provider input, and PULUMI_* as options), and without what opens the state (LAB_*).
 */
function environmentOf(options: EngineOptions): Record<string, string> {
  const own = Object.entries(process.env).filter(
    (entry): entry is [string, string] =>
      entry[1] !== undefined && entry[0] !== "KUBECONFIG" && !/^(PULUMI|LAB)_/.test(entry[0]),
  );
  return { ...Object.fromEntries(own), ...options.environment };
}

/**
 * Opens everything that a run needs, calls `work`, and closes it all again, whatever happens.
 * @param purpose "read" writes nothing: no lock, and the program's process is recorded in a folder that goes again
 */
async function withRun<T>(
  options: EngineOptions,
  purpose: "change" | "read",
  work: (run: Run, project: Project, fullConfig: Record<string, string>) => Promise<T>,
): Promise<T> {
  checkOptions(options);
  const project = await readProject(options.projectDirectory);
  const fullKey = (key: string): string => (key.includes(":") ? key : `${project.name}:${key}`);
  const config = Object.fromEntries(
    Object.entries(options.config).map(([key, value]) => [fullKey(key), value]),
  );
  return withStatePlace(options, async (place) => {
    const held = purpose === "change" ? await place.lock() : readOnly(place);
    if (held.takenFrom !== undefined) {
      const message = takenOver(held.takenFrom);
      options.onEvent?.({ kind: "diagnostic", severity: "info", source: "engine", message });
    }
    const scratch =
      purpose === "read" ? await mkdtemp(path.join(os.tmpdir(), "lab-engine-preview-")) : undefined;
    try {
      return await opened({ options, project, config, held, processes: scratch ?? place.processes }, work);
    } catch (error) {
      // Whatever failed then failed because of it.
      throw held.lost.aborted ? held.lost.reason : error;
    } finally {
      await held.release();
      if (scratch !== undefined) await rm(scratch, { recursive: true, force: true });
    }
  });
}

function takenOver(from: string): string {
  return `broke the lock of a dead run: ${from}`;
}

/** As `withRun`, with the state held. */
async function opened<T>(
  parts: {
    options: EngineOptions;
    project: Project;
    /** By full key. */
    config: Record<string, string>;
    held: LockedState;
    /** Where this run's processes are recorded if its caller has no registry. */
    processes: string;
  },
  work: (run: Run, project: Project, fullConfig: Record<string, string>) => Promise<T>,
): Promise<T> {
  const { options, project, config, held } = parts;
  const identity = { project: project.name, stack: options.stack };
  const store = await StateStore.open(held, identity, options.passphrase);
  const mask = new SecretMask();
  for (const key of options.secretKeys) mask.add(options.config[key] ?? "");
  for (const record of store.state.resources)
    Object.values(record.outputs).forEach((value) => mask.addFrom(value));
  for (const record of [...store.state.resources, ...store.state.pendingCreations]) {
    Object.values(record.inputs).forEach((value) => mask.addFrom(value));
  }
  const processes = options.processes ?? new ProcessRegistry(parts.processes);
  if (options.processes === undefined) await processes.endLeftovers();
  const surroundings = {
    ...(options.clock === undefined ? {} : { clock: options.clock }),
    ...(options.kubernetes === undefined ? {} : { kubernetes: options.kubernetes }),
  };
  const run = new Run({
    identity,
    store,
    providers: new Providers(store.state, config, surroundings),
    mask,
    processes,
    ...(options.clock === undefined ? {} : { clock: options.clock }),
    environment: environmentOf(options),
    workingDirectory: project.workingDirectory,
    parallel: options.parallel ?? 16,
    onEvent: options.onEvent ?? (() => undefined),
    abortGraceMilliseconds: options.abortGraceMilliseconds ?? 20_000,
    signal: options.signal === undefined ? held.lost : AbortSignal.any([options.signal, held.lost]),
  });
  try {
    return await work(run, project, config);
  } finally {
    run.close();
    if (options.processes === undefined) await processes.stopAll();
  }
}

function stackOutputs(store: StateStore): PropertyMap {
  return store.state.resources.find((record) => record.type === rootStackType)?.outputs ?? {};
}

/**
 * Makes the stack what the program asks for.
 * @throws ConfigurationError, StateLockedError, WrongPassphraseError, StateFormatError before anything is done;
 *   DeploymentFailedError when an operation or the program failed; AbortedError when stopped through `signal`.
 *   In each of the latter cases the state holds what was done, and the next run goes on from it.
 */
export async function up(options: EngineOptions): Promise<UpResult> {
  const began = performance.now();
  return withRun(options, "change", async (run, project, config) => {
    if (run.aborted) throw new AbortedError("up");
    const deployment = new Deployment(run);
    try {
      await runProgram({ what: "up", run, registrar: deployment, options, project, config });
    } finally {
      await run.parts.store.save();
    }
    if (run.failures.length === 0) await deployment.removeRest();
    await run.parts.store.save();
    if (run.aborted) throw new AbortedError("up");
    if (run.failures.length > 0) throw new DeploymentFailedError("up", run.failures);
    return {
      ...run.counts,
      outputs: masked(stackOutputs(run.parts.store)) as PropertyMap,
      milliseconds: performance.now() - began,
      firstRegistrationMilliseconds:
        deployment.firstRegistration === undefined ? undefined : deployment.firstRegistration - began,
    };
  });
}

/**
 * Says what `up` would do, and does nothing of it: the program runs as in Pulumi's preview (what only an operation
 * can tell is unknown), no provider is asked for more than its functions, and neither state nor lock is written.
 * Another run may hold the state meanwhile; then this speaks of the moment at which it read it.
 * @throws ConfigurationError, WrongPassphraseError, StateFormatError; DeploymentFailedError when the program failed,
 *   or asks for what cannot be done; AbortedError when stopped through `signal`
 */
export async function preview(options: EngineOptions): Promise<PreviewResult> {
  const began = performance.now();
  return withRun(options, "read", async (run, project, config) => {
    if (run.aborted) throw new AbortedError("preview");
    const plan = new Plan(run);
    await runProgram({ what: "preview", run, registrar: plan, options, project, config });
    if (run.failures.length === 0) plan.removeRest();
    if (run.failures.length > 0) throw new DeploymentFailedError("preview", run.failures);
    const counts = { created: 0, updated: 0, replaced: 0, deleted: 0, same: 0 };
    for (const { operation } of plan.operations) counts[countedAs[operation]] += 1;
    return {
      ...counts,
      operations: [...plan.operations],
      resources: [...plan.resources],
      outputs: run.parts.mask.applyToMap(masked(plan.outputs) as PropertyMap),
      milliseconds: performance.now() - began,
    };
  });
}

const countedAs = {
  create: "created",
  update: "updated",
  replace: "replaced",
  delete: "deleted",
  same: "same",
} as const;

/**
 * Runs the program to its end; what fails is recorded in the run.
 * @throws AbortedError when the run was stopped
 */
async function runProgram(parts: {
  what: "up" | "preview";
  run: Run;
  registrar: Registrar;
  options: EngineOptions;
  project: Project;
  config: Record<string, string>;
}): Promise<void> {
  const { what, run, registrar, options, project, config } = parts;
  const monitor = await startMonitor(run, registrar, what === "preview" ? "allowed" : "refused");
  const programLines: string[] = [];
  try {
    const program = await startProgram({
      project,
      stack: options.stack,
      config,
      secretKeys: options.secretKeys.map((key) => (key.includes(":") ? key : `${project.name}:${key}`)),
      address: monitor.address,
      parallel: run.parts.parallel,
      dryRun: what === "preview",
      environment: run.parts.environment,
      processes: run.parts.processes,
      onLine: (source, message) => {
        // Its connection goes before it does, and it says so at length.
        if (run.aborted) return;
        programLines.push(message);
        run.emit({
          kind: "diagnostic",
          severity: source === "stderr" ? "warning" : "info",
          source,
          message,
        });
      },
    });
    run.onAbort(() => void registrar.settled().then(() => program.stop(programGraceMilliseconds)));
    // After a failure the program ends by itself: its calls are refused. One that does not is ended.
    run.onFailure(() => {
      void registrar
        .settled()
        .then(() => Promise.race([program.ended, delay(programGraceMilliseconds)]))
        .then(() => program.stop());
    });
    const code = await program.ended;
    await registrar.settled();
    if (run.aborted) throw new AbortedError(what);
    if (run.failures.length === 0 && (code !== 0 || monitor.errors.length > 0)) {
      const said = monitor.errors.length > 0 ? monitor.errors : programLines.slice(-20);
      const end = code === null ? "was ended by a signal" : `ended with exit code ${code}`;
      run.fail("program", new EngineError("program", [`the program ${end}`, ...said].join("\n")));
    }
  } finally {
    await registrar.settled();
    monitor.close();
  }
}

/**
 * Deletes everything that the state knows, in reverse order and without running the program. `config` is needed
 * only for default providers that have configuration. The state file is removed when nothing is left.
 * @throws as `up`; a resource whose deletion fails keeps all that it stands on
 */
export async function destroy(options: EngineOptions): Promise<DestroyResult> {
  const began = performance.now();
  return withRun(options, "change", async (run) => {
    const { store } = run.parts;
    await resolvePending(run, () => true);
    const { kept } = await deleteResources(run, store.state.resources);
    if (run.aborted) {
      await store.save();
      throw new AbortedError("destroy");
    }
    if (run.failures.length > 0) {
      await store.save();
      const names = kept.filter((record) => record.custom).map((record) => shortName(record.urn));
      if (names.length > 0) {
        const rest = names.length > 5 ? ` and ${names.length - 5} more` : "";
        run.tell("warning", `kept, because what failed stands on it: ${names.slice(0, 5).join(", ")}${rest}`);
      }
      throw new DeploymentFailedError("destroy", run.failures);
    }
    await store.remove();
    return { ...run.counts, milliseconds: performance.now() - began };
  });
}

/**
 * Forgets those of the named resources that are gone at their providers.
 * @returns URNs of what was forgotten
 * @throws as `up`, before anything is forgotten
 */
export function refresh(options: EngineOptions, urns: readonly string[]): Promise<string[]> {
  return withRun(options, "change", (run) => forgetGone(run, new Set(urns)));
}

/**
 * Forgets creations that were begun and whose end was not seen, as Pulumi's state has to be rid of them by hand: what they
 * made is unknown to the state then.
 * @throws StateLockedError, WrongPassphraseError, StateFormatError
 */
export function forgetPending(options: EngineOptions): Promise<void> {
  return withRun(options, "change", async ({ parts: { store } }) => {
    if (store.state.pendingCreations.length === 0) return;
    store.state.pendingCreations = [];
    await store.save();
  });
}

/** A stack's state as a reader sees it. */
export interface StackSummary {
  /** Secrets in clear only when asked for. */
  outputs: PropertyMap;
  /** Custom resources and components, in the order of creation. */
  resources: { urn: string; type: string; name: string; id: string; custom: boolean }[];
  /** URNs whose creation was interrupted. */
  pendingCreations: string[];
}

/** What reading a state needs. */
export interface ReadStateOptions extends StateLocation {
  passphrase: string;
  /** Gives secret outputs in clear; otherwise they stand as `[secret]`. */
  showSecrets?: boolean;
}

/**
 * Reads a state without locking it (writes are atomic).
 * @returns undefined when there is no state
 * @throws WrongPassphraseError, StateFormatError
 */
export async function readState(options: ReadStateOptions): Promise<StackSummary | undefined> {
  const stored = await readStored(options);
  if (stored === undefined) return undefined;
  const outputs = stored.resources.find((record) => record.type === rootStackType)?.outputs ?? {};
  return {
    outputs: options.showSecrets === true ? plainMap(outputs) : (masked(outputs) as PropertyMap),
    resources: stored.resources.map(({ urn, type, name, id, custom }) => ({ urn, type, name, id, custom })),
    pendingCreations: stored.pendingCreations.map((pending) => pending.urn),
  };
}

/**
 * Reads a state as it is stored, without locking it.
 * @param identity whose state it must be; default: whosever it is
 * @throws as `readState`
 */
export function readStored(
  options: ReadStateOptions,
  identity?: { project: string; stack: string },
): Promise<StackState | undefined> {
  return withStatePlace(options, async (place) => {
    const text = await place.read();
    if (text === undefined) return undefined;
    const access = { ...readOnly(place), read: () => Promise.resolve(text) };
    return (await StateStore.open(access, identity ?? identityIn(text), options.passphrase)).state;
  });
}

function identityIn(text: string): { project: string; stack: string } {
  try {
    const { project = "", stack = "" } = JSON.parse(text) as { project?: string; stack?: string };
    return { project, stack };
  } catch {
    // The opening says what is wrong with it.
    return { project: "", stack: "" };
  }
}

/** Who works on a state. @returns undefined when nobody holds its lock */
export function stateLockHolder(location: StateLocation): Promise<StateLockHolder | undefined> {
  return withStatePlace(location, (place) => place.lockHolder());
}

/**
 * Ends what a killed run's program left running on this machine, if nobody works on the state.
 * @param note told whose lock was taken over
 * @throws StateLockedError
 */
export function endLeftProcesses(location: StateLocation, note: (line: string) => void): Promise<void> {
  return withStatePlace(location, async (place) => {
    const held = await place.lock();
    if (held.takenFrom !== undefined) note(takenOver(held.takenFrom));
    await new ProcessRegistry(place.processes).endLeftovers().finally(() => held.release());
  });
}

/** The outputs of a stack, see `readState`. Empty when there is no state. */
export async function readOutputs(options: ReadStateOptions): Promise<PropertyMap> {
  return (await readState(options))?.outputs ?? {};
}
