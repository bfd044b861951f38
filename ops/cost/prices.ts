/** Prices of the live API, as exact decimals. */
import { Decimal } from "decimal.js";
import type { HetznerClient } from "../hetzner/client.ts";
import type { Pricing, ServerType } from "../hetzner/resources.ts";
import type { Rate } from "./billing.ts";

/** What the API asks now. */
export interface LivePrices {
  /** EUR. */
  currency: string;
  /** @returns undefined when the API names no price there */
  serverType(name: string, location: string): Rate | undefined;
  /** Of a public IPv4 address. */
  ipv4(location: string): Rate | undefined;
}

/** A price as the API writes it. */
interface ApiPrice {
  location: string;
  price_hourly: { net: string };
  price_monthly: { net: string };
}

function rateAt(prices: readonly ApiPrice[] | undefined, location: string): Rate | undefined {
  const found = prices?.find((price) => price.location === location);
  if (found === undefined) return undefined;
  return { hourly: new Decimal(found.price_hourly.net), monthly: new Decimal(found.price_monthly.net) };
}

/** Prices as they were read. */
export function livePrices(serverTypes: readonly ServerType[], pricing: Pricing): LivePrices {
  return {
    currency: pricing.currency,
    serverType: (name, location) => rateAt(serverTypes.find((type) => type.name === name)?.prices, location),
    ipv4: (location) => rateAt(pricing.primary_ips.find(({ type }) => type === "ipv4")?.prices, location),
  };
}

/** Asks the API. @throws HetznerApiError */
export async function readPrices(client: HetznerClient): Promise<LivePrices> {
  const [serverTypes, pricing] = await Promise.all([client.serverTypes(), client.pricing()]);
  return livePrices(serverTypes, pricing);
}
