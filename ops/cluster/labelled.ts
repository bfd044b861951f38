/** What a stack has in its Hetzner project, found by label alone: whether or not any state knows it. */
import { Decimal } from "decimal.js";
import type { HetznerClient } from "../hetzner/client.ts";
import type { Resource, ResourceKind } from "../hetzner/resources.ts";

/**
 * Every kind that can carry labels and may cost money or stand in the way, in the order in which it can be removed:
 * servers hold the others in use.
 */
export const kinds = [
  "servers",
  "volumes",
  "load_balancers",
  "firewalls",
  "placement_groups",
  "networks",
  "floating_ips",
  "primary_ips",
  "ssh_keys",
] as const satisfies readonly ResourceKind[];

/** How the program's state calls each kind. */
export const stateTypes: Readonly<Record<ResourceKind, string>> = {
  servers: "hcloud:index/server:Server",
  volumes: "hcloud:index/volume:Volume",
  load_balancers: "hcloud:index/loadBalancer:LoadBalancer",
  firewalls: "hcloud:index/firewall:Firewall",
  placement_groups: "hcloud:index/placementGroup:PlacementGroup",
  networks: "hcloud:index/network:Network",
  floating_ips: "hcloud:index/floatingIp:FloatingIp",
  primary_ips: "hcloud:index/primaryIp:PrimaryIp",
  ssh_keys: "hcloud:index/sshKey:SshKey",
};

/** Kinds that can hold a cluster's data. */
const holding: readonly ResourceKind[] = ["servers", "volumes"];
/** Kinds that cost nothing. */
const free: readonly ResourceKind[] = ["firewalls", "placement_groups", "networks", "ssh_keys"];

/** Something that carries the stack's labels. */
export interface LabelledResource {
  kind: ResourceKind;
  id: number;
  name: string;
  labels: Readonly<Record<string, string>>;
  /** When it was created, RFC 3339. */
  created: string;
  /** Whether a cluster's data may be on it. */
  holdsData: boolean;
  /** Whether it is a server without power. */
  isOff: boolean;
  /** Server type and location, volume size, … for people; empty when there is nothing to say. */
  details: string;
  /** Ranges of a network's subnets; undefined for every other kind. */
  subnets?: readonly string[];
  /** What its price depends on; undefined for what costs nothing or has no price here. */
  priced: { serverType: string; location: string; hasIpv4: boolean } | "free" | undefined;
}

/**
 * Everything with the labels of a stack, servers first.
 * @param stack undefined: of all stacks, and what carries `project=trading` without naming one
 * @throws HetznerApiError
 */
export async function findLabelled(
  client: HetznerClient,
  stack: string | undefined,
): Promise<LabelledResource[]> {
  const labelSelector = stack === undefined ? "project=trading" : `project=trading,stack=${stack}`;
  const found = await Promise.all(
    kinds.map(async (kind) => (await client.list(kind, { labelSelector })).map((row) => labelled(kind, row))),
  );
  return found.flat();
}

function labelled(kind: ResourceKind, row: Resource<ResourceKind>): LabelledResource {
  const common = {
    kind,
    id: row.id,
    name: row.name,
    labels: row.labels,
    created: row.created,
    holdsData: holding.includes(kind),
    isOff: false,
  };
  if (kind === "servers") {
    const { server_type, location, public_net, status } = row as Resource<"servers">;
    return {
      ...common,
      isOff: status === "off",
      details: `${server_type.name} in ${location.name}`,
      priced: {
        serverType: server_type.name,
        location: location.name,
        hasIpv4: public_net.ipv4 != null,
      },
    };
  }
  const networkFacts =
    kind === "networks"
      ? { subnets: (row as Resource<"networks">).subnets.map(({ ip_range }) => ip_range) }
      : {};
  const details =
    kind === "volumes" ? `${(row as Resource<"volumes">).size} GB` : "ip" in row ? String(row.ip) : "";
  return { ...common, ...networkFacts, details, priced: free.includes(kind) ? "free" : undefined };
}

/** For people: `server dev-kafka-0 (id 7, cpx32 in fsn1)`. */
export function describeResource({ kind, id, name, details }: LabelledResource): string {
  const singular = kind.replace(/s$/, "").replaceAll("_", " ");
  return `${singular} ${name} (id ${id}${details === "" ? "" : `, ${details}`})`;
}

/**
 * EUR per hour, net, of each resource and of all together, as the API's price list says now.
 * @returns text with all decimals; undefined for what has no price in that list.
 * @throws HetznerApiError
 */
export async function priceOf(
  client: HetznerClient,
  resources: readonly LabelledResource[],
): Promise<{ each: Map<LabelledResource, string | undefined>; total: string }> {
  const each = new Map<LabelledResource, string | undefined>();
  let total = new Decimal(0);
  const servers = resources.some(({ priced }) => typeof priced === "object");
  const [types, pricing] = servers
    ? await Promise.all([client.serverTypes(), client.pricing()])
    : [[], { primary_ips: [] }];
  for (const resource of resources) {
    const { priced } = resource;
    if (typeof priced !== "object") {
      each.set(resource, priced === "free" ? "0" : undefined);
      continue;
    }
    const at = ({ location }: { location: string }): boolean => location === priced.location;
    const server = types.find(({ name }) => name === priced.serverType)?.prices.find(at);
    const address = pricing.primary_ips.find(({ type }) => type === "ipv4")?.prices.find(at);
    if (server === undefined) {
      each.set(resource, undefined);
      continue;
    }
    const price = new Decimal(server.price_hourly.net).plus(
      priced.hasIpv4 ? (address?.price_hourly.net ?? 0) : 0,
    );
    total = total.plus(price);
    each.set(resource, price.toString());
  }
  return { each, total: total.toString() };
}
