import * as hcloud from "@pulumi/hcloud";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import * as tls from "@pulumi/tls";
import { nodeUserData } from "./cloud-init/node-config.ts";
import { type NodeName, nodePlans } from "./nodes.ts";

export interface K3sBootstrapArgs {
  /** Name of the stack; name of the SSH key in the Hetzner project. */
  stack: string;
  labels: (role: string) => Record<string, pulumi.Input<string>>;
}

/**
 * What the nodes and the operator must share before a server exists: join tokens, SSH keys, and the user data
 * made of them. With pre-shared tokens all nodes boot at once.
 */
export class K3sBootstrap extends pulumi.ComponentResource {
  /** Secret. */
  readonly userData: Readonly<Record<NodeName, pulumi.Output<string>>>;
  /** Public host key of each node, which every connection demands. */
  readonly hostKeys: Readonly<Record<NodeName, pulumi.Output<string>>>;
  /** The operator's SSH key in the Hetzner project. */
  readonly sshKey: hcloud.SshKey;
  /** Its private half, in OpenSSH's format. Secret. */
  readonly sshPrivateKey: pulumi.Output<string>;

  constructor(name: string, args: K3sBootstrapArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trading:components:K3sBootstrap", name, {}, opts);
    const parent = { parent: this };

    const token = (purpose: string) =>
      new random.RandomPassword(`${name}-${purpose}-token`, { length: 48, special: false }, parent).result;
    const serverToken = token("server");
    // Agents know only this one: with it nobody can join as a server.
    const agentToken = token("agent");

    const administrator = new tls.PrivateKey(`${name}-administrator`, { algorithm: "ED25519" }, parent);
    this.sshPrivateKey = pulumi.secret(administrator.privateKeyOpenssh);
    this.sshKey = new hcloud.SshKey(
      `${name}-administrator`,
      {
        name: args.stack,
        publicKey: administrator.publicKeyOpenssh.apply((key) => key.trim()),
        labels: args.labels("administrator"),
      },
      parent,
    );

    const nodes = nodePlans.map((plan) => {
      // A key a node: who takes one machine cannot pose as another.
      const hostKey = new tls.PrivateKey(`${name}-host-${plan.nodeName}`, { algorithm: "ED25519" }, parent);
      const hostPublicKey = hostKey.publicKeyOpenssh.apply((key) => key.trim());
      const userData = pulumi.secret(
        pulumi
          .all([serverToken, agentToken, hostKey.privateKeyOpenssh, hostPublicKey])
          .apply(([server, agent, hostPrivateKey, publicKey]) =>
            nodeUserData({
              plan,
              serverToken: server,
              agentToken: agent,
              hostPrivateKey,
              hostPublicKey: publicKey,
            }),
          ),
      );
      return { nodeName: plan.nodeName, hostPublicKey, userData };
    });
    this.userData = Object.fromEntries(nodes.map((node) => [node.nodeName, node.userData])) as Record<
      NodeName,
      pulumi.Output<string>
    >;
    this.hostKeys = Object.fromEntries(nodes.map((node) => [node.nodeName, node.hostPublicKey])) as Record<
      NodeName,
      pulumi.Output<string>
    >;
    this.registerOutputs({});
  }
}
