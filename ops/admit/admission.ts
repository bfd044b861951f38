/**
 * An admission: one address that may reach SSH and the Kubernetes API for a while, as rules of the stack's firewall.
 * All that is known of it stands in the rules' description, so that any machine can tell what is over.
 */
import { isIPv6 } from "node:net";
import type { FirewallRule, NewFirewallRule } from "../hetzner/resources.ts";

/** Port of the Kubernetes API. */
export const kubernetesApiPort = 6443;

export interface Admission {
  /** 12 hexadecimal digits: two admissions of one address are told apart by it. */
  id: string;
  /** One address: `<IPv4>/32` or `<IPv6>/128`. */
  address: string;
  /** Epoch seconds at which it is over. */
  until: number;
  /** For whom: at most 64 of letters, digits and `.@_-`. */
  name: string;
}

/** A description has at most 255 characters; this form needs at most 140. */
const pattern = /^admitted: ([\w.@-]{1,64}) until \S{1,30} \(epoch (\d{1,12})\), id ([0-9a-f]{12})$/;

/** What the rules of an admission say about it. */
export function describeAdmission({ id, until, name }: Admission): string {
  return `admitted: ${name} until ${new Date(until * 1_000).toISOString()} (epoch ${until}), id ${id}`;
}

/** The rules of an admission, one a port: TCP from the one address. */
export function rulesOf(admission: Admission, ports: readonly number[]): NewFirewallRule[] {
  return ports.map((port) => ({
    direction: "in",
    protocol: "tcp",
    port: String(port),
    source_ips: [admission.address],
    description: describeAdmission(admission),
  }));
}

/** The admission that a rule is part of; undefined for all other rules, which are never touched. */
export function admissionOf(rule: FirewallRule): Admission | undefined {
  const [, name, until, id] = pattern.exec(rule.description ?? "") ?? [];
  const [address, ...more] = rule.source_ips;
  if (name === undefined || until === undefined || id === undefined || address === undefined)
    return undefined;
  // A rule for more than one address is none of ours, whatever it says.
  if (rule.direction !== "in" || rule.protocol !== "tcp" || more.length > 0 || !isOneAddress(address))
    return undefined;
  return { id, address, until: Number(until), name };
}

function isOneAddress(cidr: string): boolean {
  const [address = "", prefix] = cidr.split("/");
  return prefix === (isIPv6(address) ? "128" : "32");
}

/** Admissions of a firewall's rules, each once. */
export function admissionsIn(rules: readonly FirewallRule[]): Admission[] {
  const found = new Map<string, Admission>();
  for (const rule of rules) {
    const admission = admissionOf(rule);
    if (admission !== undefined) found.set(admission.id, admission);
  }
  return [...found.values()];
}
