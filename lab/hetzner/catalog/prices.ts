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

/** EUR for a time of use: each started hour counts, up to the cap of each month (taken as 730 hours). */
export function costOf(rate: HourlyPrice, milliseconds: number): number {
  const hours = Math.max(1, Math.ceil(milliseconds / 3_600_000));
  const months = Math.floor(hours / 730);
  return months * rate.monthly + Math.min((hours - months * 730) * rate.hourly, rate.monthly);
}
