/** Which node what runs on, in either profile. */
import type * as kubernetes from "@pulumi/kubernetes";
import { type NodeName, nodePlansOf } from "./node-plans.ts";
import type { Profile } from "./profile.ts";
import { servicesNode } from "./workloads.ts";

/** The node of each part of a cluster. */
export interface Placement {
  /** One broker on each. */
  brokers: readonly NodeName[];
  /** The Strimzi operator and the lag exporter. */
  kafkaHelpers: NodeName;
  monitoring: NodeName;
  argoCd: NodeName;
  services: NodeName;
}

/** Where seed 000 puts everything; on a single node everything is on the one server. */
export function placementOf(profile: Profile): Placement {
  const brokers = nodePlansOf(profile).flatMap((plan) => (plan.broker ? [plan.nodeName] : []));
  const common = { brokers, argoCd: "k3s-control", services: servicesNode } as const;
  return profile === "cluster"
    ? { ...common, kafkaHelpers: "kafka-1", monitoring: "kafka-0" }
    : { ...common, kafkaHelpers: "k3s-control", monitoring: "k3s-control" };
}

/** Affinity that binds a pod to any of some nodes, for charts and objects that take no nodeSelector. */
export function onNodes(nodes: readonly NodeName[]): kubernetes.types.input.core.v1.Affinity {
  return {
    nodeAffinity: {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [
          { matchExpressions: [{ key: "kubernetes.io/hostname", operator: "In", values: [...nodes] }] },
        ],
      },
    },
  };
}
