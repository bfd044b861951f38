/**
 * A cluster of ours on the real control plane: the nodes, what k3s brings, and what becomes of the objects that are applied.
 * As {@link KubernetesLife} the lab's engine hands it each object that the program has for Kubernetes; it goes to the API
 * server, server-side and with strict field validation, and the engine goes on when the real provider would.
 *
 * SIMULATED, each in a file of its own: nodes and running containers (kwok), charts and Strimzi's operator (stand-ins.ts),
 * the volumes (simulated-local-path.ts).
 */
import { setTimeout as delay } from "node:timers/promises";
import type { NodePlan } from "../../components/node-plans.ts";
import type { Profile } from "../../components/profile.ts";
import type { KubernetesLife, PropertyMap } from "../engine/index.ts";
import { type KubernetesObject, objectName } from "./api.ts";
import type { ControlPlane } from "./control-plane.ts";
import { ControlPlaneError, KubernetesApiError } from "./errors.ts";
import { type NodeMachine, nodeObjects, type NodeStatus, quantity } from "./nodes.ts";
import { podStates, unsettled } from "./pods.ts";
import { startSimulatedLocalPath, storageClass } from "./simulated-local-path.ts";
import { chartStandIns, kafkaStandIns } from "./stand-ins.ts";

/** Who applies what, as `metadata.managedFields` shows it. */
export const fieldManagers = {
  pulumi: "pulumi",
  argoCd: "argocd-controller",
  simulated: "lab-simulated",
} as const;

/** What k3s runs by itself, with the requests of its manifests/coredns.yaml. */
const coreDns: KubernetesObject = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "coredns", namespace: "kube-system", labels: { "k8s-app": "kube-dns" } },
  spec: {
    replicas: 1,
    selector: { matchLabels: { "k8s-app": "kube-dns" } },
    template: {
      metadata: { labels: { "k8s-app": "kube-dns" } },
      spec: {
        containers: [
          {
            name: "coredns",
            image: "simulated.invalid/stand-in:none",
            resources: { requests: { cpu: "100m", memory: "70Mi" }, limits: { memory: "170Mi" } },
          },
        ],
      },
    },
  },
};

/** Groups of the definitions that each chart brings; k3s's own are there from the start. */
const chartGroups: Readonly<Record<string, readonly string[]>> = {
  "strimzi-kafka-operator": ["kafka.strimzi.io", "core.strimzi.io"],
  "kube-prometheus-stack": ["monitoring.coreos.com"],
  "argo-cd": ["argoproj.io"],
};
const k3sGroup = "helm.cattle.io";

/** Kinds whose pods, volumes or addresses the real provider waits for, unless an annotation says otherwise. */
const awaitedKinds: ReadonlySet<string> = new Set(["Job", "Deployment", "StatefulSet", "Pod", "Service"]);
/** Longest wait for one object. */
const awaitDeadlineMs = 90_000;
const lookEveryMs = 100;

export interface ClusterArguments {
  controlPlane: ControlPlane;
  profile: Profile;
  /** Every custom resource definition, see definitions.ts. */
  definitions: readonly KubernetesObject[];
  /** The server of each node; asked when the first object comes. */
  machineOf: (plan: NodePlan) => NodeMachine;
  /**
   * Told of an object that the API refuses. When given, the cluster goes on as if the object had been taken, so that all
   * that is refused is known in the end; otherwise the refusal fails the object.
   */
  onRefused?: (object: KubernetesObject, error: KubernetesApiError) => void;
  /** Told when definitions were established. */
  onEstablished?: () => void;
}

/** See the module's description. */
export class LabCluster implements KubernetesLife {
  readonly #args: ClusterArguments;
  readonly #provisioner: { stop(): Promise<void> };
  /** What the Strimzi operator would know, by its name: a pool that is applied again is the same one. */
  readonly #pools = new Map<string, KubernetesObject>();
  readonly #charts = new Map<string, KubernetesObject>();
  #base: Promise<void> | undefined;
  readonly #underWay = new Set<Promise<void>>();
  #failure: Error | undefined;
  #isStopped = false;
  /** Names of the definitions that are established, `<plural>.<group>`. */
  readonly established = new Set<string>();
  /** Every object that was applied, in order. */
  readonly appliedObjects: KubernetesObject[] = [];

