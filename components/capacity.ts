/**
 * Which server types in which location. One choice for the whole cluster, made before its first server:
 * private networks span one network zone, and brokers in different locations would wait for each other.
 * Pure: who asks the Hetzner API, and how, is the caller's business.
 */
import { Decimal } from "decimal.js";
import type { Machine } from "./fit.ts";
import { nodePlansOf } from "./node-plans.ts";
import { smallestMachineFor } from "./placed-pods.ts";
import type { Profile } from "./profile.ts";

/** What a server type offers, as far as the choice asks. Shape of `hcloud.getServerTypes`. */
export interface ServerTypeFacts {
  name: string;
  /** `x86` or `arm`. */
  architecture: string;
  cores: number;
  /** GB. */
  memory: number;
  /** `isDeprecated` also when only its end is announced: a day must not begin on what is going. */
  locations: readonly { name: string; available: boolean; isDeprecated: boolean }[];
}

/** A server of this cluster that is there already. */
export interface RunningServer {
  role: string;
  serverType: string;
  location: string;
}

export interface CapacityWishes {
  /** Default: `cluster`. */
  profile?: Profile;
  /** Locations in order of preference. */
  locations: readonly string[];
  /** Server types of the brokers in order of preference; `single-node` has no servers for them. */
  brokerServerTypes: readonly string[];
  /** Server types of the control plane in order of preference. */
  controlPlaneServerTypes: readonly string[];
  /** Names of choices that are passed over; a part may be `*`, as in `fsn1/cpx32/*`. Default: none. */
  excludedCapacity?: readonly string[];
}

/** Net prices in EUR per started hour, decimal numbers as text: as the API writes them. */
export interface CapacityPrices {
  /** @returns undefined when the API names no price there */
  serverType(name: string, location: string): string | undefined;
  /** Of a public IPv4 address, which each server has. */
  primaryIpv4(location: string): string | undefined;
}

export interface CapacityChoice {
  location: string;
  /** For example `eu-central`. */
  networkZone: string;
  /** Type of the servers with the brokers: in `single-node` that of the only one. */
  brokerServerType: string;
  controlPlaneServerType: string;
}

/** A possible choice. */
export interface RankedChoice extends CapacityChoice {
  /** `<location>/<brokers' type>/<control plane's type>`; in `single-node` `<location>/<type>`. */
  name: string;
  /** All servers and their public IPv4 addresses: EUR net per started hour, exact. Undefined without prices. */
  pricePerHour?: string;
}

/** Something that is not possible. */
export interface Obstacle {
  location: string;
  /** A server type, the name of a whole choice, or undefined when it is about the location. */
  subject?: string;
  reason: string;
}

export interface Ranking {
  /** In order of preference: by location, then by the brokers' type, then by the control plane's. */
  choices: RankedChoice[];
  obstacles: Obstacle[];
  /** Location that servers which are there already have settled. */
  settled?: string;
}

/** Smallest machines by what runs on them. */
export interface Minimum {
  /** Undefined where brokers have no servers of their own. */
  broker: Machine | undefined;
  controlPlane: Machine;
}

/** Seed 000's machines: they leave the brokers memory for the page cache. */
const seedMachines = {
  broker: { cores: 4, memory: 8 },
  controlPlane: { cores: 2, memory: 4 },
} as const satisfies Minimum;

function larger(one: Machine, other: Machine): Machine {
  return { cores: Math.max(one.cores, other.cores), memory: Math.max(one.memory, other.memory) };
}

/**
 * Smallest machines that hold what `components/fit.ts` adds up; in a cluster none is smaller than seed 000's.
 * So a service that no longer fits on 4 GB rules those types out, instead of being left without a node.
 */
export function minimumOf(profile: Profile): Minimum {
  const plans = nodePlansOf(profile);
  const needed = (role: "kafka" | "k3s-control"): Machine =>
    plans
      .filter((plan) => plan.role === role)
      .map((plan) => smallestMachineFor(profile, plan))
      .reduce(larger);
  const controlPlane = needed("k3s-control");
  if (profile === "single-node") return { broker: undefined, controlPlane };
  return {
    broker: larger(seedMachines.broker, needed("kafka")),
    controlPlane: larger(seedMachines.controlPlane, controlPlane),
  };
}

/** How many servers of each role a profile has. */
export const serversOf = {
  cluster: { brokers: 3, controlPlanes: 1 },
  "single-node": { brokers: 0, controlPlanes: 1 },
} as const satisfies Record<Profile, { brokers: number; controlPlanes: number }>;

/** No location has all server types; the message lists what was looked at. */
export class NoCapacityError extends Error {
  override readonly name = "NoCapacityError";

  constructor({ obstacles, settled }: Ranking) {
    const reasons = obstacles.map((obstacle) => `  ${describeObstacle(obstacle)}`).join("\n");
    const action =
      settled === undefined
        ? "Add a location to trading:locations, or a server type to trading:brokerServerTypes or " +
          "trading:controlPlaneServerTypes (https://docs.hetzner.com/cloud/servers/overview/), or try again later."
        : `Servers of this stack are there already, so the rest can only be in ${settled}. To begin anew elsewhere, remove ` +
          "them (trading open does that with a cluster that never held data; or pulumi destroy), then try again.";
    super(`No location offers the servers of this cluster. Looked at:\n${reasons}\n${action}`);
  }
}

/** An obstacle in one line, for example `fsn1: cpx31: deprecated`. */
export function describeObstacle({ location, subject, reason }: Obstacle): string {
  return [location, subject, reason].filter((part) => part !== undefined).join(": ");
}

