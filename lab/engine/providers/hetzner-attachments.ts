/** The Hetzner resources that tie two others together: subnet, server in a network, firewall on servers. */
import { z } from "zod";
import { plainMap, textOf } from "../properties.ts";
import { numeric, type ResourceDefinition } from "../provider.ts";
import { HetznerApiError, type HetznerClient } from "./hetzner-client.ts";
import { exchangeTargets, firewallTargets, moveFirewall } from "./hetzner-named.ts";
import {
  act,
  attachToNetwork,
  detachFromNetwork,
  readServer,
  serverFacts,
  splitSubnetId,
} from "./hetzner-server.ts";

interface Subnet {
  ip_range: string;
  gateway?: string;
}

/**
 * As the real provider: so many tries to delete a subnet while the API says that servers are in it, which it goes on saying
 * for a moment after they were detached or deleted.
 */
const subnetDeletions = 50;
const subnetPauseMs = 1_000;
/** The pause grows by a second each time, up to so many. */
const longestSubnetPause = 10;

function holdsServers({ code, message }: HetznerApiError): boolean {
  return code === "service_error" && message.includes("servers are attached");
}

async function subnets(
  client: HetznerClient,
  network: string,
  signal: AbortSignal,
): Promise<Subnet[] | undefined> {
  const answer = await client.find("GET", `/networks/${network}`, signal);
  return (answer?.["network"] as { subnets: Subnet[] } | undefined)?.subnets;
}

/** `hcloud.NetworkSubnet`; its id is `<network id>-<range>`. */
export function subnetResource(client: HetznerClient): ResourceDefinition {
  return {
    inputs: z.strictObject({
      networkId: numeric,
      type: z.enum(["cloud", "server", "vswitch"]),
      networkZone: z.string().min(1),
      ipRange: z.string().min(1),
      vswitchId: numeric.optional(),
    }),
    replaceOn: "all",
    create: async (inputs, context) => {
      const network = textOf(inputs["networkId"]);
      const answer = await client.request("POST", `/networks/${network}/actions/add_subnet`, context.signal, {
        type: inputs["type"],
        network_zone: inputs["networkZone"],
        ip_range: inputs["ipRange"],
        ...(inputs["vswitchId"] === undefined ? {} : { vswitch_id: inputs["vswitchId"] }),
      });
      await client.wait([answer["action"]], context.signal);
      const made = (await subnets(client, network, context.signal))?.find(
        (one) => one.ip_range === inputs["ipRange"],
      );
      return {
        id: `${network}-${textOf(inputs["ipRange"])}`,
        outputs: { ...inputs, gateway: made?.gateway ?? "" },
      };
    },
    delete: async (recorded, context) => {
      const { network, range } = splitSubnetId(recorded.id);
      const { signal } = context;
      for (let attempt = 1; ; attempt += 1) {
        const there = await subnets(client, String(network), signal);
        if (there?.some((one) => one.ip_range === range) !== true) return;
        try {
          const route = `/networks/${network}/actions/delete_subnet`;
          const answer = await client.request("POST", route, signal, { ip_range: range });
          await client.wait([answer["action"]], signal);
          return;
        } catch (error) {
          if (!(error instanceof HetznerApiError && holdsServers(error))) throw error;
          if (attempt === subnetDeletions) {
            throw new HetznerApiError(
              error.status,
              error.code,
              `${error.message}\nThe subnet ${range} was refused ${attempt} times: see which servers are still in ` +
                `network ${network}, remove them, and run it again.`,
            );
          }
          await client.pause(Math.min(attempt, longestSubnetPause) * subnetPauseMs, signal);
        }
      }
    },
    isGone: async ({ id }, { signal }) => {
      const { network, range } = splitSubnetId(id);
      const there = await subnets(client, String(network), signal);
      return there?.some((one) => one.ip_range === range) !== true;
    },
    find: async (inputs, context) => {
      const network = textOf(inputs["networkId"]);
      const made = (await subnets(client, network, context.signal))?.find(
        (one) => one.ip_range === inputs["ipRange"],
      );
      return made === undefined
        ? undefined
        : { id: `${network}-${made.ip_range}`, outputs: { ...inputs, gateway: made.gateway ?? "" } };
    },
  };
}