  constructor(args: ClusterArguments) {
    this.#args = args;
    this.#provisioner = startSimulatedLocalPath(args.controlPlane.api, (error) => this.#fail(error));
    void args.controlPlane.failed.then((error) => (this.#failure ??= error));
  }

  get #api() {
    return this.#args.controlPlane.api;
  }

  /** Nodes and what k3s brings. Done once. */
  start(): Promise<void> {
    return (this.#base ??= this.#start());
  }

  async #start(): Promise<void> {
    const { profile, machineOf } = this.#args;
    const nodes = nodeObjects(profile, machineOf);
    for (const { node } of nodes) await this.#simulated(node);
    await this.#simulated(storageClass);
    await this.#simulated(coreDns);
    await this.#define([k3sGroup]);
    await this.#until("every node is Ready, with what its server has", async () => {
      const ready = await Promise.all(nodes.map(({ node, status }) => this.#isNodeReady(node, status)));
      return ready.every(Boolean);
    });
  }

  /** Kwok gives a new node an endless size as it makes it Ready; afterwards it keeps what it is told. */
  async #isNodeReady(node: KubernetesObject, wanted: NodeStatus): Promise<boolean> {
    const { spec, status } = (await this.#api.get(node)) as unknown as {
      spec: { taints?: { key: string }[] };
      status: { conditions?: { type: string; status: string }[]; allocatable?: Record<string, string> };
    };
    const isReady =
      status.conditions?.some(({ type, status: is }) => type === "Ready" && is === "True") === true;
    if (!isReady) return false;
    const differs = Object.entries(wanted.allocatable).some(
      ([resource, given]) => quantity(status.allocatable?.[resource] ?? "0") !== quantity(given),
    );
    if (differs) {
      await this.#api.patchStatus(node, wanted);
      return false;
    }
    // The controller manager takes its taint away a little later.
    return spec.taints?.some(({ key }) => key === "node.kubernetes.io/not-ready") !== true;
  }

  /** Ends what the cluster itself runs; the control plane goes on. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#provisioner.stop();
    await Promise.allSettled(this.#underWay);
  }

  async applied(object: PropertyMap, signal: AbortSignal): Promise<void> {
    await this.apply(object as unknown as KubernetesObject, { signal });
  }

  /**
   * Applies an object and waits as the real provider does.
   * @param options.manager default: Pulumi.
   * @throws KubernetesApiError when the API refuses it; ControlPlaneError when what it asks for does not come about.
   */
  async apply(
    object: KubernetesObject,
    { signal, manager = fieldManagers.pulumi }: { signal?: AbortSignal; manager?: string } = {},
  ): Promise<void> {
    await this.start();
    try {
      await this.#api.apply(object, { fieldManager: manager, signal });
    } catch (error) {
      if (!(error instanceof KubernetesApiError) || this.#args.onRefused === undefined) throw error;
      this.#args.onRefused(object, error);
      return;
    }
    this.appliedObjects.push(object);
    this.#background(this.#react(object));
    const annotations = object.metadata.annotations ?? {};
    if (manager === fieldManagers.pulumi && annotations["pulumi.com/skipAwait"] !== "true")
      await this.#await(object, signal);
  }

  /** Waits until every pod runs or is done. @throws ControlPlaneError that names each that does not, and why. */
  async settled(deadlineMs = awaitDeadlineMs, signal?: AbortSignal): Promise<void> {
    await this.#until(
      "every pod runs or is done",
      async () => this.#underWay.size === 0 && (await unsettled(this.#api)).length === 0,
      { deadlineMs, signal },
    );
  }

