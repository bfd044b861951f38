/**
 * The lab's engine for the `trading` command line: `TRADING_ENGINE=lab/stack-engine.ts`. A rehearsal tool, for a machine
 * without the Pulumi CLI and for tests; where its parts are stands in the environment:
 *
 * - `LAB_STATE_FILE`: the encrypted state: a file, made when absent, or `s3://bucket/key`, which several machines may share.
 * - `LAB_STATE_S3_ENDPOINT`, `LAB_STATE_S3_REGION`, `LAB_STATE_S3_ACCESS_KEY_ID`, `LAB_STATE_S3_SECRET_ACCESS_KEY`: that bucket.
 * - `LAB_STATE_LEASE_SECONDS`: there, a run that has not renewed its lock for so long counts as dead. Default: 60.
 * - `LAB_PASSPHRASE`: opens it.
 * - `LAB_STACK_CONFIG`: a JSON file `{"values": {"trading:<key>": "text or JSON"}, "secretKeys": ["trading:<key>"]}`, the
 *   whole configuration of the stack. It holds secrets: mode 0600, below `.lab`.
 */
import { readFile } from "node:fs/promises";
import { z } from "zod";
import {
  clusterOf,
  failedRun,
  nameOfUrn,
  type StackEngine,
  type StackEngineArguments,
  StackEngineError,
  type StackEvent,
  StackLockedError,
  StackRunAbortedError,
  type StackRunOptions,
  type StackState,
  StackUnavailableError,
} from "../ops/engine/stack-engine.ts";
import type { StackConfiguration } from "./day/stack-config.ts";
import {
  AbortedError,
  DeploymentFailedError,
  destroy,
  endLeftProcesses,
  EngineError,
  type EngineEvent,
  type EngineOptions,
  forgetPending,
  refresh,
  readOutputs,
  readStored,
  StateLockedError,
  StateLostError,
  up,
} from "./engine/index.ts";
import { plainMap } from "./engine/properties.ts";
import { readProject } from "./engine/project.ts";
import { stateBucketSettings } from "./state-settings.ts";

export { openStackConfiguration } from "./stack-configuration.ts";

/** Options of the lab's engine that stay the same from run to run. */
export type LabStackEngineOptions = Omit<EngineOptions, "onEvent" | "signal">;

const configurationSchema = z.object({
  values: z.record(z.string(), z.string()),
  secretKeys: z.array(z.string()),
}) satisfies z.ZodType<StackConfiguration>;

/** See the module's description. @throws StackUnavailableError with everything that is missing. */
export async function openStackEngine(args: StackEngineArguments): Promise<StackEngine> {
  const { environment, projectDirectory, stack } = args;
  const variables = {
    stateFile: environment["LAB_STATE_FILE"] ?? "",
    passphrase: environment["LAB_PASSPHRASE"] ?? "",
    configFile: environment["LAB_STACK_CONFIG"] ?? "",
  };
  const names = { stateFile: "LAB_STATE_FILE", passphrase: "LAB_PASSPHRASE", configFile: "LAB_STACK_CONFIG" };
  const missing = Object.entries(names)
    .filter(([key]) => variables[key as keyof typeof variables] === "")
    .map(([, name]) => name);
  if (missing.length > 0) {
    throw new StackUnavailableError(
      `The lab's engine needs ${missing.join(", ")} in the environment (lab/stack-engine.ts says what they are).`,
    );
  }
  const { values, secretKeys } = await readConfiguration(variables.configFile);
  const options: LabStackEngineOptions = {
    projectDirectory,
    stack,
    config: values,
    secretKeys,
    ...stateBucketSettings(environment, variables.stateFile, projectDirectory),
    passphrase: variables.passphrase,
    // What opens the state is no business of the program and of what it starts.
    environment: Object.fromEntries(
      Object.entries(environment).filter(
        (entry): entry is [string, string] => entry[1] !== undefined && !entry[0].startsWith("LAB_"),
      ),
    ),
  };
  return labStackEngine(options, true, args.note);
}

async function readConfiguration(file: string): Promise<StackConfiguration> {
  try {
    return configurationSchema.parse(JSON.parse(await readFile(file, "utf8")));
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
    throw new StackUnavailableError(`LAB_STACK_CONFIG: ${file} cannot be read: ${reason}`, [], {
      cause: error,
    });
  }
}

