/** What a firewall's rules let in: https://docs.hetzner.cloud/reference/cloud#firewalls */
import { containsAddress, parseAddress, parseRange } from "../addresses.ts";
import type { FirewallRule } from "./records.ts";

function covers(port: string | null, wanted: number): boolean {
  if (port === null) return false;
  if (port === "any") return true;
  const [from = 0, to = from] = port.split("-").map(Number);
  return from <= wanted && wanted <= to;
}

/**
 * Whether a rule lets TCP from an address in to one of the ports.
 * @param address IPv4; of any other nothing is let in
 */
export function admitsTcp(rule: FirewallRule, address: string, ports: readonly number[]): boolean {
  const from = parseAddress(address);
  if (from === undefined || rule.direction !== "in" || rule.protocol !== "tcp") return false;
  if (!ports.some((port) => covers(rule.port, port))) return false;
  return rule.source_ips.some((text) => {
    const range = parseRange(text);
    return range !== undefined && containsAddress(range, from);
  });
}
