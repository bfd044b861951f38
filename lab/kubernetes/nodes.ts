/** The cluster's nodes as kwok plays them: what the scheduler sees of each server. */
import { allocatable, type Machine } from "../../components/fit.ts";
import { nodePlansOf, type NodePlan } from "../../components/node-plans.ts";
import type { Profile } from "../../components/profile.ts";
import type { KubernetesObject } from "./api.ts";
import { kubernetesVersion } from "./install.ts";

/** The kubelet's default limit of pods on a node. */
const podLimit = "110";

/** A server that is a node: cores, GB of memory and of disk, as the cloud sold it. */
export interface NodeMachine extends Machine {
  disk: number;
  /** For example `cpx31`. */
  serverType: string;
}

/** A node with the labels that k3s gives it, and exactly what its kubelet lets pods have. */
export function nodeObject(plan: NodePlan, machine: NodeMachine): { node: KubernetesObject; status: object } {
  const free = allocatable(machine, plan.role);
  const storage = `${machine.disk}Gi`;
  return {
    node: {
      apiVersion: "v1",
      kind: "Node",
      metadata: {
        name: plan.nodeName,
        annotations: { "kwok.x-k8s.io/node": "fake" },
        labels: {
          "kubernetes.io/hostname": plan.nodeName,
          "kubernetes.io/os": "linux",
          "kubernetes.io/arch": "amd64",
          "node.kubernetes.io/instance-type": "k3s",
          ...(plan.role === "k3s-control" ? { "node-role.kubernetes.io/control-plane": "true" } : {}),
        },
      },
      spec: {},
    },
    status: {
      allocatable: {
        cpu: `${free.cpu}m`,
        memory: `${free.memory}Mi`,
        "ephemeral-storage": storage,
        pods: podLimit,
      },
      capacity: {
        cpu: String(machine.cores),
        memory: `${machine.memory}Gi`,
        "ephemeral-storage": storage,
        pods: podLimit,
      },
      addresses: [
        { type: "InternalIP", address: plan.privateAddress },
        { type: "Hostname", address: plan.nodeName },
      ],
      nodeInfo: { kubeletVersion: kubernetesVersion },
    },
  };
}

/** The nodes of a profile. @param machineOf the server of each node. */
export function nodeObjects(
  profile: Profile,
  machineOf: (plan: NodePlan) => NodeMachine,
): { node: KubernetesObject; status: object }[] {
  return nodePlansOf(profile).map((plan) => nodeObject(plan, machineOf(plan)));
}
