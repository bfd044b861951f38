/** Runs of the engine without a program's process: a test registers resources itself, with the real providers. */
import path from "node:path";
import { ProcessRegistry } from "../../processes.ts";
import { Deployment } from "../deployment.ts";
import type { Failure } from "../errors.ts";
import type { Counts } from "../events.ts";
import type { Goal } from "../goal.ts";
import { Plan, type PlannedOperation } from "../planning.ts";
import { type PropertyMap, unknownValue } from "../properties.ts";
import { Providers } from "../providers.ts";
import type { Registered, Registrar } from "../registrar.ts";
import { Run } from "../run.ts";
import { SecretMask } from "../secret-mask.ts";
import { StateFile } from "../state-file.ts";
import { type StackState, StateStore } from "../state.ts";

/** A program: registers resources, and waits for each that it needs. */
export type Program = (register: Register) => Promise<unknown>;

/**
 * Registers a resource.
 * @param fed the resources that inputs came from, by input; `""` for `dependsOn` alone
 */
export type Register = (
  type: string,
  name: string,
  inputs: PropertyMap,
  fed?: Record<string, Registered | Registered[]>,
  options?: Partial<Goal>,
) => Promise<Registered>;

/** A run that ended. */
export interface Ended {
  counts: Counts;
  /** `<operation> <name>` as they ended, without `same`. */
  done: string[];
  failures: readonly Failure[];
  state: StackState;
}

/** Runs one after the other on one state. */
export interface Session {
  up(program: Program, parallel?: number): Promise<Ended>;
  preview(program: Program): Promise<{ counts: Counts; operations: readonly PlannedOperation[] }>;
}

function registerWith(registrar: Registrar): Register {
  return async (type, name, inputs, fed = {}, options = {}) => {
    const sources = Object.entries(fed).map(
      ([key, from]) => [key, [from].flat().map(({ urn }) => urn)] as const,
    );
    const registered = await registrar.register({
      type,
      name,
      custom: true,
      inputs,
      dependencies: [...new Set(sources.flatMap(([, urns]) => urns))],
      propertyDependencies: Object.fromEntries(sources.filter(([key]) => key !== "")),
      protect: false,
      retainOnDelete: false,
      ignoreChanges: [],
      replaceOnChanges: [],
      additionalSecretOutputs: [],
      aliases: [],
      ...options,
    });
    // As the SDK serializes an id that is not known yet.
    return registered.id === "" ? { ...registered, id: unknownValue } : registered;
  };
}

const counted = {
  create: "created",
  update: "updated",
  replace: "replaced",
  delete: "deleted",
  same: "same",
} as const;

/**
 * @param directory where the state and everything relative is
 * @param config configures default providers, `<package>:<key>`
 */
export function openSession(directory: string, config: Record<string, string>): Session {
  const open = async (parallel: number): Promise<{ run: Run; done: string[] }> => {
    const identity = { project: "p", stack: "s" };
    const store = await StateStore.open(new StateFile(path.join(directory, "state.json")), identity, "x");
    const done: string[] = [];
    const run = new Run({
      identity,
      store,
      providers: new Providers(store.state, config),
      mask: new SecretMask(),
      processes: new ProcessRegistry(path.join(directory, "processes")),
      environment: { PATH: process.env["PATH"] ?? "/usr/bin:/bin" },
      workingDirectory: directory,
      parallel,
      onEvent: (event) => {
        if (event.kind === "resource-finished" && event.operation !== "same")
          done.push(`${event.operation} ${event.name}`);
      },
      abortGraceMilliseconds: 1_000,
    });
    return { run, done };
  };
  return {
    up: async (program, parallel = 4) => {
      const { run, done } = await open(parallel);
      const deployment = new Deployment(run);
      // A refused registration ends the program, as in the real run; the failure is in the run.
      await program(registerWith(deployment)).catch((error: unknown) => {
        if (run.failures.length === 0) throw error;
      });
      await deployment.settled();
      if (run.failures.length === 0) await deployment.removeRest();
      await run.parts.store.save();
      return { counts: run.counts, done, failures: run.failures, state: run.parts.store.state };
    },
    preview: async (program) => {
      const { run } = await open(1);
      const plan = new Plan(run);
      await program(registerWith(plan)).catch((error: unknown) => {
        if (run.failures.length === 0) throw error;
      });
      if (run.failures.length === 0) plan.removeRest();
      const counts: Counts = { created: 0, updated: 0, replaced: 0, deleted: 0, same: 0 };
      for (const { operation } of plan.operations) counts[counted[operation]] += 1;
      return { counts, operations: plan.operations };
    },
  };
}
