import * as hcloud from "@pulumi/hcloud";
import * as pulumi from "@pulumi/pulumi";
import { kubernetesApiPort, privateNetwork } from "./node-plans.ts";

export { kubernetesApiPort, privateNetwork } from "./node-plans.ts";

export interface NetworkArgs {
  /** Name of the stack; prefix of every name, because names are unique in a Hetzner project. */
  stack: string;
  /** Networks (CIDR) that may reach SSH and the Kubernetes API; nothing else may. */
  adminCidrs: readonly string[];
  /** Port of SSH. Default: 22. */
  sshPort?: number;
  /** Network zone of the chosen location, for example `eu-central`. */
  networkZone: pulumi.Input<string>;
  /** Labels by role, see `labels` in cluster-identity.ts. */
  labels: (role: string) => Record<string, pulumi.Input<string>>;
}

/**
 * Private network, firewall and placement group, the same in every profile: a group of one server asks nothing of
 * anybody.
 * Inbound from the internet: TCP to SSH and to the Kubernetes API, from `adminCidrs` only. Hetzner firewalls
 * do not filter the private network.
 */
export class Network extends pulumi.ComponentResource {
  readonly subnet: hcloud.NetworkSubnet;
  readonly firewall: hcloud.Firewall;
  readonly placementGroup: hcloud.PlacementGroup;

  constructor(name: string, args: NetworkArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trading:components:Network", name, {}, opts);

    const network = new hcloud.Network(
      `${name}-private`,
      { name: args.stack, ipRange: privateNetwork.network, labels: args.labels("network") },
      { parent: this },
    );

    this.subnet = new hcloud.NetworkSubnet(
      `${name}-subnet`,
      {
        networkId: network.id.apply(Number),
        type: "cloud",
        networkZone: args.networkZone,
        ipRange: privateNetwork.subnet,
      },
      // Like the servers: what was chosen first stays for the day.
      { parent: this, ignoreChanges: ["networkZone"] },
    );

    const open = (port: number, description: string) => ({
      direction: "in",
      protocol: "tcp",
      port: String(port),
      sourceIps: [...args.adminCidrs],
      description,
    });
    this.firewall = new hcloud.Firewall(
      `${name}-firewall`,
      {
        name: args.stack,
        labels: args.labels("firewall"),
        rules: [open(args.sshPort ?? 22, "SSH"), open(kubernetesApiPort, "Kubernetes API")],
      },
      { parent: this },
    );

    this.placementGroup = new hcloud.PlacementGroup(
      `${name}-spread`,
      { name: args.stack, type: "spread", labels: args.labels("placement-group") },
      { parent: this },
    );

    this.registerOutputs({ subnetId: this.subnet.id, firewallId: this.firewall.id });
  }
}
