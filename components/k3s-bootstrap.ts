import * as hcloud from "@pulumi/hcloud";
import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import * as tls from "@pulumi/tls";
import { imagesAhead, registryOf } from "./cloud-init/images-ahead.ts";
import type { K3sOptions } from "./cloud-init/k3s-files.ts";
import { nodeUserData } from "./cloud-init/node-config.ts";
import { type NodeName, nodePlansOf } from "./nodes.ts";
import type { Profile } from "./profile.ts";
import { serviceImages } from "./versions.ts";
import type { Images } from "./workloads.ts";

export interface K3sBootstrapArgs {
  /** Name of the stack; name of the SSH key in the Hetzner project. */
  stack: string;
  labels: (role: string) => Record<string, pulumi.Input<string>>;
  /** Which machines there are. Default: `cluster`. */
  profile?: Profile | undefined;
  /** Images of the services, which nodes fetch ahead. Default: this release's. */
  images?: Images | undefined;
  /** Default: neither is chosen. */
  k3s?: K3sOptions | undefined;
  /** Who may pull from the registry of `images`. Default: anyone. */
  registryCredentials?: { user: string; token: pulumi.Input<string> } | undefined;
}

/**
 * What the nodes and the operator must share before a server exists: join tokens, SSH keys, and the user data
 * made of them. With pre-shared tokens all nodes boot at once.
 */
export class K3sBootstrap extends pulumi.ComponentResource {
  /** Cloud-init of each node of the profile. Secret. */
  readonly userData: Readonly<Partial<Record<NodeName, pulumi.Output<string>>>>;
  /** Public host key of each node of the profile, which every connection demands. */
  readonly hostKeys: Readonly<Partial<Record<NodeName, pulumi.Output<string>>>>;
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

    const profile = args.profile ?? "cluster";
    const images = args.images ?? serviceImages;
    const plans = nodePlansOf(profile);
    const imagesOf = (node: NodeName) => imagesAhead(profile, node, images);
    // What the nodes hand to each other, the same on each of them; Docker Hub has what k3s brings.
    const registries = [
      ...new Set(["docker.io", ...plans.flatMap(({ nodeName }) => imagesOf(nodeName).map(registryOf))]),
    ];
    const credentials = args.registryCredentials;
    const registryToken = pulumi.output(credentials?.token);

    const nodes = plans.map((plan) => {
      // A key a node: who takes one machine cannot pose as another.
      const hostKey = new tls.PrivateKey(`${name}-host-${plan.nodeName}`, { algorithm: "ED25519" }, parent);
      const hostPublicKey = hostKey.publicKeyOpenssh.apply((key) => key.trim());
      const userData = pulumi.secret(
        pulumi
          .all([serverToken, agentToken, hostKey.privateKeyOpenssh, hostPublicKey, registryToken])
          .apply(([server, agent, hostPrivateKey, publicKey, token]) =>
            nodeUserData({
              plan,
              serverToken: server,
              agentToken: agent,
              hostPrivateKey,
              hostPublicKey: publicKey,
              images: imagesOf(plan.nodeName),
              registries,
              k3s: args.k3s,
              registryCredentials:
                credentials === undefined || token === undefined
                  ? undefined
                  : { host: registryOf(`${images.registry}/any`), user: credentials.user, token },
            }),
          ),
      );
      return { nodeName: plan.nodeName, hostPublicKey, userData };
    });
    this.userData = Object.fromEntries(nodes.map((node) => [node.nodeName, node.userData]));
    this.hostKeys = Object.fromEntries(nodes.map((node) => [node.nodeName, node.hostPublicKey]));
    this.registerOutputs({});
  }
}
