/**
 * Changes of a server in place. What is to be done is read from the server itself, not from what is recorded: a
 * change that failed half way can be repeated. Which inputs change in place, and what is refused, is as in the real
 * provider (terraform-provider-hcloud, internal/server/resource.go).
 */
import { ProviderError, UnsupportedError } from "../errors.ts";
import { equal, type PropertyMap, textOf } from "../properties.ts";
import type { HetznerClient } from "./hetzner-client.ts";
import { moveFirewall } from "./hetzner-named.ts";
import {
  act,
  attachToNetwork,
  detachFromNetwork,
  networkOf,
  readServer,
  type ServerInputs,
  serverFacts,
} from "./hetzner-server.ts";

interface Attachment {
  networkId: number;
  ip: string;
  aliasIps: string[];
}

async function facts(client: HetznerClient, id: string, signal: AbortSignal): Promise<PropertyMap> {
  const server = await readServer(client, id, signal);
  if (server === undefined) throw new ProviderError("not-found", `the server ${id} is gone`);
  return serverFacts(server);
}

async function changeFirewalls(
  client: HetznerClient,
  id: string,
  wanted: readonly number[],
  signal: AbortSignal,
): Promise<void> {
  const there = (await facts(client, id, signal))["firewallIds"] as number[];
  const target = [{ type: "server", server: { id: Number(id) } }];
  // New ones first: the server is never without any on the way from one to the other.
  for (const firewall of wanted.filter((one) => !there.includes(one))) {
    await moveFirewall(client, String(firewall), "apply_to_resources", target, signal);
  }
  for (const firewall of there.filter((one) => !wanted.includes(one))) {
    await moveFirewall(client, String(firewall), "remove_from_resources", target, signal);
  }
}

async function changeNetworks(
  client: HetznerClient,
  id: string,
  wanted: NonNullable<ServerInputs["networks"]>,
  signal: AbortSignal,
): Promise<void> {
  const there = (await facts(client, id, signal))["networks"] as unknown as Attachment[];
  const fits = (net: Attachment): boolean =>
    wanted.some(
      (input) =>
        networkOf(input).network === net.networkId && (input.ip === undefined || input.ip === net.ip),
    );
  for (const net of there.filter((one) => !fits(one))) {
    await detachFromNetwork(client, id, net.networkId, signal);
  }
  for (const input of wanted) {
    const { network } = networkOf(input);
    const net = there.find((one) => one.networkId === network && fits(one));
    const aliases = [...(input.aliasIps ?? [])].sort();
    if (net === undefined) await attachToNetwork(client, id, input, signal);
    else if (!equal([...net.aliasIps].sort(), aliases)) {
      await act(client, id, "change_alias_ips", signal, { network, alias_ips: aliases });
    }
  }
}

async function changeType(
  client: HetznerClient,
  id: string,
  inputs: ServerInputs,
  signal: AbortSignal,
): Promise<void> {
  const now = await facts(client, id, signal);
  if (now["serverType"] === inputs.serverType) return;
  if (now["status"] !== "off") await act(client, id, "poweroff", signal);
  try {
    const body = { server_type: inputs.serverType, upgrade_disk: inputs.keepDisk !== true };
    await act(client, id, "change_type", signal, body);
  } finally {
    // The API starts the server again by itself, but not when it refused, for example for want of stock.
    if ((await facts(client, id, signal))["status"] === "off") await act(client, id, "poweron", signal);
  }
}

async function changePlacementGroup(
  client: HetznerClient,
  id: string,
  wanted: number | undefined,
  signal: AbortSignal,
): Promise<void> {
  const { placementGroupId: there, status } = await facts(client, id, signal);
  if (there === (wanted ?? 0)) return;
  if (there !== 0) {
    if (status !== "off") {
      throw new ProviderError(
        "server_not_stopped",
        `the server ${id} runs: it leaves its placement group only when it is off, and the provider switches none off ` +
          "for that. Switch it off, run up again, and switch it on.",
      );
    }
    await act(client, id, "remove_from_placement_group", signal);
  }
  if (wanted !== undefined) {
    await act(client, id, "add_to_placement_group", signal, { placement_group: wanted });
  }
}

/** Makes a server what the inputs say. */
export async function updateServer(
  client: HetznerClient,
  id: string,
  before: PropertyMap,
  values: PropertyMap,
  inputs: ServerInputs,
  signal: AbortSignal,
): Promise<void> {
  const differs = (key: string): boolean => !equal(before[key], values[key]);
  if (differs("publicNets")) {
    throw new UnsupportedError(
      "a change of publicNets (the real provider switches the server off and exchanges its addresses)",
      `server ${textOf(values["name"])}`,
    );
  }
  if (differs("name") || differs("labels")) {
    await client.request("PUT", `/servers/${id}`, signal, { name: inputs.name, labels: inputs.labels ?? {} });
  }
  if (differs("serverType")) await changeType(client, id, inputs, signal);
  if (differs("networks")) await changeNetworks(client, id, inputs.networks ?? [], signal);
  if (differs("firewallIds")) await changeFirewalls(client, id, inputs.firewallIds ?? [], signal);
  if (differs("placementGroupId")) await changePlacementGroup(client, id, inputs.placementGroupId, signal);
  if (differs("deleteProtection") || differs("rebuildProtection")) {
    const wanted = inputs.deleteProtection === true;
    await act(client, id, "change_protection", signal, { delete: wanted, rebuild: wanted });
  }
}
