import * as hcloud from "@pulumi/hcloud";
import * as pulumi from "@pulumi/pulumi";
import type { Network } from "./network.ts";
import { type NodeName, type NodePlan, nodePlansOf } from "./node-plans.ts";
import type { Profile } from "./profile.ts";
import { serverImage } from "./versions.ts";

export { type NodeName, type NodePlan, nodePlans, nodePlansOf } from "./node-plans.ts";

export interface NodesArgs {
  /** Name of the stack; servers are called `<stack>-<node name>`. */
  stack: string;
  /** Which machines there are. Default: `cluster`. */
  profile?: Profile;
  network: Network;
  location: pulumi.Input<string>;
  brokerServerType: pulumi.Input<string>;
  controlPlaneServerType: pulumi.Input<string>;
  /** Ids or names of the SSH keys that may log in as root. */
  sshKeys: pulumi.Input<pulumi.Input<string>[]>;
  /** Cloud-init of each node of the profile. Secret: it holds the node's tokens and host key. */
  userData: Readonly<Partial<Record<NodeName, pulumi.Input<string>>>>;
  labels: (role: string) => Record<string, pulumi.Input<string>>;
}

/** The servers of a profile. */
export class Nodes extends pulumi.ComponentResource {
  /** The machines, the control plane first. */
  readonly plans: readonly NodePlan[];
  readonly servers: Readonly<Record<NodeName, hcloud.Server>>;
  readonly controlPlane: hcloud.Server;

  constructor(name: string, args: NodesArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trading:components:Nodes", name, {}, opts);
    this.plans = nodePlansOf(args.profile ?? "cluster");

    const server = (plan: NodePlan) => {
      const userData = args.userData[plan.nodeName];
      if (userData === undefined) throw new Error(`no user data for the node ${plan.nodeName}`);
      return new hcloud.Server(
        `${name}-${plan.nodeName}`,
        {
          name: `${args.stack}-${plan.nodeName}`,
          serverType: plan.role === "kafka" ? args.brokerServerType : args.controlPlaneServerType,
          image: serverImage,
          location: args.location,
          sshKeys: args.sshKeys,
          userData: pulumi.secret(userData),
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
    };

    this.servers = Object.fromEntries(this.plans.map((plan) => [plan.nodeName, server(plan)])) as Record<
      NodeName,
      hcloud.Server
    >;
    this.controlPlane = this.server("k3s-control");
    this.registerOutputs({ controlPlaneAddress: this.controlPlane.ipv4Address });
  }

  /** The server of a node. @throws Error when the profile has no such node. */
  server(node: NodeName): hcloud.Server {
    const found: hcloud.Server | undefined = this.servers[node];
    if (found === undefined) throw new Error(`this cluster has no node ${node}`);
    return found;
  }
}
