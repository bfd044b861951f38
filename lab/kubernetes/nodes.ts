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

const units: Readonly<Record<string, number>> = {
  m: 0.001,
  "": 1,
  k: 1000,
  Ki: 1024,
  Mi: 1024 ** 2,
  Gi: 1024 ** 3,
  Ti: 1024 ** 4,
};

/** A quantity as a number: the API writes them its own way, 4Gi for 4096Mi. NaN for what is none. */
export function quantity(text: string): number {
  const [, number = "", unit = ""] = /^(\d+(?:\.\d+)?)([a-zA-Z]*)$/.exec(text) ?? [];
  return number === "" ? Number.NaN : Number(number) * (units[unit] ?? Number.NaN);
}

/** What a kubelet says of its node. */
export interface NodeStatus {
  allocatable: Record<string, string>;
  capacity: Record<string, string>;
  addresses: { type: string; address: string }[];
  nodeInfo: { kubeletVersion: string };
}

/** A node with the labels that k3s gives it, and exactly what its kubelet lets pods have. */
export function nodeObject(
  plan: NodePlan,
  machine: NodeMachine,
): { node: KubernetesObject; status: NodeStatus } {
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
): { node: KubernetesObject; status: NodeStatus }[] {
  return nodePlansOf(profile).map((plan) => nodeObject(plan, machineOf(plan)));
}
