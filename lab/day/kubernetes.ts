/** A day's Kubernetes objects on a real control plane, and the services' workloads as that has them. */
import type { Profile } from "../../components/profile.ts";
import type { Day } from "../day.ts";
import { labDirectories } from "../directories.ts";
import type { KubernetesLife } from "../engine/index.ts";
import { exitCodes, LabError } from "../errors.ts";
import {
  ControlPlaneUnavailableError,
  installControlPlane,
  installDefinitions,
  type KubernetesObject,
  kubernetesVersion,
  LabCluster,
  objectName,
  podStates,
  startControlPlane,
} from "../kubernetes/index.ts";
import { objectsOf, type RenderedObjects } from "../workloads/index.ts";
import type { World } from "./world.ts";

export interface DayKubernetes {
  /** For the engine: applies what the program has for Kubernetes. */
  readonly life: KubernetesLife;
  /**
   * Waits until every pod runs, as far as it does here.
   * @returns a line for a person
   * @throws ControlPlaneError that names each pod that does not run, and why
   */
  settled(signal: AbortSignal): Promise<string>;
  /** The workloads that were applied, and what they name, as the API server has them now. */
  objects(): Promise<RenderedObjects>;
  stop(): Promise<void>;
}

/** What lab/workloads reads. */
const kinds: ReadonlySet<string> = new Set(["Job", "Deployment", "StatefulSet", "ConfigMap", "Secret"]);

const installArguments = ({ registry, progress, interruption }: Day) => ({
  cacheDirectory: labDirectories.cache,
  registry,
  signal: interruption,
  onProgress: (line: string) => progress.line(line),
});

/** Builds and fetches what is not in the cache. @throws LabError (exit code 2) when that cannot be done here */
export async function installKubernetes(day: Day): Promise<void> {
  try {
    await installControlPlane(installArguments(day));
    await installDefinitions(installArguments(day));
  } catch (error) {
    if (!(error instanceof ControlPlaneUnavailableError)) throw error;
    throw new LabError(`--kubernetes real: ${error.message}`, exitCodes.usage);
  }
}

/** Starts a control plane whose nodes are the servers of the world. */
export async function startKubernetes(day: Day, world: World, profile: Profile): Promise<DayKubernetes> {
  const controlPlane = await startControlPlane({
    ...installArguments(day),
    directory: labDirectories.kubernetes,
  });
  const { hetzner } = world;
  const cluster = new LabCluster({
    controlPlane,
    profile,
    definitions: await installDefinitions(installArguments(day)),
    machineOf: ({ nodeName }) => {
      const server = hetzner.project.servers().find(({ name }) => name.endsWith(`-${nodeName}`));
      if (server === undefined) throw new Error(`the account has no server of the node ${nodeName}`);
      const { name: serverType, cores, memory, disk } = server.server_type;
      return { serverType, cores, memory, disk };
    },
    onEstablished: () => hetzner.world.changes.notify(),
  });
  // What waits for the charts' definitions on the simulated servers asks the real API.
  hetzner.world.established = (definition) => cluster.established.has(definition);
  return {
    life: cluster,
    settled: async (signal) => {
      await cluster.settled(undefined, signal);
      const pods = await podStates(controlPlane.api);
      const nodes = new Set(pods.map(({ node }) => node)).size;
      return (
        `Kubernetes ${kubernetesVersion} has taken ${cluster.appliedObjects.length} objects and placed ` +
        `${pods.length} pods on ${nodes} ${nodes === 1 ? "node" : "nodes"} (simulated)`
      );
    },
    objects: async () => {
      const found = new Map<string, KubernetesObject>();
      for (const object of cluster.appliedObjects) {
        if (!kinds.has(object.kind)) continue;
        const stored = await controlPlane.api.get(object);
        if (stored !== undefined) found.set(objectName(object), stored);
      }
      return objectsOf(found);
    },
    stop: async () => {
      await cluster.stop();
      await controlPlane.stop();
    },
  };
}
