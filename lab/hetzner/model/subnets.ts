/** Addresses in private networks: https://docs.hetzner.cloud/reference/cloud#networks */
import { randomBytes } from "node:crypto";
import {
  containsAddress,
  containsRange,
  formatAddress,
  lastAddress,
  overlaps,
  parseAddress,
  parseRange,
  privateRanges,
  type Range,
  rangeSize,
} from "../addresses.ts";
import { networkZones } from "../catalog/locations.ts";
import { ApiError, invalidField } from "../errors.ts";
import type { Project } from "./project.ts";
import type { Attachment, NetworkRecord, ServerRecord, Subnet } from "./records.ts";

/** A network holds this many attached resources: https://docs.hetzner.com/networking/networks/faq/ */
export const networkSize = 100;

/** A network has at most this many subnets and routes (same page). */
export const networkLimits = { subnets: 50, routes: 100 } as const;

/** A server has at most this many networks (same page). */
export const networksPerServer = 3;

/**
 * The range of a new network.
 * @throws ApiError `invalid_input` when it is no private range of at least 256 addresses
 */
export function networkRange(text: string): Range {
  const range = parseRange(text);
  if (range === undefined) throw invalidField("ip_range", `'${text}' is not an IPv4 range in CIDR notation`);
  if (range.bits > 24 || !privateRanges.some((outer) => containsRange(outer, range))) {
    throw invalidField("ip_range", "must be a private range of RFC 1918 of at least /24");
  }
  return range;
}

/**
 * A new subnet of a network, not yet added.
 * @param text its range; the first free /24 when absent
 * @throws ApiError `invalid_input` when it does not lie in the network, overlaps another, or its zone or type is unknown
 */
export function newSubnet(
  network: Pick<NetworkRecord, "range" | "subnets">,
  text: string | undefined,
  type: string,
  networkZone: string,
): Subnet {
  if (type === "vswitch") {
    throw new ApiError("unsupported_error", "the lab's Hetzner simulator does not simulate vSwitches");
  }
  if (type !== "cloud" && type !== "server")
    throw invalidField("type", "must be one of: cloud, server, vswitch");
  if (!networkZones.includes(networkZone)) {
    throw invalidField("network_zone", `must be one of: ${networkZones.join(", ")}`);
  }
  const range = text === undefined ? firstFreeRange(network) : parseRange(text);
  if (range === undefined) throw invalidField("ip_range", `'${text}' is not an IPv4 range in CIDR notation`);
  if (network.subnets.length >= networkLimits.subnets) {
    throw new ApiError("resource_limit_exceeded", `a network has at most ${networkLimits.subnets} subnets`);
  }
  if (range.bits > 30) throw invalidField("ip_range", "a subnet is at least /30");
  if (!containsRange(network.range, range)) {
    throw invalidField("ip_range", "must lie in the ip_range of the network");
  }
  if (network.subnets.some((other) => overlaps(other.range, range))) {
    throw invalidField("ip_range", "overlaps another subnet of the network");
  }
  return { range, type, networkZone };
}

function firstFreeRange(network: Pick<NetworkRecord, "range" | "subnets">): Range {
  for (let first = network.range.first; first <= lastAddress(network.range); first += 256) {
    const range = { first, bits: 24 };
    if (!network.subnets.some((other) => overlaps(other.range, range))) return range;
  }
  throw invalidField("ip_range", "the network has no free /24");
}

/** Addresses in use in a network, with those that servers in deletion still hold. */
function takenAddresses(project: Project, networkId: number): Set<string> {
  return new Set(
    project
      .holders()
      .flatMap((server) => server.attachments)
      .filter((attachment) => attachment.networkId === networkId)
      .flatMap((attachment) => [attachment.ip, ...attachment.aliasIps]),
  );
}

/** Gateway of the public interfaces, in the private range 172.16.0.0/12: https://docs.hetzner.cloud/reference/cloud#networks */
const publicGateway = parseAddress("172.31.1.1");

