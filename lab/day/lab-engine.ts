/** The program hosted by the lab's own engine. */
import { randomBytes } from "node:crypto";
import path from "node:path";
import { labDirectories } from "../directories.ts";
import {
  createTreeRenderer,
  destroy,
  type EngineEvent,
  type EngineOptions,
  readState,
  up,
} from "../engine/index.ts";
import { type DayEngine, type EngineArguments, readStackOutputs } from "./engines.ts";
import type { TimelineEntry } from "./report.ts";

/** Opens the lab engine on an empty state that is encrypted with a throwaway passphrase. */
export async function openLabEngine(args: EngineArguments): Promise<DayEngine> {
  const { progress, configuration } = args;
  const timeline: TimelineEntry[] = [];
  let deleted = 0;

  const run = async <T>(work: (onEvent: (event: EngineEvent) => void) => Promise<T>): Promise<T> => {
    const tree = createTreeRenderer({ output: progress.output });
    try {
      return await work((event) => {
        tree.onEvent(event);
        if (event.kind !== "resource-finished" && event.kind !== "resource-failed") return;
        if (event.component || event.operation === "same") return;
        if (event.kind === "resource-finished" && event.operation === "delete") deleted++;
        timeline.push({
          name: event.name,
          operation: event.kind === "resource-failed" ? "failed" : event.operation,
          from: progress.seconds - event.milliseconds / 1000,
          to: progress.seconds,
        });
      });
    } finally {
      tree.close();
    }
  };
  const stateFile = path.join(labDirectories.state, `${args.stack}.json`);
  const options: EngineOptions = {
    projectDirectory: args.projectDirectory,
    stack: args.stack,
    config: configuration.values,
    secretKeys: configuration.secretKeys,
    stateFile,
    passphrase: randomBytes(24).toString("base64url"),
    environment: args.environment,
    processes: args.registry,
    ...(args.kubernetes === undefined ? {} : { kubernetes: args.kubernetes }),
  };

  return {
    timeline,
    stateFiles: [labDirectories.state],
    up: (signal) =>
      run(async (onEvent) => {
        const { outputs, created } = await up({ ...options, onEvent, signal });
        return { outputs: readStackOutputs(outputs), created };
      }),
    destroy: () =>
      run(async (onEvent) => {
        deleted = 0;
        await destroy({ ...options, onEvent });
        return { deleted };
      }),
    hasResources: async () => {
      const state = await readState(options);
      return state !== undefined && state.resources.length + state.pendingCreations.length > 0;
    },
  };
}
