/**
 * The world of the checks on a real Kubernetes API: the whole unmodified program of a stack, as its `Pulumi.<stack>.yaml` has
 * it, hosted by the lab's engine on simulated servers; each of its Kubernetes objects goes to a real control plane
 * (lab/kubernetes), which validates, admits and schedules it.
 *
 *   const world = await ClusterWorld.start({ stack: "dev" });
 *   await world.up(); await world.cluster.settled(); await world.stop();
 */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { parse } from "yaml";
import { nodePlansOf, type NodePlan } from "../../components/node-plans.ts";
import type { Profile } from "../../components/profile.ts";
import { labDirectories, projectDirectory } from "../../lab/directories.ts";
import { up } from "../../lab/engine/index.ts";
import { latencyModel } from "../../lab/hetzner/durations.ts";
import { type Hetzner, startHetzner } from "../../lab/hetzner/index.ts";
import {
  type ControlPlane,
  ControlPlaneUnavailableError,
  installControlPlane,
  installDefinitions,
  KubernetesApiError,
  type KubernetesObject,
  LabCluster,
  type NodeMachine,
  objectName,
  startControlPlane,
} from "../../lab/kubernetes/index.ts";
import { quickClock } from "../infrastructure/world.ts";
import { madeUpSecrets } from "../made-up-secrets.ts";

/** A real API server on a busy machine takes longer than a played one. */
const latency = latencyModel("fast", { deadline_wait_for_crds: 120_000 });

/** What the control plane is made of, built or fetched when it is not in the cache. */
const tools = {
  cacheDirectory: labDirectories.cache,
  onProgress: (line: string) => console.log(`# ${line}`),
};

/** Why these checks cannot run on this machine; undefined when they can. For `test({ skip })`. */
export async function whySkipped(): Promise<string | false> {
  try {
    await installControlPlane(tools);
    await installDefinitions(tools);
    return false;
  } catch (error) {
    if (!(error instanceof ControlPlaneUnavailableError)) throw error;
    return `no control plane on this machine: ${error.message}`;
  }
}

export interface ClusterWorldOptions {
  stack: "dev" | "prod";
  /** Default: `cluster`. */
  profile?: Profile;
  /** Over what `Pulumi.<stack>.yaml` says; objects and lists as JSON. */
  config?: Readonly<Record<string, string>>;
}

/** See the module's description. */
export class ClusterWorld {
  readonly controlPlane: ControlPlane;
  readonly cluster: LabCluster;
  readonly profile: Profile;
  /** What the API refused, with its words. */
  readonly refused: string[];
  /** What the API warned of. */
  readonly warnings: string[] = [];
  readonly #options: ClusterWorldOptions;
  readonly #hetzner: Hetzner;
  readonly #directory: string;

  private constructor(
    options: ClusterWorldOptions,
    parts: Pick<ClusterWorld, "controlPlane" | "cluster" | "profile" | "refused">,
    hetzner: Hetzner,
    directory: string,
  ) {
    this.controlPlane = parts.controlPlane;
    this.cluster = parts.cluster;
    this.profile = parts.profile;
    this.refused = parts.refused;
    this.#options = options;
    this.#hetzner = hetzner;
    this.#directory = directory;
    this.controlPlane.api.onWarning = (object, warning) =>
      this.warnings.push(`${objectName(object)}: ${warning}`);
  }

  /** A control plane with nothing on it, and an empty account. */
  static async start(options: ClusterWorldOptions): Promise<ClusterWorld> {
    const { profile = "cluster", stack } = options;
    const directory = mkdtempSync(path.join(tmpdir(), "cluster-check-"));
    const definitions = await installDefinitions(tools);
    const controlPlane = await startControlPlane({ directory: path.join(directory, "control-plane") });
    try {
      const hetzner = await startHetzner({ latency });
      const refused: string[] = [];
      const cluster = new LabCluster({
        controlPlane,
        profile,
        definitions,
        machineOf: (plan) => machineOf(hetzner, stack, plan),
        onEstablished: () => hetzner.world.changes.notify(),
        onRefused: (_object, error) => refused.push(error.message),
      });
      // What waits for the charts' definitions on the simulated control plane asks the real API.
      hetzner.world.established = (definition) => cluster.established.has(definition);
      return new ClusterWorld(options, { controlPlane, cluster, profile, refused }, hetzner, directory);
    } catch (error) {
      await controlPlane.stop();
      throw error;
    }
  }

  /** Brings the program up: every object of it is applied. @throws what the engine throws */
  async up(): Promise<void> {
    const { stack, config } = this.#options;
    const file = readFileSync(path.join(projectDirectory, `Pulumi.${stack}.yaml`), "utf8");
    const { config: stated } = parse(file) as { config: Record<string, unknown> };
    const text = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value));
    await up({
      projectDirectory,
      stack,
      config: {
        ...Object.fromEntries(Object.entries(stated).map(([key, value]) => [key, text(value)])),
        "trading:hcloudEndpoint": this.#hetzner.endpoint,
        "trading:hcloudToken": this.#hetzner.token,
        "trading:kubernetesRenderDirectory": path.join(this.#directory, "rendered"),
        "trading:profile": this.profile,
        "trading:ssh": JSON.stringify({ port: this.#hetzner.sshPort }),
        ...madeUpSecrets,
        ...config,
      },
      secretKeys: ["trading:hcloudToken", ...Object.keys(madeUpSecrets)],
      stateFile: path.join(this.#directory, "state.json"),
      passphrase: "throwaway",
      clock: quickClock(),
      kubernetes: this.cluster,
    });
  }

  /** Objects that are not Pulumi's, applied by another manager. What the API refuses is in {@link refused}. */
  async apply(objects: readonly KubernetesObject[], manager: string): Promise<void> {
    for (const object of objects) await this.cluster.apply(object, { manager });
  }

  /** Has the API check objects that somebody may apply by hand over what is there; nothing is stored. */
  async check(objects: readonly KubernetesObject[]): Promise<void> {
    for (const object of objects) {
      await this.controlPlane.api
        .apply(object, { fieldManager: "somebody", force: true, dryRun: true })
        .catch((error: unknown) => {
          if (!(error instanceof KubernetesApiError)) throw error;
          this.refused.push(error.message);
        });
    }
  }

  /** @throws AssertionError that lists what the API has refused so far */
  demandNothingRefused(): void {
    assert.deepEqual(this.refused, [], "objects that the Kubernetes API refuses");
  }

  async stop(): Promise<void> {
    await this.cluster.stop();
    await this.controlPlane.stop();
    await this.#hetzner.close();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** The server of a node, as the account has it. */
function machineOf(hetzner: Hetzner, stack: string, { nodeName }: NodePlan): NodeMachine {
  const server = hetzner.project.servers().find(({ name }) => name === `${stack}-${nodeName}`);
  if (server === undefined) throw new Error(`the account has no server ${stack}-${nodeName}`);
  const { name, cores, memory, disk } = server.server_type;
  return { serverType: name, cores, memory, disk };
}

/** The nodes' names of a world. */
export function nodeNames({ profile }: Pick<ClusterWorld, "profile">): string[] {
  return nodePlansOf(profile)
    .map(({ nodeName }) => nodeName)
    .sort();
}