/** The gateways of the network and of public interfaces and a subnet's first and last address are never given to servers. */
function isReserved(network: NetworkRecord, subnet: Subnet, address: number): boolean {
  return (
    address === network.range.first + 1 ||
    address === publicGateway ||
    address === subnet.range.first ||
    address === lastAddress(subnet.range)
  );
}

function checkFree(project: Project, network: NetworkRecord, subnets: readonly Subnet[], ip: string): void {
  const address = parseAddress(ip);
  if (address === undefined) throw invalidField("ip", `'${ip}' is not an IPv4 address`);
  const subnet = subnets.find(({ range }) => containsAddress(range, address));
  if (subnet === undefined) throw new ApiError("ip_not_available", `IP ${ip} is in no subnet of the network`);
  if (isReserved(network, subnet, address)) throw new ApiError("ip_not_available", `IP ${ip} is reserved`);
  if (takenAddresses(project, network.id).has(ip)) {
    throw new ApiError("ip_not_available", `IP ${ip} is already used`);
  }
}

function firstFreeAddress(project: Project, network: NetworkRecord, subnets: readonly Subnet[]): string {
  const taken = takenAddresses(project, network.id);
  for (const subnet of subnets) {
    for (let offset = 1; offset < rangeSize(subnet.range) - 1; offset += 1) {
      const address = subnet.range.first + offset;
      const ip = formatAddress(address);
      if (!isReserved(network, subnet, address) && !taken.has(ip)) return ip;
    }
  }
  throw new ApiError("no_subnet_available", "no subnet or IP is available in the network");
}

/** What an attachment asks for. */
export interface AttachmentWish {
  ip?: string | undefined;
  aliasIps?: readonly string[] | undefined;
  /** Range of the subnet to take the address from. */
  subnetRange?: string | undefined;
}

/**
 * Takes an address for a server, so that no other gets it; the interface is there when the action has ended.
 * @throws ApiError `server_already_attached`, `networks_overlap`, `no_subnet_available`, `ip_not_available`
 */
export function reserveAttachment(
  project: Project,
  server: Pick<ServerRecord, "attachments" | "location">,
  network: NetworkRecord,
  wish: AttachmentWish = {},
): Attachment {
  if (server.attachments.some(({ networkId }) => networkId === network.id)) {
    throw new ApiError("server_already_attached", "server is already attached to this network");
  }
  if (server.attachments.length >= networksPerServer) {
    throw new ApiError("resource_limit_exceeded", `a server has at most ${networksPerServer} networks`);
  }
  if (
    server.attachments.some(({ networkId }) => overlaps(project.networks.get(networkId).range, network.range))
  ) {
    throw new ApiError("networks_overlap", "IP range overlaps that of another network of the server");
  }
  const attached = project.holders().flatMap(({ attachments }) => attachments);
  if (attached.filter(({ networkId }) => networkId === network.id).length >= networkSize) {
    throw new ApiError("resource_limit_exceeded", `a network holds at most ${networkSize} servers`);
  }
  const subnets = network.subnets.filter(
    ({ networkZone, range }) =>
      networkZone === server.location.network_zone &&
      (wish.subnetRange === undefined || range.first === parseRange(wish.subnetRange)?.first),
  );
  if (subnets.length === 0) {
    throw new ApiError(
      "no_subnet_available",
      `network has no subnet in network zone ${server.location.network_zone} that fits`,
    );
  }
  for (const ip of [...(wish.ip === undefined ? [] : [wish.ip]), ...(wish.aliasIps ?? [])]) {
    checkFree(project, network, subnets, ip);
  }
  const mac = [0x86, 0x00, ...randomBytes(4)].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
  const attachment: Attachment = {
    networkId: network.id,
    ip: wish.ip ?? firstFreeAddress(project, network, subnets),
    aliasIps: [...(wish.aliasIps ?? [])],
    macAddress: mac,
    ready: false,
    leaving: false,
  };
  server.attachments.push(attachment);
  return attachment;
}
