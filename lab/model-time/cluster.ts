/**
 * Plays what a cluster on the simulated machines does with the objects that the program applies, for as long as the
 * latency model says: charts are installed, operators start, brokers come up, Prometheus and Argo CD run, Jobs complete,
 * services become Ready. SIMULATED: no container runs anywhere; what is played is the time, and who waits for whom.
 *
 * The provider goes on when the real one would: Jobs and the Kafka object are awaited (pulumi.com/waitFor), workloads
 * unless `pulumi.com/skipAwait` says otherwise, everything else is only applied.
 */
import { setMaxListeners } from "node:events";
import { parse } from "yaml";
import type { KubernetesLife, PropertyMap } from "../engine/index.ts";
import type { Machine, MachineWorld } from "../hetzner/boot/machine.ts";
import type { TimedStep } from "../hetzner/durations.ts";
import { brokerImage, chartContents, type ChartPod, helmJobImage } from "./charts.ts";
import { NodeImages } from "./node-images.ts";

/** A Kubernetes object, as far as it is looked at. */
type Fields = Record<string, unknown>;

function at(value: unknown, path: readonly (string | number)[]): unknown {
  return path.reduce<unknown>((inner, key) => (inner as Fields | undefined)?.[key], value);
}

const text = (value: unknown, path: readonly (string | number)[]): string => {
  const found = at(value, path);
  return typeof found === "string" ? found : "";
};

/** Names of nodes that an affinity demands. */
function nodesOfAffinity(affinity: unknown): string[] {
  const terms = at(affinity, [
    "nodeAffinity",
    "requiredDuringSchedulingIgnoredDuringExecution",
    "nodeSelectorTerms",
  ]) as { matchExpressions: { values: string[] }[] }[] | undefined;
  return (terms ?? []).flatMap((term) => term.matchExpressions.flatMap(({ values }) => values));
}

/** See the module's description. */
export class ModelCluster implements KubernetesLife {
  readonly #world: MachineWorld;
  readonly #synced: readonly object[];
  readonly #images = new NodeImages();
  readonly #ended = new AbortController();
  /** What is Ready or complete by now, and the groups whose definitions are established. */
  readonly #done = new Set<string>();
  readonly #underWay = new Set<Promise<void>>();
  #brokerNodes: readonly string[] = [];

  /**
   * @param world the machines, with their clock, latencies and timeline
   * @param synced what Argo CD finds in Git: the objects of `k8s/`
   */
  constructor(world: MachineWorld, synced: readonly object[]) {
    this.#world = world;
    this.#synced = synced;
    world.established = (definition) => this.#established(definition);
  }

