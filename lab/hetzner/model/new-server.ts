/** Creating a server: https://docs.hetzner.cloud/reference/cloud#servers-create-a-server */
import { z } from "zod";
import { Machine } from "../boot/machine.ts";
import { images } from "../catalog/images.ts";
import { type Location, locations } from "../catalog/locations.ts";
import { deprecations, type ServerType, serverTypes } from "../catalog/server-types.ts";
import { ApiError, type FieldError, invalidInput } from "../errors.ts";
import { labelsSchema } from "../request.ts";
import { checkRoomInGroup, firewallLimits } from "./limits.ts";
import { addPrimaryIp, assign } from "./primary-ips.ts";
import type { Project } from "./project.ts";
import type { PrimaryIpRecord, ServerRecord } from "./records.ts";
import { reserveAttachment } from "./subnets.ts";

/** Bytes of user data at most. */
const userDataLimit = 32 * 1024;

const nameOrId = z.union([z.string(), z.number().int()]).transform(String);

/** Server names are host names (RFC 1123). */
export const serverNameSchema = z
  .string()
  .max(253)
  .regex(/^([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$/, {
    error: "must be a valid hostname (RFC 1123)",
  });

export const createServerSchema = z.object({
  name: serverNameSchema,
  server_type: nameOrId,
  image: nameOrId,
  location: nameOrId.nullish(),
  datacenter: z.never({ error: "datacenters were removed on 2026-07-01: use location" }).optional(),
  start_after_create: z.boolean().default(true),
  ssh_keys: z.array(nameOrId).nullish(),
  user_data: z
    .string()
    .refine((text) => Buffer.byteLength(text) <= userDataLimit, {
      error: `must be at most ${userDataLimit} bytes`,
    })
    .nullish(),
  labels: labelsSchema.nullish(),
  networks: z.array(z.number().int()).nullish(),
  firewalls: z.array(z.object({ firewall: z.number().int() })).nullish(),
  placement_group: z.number().int().nullish(),
  public_net: z
    .object({
      enable_ipv4: z.boolean().default(true),
      enable_ipv6: z.boolean().default(true),
      ipv4: z.number().int().nullish(),
      ipv6: z.number().int().nullish(),
    })
    .nullish(),
  volumes: z.array(z.number().int()).max(0, { error: "volumes are not simulated" }).nullish(),
  automount: z.boolean().nullish(),
});

export type CreateServer = z.output<typeof createServerSchema>;

const named = <T extends { id: number; name: string }>(list: readonly T[], wanted: string) =>
  list.find(({ id, name }) => name === wanted || String(id) === wanted);

/** The type, image and location, with every mistake in them at once. */
function resolveChoice(project: Project, wish: CreateServer) {
  const mistakes: FieldError[] = [];
  const wrong = (name: string, message: string) => mistakes.push({ name, messages: [message] });
  const type = named(serverTypes, wish.server_type);
  if (type === undefined) wrong("server_type", `unknown server type '${wish.server_type}'`);
  const image = images.find(
    ({ id, name, architecture }) =>
      String(id) === wish.image ||
      (name === wish.image && architecture === (type?.architecture ?? architecture)),
  );
  if (image === undefined) wrong("image", `unknown image '${wish.image}'`);
  else if (type !== undefined && image.architecture !== type.architecture) {
    wrong("image", `image is for ${image.architecture}, the server type is ${type.architecture}`);
  }
  const location = wish.location == null ? defaultLocation(project, type) : named(locations, wish.location);
  if (location === undefined) {
    wrong(
      "location",
      `unknown location '${wish.location}': use ${locations.map(({ name }) => name).join(", ")}`,
    );
  } else if (type !== undefined) {
    const offer = project.stock.offers(type).find((one) => one.location === location.name);
    if (offer === undefined)
      wrong("server_type", `unsupported location for server type: ${type.name} in ${location.name}`);
    else if (offer.availability === "retired") {
      wrong(
        "server_type",
        `${type.name} is deprecated in ${location.name}: no orders since ${deprecations.retired.unavailable_after}`,
      );
    }
  }
  if (mistakes.length > 0 || type === undefined || image === undefined || location === undefined) {
    throw invalidInput(...mistakes);
  }
  const soldOut = project.stock
    .offers(type)
    .some((offer) => offer.location === location.name && offer.availability === "sold-out");
  if (soldOut) {
    throw new ApiError(
      "resource_unavailable",
      `server type ${type.name} is out of stock in ${location.name}`,
    );
  }
  return { type, image, location };
}

function defaultLocation(project: Project, type: ServerType | undefined): Location | undefined {
  const offers = type === undefined ? [] : project.stock.offers(type);
  const offer = offers.find(({ availability }) => availability === "available") ?? offers[0];
  return locations.find(({ name }) => name === (offer?.location ?? "fsn1"));
}

/** The public keys that may log in, by names or ids. */
function authorizedKeys(project: Project, wanted: readonly string[]): string[] {
  return wanted.map((one) => {
    const key = named(project.sshKeys.all(), one);
    if (key === undefined) throw new ApiError("not_found", `SSH key '${one}' not found`);
    return key.publicKey;
  });
}

/** The given address of a type, checked. */
function givenIp(project: Project, type: "ipv4" | "ipv6", id: number, location: Location): PrimaryIpRecord {
  const ip = project.primaryIps.get(id);
  if (ip.type !== type) throw new ApiError("primary_ip_version_mismatch", `primary IP ${id} is not ${type}`);
  if (ip.assigneeId !== null)
    throw new ApiError("primary_ip_assigned", `primary IP ${id} is already assigned`);
  if (ip.location.id !== location.id) {
    throw new ApiError("primary_ip_datacenter_mismatch", `primary IP ${id} is in ${ip.location.name}`);
  }
  return ip;
}

/** Makes the record of a new server. Nothing of the project has changed when it throws. */
export function newServer(project: Project, wish: CreateServer): ServerRecord {
  const { type, image, location } = resolveChoice(project, wish);
  project.servers.checkNameFree(wish.name);
  const keys = authorizedKeys(project, wish.ssh_keys ?? []);
  const networks = (wish.networks ?? []).map((id) => project.networks.get(id));
  const firewalls = (wish.firewalls ?? []).map(({ firewall }) => project.firewalls.get(firewall).id);
  const publicNet = wish.public_net ?? { enable_ipv4: true, enable_ipv6: true };
  const types = (["ipv4", "ipv6"] as const).filter((version) => publicNet[`enable_${version}`]);
  const given = new Map(
    types.flatMap((version) => {
      const id = publicNet[version];
      return id == null ? [] : [[version, givenIp(project, version, id, location)] as const];
    }),
  );
  if (new Set(firewalls).size !== firewalls.length) {
    throw new ApiError("server_already_added", "a firewall is named more than once");
  }
  if (firewalls.length > firewallLimits.firewallsPerServer) {
    throw new ApiError(
      "resource_limit_exceeded",
      `a server has at most ${firewallLimits.firewallsPerServer} firewalls`,
    );
  }
  if (firewalls.length > 0 && types.length === 0) {
    throw new ApiError("private_net_only_server", "the server has no public interface");
  }
  if (types.length === 0 && networks.length === 0 && wish.start_after_create) {
    throw invalidInput({
      name: "networks",
      messages: ["a server needs a public or a private network to start"],
    });
  }
  if (wish.placement_group != null) {
    project.placementGroups.get(wish.placement_group);
    checkRoomInGroup(project, wish.placement_group);
  }
  if (project.holders().length >= project.limits.servers) {
    throw new ApiError("resource_limit_exceeded", `server limit reached: ${project.limits.servers}`);
  }

  const id = project.nextId();
  const server: ServerRecord = {
    id,
    name: wish.name,
    labels: wish.labels ?? {},
    created: project.clock.date(),
    status: "initializing",
    serverType: type,
    image,
    location,
    firewalls: new Map(firewalls.map((firewall) => [firewall, "pending"])),
    attachments: [],
    placementGroupId: wish.placement_group ?? null,
    ipv4Id: null,
    ipv6Id: null,
    protection: { delete: false, rebuild: false },
    machine: new Machine({
      id,
      hostname: wish.name,
      name: () => server.name,
      userData: wish.user_data ?? "",
      authorizedKeys: keys,
      publicAddress: () => (server.ipv4Id === null ? null : project.primaryIps.get(server.ipv4Id).ip),
      admits: (address) => project.admitsToSsh(server, address),
      privateInterfaces: () =>
        server.attachments.filter(({ ready }) => ready).map(({ networkId, ip }) => ({ networkId, ip })),
      world: project.world,
    }),
  };
  for (const network of networks) reserveAttachment(project, server, network);
  for (const version of types) {
    assign(
      given.get(version) ?? addPrimaryIp(project, { type: version, location, autoDelete: true }),
      server,
    );
  }
  project.ledger.begin("server", server, type.rate);
  return project.servers.add(server);
}
