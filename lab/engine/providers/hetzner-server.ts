/**
 * `hcloud.Server`. Created as the real provider does: with a private network, the server is created switched off,
 * attached with its fixed address, and only then started, so that cloud-init finds the address there.
 */
import { z } from "zod";
import { IncompleteCreationError, messageOf, ProviderError } from "../errors.ts";
import { type PropertyMap, textOf } from "../properties.ts";
import {
  type Created,
  numeric,
  type OperationContext,
  type ResourceDefinition,
  textMap,
} from "../provider.ts";
import { HetznerApiError, type HetznerClient } from "./hetzner-client.ts";
import { demandOurs } from "./hetzner-labels.ts";
import { imageId, sshKeyIds } from "./hetzner-lookups.ts";
import { findByName, idOf } from "./hetzner-named.ts";
import { updateServer } from "./hetzner-server-update.ts";

type Thing = Record<string, unknown>;

const networkSchema = z
  .strictObject({
    networkId: numeric.optional(),
    subnetId: z.string().optional(),
    ip: z.string().optional(),
    aliasIps: z.array(z.string()).optional(),
    macAddress: z.string().optional(),
  })
  .refine(
    ({ networkId, subnetId }) => networkId !== undefined || subnetId !== undefined,
    "needs networkId or subnetId",
  );
export type NetworkInput = z.infer<typeof networkSchema>;

const schema = z.strictObject({
  name: z.string().regex(/^[a-zA-Z0-9]([a-zA-Z0-9.-]{0,61}[a-zA-Z0-9])?$/, "must be a host name (RFC 1123)"),
  serverType: z.string().min(1),
  image: z.string().min(1),
  location: z.string().optional(),
  sshKeys: z.array(z.string()).optional(),
  userData: z.string().max(32_768, "Hetzner takes at most 32 KiB of user data").optional(),
  labels: textMap.optional(),
  firewallIds: z.array(numeric).optional(),
  placementGroupId: numeric.optional(),
  networks: z.array(networkSchema).optional(),
  publicNets: z
    .array(
      z.strictObject({
        ipv4Enabled: z.boolean().optional(),
        ipv4: numeric.optional(),
        ipv6Enabled: z.boolean().optional(),
        ipv6: numeric.optional(),
      }),
    )
    .max(1)
    .optional(),
  keepDisk: z.boolean().optional(),
  allowDeprecatedImages: z.boolean().optional(),
  ignoreRemoteFirewallIds: z.boolean().optional(),
  shutdownBeforeDeletion: z.boolean().optional(),
  backups: z.literal(false, "backups are not supported by the lab engine").optional(),
  deleteProtection: z.boolean().optional(),
  rebuildProtection: z.boolean().optional(),
});
export type ServerInputs = z.infer<typeof schema>;

/** Network id of a `subnetId` such as `4711-10.0.1.0/24`, and the range. */
export function splitSubnetId(subnetId: string): { network: number; range: string } {
  const separator = subnetId.indexOf("-");
  return { network: Number(subnetId.slice(0, separator)), range: subnetId.slice(separator + 1) };
}

/** The network that a server goes to, and the range where the program named a subnet. */
export function networkOf(input: NetworkInput): { network: number; range?: string } {
  return input.subnetId === undefined ? { network: input.networkId ?? 0 } : splitSubnetId(input.subnetId);
}

/** Attaches a server to a network and waits for it. */
export async function attachToNetwork(
  client: HetznerClient,
  server: string,
  input: NetworkInput,
  signal: AbortSignal,
): Promise<void> {
  const { network, range } = networkOf(input);
  const answer = await client.request("POST", `/servers/${server}/actions/attach_to_network`, signal, {
    network,
    ...(input.ip === undefined ? (range === undefined ? {} : { ip_range: range }) : { ip: input.ip }),
    ...(input.aliasIps === undefined ? {} : { alias_ips: input.aliasIps }),
  });
  await client.wait([answer["action"]], signal);
}

/** Detaches a server from a network; already detached, or either gone, is fine. */
export async function detachFromNetwork(
  client: HetznerClient,
  server: string,
  network: number,
  signal: AbortSignal,
): Promise<void> {
  try {
    const route = `/servers/${server}/actions/detach_from_network`;
    const answer = await client.request("POST", route, signal, { network });
    await client.wait([answer["action"]], signal);
  } catch (error) {
    if (!(error instanceof HetznerApiError && (error.status === 404 || /not attached/i.test(error.message))))
      throw error;
  }
}