const attachmentSchema = z
  .strictObject({
    serverId: numeric,
    networkId: numeric.optional(),
    subnetId: z.string().optional(),
    ip: z.string().optional(),
    aliasIps: z.array(z.string()).optional(),
  })
  .refine(
    ({ networkId, subnetId }) => (networkId === undefined) !== (subnetId === undefined),
    "needs exactly one of networkId and subnetId",
  );

/** `hcloud.ServerNetwork`; its id is `<server id>-<network id>`. */
export function serverNetworkResource(client: HetznerClient): ResourceDefinition {
  type Inputs = z.infer<typeof attachmentSchema>;
  const networkOf = (inputs: Inputs): number =>
    inputs.subnetId === undefined ? (inputs.networkId ?? 0) : splitSubnetId(inputs.subnetId).network;
  const look: NonNullable<ResourceDefinition["find"]> = async (values, context) => {
    const inputs = attachmentSchema.parse(values);
    const network = networkOf(inputs);
    const server = await readServer(client, String(inputs.serverId), context.signal);
    if (server === undefined) return undefined;
    const nets = serverFacts(server)["networks"] as {
      networkId: number;
      ip: string;
      aliasIps: string[];
      macAddress: string;
    }[];
    const net = nets.find((one) => one.networkId === network);
    return net === undefined
      ? undefined
      : { id: `${inputs.serverId}-${network}`, outputs: { ...values, ...net } };
  };
  return {
    inputs: attachmentSchema,
    replaceOn: ["serverId", "networkId", "subnetId", "ip"],
    sets: ["aliasIps"],
    sameThing: (old, fresh) => {
      const [before, after] = [
        attachmentSchema.parse(plainMap(old)),
        attachmentSchema.parse(plainMap(fresh)),
      ];
      return before.serverId === after.serverId && networkOf(before) === networkOf(after);
    },
    create: async (values, context) => {
      const inputs = attachmentSchema.parse(values);
      await attachToNetwork(client, String(inputs.serverId), inputs, context.signal);
      const made = await look(values, context);
      if (made === undefined) {
        throw new HetznerApiError(
          404,
          "not_found",
          `server ${inputs.serverId} was attached, but does not show the network`,
        );
      }
      return made;
    },
    update: async (recorded, values, context) => {
      const inputs = attachmentSchema.parse(values);
      const body = { network: networkOf(inputs), alias_ips: inputs.aliasIps ?? [] };
      await act(client, String(inputs.serverId), "change_alias_ips", context.signal, body);
      return (await look(values, context))?.outputs ?? values;
    },
    delete: async (recorded, context) => {
      const inputs = attachmentSchema.parse(recorded.inputs);
      await detachFromNetwork(client, String(inputs.serverId), networkOf(inputs), context.signal);
    },
    find: look,
  };
}

const firewallAttachmentSchema = z.strictObject({
  firewallId: numeric,
  serverIds: z.array(numeric).optional(),
  labelSelectors: z.array(z.string()).optional(),
});

/** `hcloud.FirewallAttachment`; its id is the firewall's. */
export function firewallAttachmentResource(client: HetznerClient): ResourceDefinition {
  const targets = (values: unknown): Record<string, unknown>[] => {
    const inputs = firewallAttachmentSchema.parse(values);
    return firewallTargets([
      ...(inputs.serverIds ?? []).map((server) => ({ server })),
      ...(inputs.labelSelectors ?? []).map((labelSelector) => ({ labelSelector })),
    ]);
  };
  return {
    inputs: firewallAttachmentSchema,
    replaceOn: ["firewallId"],
    sets: ["serverIds", "labelSelectors"],
    create: async (inputs, context) => {
      const firewall = textOf(inputs["firewallId"]);
      await moveFirewall(client, firewall, "apply_to_resources", targets(inputs), context.signal);
      return { id: firewall, outputs: inputs };
    },
    update: async (recorded, inputs, { signal }) => {
      await exchangeTargets(client, recorded.id, targets(recorded.inputs), targets(inputs), signal);
      return inputs;
    },
    delete: async (recorded, context) => {
      const firewall = textOf(recorded.inputs["firewallId"]);
      try {
        await moveFirewall(
          client,
          firewall,
          "remove_from_resources",
          targets(recorded.inputs),
          context.signal,
        );
      } catch (error) {
        // Firewall or server is gone: so is the tie.
        if (!(
          error instanceof HetznerApiError &&
          (error.status === 404 || error.code === "firewall_resource_not_found")
        ))
          throw error;
      }
    },
  };
}
