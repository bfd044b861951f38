/** The `hcloud` package over HTTP, at the endpoint that the provider's configuration names. */
import { parseDuration } from "../duration.ts";
import type { ProviderPackage, ResourceDefinition } from "../provider.ts";
import { firewallAttachmentResource, serverNetworkResource, subnetResource } from "./hetzner-attachments.ts";
import { configurationSchema, HetznerClient } from "./hetzner-client.ts";
import { callFunction } from "./hetzner-functions.ts";
import { firewall, namedResource, network, placementGroup, primaryIp, sshKey } from "./hetzner-named.ts";
import { serverResource } from "./hetzner-server.ts";

export const hcloud: ProviderPackage = {
  name: "hcloud",
  configuration: configurationSchema,
  configure: (values, { clock } = {}) => {
    const configuration = configurationSchema.parse(values);
    const client = new HetznerClient({
      endpoint: configuration.endpoint.replace(/\/$/, ""),
      token: configuration.token,
      pollIntervalMs: parseDuration(configuration.pollInterval),
      pollFunction: configuration.pollFunction,
      ...(clock === undefined ? {} : { clock }),
    });
    const resources: Record<string, ResourceDefinition> = {
      "hcloud:index/network:Network": namedResource(client, network),
      "hcloud:index/networkSubnet:NetworkSubnet": subnetResource(client),
      "hcloud:index/firewall:Firewall": namedResource(client, firewall),
      "hcloud:index/firewallAttachment:FirewallAttachment": firewallAttachmentResource(client),
      "hcloud:index/sshKey:SshKey": namedResource(client, sshKey),
      "hcloud:index/placementGroup:PlacementGroup": namedResource(client, placementGroup),
      "hcloud:index/primaryIp:PrimaryIp": namedResource(client, primaryIp),
      "hcloud:index/server:Server": serverResource(client),
      "hcloud:index/serverNetwork:ServerNetwork": serverNetworkResource(client),
    };
    return {
      resource: (type) => resources[type],
      known: Object.keys(resources),
      invoke: (token, args, context) => callFunction(client, token, args, context),
    };
  },
};
