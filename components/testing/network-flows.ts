/**
 * Whether NetworkPolicies let a connection through, as https://kubernetes.io/docs/concepts/services-networking/network-policies/
 * has it. For tests: a cluster's own controller is asked nowhere here.
 */

interface Selector {
  matchLabels?: Record<string, string>;
  matchExpressions?: { key: string; operator: string; values?: string[] }[];
}

interface PolicyPeer {
  podSelector?: Selector;
  namespaceSelector?: Selector;
  ipBlock?: { cidr: string; except?: string[] };
}

interface Rule {
  from?: PolicyPeer[];
  to?: PolicyPeer[];
  ports?: { protocol?: string; port?: number }[];
}

/** A NetworkPolicy, as far as it decides. */
export interface FlowPolicy {
  metadata: { namespace: string; name: string };
  spec: { podSelector: Selector; policyTypes?: string[]; ingress?: Rule[]; egress?: Rule[] };
}

/** A pod. */
export interface FlowPod {
  namespace: string;
  labels: Record<string, string>;
}

/** One end of a connection: a pod, or an address that is no pod's. */
export type Place = FlowPod | { address: string };

function matches(
  { matchLabels = {}, matchExpressions = [] }: Selector,
  labels: Record<string, string>,
): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values = [] }) => {
      if (operator === "In") return values.includes(labels[key] ?? "");
      if (operator === "Exists") return key in labels;
      throw new Error(`matchExpressions: the operator ${operator} is not known here`);
    })
  );
}

function number(address: string): number {
  return address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}

/** Whether an IPv4 address is in a network. */
function isIn(address: string, cidr: string): boolean {
  const [network = "", prefix = "32"] = cidr.split("/");
  const size = 2 ** (32 - Number(prefix));
  return Math.floor(number(address) / size) === Math.floor(number(network) / size);
}

function names(peer: PolicyPeer, place: Place, own: string): boolean {
  if ("address" in place) {
    const { ipBlock } = peer;
    return (
      ipBlock !== undefined &&
      isIn(place.address, ipBlock.cidr) &&
      !(ipBlock.except ?? []).some((cidr) => isIn(place.address, cidr))
    );
  }
  if (peer.ipBlock !== undefined) return false;
  const inNamespace =
    peer.namespaceSelector === undefined
      ? place.namespace === own
      : matches(peer.namespaceSelector, { "kubernetes.io/metadata.name": place.namespace });
  return inNamespace && matches(peer.podSelector ?? {}, place.labels);
}

function side(
  policies: readonly FlowPolicy[],
  direction: "Ingress" | "Egress",
  pod: FlowPod,
  other: Place,
  port: number,
  protocol: string,
): boolean {
  const selecting = policies.filter(
    ({ metadata, spec }) =>
      metadata.namespace === pod.namespace &&
      matches(spec.podSelector, pod.labels) &&
      (spec.policyTypes ?? ["Ingress"]).includes(direction),
  );
  if (selecting.length === 0) return true;
  return selecting.some(({ metadata, spec }) =>
    ((direction === "Ingress" ? spec.ingress : spec.egress) ?? []).some((rule) => {
      const peers = (direction === "Ingress" ? rule.from : rule.to) ?? [];
      const ports = rule.ports ?? [];
      return (
        (peers.length === 0 || peers.some((peer) => names(peer, other, metadata.namespace))) &&
        (ports.length === 0 ||
          ports.some((open) => (open.protocol ?? "TCP") === protocol && open.port === port))
      );
    }),
  );
}

/**
 * Whether a connection is let through, by the policies of both ends. Pods' addresses are not known here, so an `ipBlock`
 * never names a pod: none of ours may name addresses of the pods' network.
 */
export function lets(
  policies: readonly FlowPolicy[],
  from: Place,
  to: Place,
  port: number,
  protocol: "TCP" | "UDP" = "TCP",
): boolean {
  return (
    ("address" in from || side(policies, "Egress", from, to, port, protocol)) &&
    ("address" in to || side(policies, "Ingress", to, from, port, protocol))
  );
}