/**
 * The lab's engine behind the interface of the `trading` command line.
 * @param adoptsPending false: creations that a killed run began are forgotten, as with the Pulumi CLI, so that what they
 *   made is unknown to the state
 * @param note told whose lock was broken
 */
export function labStackEngine(
  options: LabStackEngineOptions,
  adoptsPending = true,
  note: (line: string) => void = () => undefined,
): StackEngine {
  const runs = async <T>(
    what: string,
    { config = {}, signal, onEvent }: StackRunOptions,
    work: (run: EngineOptions) => Promise<T>,
  ): Promise<T> => {
    try {
      if (!adoptsPending) await forgetPending(options);
      return await work({
        ...options,
        config: { ...options.config, ...config },
        signal,
        onEvent: (event) => {
          const told = eventOf(event);
          if (told !== undefined) onEvent?.(told);
        },
      });
    } catch (error) {
      throw translated(what, error);
    }
  };
  return {
    description: "the lab's engine (a rehearsal, without the Pulumi CLI)",
    adoptsPending,
    config: () => Promise.resolve({ ...options.config }),
    settle: async () => {
      try {
        // A command that then has nothing to run must not leave a killed run's program behind.
        await endLeftProcesses(options, note);
        if (!adoptsPending) await forgetPending(options);
      } catch (error) {
        throw translated("settle", error);
      }
    },
    state: async () => {
      try {
        return await readStackState(options);
      } catch (error) {
        throw translated("reading the state", error);
      }
    },
    outputs: async () => {
      try {
        return await readOutputs({ ...options, showSecrets: true });
      } catch (error) {
        throw translated("reading the outputs", error);
      }
    },
    refresh: (urns, run) => runs("refresh", run, async (engine) => void (await refresh(engine, urns))),
    up: (run) =>
      runs("up", run, async (engine) => {
        const { outputs } = await up(engine);
        return {
          outputs: Object.fromEntries(Object.entries(outputs).filter(([, value]) => value !== "[secret]")),
        };
      }),
    destroy: (run) => runs("destroy", run, async (engine) => void (await destroy(engine))),
  };
}

async function readStackState(options: LabStackEngineOptions): Promise<StackState | undefined> {
  const { name: project } = await readProject(options.projectDirectory);
  const { resources, pendingCreations } = (await readStored(options, { project, stack: options.stack })) ?? {
    resources: [],
    pendingCreations: [],
  };
  if (resources.length + pendingCreations.length === 0) return undefined;
  const labelled = [
    ...resources.map(({ inputs, outputs }) => ({ ...plainMap(inputs), ...plainMap(outputs) })),
    ...pendingCreations.map(({ inputs }) => plainMap(inputs)),
  ];
  return {
    resources: resources.map(({ urn, type, name, id }) => ({ urn, type, name, id })),
    pending: pendingCreations.map(({ urn, type, inputs }) => {
      const { name } = plainMap(inputs);
      return { urn, type, resourceName: typeof name === "string" ? name : undefined };
    }),
    cluster: clusterOf(labelled),
  };
}

function eventOf(event: EngineEvent): StackEvent | undefined {
  switch (event.kind) {
    case "resource-started":
    case "resource-finished":
    case "resource-failed": {
      const { operation, type, name, component } = event;
      if (component || operation === "same") return undefined;
      const status =
        event.kind === "resource-started"
          ? "started"
          : event.kind === "resource-finished"
            ? "done"
            : "failed";
      return { kind: "resource", status, operation, type, name };
    }
    case "diagnostic":
      return event.severity === "debug"
        ? undefined
        : { kind: "line", severity: event.severity, text: event.message };
    case "outputs":
      return undefined;
  }
}

function translated(what: string, error: unknown): unknown {
  if (error instanceof DeploymentFailedError) {
    const failures = error.failures.map(({ urn, code, message }) => ({
      urn,
      name: urn === undefined ? undefined : nameOfUrn(urn),
      code,
      message,
    }));
    return failedRun(what, failures, error);
  }
  if (error instanceof AbortedError) return new StackRunAbortedError(error.message, [], { cause: error });
  if (error instanceof StateLockedError || error instanceof StateLostError)
    return new StackLockedError(error.message, [], { cause: error });
  if (error instanceof EngineError) return new StackEngineError(error.message, [], { cause: error });
  return error;
}
