/**
 * Whether everything fits: what pods request on each node against what the node can allocate. Pure arithmetic;
 * the scheduler does the same sum.
 */
import type { Quantities } from "../services/catalog.ts";

/** Processor time in millicores and memory in mebibytes. */
export interface Amount {
  cpu: number;
  memory: number;
}

/** A machine's size. */
export interface Machine {
  cores: number;
  /** GB. */
  memory: number;
}

/** What the kubelet keeps from pods on a node of each role. */
export const reserved = {
  // Seed 000 leaves 700–850 MB of a broker's node to the system.
  kafka: {
    kube: { cpu: "150m", memory: "450Mi" },
    system: { cpu: "100m", memory: "300Mi" },
    eviction: "100Mi",
  },
  // k3s documents about 1.6 GB for a server under load: https://docs.k3s.io/reference/resource-profiling
  "k3s-control": {
    kube: { cpu: "400m", memory: "1500Mi" },
    system: { cpu: "100m", memory: "200Mi" },
    eviction: "100Mi",
  },
} as const;

const memoryUnits: Readonly<Record<string, number>> = {
  Ki: 1 / 1024,
  Mi: 1,
  Gi: 1024,
};

/** Reads Kubernetes quantities: `250m` or `2` cores; `128Mi`, `2Gi`. @throws Error on any other unit. */
export function amount(quantities: Quantities): Amount {
  const cpu = /^(\d+(?:\.\d+)?)(m?)$/.exec(quantities.cpu);
  const memory = /^(\d+(?:\.\d+)?)(Ki|Mi|Gi)$/.exec(quantities.memory);
  if (cpu === null) throw new Error(`cpu "${quantities.cpu}": expected millicores (250m) or cores (2)`);
  if (memory === null) throw new Error(`memory "${quantities.memory}": expected Ki, Mi or Gi`);
  return {
    cpu: Number(cpu[1]) * (cpu[2] === "m" ? 1 : 1000),
    memory: Number(memory[1]) * (memoryUnits[memory[2] ?? ""] ?? 0),
  };
}

export function add(amounts: readonly Amount[]): Amount {
  return amounts.reduce((sum, next) => ({ cpu: sum.cpu + next.cpu, memory: sum.memory + next.memory }), {
    cpu: 0,
    memory: 0,
  });
}

/** Hetzner's GB are GiB, of which the kernel and firmware keep some before Linux counts: about 5 %. */
const usableMemory = 0.95;

/** What a node of a role has beside its pods: what is reserved, and the eviction threshold. */
function kept(role: keyof typeof reserved): Amount {
  const { kube, system, eviction } = reserved[role];
  return add([amount(kube), amount(system), amount({ cpu: "0", memory: eviction })]);
}

/** What pods can have on a machine: its capacity less what is reserved and the eviction threshold. */
export function allocatable(machine: Machine, role: keyof typeof reserved): Amount {
  const { cpu, memory } = kept(role);
  return {
    cpu: machine.cores * 1000 - cpu,
    memory: Math.floor(machine.memory * 1024 * usableMemory) - memory,
  };
}

/** The smallest machine, in whole cores and GB, on which a node of a role has `needed` for its pods. */
export function smallestMachine(needed: Amount, role: keyof typeof reserved): Machine {
  const { cpu, memory } = kept(role);
  return {
    cores: Math.ceil((needed.cpu + cpu) / 1000),
    memory: Math.ceil((Math.ceil(needed.memory) + memory) / (1024 * usableMemory)),
  };
}

/** A pod that is bound to a node. */
export interface PlacedPod {
  name: string;
  node: string;
  requests: Amount;
}

export interface NodeFit {
  node: string;
  allocatable: Amount;
  requested: Amount;
  fits: boolean;
}

/** The sum for each node. */
export function fit(
  nodes: readonly { name: string; allocatable: Amount }[],
  pods: readonly PlacedPod[],
): NodeFit[] {
  return nodes.map((node) => {
    const requested = add(pods.filter((pod) => pod.node === node.name).map((pod) => pod.requests));
    return {
      node: node.name,
      allocatable: node.allocatable,
      requested,
      fits: requested.cpu <= node.allocatable.cpu && requested.memory <= node.allocatable.memory,
    };
  });
}
