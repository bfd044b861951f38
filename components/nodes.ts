import * as hcloud from "@pulumi/hcloud";
import * as pulumi from "@pulumi/pulumi";
import { type Network, privateNetwork } from "./network.ts";
import { serverImage } from "./versions.ts";

/** One machine of the cluster: its Kubernetes node name, its role and its private address. */
export interface NodePlan {
  nodeName: "k3s-control" | "kafka-0" | "kafka-1" | "kafka-2";
  role: "k3s-control" | "kafka";
  privateAddress: string;
}

/** The four machines of seed 000. */
export const nodePlans = [
  { nodeName: "k3s-control", role: "k3s-control", privateAddress: privateNetwork.controlPlane },
  { nodeName: "kafka-0", role: "kafka", privateAddress: privateNetwork.brokers[0] },
  { nodeName: "kafka-1", role: "kafka", privateAddress: privateNetwork.brokers[1] },
  { nodeName: "kafka-2", role: "kafka", privateAddress: privateNetwork.brokers[2] },
] as const satisfies readonly NodePlan[];

export type NodeName = (typeof nodePlans)[number]["nodeName"];
export interface NodesArgs {
  /** Name of the stack; servers are called `<stack>-<node name>`. */
  stack: string;
  network: Network;
  location: pulumi.Input<string>;
  brokerServerType: pulumi.Input<string>;
  controlPlaneServerType: pulumi.Input<string>;
  /** Ids or names of the SSH keys that may log in as root. */
  sshKeys: pulumi.Input<pulumi.Input<string>[]>;
  /** Cloud-init of each node. Secret: it holds the node's tokens and host key. */
  userData: Readonly<Record<NodeName, pulumi.Input<string>>>;
  labels: (role: string) => Record<string, pulumi.Input<string>>;
}

/** The four servers. */
export class Nodes extends pulumi.ComponentResource {
  readonly servers: Readonly<Record<NodeName, hcloud.Server>>;
  readonly controlPlane: hcloud.Server;

  constructor(name: string, args: NodesArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trading:components:Nodes", name, {}, opts);

    const server = (plan: NodePlan & { nodeName: NodeName }) =>
      new hcloud.Server(
        `${name}-${plan.nodeName}`,
        {
          name: `${args.stack}-${plan.nodeName}`,
          serverType: plan.role === "kafka" ? args.brokerServerType : args.controlPlaneServerType,
          image: serverImage,
          location: args.location,
          sshKeys: args.sshKeys,
          userData: pulumi.secret(args.userData[plan.nodeName]),
          firewallIds: [args.network.firewall.id.apply(Number)],
          placementGroupId: args.network.placementGroup.id.apply(Number),
          publicNets: [{ ipv4Enabled: true, ipv6Enabled: false }],
          // An empty alias list, or the provider detaches and attaches the network on every `up`.
          networks: [{ subnetId: args.network.subnet.id, ip: plan.privateAddress, aliasIps: [] }],
          labels: args.labels(plan.role),
        },
        {
          parent: this,
          dependsOn: [args.network.subnet],
          // A change of any of these would replace a machine with a day's data on it.
          ignoreChanges: ["serverType", "location", "image", "userData", "sshKeys"],
          additionalSecretOutputs: ["userData"],
        },
      );

    this.servers = Object.fromEntries(nodePlans.map((plan) => [plan.nodeName, server(plan)])) as Record<
      NodeName,
      hcloud.Server
    >;
    this.controlPlane = this.servers["k3s-control"];
    this.registerOutputs({ controlPlaneAddress: this.controlPlane.ipv4Address });
  }
}
