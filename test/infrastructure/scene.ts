/** A world, and in it what `trading open` and `trading close` work with, for as many runs as a test needs. */
import { setTimeout as delay } from "node:timers/promises";
import type { EngineClock } from "../../lab/engine/index.ts";
import { projectDirectory } from "../../lab/directories.ts";
import { labStackEngine } from "../../lab/stack-engine.ts";
import { type ClusterParts, openParts } from "../../ops/cluster/parts.ts";
import { InfrastructureWorld, type WorldOptions } from "./world.ts";

/** The engine's pauses pass faster than for real. */
const clock: EngineClock = {
  pause: (milliseconds, signal) =>
    delay(milliseconds / 20, undefined, signal === undefined ? {} : { signal }).catch(() => undefined),
};

export interface Scene {
  world: InfrastructureWorld;
  /** What people were told at once. */
  notes: string[];
  /** Opens everything, as a command does, for one piece of work. */
  with: <T>(work: (parts: ClusterParts) => Promise<T>, environment?: Record<string, string>) => Promise<T>;
}

/** Starts the world, plays, and ends it. */
export async function playScene(options: WorldOptions, play: (scene: Scene) => Promise<void>): Promise<void> {
  const world = await InfrastructureWorld.start(options);
  const notes: string[] = [];
  try {
    await play({
      world,
      notes,
      with: async (work, environment = {}) => {
        const parts = await openParts({
          stack: world.stack,
          projectDirectory,
          environment: { GATE_TIMEOUT_SECONDS: "20", ...environment },
          reporter: { note: (line) => void notes.push(line), progress: () => undefined },
          signal: new AbortController().signal,
          engine: labStackEngine({ ...world.engineOptions({ environment }), clock }),
          patience: { pollMs: 50, firstDelayMs: 50 },
        });
        try {
          return await work(parts);
        } finally {
          parts.close();
        }
      },
    });
  } finally {
    await world.stop();
  }
}
