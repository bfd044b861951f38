/** What a stack would be made of if it were brought up now, from the live API. */
import { Decimal } from "decimal.js";
import {
  type CapacityPrices,
  type Obstacle,
  rankCapacity,
  type RankedChoice,
  serversOf,
} from "../../components/capacity.ts";
import type { StackValues } from "../../stacks/config-schema.ts";
import type { HetznerClient } from "../hetzner/client.ts";
import type { Pricing, ServerType } from "../hetzner/resources.ts";
import { stackSelector } from "../hetzner/settings.ts";

/** A possible choice with what it costs. */
export interface PlannedChoice extends RankedChoice {
  /** 1 is what `up` would take. */
  rank: number;
  /** For the planned open hours: net, exact. Undefined when the API names no price. */
  priceOpenHours?: string;
}

/** What {@link planCapacity} found. */
export interface CapacityPlan {
  stack: string;
  profile: StackValues["profile"];
  /** How many servers there are of each role. */
  servers: { brokers: number; controlPlanes: number };
  /** Planned hours of the day. */
  openHours: number;
  /** Of all prices. */
  currency: string;
  /** Location that servers of this stack which are there already have settled. */
  settled?: string;
  choices: PlannedChoice[];
  /** What is not possible, and why. */
  obstacles: Obstacle[];
}

/** What of a stack's configuration decides it. */
export type CapacityValues = Pick<
  StackValues,
  "profile" | "locations" | "brokerServerTypes" | "controlPlaneServerTypes" | "excludedCapacity" | "openHours"
>;

/** Prices of the live API. */
export function pricesOf(serverTypes: readonly ServerType[], pricing: Pricing): CapacityPrices {
  return {
    serverType: (name, location) =>
      serverTypes.find((type) => type.name === name)?.prices.find((price) => price.location === location)
        ?.price_hourly.net,
    primaryIpv4: (location) =>
      pricing.primary_ips
        .find(({ type }) => type === "ipv4")
        ?.prices.find((price) => price.location === location)?.price_hourly.net,
  };
}

/**
 * Ranks all choices as the program would, with prices.
 * Billing is per started hour up to a monthly cap (https://docs.hetzner.com/cloud/billing/faq), which no day reaches.
 * @throws HetznerApiError
 */
export async function planCapacity(
  client: HetznerClient,
  stack: string,
  values: CapacityValues,
): Promise<CapacityPlan> {
  const [serverTypes, locations, pricing, servers] = await Promise.all([
    client.serverTypes(),
    client.locations(),
    client.pricing(),
    client.list("servers", { labelSelector: stackSelector(stack) }),
  ]);
  const ranking = rankCapacity(
    values,
    serverTypes.map((type) => ({
      ...type,
      locations: type.locations.map(({ name, available, deprecation }) => ({
        name,
        available,
        isDeprecated: deprecation != null,
      })),
    })),
    locations.map(({ name, network_zone }) => ({ name, networkZone: network_zone })),
    servers.map(({ labels, server_type, location }) => ({
      role: labels["role"] ?? "",
      serverType: server_type.name,
      location: location.name,
    })),
    pricesOf(serverTypes, pricing),
  );
  return {
    stack,
    profile: values.profile,
    servers: serversOf[values.profile],
    openHours: values.openHours,
    currency: pricing.currency,
    ...(ranking.settled === undefined ? {} : { settled: ranking.settled }),
    choices: ranking.choices.map((choice, index) => ({
      ...choice,
      rank: index + 1,
      ...(choice.pricePerHour === undefined
        ? {}
        : { priceOpenHours: new Decimal(choice.pricePerHour).times(values.openHours).toFixed() }),
    })),
    obstacles: ranking.obstacles,
  };
}
