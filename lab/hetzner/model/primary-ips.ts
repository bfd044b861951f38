/** Public addresses: https://docs.hetzner.cloud/reference/cloud#primary-ips */
import type { Location } from "../catalog/locations.ts";
import { primaryIpPrices } from "../catalog/prices.ts";
import { ApiError } from "../errors.ts";
import type { Labels } from "../labels.ts";
import type { Project } from "./project.ts";
import type { PrimaryIpRecord, ServerRecord } from "./records.ts";

export interface NewPrimaryIp {
  /** Default: `primary_ip-<id>`, as the API names those that come with a server. */
  name?: string;
  labels?: Labels;
  type: "ipv4" | "ipv6";
  location: Location;
  /** Whether it goes with its server. */
  autoDelete: boolean;
}

/** Adds an address to the project, assigned to no server. */
export function addPrimaryIp(project: Project, wish: NewPrimaryIp): PrimaryIpRecord {
  const id = project.nextId();
  const ip = wish.type === "ipv4" ? project.nextPublicIpv4() : project.nextPublicIpv6();
  const reverse = ip.split(".").reverse().join(".");
  const record: PrimaryIpRecord = {
    id,
    name: wish.name ?? `primary_ip-${id}`,
    labels: wish.labels ?? {},
    created: project.clock.date(),
    type: wish.type,
    ip,
    location: wish.location,
    assigneeId: null,
    autoDelete: wish.autoDelete,
    protection: { delete: false },
    dnsPtr: wish.type === "ipv4" ? [{ ip, dns_ptr: `static.${reverse}.clients.your-server.de` }] : [],
  };
  // It bills from its creation on, assigned or not.
  project.ledger.begin("primary_ip", record, primaryIpPrices[wish.type]);
  return project.primaryIps.add(record);
}

/** Takes an address out of the project, and off the bill. */
export function removePrimaryIp(project: Project, ip: PrimaryIpRecord): void {
  project.primaryIps.remove(ip);
  project.ledger.end(ip);
}

/** Which field of a server names its address of a type. */
const fieldOf = { ipv4: "ipv4Id", ipv6: "ipv6Id" } as const;

export function assign(ip: PrimaryIpRecord, server: ServerRecord): void {
  ip.assigneeId = server.id;
  server[fieldOf[ip.type]] = ip.id;
}

export function unassign(ip: PrimaryIpRecord, server: ServerRecord | undefined): void {
  ip.assigneeId = null;
  if (server !== undefined) server[fieldOf[ip.type]] = null;
}

/**
 * Checks that an address can be given to a server that is off.
 * @throws ApiError with the reason
 */
export function checkAssignable(
  ip: Pick<PrimaryIpRecord, "type" | "assigneeId" | "location">,
  server: ServerRecord,
): void {
  if (ip.assigneeId !== null)
    throw new ApiError("primary_ip_already_assigned", "primary IP is already assigned");
  if (server.status !== "off") throw new ApiError("server_not_stopped", "the server must be off");
  if (server[fieldOf[ip.type]] !== null) {
    throw new ApiError(`server_has_${ip.type}`, `the server already has an ${ip.type} address`);
  }
  if (ip.location.id !== server.location.id) {
    throw new ApiError("primary_ip_datacenter_mismatch", "primary IP and server are in different locations");
  }
}
