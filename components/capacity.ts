/**
 * Which server types in which location. One choice for the whole cluster, made before its first server:
 * private networks span one network zone, and brokers in different locations would wait for each other.
 */
import * as hcloud from "@pulumi/hcloud";
import * as pulumi from "@pulumi/pulumi";

/** What a server type offers, as far as the choice asks. Shape of `hcloud.getServerTypes`. */
export interface ServerTypeFacts {
  name: string;
  /** `x86` or `arm`. */
  architecture: string;
  cores: number;
  /** GB. */
  memory: number;
  locations: readonly { name: string; available: boolean; isDeprecated: boolean }[];
}

/** A server of this cluster that already runs. */
export interface RunningServer {
  role: string;
  serverType: string;
  location: string;
}

export interface CapacityWishes {
  /** Locations in order of preference. */
  locations: readonly string[];
  /** Server types of the brokers in order of preference. */
  brokerServerTypes: readonly string[];
  /** Server types of the control plane in order of preference. */
  controlPlaneServerTypes: readonly string[];
}

export interface CapacityChoice {
  location: string;
  /** For example `eu-central`. */
  networkZone: string;
  brokerServerType: string;
  controlPlaneServerType: string;
}

/** Smallest machines that hold what `components/fit.ts` adds up. */
export const minimum = {
  broker: { cores: 4, memory: 8 },
  controlPlane: { cores: 2, memory: 4 },
} as const;

/** No location has both server types; the message lists what was looked at. Pulumi shows a RunError as it is. */
export class NoCapacityError extends pulumi.RunError {
  constructor(reasons: readonly string[]) {
    super(
      `No location offers the servers of this cluster. Looked at:\n${reasons.map((reason) => `  ${reason}`).join("\n")}\n` +
        "Add a location to trading:locations, or a server type to trading:brokerServerTypes or " +
        "trading:controlPlaneServerTypes (https://docs.hetzner.com/cloud/servers/overview/), or try again later.",
    );
    this.name = "NoCapacityError";
  }
}

/** Why a type cannot be ordered in a location, or undefined when it can. */
function obstacle(
  facts: ServerTypeFacts | undefined,
  location: string,
  least: { cores: number; memory: number },
): string | undefined {
  if (facts === undefined) return "no such server type";
  if (facts.architecture !== "x86") return `architecture ${facts.architecture}, needed x86`;
  if (facts.cores < least.cores || facts.memory < least.memory) {
    return `${facts.cores} cores and ${facts.memory} GB, needed ${least.cores} and ${least.memory}`;
  }
  const there = facts.locations.find((offer) => offer.name === location);
  if (there === undefined) return "not offered";
  if (there.isDeprecated) return "deprecated";
  return there.available ? undefined : "out of stock";
}

/**
 * Chooses location and server types: the first location, in order of preference, that has a wanted type for
 * each role. What already runs decides first, so that an `up` in the middle of the day, or after a killed one,
 * adds to the cluster that is there.
 * @throws NoCapacityError naming every location, type and reason.
 */
export function chooseCapacity(
  wishes: CapacityWishes,
  serverTypes: readonly ServerTypeFacts[],
  zones: readonly { name: string; networkZone: string }[],
  running: readonly RunningServer[] = [],
): CapacityChoice {
  const broker = running.find((server) => server.role === "kafka");
  const controlPlane = running.find((server) => server.role === "k3s-control");
  const settled = broker?.location ?? controlPlane?.location;
  const reasons: string[] = [];

  for (const location of settled === undefined ? wishes.locations : [settled]) {
    const zone = zones.find((known) => known.name === location);
    if (zone === undefined) {
      const known = zones.map((other) => other.name).join(", ");
      reasons.push(`${location}: no such location (there are ${known})`);
      continue;
    }
    const firstOf = (names: readonly string[], least: { cores: number; memory: number }) =>
      names.find((name) => {
        const reason = obstacle(
          serverTypes.find((type) => type.name === name),
          location,
          least,
        );
        if (reason !== undefined) reasons.push(`${location}: ${name}: ${reason}`);
        return reason === undefined;
      });
    const brokerServerType = broker?.serverType ?? firstOf(wishes.brokerServerTypes, minimum.broker);
    const controlPlaneServerType =
      controlPlane?.serverType ?? firstOf(wishes.controlPlaneServerTypes, minimum.controlPlane);
    if (brokerServerType !== undefined && controlPlaneServerType !== undefined) {
      return { location, networkZone: zone.networkZone, brokerServerType, controlPlaneServerType };
    }
  }
  throw new NoCapacityError(reasons);
}

/**
 * Asks the Hetzner API and chooses.
 * A promise and not an output, so that the program ends here, with one message, when there is nothing to choose.
 * @throws NoCapacityError naming every location, type and reason; RunError when the API does not answer.
 */
export async function resolveCapacity(
  wishes: CapacityWishes,
  stack: string,
  provider: hcloud.Provider,
): Promise<CapacityChoice> {
  const [types, locations, existing] = await Promise.all([
    hcloud.getServerTypes({ provider }),
    hcloud.getLocations({ provider }),
    hcloud.getServers({ withSelector: `project=trading,stack=${stack}` }, { provider }),
  ]).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new pulumi.RunError(
      `Cannot ask the Hetzner Cloud API what it offers: ${reason}\n` +
        "Check trading:hcloudToken (a read and write token of this project) and trading:hcloudEndpoint.",
    );
  });
  return chooseCapacity(
    wishes,
    types.serverTypes,
    locations.locations,
    existing.servers.map((server) => ({
      role: server.labels["role"] ?? "",
      serverType: server.serverType,
      location: server.location,
    })),
  );
}
