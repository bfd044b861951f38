/** Money as the API writes it. All prices are net, in EUR. */

/** A price by the hour, up to a monthly cap. */
export interface HourlyPrice {
  /** EUR per started hour, net. */
  hourly: number;
  /** EUR per month at most, net. */
  monthly: number;
}

/** Value added tax in per cent (Germany); gross prices are net prices with it. */
export const vatPercent = 19;

const decimal = (amount: number) => amount.toFixed(10);

/** `{"net", "gross"}` as decimal strings. */
export function price(net: number): { net: string; gross: string } {
  return { net: decimal(net), gross: decimal(net * (1 + vatPercent / 100)) };
}

/** Primary IPv4: reference prices audited in July 2026. Primary IPv6 costs nothing. */
export const primaryIpPrices: Readonly<Record<"ipv4" | "ipv6", HourlyPrice>> = {
  ipv4: { hourly: 0.0008, monthly: 0.5 },
  ipv6: { hourly: 0, monthly: 0 },
};

/**
 * What is not simulated but stands in GET /pricing: per GB and month, per month, per cent. List prices of 2025,
 * https://docs.hetzner.com/cloud/billing/overview; they enter no bill of this simulator.
 */
export const otherPrices = {
  image: 0.011,
  volume: 0.044,
  floatingIp: { ipv4: 3, ipv6: 1 },
  serverBackupPercent: 20,
  trafficPerTerabyte: { eu: 1, us: 1, sin: 7.4 },
} as const;

/** Amounts are counted in units of 10^-10 EUR, the last digit of the API's prices, so that sums are exact. */
const unitsPerEuro = 1e10;

/** EUR as whole units. */
export function toUnits(euro: number): number {
  return Math.round(euro * unitsPerEuro);
}

/** Whole units as EUR: the nearest number there is. */
export function toEuro(units: number): number {
  return units / unitsPerEuro;
}

const hourMs = 3_600_000;

/**
 * Units for a time of use. Each started hour counts, the first one from the beginning on; an hour belongs to the
 * calendar month (UTC) in which it starts, and no month costs more than its cap.
 * https://docs.hetzner.com/cloud/billing/faq
 * @param from ms since the epoch
 * @param to ms since the epoch, not before `from`
 */
export function costInUnits(rate: HourlyPrice, from: number, to: number): number {
  const hours = Math.max(1, Math.ceil((to - from) / hourMs));
  let counted = 0;
  let units = 0;
  while (counted < hours) {
    const month = new Date(from + counted * hourMs);
    const next = Date.UTC(month.getUTCFullYear(), month.getUTCMonth() + 1, 1);
    const started = Math.min(hours, Math.ceil((next - from) / hourMs));
    units += Math.min((started - counted) * toUnits(rate.hourly), toUnits(rate.monthly));
    counted = started;
  }
  return units;
}