  /** Whether a custom resource definition, `<plural>.<group>`, is established. */
  #established(definition: string): boolean {
    return this.#done.has(`definitions ${definition.slice(definition.indexOf(".") + 1)}`);
  }

  /** Resolves when everything that was set in motion has come to its end. */
  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }

  /** Ends what is under way: the machines are gone. */
  stop(): void {
    this.#ended.abort();
  }

  async applied(object: PropertyMap, signal: AbortSignal): Promise<void> {
    const { changes, latency } = this.#world;
    // One signal ends the whole run: everything under way listens to it.
    setMaxListeners(0, signal);
    await changes.pause(latency.duration("kubernetes_request", "kubernetes"), signal);
    const life = this.#live(object);
    this.#underWay.add(life);
    void life.then(() => this.#underWay.delete(life));
    const kind = text(object, ["kind"]);
    const skipped = text(object, ["metadata", "annotations", "pulumi.com/skipAwait"]) === "true";
    const awaited =
      ["Job", "Deployment", "StatefulSet"].includes(kind) ||
      text(object, ["metadata", "annotations", "pulumi.com/waitFor"]) !== "";
    if (awaited && !skipped) await Promise.race([life, aborted(signal)]);
  }

  #live(object: Fields): Promise<void> {
    switch (text(object, ["kind"])) {
      case "HelmChart":
        return this.#chart(object);
      case "KafkaNodePool":
        this.#brokerNodes = nodesOfAffinity(at(object, ["spec", "template", "pod", "affinity"]));
        return this.#is("node pool");
      case "Kafka":
        return this.#brokers();
      case "Job":
        return this.#workload(object, "prepare_day");
      case "Deployment":
      case "StatefulSet":
        return this.#workload(object, "service_ready");
      case "Application":
        return this.#sync(object);
      default:
        return Promise.resolve();
    }
  }

  async #is(fact: string): Promise<void> {
    this.#done.add(fact);
    this.#world.changes.notify();
  }

  async #when(fact: string): Promise<void> {
    await this.#world.changes.until(() => this.#done.has(fact), Infinity, this.#ended.signal);
  }

  /** Waits until a node is Ready. */
  async #node(name: string): Promise<Machine | undefined> {
    const find = () =>
      this.#world.machines().find(({ node }) => node.ready && node.config?.nodeName === name);
    await this.#world.changes.until(() => find() !== undefined, Infinity, this.#ended.signal);
    return find();
  }

  /** Waits until any node is Ready that runs the control plane. */
  async #controlPlane(): Promise<Machine | undefined> {
    const find = () =>
      this.#world.machines().find(({ node }) => node.ready && node.config?.role === "server");
    await this.#world.changes.until(() => find() !== undefined, Infinity, this.#ended.signal);
    return find();
  }

  /** A pod: its node, its images, its start. */
  async #pod(
    name: string,
    machine: Machine | undefined,
    images: readonly string[],
    step: TimedStep,
  ): Promise<void> {
    const { signal } = this.#ended;
    if (machine === undefined) return;
    for (const image of images) await this.#images.demand(machine, image, signal);
    if (signal.aborted) return;
    const { timeline, changes } = this.#world;
    const ended = timeline.begin(`server/${machine.hostname}`, `${step} ${name}`);
    await changes.pause(machine.duration(step), signal);
    ended();
    await this.#is(name);
  }

  async #chart(object: Fields): Promise<void> {
    const release = text(object, ["metadata", "name"]);
    const chart = text(object, ["spec", "chart"]);
    const values: unknown = parse(text(object, ["spec", "valuesContent"])) ?? {};
    const contents = chartContents[chart];
    // The job may run on any node; the control plane's is Ready first.
    const installer = await this.#controlPlane();
    await this.#pod(`chart ${release}`, installer, [helmJobImage], "charts_installed");
    if (contents === undefined) return;
    for (const group of contents.groups) await this.#is(`definitions ${group}`);
    await Promise.all(contents.pods.map((pod) => this.#chartPod(pod, values)));
  }

  async #chartPod(pod: ChartPod, values: unknown): Promise<void> {
    if (pod.startedBy !== undefined) await this.#when(pod.startedBy);
    const machine = await this.#node(text(values, pod.nodeAt));
    await this.#pod(pod.name, machine, pod.images, pod.step);
  }

  async #brokers(): Promise<void> {
    await this.#when("strimzi-operator");
    await this.#when("node pool");
    await Promise.all(
      this.#brokerNodes.map(async (name) =>
        this.#pod(`broker ${name}`, await this.#node(name), [brokerImage], "broker_ready"),
      ),
    );
    await this.#is("kafka");
  }

  async #workload(object: Fields, step: TimedStep): Promise<void> {
    const template = ["spec", "template", "spec"];
    const node = text(object, [...template, "nodeSelector", "kubernetes.io/hostname"]);
    const images = (at(object, [...template, "containers"]) as { image: string }[]).map(({ image }) => image);
    const machine = await this.#node(node);
    await this.#pod(text(object, ["metadata", "name"]), machine, images, step);
  }

  async #sync(object: Fields): Promise<void> {
    await this.#when("argo-cd");
    await this.#pod(
      `application ${text(object, ["metadata", "name"])}`,
      await this.#controlPlane(),
      [],
      "argocd_sync",
    );
    await Promise.all(this.#synced.map((found) => this.#live(found as Fields)));
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
