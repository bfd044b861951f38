/**
 * The server types that a cluster of ours may ask for, in which location they can be ordered, and their prices.
 * Sources: sizes https://docs.hetzner.com/cloud/servers/overview/; deprecation
 * https://docs.hetzner.cloud/changelog#2025-10-16-server-types-deprecated (first-generation CPX and second-generation CX:
 * no orders in EU locations after 2025-12-31, CPX still listed outside of the EU); prices of cpx22, cpx32, cx23, cx33
 * audited in July 2026, prices of cpx21, cpx31 those of the cluster's first plan and not audited, cax11 list price of 2025.
 * Ids follow the public listing; programs must not rely on them.
 */
import { type Location, locations } from "./locations.ts";
import { type HourlyPrice, otherPrices, price } from "./prices.ts";

/**
 * Whether a type can be ordered in a location: yes; not now, for lack of stock; still, but its end is announced; no
 * longer.
 */
export type Availability = "available" | "sold-out" | "announced" | "retired";

export interface Offer {
  location: Location["name"];
  availability: Availability;
}

/** One server type. */
export interface ServerType {
  id: number;
  name: string;
  description: string;
  category: string;
  cores: number;
  /** GB. */
  memory: number;
  /** GB. */
  disk: number;
  architecture: "x86" | "arm";
  rate: HourlyPrice;
  offers: readonly Offer[];
}

const eu = ["fsn1", "nbg1", "hel1"];
const overseas = ["ash", "hil", "sin"];
const offered = (places: readonly string[], without: readonly string[] = []): Offer[] =>
  places.map((location) => ({
    location,
    availability: without.includes(location) ? "sold-out" : "available",
  }));
const retired = (places: readonly string[]): Offer[] =>
  places.map((location) => ({ location, availability: "retired" }));

/** When orders were announced to end, and when they end: those of the first CPX generation, and of one to come. */
export const deprecations = {
  retired: { announced: "2025-10-16T06:00:00+00:00", unavailable_after: "2025-12-31T23:59:59+00:00" },
  announced: { announced: "2026-07-01T06:00:00+00:00", unavailable_after: "2099-12-31T23:59:59+00:00" },
} as const;

const deprecationOf = ({ availability }: Offer) =>
  availability === "retired" || availability === "announced" ? deprecations[availability] : null;

export const serverTypes: readonly ServerType[] = [
  {
    id: 23,
    name: "cpx21",
    description: "CPX 21",
    category: "Shared vCPU",
    cores: 3,
    memory: 4,
    disk: 80,
    architecture: "x86",
    rate: { hourly: 0.0132, monthly: 8.21 },
    offers: [...retired(eu), ...offered(overseas)],
  },
  {
    id: 24,
    name: "cpx31",
    description: "CPX 31",
    category: "Shared vCPU",
    cores: 4,
    memory: 8,
    disk: 160,
    architecture: "x86",
    rate: { hourly: 0.0262, monthly: 16.32 },
    offers: [...retired(eu), ...offered(overseas)],
  },
  {
    id: 45,
    name: "cax11",
    description: "CAX11",
    category: "Shared vCPU",
    cores: 2,
    memory: 4,
    disk: 40,
    architecture: "arm",
    rate: { hourly: 0.0053, monthly: 3.29 },
    offers: offered(eu),
  },
  {
    id: 109,
    name: "cpx22",
    description: "CPX 22",
    category: "Shared vCPU",
    cores: 2,
    memory: 4,
    disk: 80,
    architecture: "x86",
    rate: { hourly: 0.0312, monthly: 19.49 },
    offers: offered(eu),
  },
  {
    id: 110,
    name: "cpx32",
    description: "CPX 32",
    category: "Shared vCPU",
    cores: 4,
    memory: 8,
    disk: 160,
    architecture: "x86",
    rate: { hourly: 0.0569, monthly: 35.49 },
    offers: offered(eu),
  },
  {
    id: 114,
    name: "cx23",
    description: "CX 23",
    category: "Cost-optimized",
    cores: 2,
    memory: 4,
    disk: 40,
    architecture: "x86",
    // The cap is audited; the hour is the cap over 624 h, the ratio of the other prices.
    rate: { hourly: 0.0088, monthly: 5.49 },
    // Often out of stock.
    offers: offered(eu, ["fsn1"]),
  },
  {
    id: 115,
    name: "cx33",
    description: "CX 33",
    category: "Cost-optimized",
    cores: 4,
    memory: 8,
    disk: 80,
    architecture: "x86",
    rate: { hourly: 0.0136, monthly: 8.49 },
    offers: offered(eu, ["fsn1"]),
  },
];

const terabyte = 2 ** 40;

function pricesOf(type: ServerType) {
  return type.offers.map(({ location }) => ({
    location,
    price_hourly: price(type.rate.hourly),
    price_monthly: price(type.rate.monthly),
    included_traffic: (eu.includes(location) ? 20 : 1) * terabyte,
    price_per_tb_traffic: price(
      location === "sin"
        ? otherPrices.trafficPerTerabyte.sin
        : otherPrices.trafficPerTerabyte[eu.includes(location) ? "eu" : "us"],
    ),
  }));
}

/**
 * A server type as the API shows it.
 * @param offers in place of the catalog's
 */
export function serverTypeView(type: ServerType, offers = type.offers) {
  const everywhere = offers.length > 0 && offers.every((offer) => deprecationOf(offer) !== null);
  return {
    id: type.id,
    name: type.name,
    description: type.description,
    category: type.category,
    cores: type.cores,
    memory: type.memory,
    disk: type.disk,
    storage_type: "local",
    cpu_type: "shared",
    architecture: type.architecture,
    deprecated: everywhere,
    deprecation: everywhere && offers[0] !== undefined ? deprecationOf(offers[0]) : null,
    prices: pricesOf(type),
    locations: offers.map((offer) => {
      const location = locations.find(({ name }) => name === offer.location);
      if (location === undefined)
        throw new Error(`${type.name} is offered in the unknown location ${offer.location}`);
      return {
        id: location.id,
        name: location.name,
        available: offer.availability === "available" || offer.availability === "announced",
        recommended: offer.availability === "available",
        deprecation: deprecationOf(offer),
      };
    }),
  };
}

export type ServerTypeView = ReturnType<typeof serverTypeView>;