  /** What charts and operators do with an object. */
  async #react(object: KubernetesObject): Promise<void> {
    const { kind } = object;
    if (kind === "HelmChart") {
      const { chart = "" } = object["spec"] as { chart?: string };
      this.#charts.set(chart, object);
      await this.#define(chartGroups[chart] ?? []);
      for (const standIn of chartStandIns(object)) await this.#simulated(standIn);
    }
    if (kind === "KafkaNodePool") this.#pools.set(objectName(object), object);
    if (kind === "Kafka") await this.#brokers(object);
  }

  /** Does what nobody waits for; its failure fails the next wait. */
  #background(work: Promise<void>): void {
    this.#underWay.add(work);
    void work.catch((error: unknown) => this.#fail(error)).finally(() => this.#underWay.delete(work));
  }

  /** The first failure fails what is waited for next. */
  #fail(error: unknown): void {
    if (!this.#isStopped) this.#failure ??= error as Error;
  }

  async #brokers(kafka: KubernetesObject): Promise<void> {
    const { name, namespace } = kafka.metadata;
    const pools = [...this.#pools.values()].filter(
      ({ metadata }) => metadata.namespace === namespace && metadata.labels?.["strimzi.io/cluster"] === name,
    );
    for (const standIn of kafkaStandIns(kafka, pools, this.#charts.get("strimzi-kafka-operator")))
      await this.#simulated(standIn);
    await this.#until(`the brokers of ${objectName(kafka)} run`, async () => {
      const pods = await podStates(this.#api);
      const brokers = pods.filter(({ labels }) => labels["strimzi.io/broker-role"] === "true");
      return brokers.length > 0 && brokers.every(({ settled }) => settled);
    });
    const now = new Date().toISOString();
    await this.#api.patchStatus(kafka, {
      conditions: [{ type: "Ready", status: "True", lastTransitionTime: now }],
      observedGeneration: 1,
    });
  }

  /** Applies definitions and waits until they are established. */
  async #define(groups: readonly string[]): Promise<void> {
    const wanted = this.#args.definitions.filter(
      (definition) =>
        groups.includes((definition["spec"] as { group: string }).group) &&
        !this.established.has(definition.metadata.name),
    );
    await Promise.all(wanted.map((definition) => this.#api.create(definition, fieldManagers.simulated)));
    for (const definition of wanted) {
      await this.#until(`${objectName(definition)} is established`, async () => {
        const { status } = ((await this.#api.get(definition)) ?? {}) as {
          status?: { conditions?: { type: string; status: string }[] };
        };
        return (
          status?.conditions?.some((each) => each.type === "Established" && each.status === "True") === true
        );
      });
      this.established.add(definition.metadata.name);
    }
    this.#args.onEstablished?.();
  }

  async #simulated(object: KubernetesObject): Promise<void> {
    await this.#api.apply(object, { fieldManager: fieldManagers.simulated });
  }

  /** As the provider's own awaiters do: https://www.pulumi.com/registry/packages/kubernetes/#how-it-works */
  async #await(object: KubernetesObject, signal: AbortSignal | undefined): Promise<void> {
    const isConditioned = object.metadata.annotations?.["pulumi.com/waitFor"] === "condition=Ready";
    if (!awaitedKinds.has(object.kind) && !isConditioned) return;
    await this.#until(`${objectName(object)} is ready`, async () => this.#isReady(object), { signal });
  }

  async #isReady(object: KubernetesObject): Promise<boolean> {
    const stored = await this.#api.get(object);
    const { spec, status } = stored as unknown as {
      spec: { replicas?: number; selector?: Record<string, string>; clusterIP?: string };
      status?: {
        observedGeneration?: number;
        readyReplicas?: number;
        succeeded?: number;
        phase?: string;
        conditions?: { type: string; status: string }[];
      };
    };
    switch (object.kind) {
      case "Job":
        return (status?.succeeded ?? 0) > 0;
      case "Pod":
        return status?.phase === "Running" || status?.phase === "Succeeded";
      case "Service": {
        // One without a selector, or without an address, is taken as it is.
        if (spec.selector === undefined || spec.clusterIP === "None") return true;
        const { namespace, name } = object.metadata;
        const slices = (await this.#api.list(
          "discovery.k8s.io/v1",
          "EndpointSlice",
          namespace,
        )) as unknown as {
          metadata: { labels?: Record<string, string> };
          endpoints: { conditions?: { ready?: boolean } }[] | null;
        }[];
        return slices.some(
          ({ metadata, endpoints }) =>
            metadata.labels?.["kubernetes.io/service-name"] === name &&
            endpoints?.some(({ conditions }) => conditions?.ready === true) === true,
        );
      }
      case "Deployment":
      case "StatefulSet":
        return (
          status?.observedGeneration === stored?.metadata["generation"] &&
          (status?.readyReplicas ?? 0) === (spec.replicas ?? 1)
        );
      default:
        return status?.conditions?.some(({ type, status: is }) => type === "Ready" && is === "True") === true;
    }
  }

  async #until(
    what: string,
    look: () => Promise<boolean>,
    { deadlineMs = awaitDeadlineMs, signal }: { deadlineMs?: number; signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    const end = performance.now() + deadlineMs;
    while (!(await look())) {
      signal?.throwIfAborted();
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#isStopped) throw new ControlPlaneError(`The cluster was stopped before ${what}.`);
      if (performance.now() > end) {
        const open = await unsettled(this.#api);
        throw new ControlPlaneError(
          `Not after ${deadlineMs / 1_000} s: ${what}.${open.map((line) => `\n  - ${line}`).join("")}`,
        );
      }
      await delay(lookEveryMs);
    }
  }
}
