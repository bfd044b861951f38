import { catalog } from "../services/catalog.ts";
import { amount, type PlacedPod } from "./fit.ts";
import { argoCdParts } from "./gitops.ts";
import { kafkaFacts } from "./kafka-facts.ts";
import { kafkaHelpers } from "./kafka.ts";
import { monitoringParts } from "./monitoring.ts";
import { nodePlans } from "./nodes.ts";
import { servicesNode } from "./workloads.ts";

/** What k3s itself runs in pods and may put on any node: CoreDNS (k3s manifests/coredns.yaml). */
const coreDns = { cpu: "100m", memory: "70Mi" };

/** Every pod of the cluster with the node that it is bound to. CoreDNS, which is not bound, counts on each node. */
export function placedPods(): PlacedPod[] {
  const parts = {
    ...Object.fromEntries(Object.entries(kafkaHelpers).map(([name, part]) => [`strimzi-${name}`, part])),
    ...Object.fromEntries(
      Object.entries(monitoringParts).map(([name, part]) => [`monitoring-${name}`, part]),
    ),
    ...Object.fromEntries(Object.entries(argoCdParts).map(([name, part]) => [`argocd-${name}`, part])),
  };
  return [
    ...nodePlans.map((plan) => ({ name: "coredns", node: plan.nodeName, requests: amount(coreDns) })),
    ...nodePlans
      .filter((plan) => plan.role === "kafka")
      .map((plan) => ({ name: "broker", node: plan.nodeName, requests: amount(kafkaFacts.requests) })),
    ...Object.entries(parts).map(([name, part]) => ({
      name,
      node: part.node,
      requests: amount(part.requests),
    })),
    ...catalog.map((service) => ({
      name: service.name,
      node: servicesNode,
      requests: amount(service.requests),
    })),
  ];
}