/** Does one action on a server and waits for its end. */
export async function act(
  client: HetznerClient,
  server: string,
  action: string,
  signal: AbortSignal,
  body?: unknown,
): Promise<void> {
  const answer = await client.request("POST", `/servers/${server}/actions/${action}`, signal, body ?? {});
  await client.wait([answer["action"]], signal);
}

/** Reads one server. */
export async function readServer(
  client: HetznerClient,
  id: string,
  signal: AbortSignal,
): Promise<Thing | undefined> {
  return (await client.find("GET", `/servers/${id}`, signal))?.["server"] as Thing | undefined;
}

function nameIn(thing: unknown): string {
  return textOf((thing as Thing | null | undefined)?.["name"]);
}

/** The facts that the API gives of a server, under the names of the Pulumi SDK. */
export function serverFacts(server: Thing): PropertyMap {
  const publicNet = (server["public_net"] ?? {}) as {
    ipv4?: { ip?: string } | null;
    ipv6?: { ip?: string } | null;
    firewalls?: { id: number }[];
  };
  const ipv6Network = publicNet.ipv6?.ip ?? "";
  const datacenter = server["datacenter"] as Thing | null | undefined;
  const protection = (server["protection"] ?? {}) as { delete?: boolean; rebuild?: boolean };
  return {
    name: String(server["name"]),
    status: String(server["status"]),
    serverType: nameIn(server["server_type"]),
    image: nameIn(server["image"]),
    location: nameIn(server["location"]) || nameIn(datacenter?.["location"]),
    datacenter: nameIn(datacenter),
    ipv4Address: publicNet.ipv4?.ip ?? "",
    // The real provider names the first address of the server's network.
    ipv6Address: ipv6Network === "" ? "" : ipv6Network.replace(/::\/\d+$/, "::1"),
    ipv6Network,
    labels: (server["labels"] ?? {}) as PropertyMap,
    firewallIds: (publicNet.firewalls ?? []).map(({ id }) => id),
    placementGroupId: Number((server["placement_group"] as Thing | null | undefined)?.["id"] ?? 0),
    networks: ((server["private_net"] as Thing[] | undefined) ?? []).map((net) => ({
      networkId: Number(net["network"]),
      ip: String(net["ip"]),
      aliasIps: (net["alias_ips"] as string[] | undefined) ?? [],
      macAddress: textOf(net["mac_address"]),
    })),
    primaryDiskSize: Number(server["primary_disk_size"] ?? 0),
    backupWindow: textOf(server["backup_window"]),
    backups: false,
    deleteProtection: protection.delete === true,
    rebuildProtection: protection.rebuild === true,
  };
}

function outputsOf(server: Thing, inputs: PropertyMap): PropertyMap {
  const facts = serverFacts(server);
  const wanted = (inputs["networks"] as NetworkInput[] | undefined) ?? [];
  const attached = facts["networks"] as { networkId: number; ip: string }[];
  return {
    ...inputs,
    ...facts,
    // Images go by id where the program gave one.
    image: inputs["image"] ?? facts["image"] ?? "",
    networks: attached.map((net) => {
      const input = wanted.find((candidate) => networkOf(candidate).network === net.networkId);
      return { ...net, ...(input?.subnetId === undefined ? {} : { subnetId: input.subnetId }) };
    }),
  };
}

async function creationBody(
  client: HetznerClient,
  inputs: ServerInputs,
  signal: AbortSignal,
): Promise<Thing> {
  const [image, keys] = await Promise.all([
    imageId(client, inputs.image, inputs.serverType, inputs.allowDeprecatedImages === true, signal),
    sshKeyIds(client, inputs.sshKeys ?? [], signal),
  ]);
  const publicNet = inputs.publicNets?.[0];
  return {
    name: inputs.name,
    server_type: inputs.serverType,
    image,
    start_after_create: (inputs.networks ?? []).length === 0,
    labels: inputs.labels ?? {},
    ssh_keys: keys,
    ...(inputs.location === undefined ? {} : { location: inputs.location }),
    ...(inputs.userData === undefined ? {} : { user_data: inputs.userData }),
    ...(inputs.placementGroupId === undefined ? {} : { placement_group: inputs.placementGroupId }),
    ...(inputs.firewallIds === undefined
      ? {}
      : { firewalls: inputs.firewallIds.map((firewall) => ({ firewall })) }),
    ...(publicNet === undefined
      ? {}
      : {
          public_net: {
            enable_ipv4: publicNet.ipv4Enabled ?? true,
            enable_ipv6: publicNet.ipv6Enabled ?? true,
            ...(publicNet.ipv4 === undefined ? {} : { ipv4: publicNet.ipv4 }),
            ...(publicNet.ipv6 === undefined ? {} : { ipv6: publicNet.ipv6 }),
          },
        }),
  };
}

