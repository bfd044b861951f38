/** The machines of a cluster as plain values: names, roles and addresses. */
import type { Profile } from "./profile.ts";

/** The private network of a cluster (seed 000) and the fixed addresses in it. */
export const privateNetwork = {
  network: "10.0.0.0/16",
  subnet: "10.0.1.0/24",
  controlPlane: "10.0.1.1",
  brokers: ["10.0.1.10", "10.0.1.11", "10.0.1.12"],
} as const;

/** Port of the Kubernetes API. */
export const kubernetesApiPort = 6443;

/** One machine of the cluster: its Kubernetes node name, its role and its private address. */
export interface NodePlan {
  nodeName: "k3s-control" | "kafka-0" | "kafka-1" | "kafka-2";
  role: "k3s-control" | "kafka";
  privateAddress: string;
  /** Whether a Kafka broker runs here. */
  broker: boolean;
}

export type NodeName = NodePlan["nodeName"];

/** The four machines of seed 000. */
export const nodePlans = [
  {
    nodeName: "k3s-control",
    role: "k3s-control",
    privateAddress: privateNetwork.controlPlane,
    broker: false,
  },
  { nodeName: "kafka-0", role: "kafka", privateAddress: privateNetwork.brokers[0], broker: true },
  { nodeName: "kafka-1", role: "kafka", privateAddress: privateNetwork.brokers[1], broker: true },
  { nodeName: "kafka-2", role: "kafka", privateAddress: privateNetwork.brokers[2], broker: true },
] as const satisfies readonly NodePlan[];

/**
 * The machines of a profile; the control plane comes first. The one server of `single-node` keeps the control plane's
 * name, so that what is bound to that node (the services in Git, Argo CD) is right in either profile.
 */
export function nodePlansOf(profile: Profile): readonly NodePlan[] {
  return profile === "cluster" ? nodePlans : [{ ...nodePlans[0], broker: true }];
}
