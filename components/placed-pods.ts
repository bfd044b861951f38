import { catalog } from "../services/catalog.ts";
import { add, amount, type Machine, type PlacedPod, smallestMachine } from "./fit.ts";
import { kafkaFacts } from "./kafka-facts.ts";
import { nodePlansOf, type NodePlan } from "./node-plans.ts";
import { placementOf } from "./placement.ts";
import { argoCdParts, kafkaHelpers, monitoringParts, type PodResources } from "./platform-pods.ts";
import type { Profile } from "./profile.ts";

/** What k3s itself runs in pods and may put on any node: CoreDNS (k3s manifests/coredns.yaml). */
const coreDns = { cpu: "100m", memory: "70Mi" };

/**
 * Every pod of a profile with the node that it is bound to. CoreDNS, which is not bound, counts on each node.
 * Containers that a chart puts into one pod are listed by themselves; the sum is the same.
 */
export function placedPods(profile: Profile): PlacedPod[] {
  const placement = placementOf(profile);
  const parts = (prefix: string, node: string, pods: Readonly<Record<string, PodResources>>) =>
    Object.entries(pods).map(([name, { requests }]) => ({
      name: `${prefix}-${name}`,
      node,
      requests: amount(requests),
    }));
  return [
    ...nodePlansOf(profile).map(({ nodeName }) => ({
      name: "coredns",
      node: nodeName,
      requests: amount(coreDns),
    })),
    ...placement.brokers.map((node) => ({ name: "broker", node, requests: amount(kafkaFacts.requests) })),
    ...parts("strimzi", placement.kafkaHelpers, kafkaHelpers),
    ...parts("monitoring", placement.monitoring, monitoringParts),
    ...parts("argocd", placement.argoCd, argoCdParts),
    ...catalog.map((service) => ({
      name: service.name,
      node: placement.services,
      requests: amount(service.requests),
    })),
  ];
}

/** The pods that run all day: without the Jobs, which have ended before the services start. */
export function allDayPods(profile: Profile): PlacedPod[] {
  const jobs = catalog.filter(({ kind }) => kind === "Job").map(({ name }) => name);
  return placedPods(profile).filter(({ name }) => !jobs.includes(name));
}

/** Part of a machine that what runs all day leaves free. */
const spare = 0.1;

/**
 * The smallest machine for a node of a profile: everything at once fits on it, and what runs all day leaves a tenth of what pods
 * can have.
 */
export function smallestMachineFor(profile: Profile, plan: NodePlan): Machine {
  const requested = (pods: readonly PlacedPod[]) =>
    add(pods.filter(({ node }) => node === plan.nodeName).map(({ requests }) => requests));
  const [atOnce, allDay] = [requested(placedPods(profile)), requested(allDayPods(profile))];
  return smallestMachine(
    {
      cpu: Math.max(atOnce.cpu, allDay.cpu / (1 - spare)),
      memory: Math.max(atOnce.memory, allDay.memory / (1 - spare)),
    },
    plan.role,
  );
}