const findPollMs = 500;

/** Brings a server that exists into order: its networks, protection and power. Repeating it does no harm. */
async function settle(
  client: HetznerClient,
  id: string,
  inputs: ServerInputs,
  signal: AbortSignal,
): Promise<Thing> {
  let server = await readServer(client, id, signal);
  while (server?.["status"] === "initializing") {
    await client.pause(findPollMs, signal);
    server = await readServer(client, id, signal);
  }
  if (server === undefined) throw new ProviderError("not-found", `the server ${id} is gone`);
  const attached = new Set(
    (serverFacts(server)["networks"] as { networkId: number }[]).map((net) => net.networkId),
  );
  for (const input of inputs.networks ?? []) {
    if (!attached.has(networkOf(input).network)) await attachToNetwork(client, id, input, signal);
  }
  if (inputs.deleteProtection === true || inputs.rebuildProtection === true) {
    await act(client, id, "change_protection", signal, { delete: true, rebuild: true });
  }
  if (server["status"] === "off") await act(client, id, "poweron", signal);
  server = await readServer(client, id, signal);
  if (server === undefined) throw new ProviderError("not-found", `the server ${id} is gone`);
  return server;
}

async function create(
  client: HetznerClient,
  values: PropertyMap,
  context: OperationContext,
): Promise<Created> {
  const inputs = schema.parse(values);
  const { signal } = context;
  const body = await creationBody(client, inputs, signal);
  const answer = await client.request("POST", "/servers", signal, body);
  const made = answer["server"] as Thing;
  const id = idOf(made);
  try {
    await client.wait(
      [answer["action"], ...((answer["next_actions"] as unknown[] | undefined) ?? [])],
      signal,
    );
    const server = await settle(client, id, inputs, signal);
    return { id, outputs: outputsOf(server, values) };
  } catch (error) {
    // From here on the server is there and bills, whatever else went wrong.
    const code = error instanceof ProviderError ? error.code : "incomplete";
    const left = `Server ${inputs.name} (id ${id}) is there and bills: the next up replaces it, destroy removes it.`;
    throw new IncompleteCreationError(code, `${messageOf(error)}\n${left}`, id, outputsOf(made, values));
  }
}

/** The definition of `hcloud:index/server:Server`. */
export function serverResource(client: HetznerClient): ResourceDefinition {
  return {
    inputs: schema,
    replaceOn: ["image", "location", "sshKeys", "userData"],
    sets: ["firewallIds", "networks", "publicNets"],
    nameProperty: "name",
    problems: (inputs) =>
      (inputs["deleteProtection"] === true) === (inputs["rebuildProtection"] === true)
        ? []
        : [{ property: "rebuildProtection", reason: "must equal deleteProtection (a rule of Hetzner's)" }],
    create: (inputs, context) => create(client, inputs, context),
    update: async (recorded, values, { signal }) => {
      await updateServer(client, recorded.id, recorded.inputs, values, schema.parse(values), signal);
      const server = await readServer(client, recorded.id, signal);
      if (server === undefined) throw new ProviderError("not-found", `the server ${recorded.id} is gone`);
      return outputsOf(server, values);
    },
    delete: async (recorded, context) => {
      if (recorded.inputs["shutdownBeforeDeletion"] === true) {
        await act(client, recorded.id, "shutdown", context.signal);
      }
      const answer = await client.find("DELETE", `/servers/${recorded.id}`, context.signal);
      // A server answers 404 before its delete action ends; only the action's end is the end.
      await client.wait([answer?.["action"]], context.signal);
    },
    isGone: async ({ id }, { signal }) => (await readServer(client, id, signal)) === undefined,
    find: async (values, context) => {
      const inputs = schema.parse(values);
      const found = await findByName(client, "servers", inputs.name, context.signal);
      if (found === undefined) return undefined;
      demandOurs(
        "server",
        { id: found["id"], name: found["name"], labels: found["labels"] },
        values["labels"],
      );
      const server = await settle(client, idOf(found), inputs, context.signal);
      return { id: idOf(server), outputs: outputsOf(server, values) };
    },
  };
}