/** Why a type cannot be ordered in a location, or undefined when it can. */
function obstacleOf(
  facts: ServerTypeFacts | undefined,
  location: string,
  least: Machine,
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

/** Whether an entry of `excludedCapacity` means this choice. */
export function excludes(entry: string, name: string): boolean {
  const parts = name.split("/");
  const wanted = entry.split("/");
  return (
    wanted.length === parts.length && wanted.every((part, index) => part === "*" || part === parts[index])
  );
}

/**
 * The entry of `excludedCapacity` that passes over every choice which needs the same servers as those that could not be
 * had.
 * @param role label of the server that was refused: `kafka` or `k3s-control`
 */
export function exclusionOf(choice: RankedChoice, role: string): string {
  const parts = choice.name.split("/");
  if (parts.length < 3) return choice.name;
  return role === "kafka"
    ? `${choice.location}/${choice.brokerServerType}/*`
    : `${choice.location}/*/${choice.controlPlaneServerType}`;
}

function priceOf(
  choice: CapacityChoice,
  profile: Profile,
  prices: CapacityPrices | undefined,
): string | undefined {
  if (prices === undefined) return undefined;
  const { brokers, controlPlanes } = serversOf[profile];
  const { location } = choice;
  const items = [
    [brokers, prices.serverType(choice.brokerServerType, location)],
    [controlPlanes, prices.serverType(choice.controlPlaneServerType, location)],
    [brokers + controlPlanes, prices.primaryIpv4(location)],
  ] as const;
  let sum = new Decimal(0);
  for (const [count, price] of items) {
    if (count > 0 && price === undefined) return undefined;
    sum = sum.plus(new Decimal(price ?? 0).times(count));
  }
  return sum.toFixed();
}

/**
 * Every choice that is possible, the wanted one first, and why the others are not. What is there already decides
 * first, so that an `up` in the middle of the day, or after a killed one, adds to the cluster that is there; when it
 * has settled everything, nothing is excluded.
 * @param zones every location with its network zone
 * @param running servers of this stack
 * @param prices without them choices have no price
 */
export function rankCapacity(
  wishes: CapacityWishes,
  serverTypes: readonly ServerTypeFacts[],
  zones: readonly { name: string; networkZone: string }[],
  running: readonly RunningServer[] = [],
  prices?: CapacityPrices,
): Ranking {
  const { profile = "cluster", excludedCapacity = [] } = wishes;
  const isCluster = profile === "cluster";
  const least = minimumOf(profile);
  const broker = isCluster ? running.find((server) => server.role === "kafka") : undefined;
  const controlPlane = running.find((server) => server.role === "k3s-control");
  const settled = broker?.location ?? controlPlane?.location;
  const isSettled = controlPlane !== undefined && (broker !== undefined || !isCluster);
  const ranking: Ranking = { choices: [], obstacles: [], ...(settled === undefined ? {} : { settled }) };

  for (const location of settled === undefined ? new Set(wishes.locations) : [settled]) {
    const zone = zones.find((known) => known.name === location);
    if (zone === undefined) {
      const known = zones.map((other) => other.name).join(", ");
      ranking.obstacles.push({ location, reason: `no such location (there are ${known})` });
      continue;
    }
    const possible = (names: readonly string[], size: Machine) =>
      [...new Set(names)].filter((subject) => {
        const reason = obstacleOf(
          serverTypes.find((type) => type.name === subject),
          location,
          size,
        );
        if (reason !== undefined) ranking.obstacles.push({ location, subject, reason });
        return reason === undefined;
      });
    const brokerTypes =
      least.broker === undefined
        ? undefined
        : broker === undefined
          ? possible(wishes.brokerServerTypes, least.broker)
          : [broker.serverType];
    const controlPlaneTypes =
      controlPlane === undefined
        ? possible(wishes.controlPlaneServerTypes, least.controlPlane)
        : [controlPlane.serverType];
    const pairs =
      brokerTypes === undefined
        ? controlPlaneTypes.map((type) => [type, type] as const)
        : brokerTypes.flatMap((one) => controlPlaneTypes.map((other) => [one, other] as const));
    for (const [brokerServerType, controlPlaneServerType] of pairs) {
      const types = isCluster ? [brokerServerType, controlPlaneServerType] : [controlPlaneServerType];
      const name = [location, ...types].join("/");
      const entry = isSettled ? undefined : excludedCapacity.find((excluded) => excludes(excluded, name));
      if (entry !== undefined) {
        ranking.obstacles.push({
          location,
          subject: name,
          reason: `excluded by trading:excludedCapacity (${entry})`,
        });
        continue;
      }
      const choice = { location, networkZone: zone.networkZone, brokerServerType, controlPlaneServerType };
      const pricePerHour = priceOf(choice, profile, prices);
      ranking.choices.push({ ...choice, name, ...(pricePerHour === undefined ? {} : { pricePerHour }) });
    }
  }
  return ranking;
}

/** The first choice of a ranking. @throws NoCapacityError naming every location, type and reason */
export function firstChoice(ranking: Ranking): RankedChoice {
  const [first] = ranking.choices;
  if (first === undefined) throw new NoCapacityError(ranking);
  return first;
}

/**
 * What comes after the first choice when servers of one of its roles cannot be had.
 * @returns by role: what to exclude, and the choice that follows then, if any
 */
export function nextChoices(ranking: Ranking): { role: string; exclusion: string; next?: RankedChoice }[] {
  const [first] = ranking.choices;
  if (first === undefined) return [];
  const roles = first.name.split("/").length < 3 ? ["k3s-control"] : ["kafka", "k3s-control"];
  return roles.map((role) => {
    const exclusion = exclusionOf(first, role);
    const next = ranking.choices.find(({ name }) => !excludes(exclusion, name));
    return { role, exclusion, ...(next === undefined ? {} : { next }) };
  });
}
