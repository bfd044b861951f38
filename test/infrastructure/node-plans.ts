/** The user data of every node that the program can make: both profiles, without and with every option. */
import { imagesAhead } from "../../components/cloud-init/images-ahead.ts";
import { nodeConfig, type NodeConfigArgs } from "../../components/cloud-init/node-config.ts";
import { nodePlansOf } from "../../components/nodes.ts";
import { profiles } from "../../components/profile.ts";
import { serviceImages } from "../../components/versions.ts";
import { newKeyPair } from "../../lab/hetzner/boot/key-pair.ts";

const options = {
  plain: {},
  "every option": {
    k3s: { embeddedRegistry: true, wireguard: true },
    registryCredentials: { host: "ghcr.io", user: "reader", token: 't"o\\ken: #1'.repeat(10) },
  },
} satisfies Record<string, Partial<NodeConfigArgs>>;

/** One node's user data by a name that says which it is. Keys are throwaway ones. */
export function everyNode(): { name: string; args: NodeConfigArgs; config: ReturnType<typeof nodeConfig> }[] {
  const host = newKeyPair();
  return profiles.flatMap((profile) =>
    nodePlansOf(profile).flatMap((plan) =>
      Object.entries(options).map(([option, chosen]) => {
        const args: NodeConfigArgs = {
          plan,
          serverToken: "s".repeat(48),
          agentToken: "a".repeat(48),
          hostPrivateKey: host.private,
          hostPublicKey: host.public,
          images: imagesAhead(profile, plan.nodeName, serviceImages),
          ...chosen,
        };
        return { name: `${profile}, ${plan.nodeName}, ${option}`, args, config: nodeConfig(args) };
      }),
    ),
  );
}
