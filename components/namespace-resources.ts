/** What the pods of each namespace may take together, from what they request. Plain values. */
import type { types } from "@pulumi/kubernetes";
import { catalog, type Namespace } from "../services/catalog.ts";
import { add, type Amount, amount } from "./fit.ts";
import { brokersOf, kafkaFacts } from "./kafka-facts.ts";
import { argoCdParts, kafkaHelpers, monitoringParts, type PodResources } from "./platform-pods.ts";
import type { Profile } from "./profile.ts";

/** Every namespace that the program makes: those of the services, and those of what serves them. */
export type NamespaceName = Namespace | "monitoring" | "argocd";

/** Those of the services. */
export const serviceNamespaces = ["kafka", "ingestion", "strategies"] as const satisfies readonly Namespace[];

export const namespaceNames: readonly NamespaceName[] = [...serviceNamespaces, "monitoring", "argocd"];

/** What a container gets that states nothing, such as the job that makes the password of Argo CD's cache. */
const unstated: PodResources = {
  requests: { cpu: "10m", memory: "64Mi" },
  limits: { cpu: "200m", memory: "256Mi" },
};

/** A pod as its containers' resources. */
interface PlannedPod {
  containers: readonly PodResources[];
  /**
   * `standing` pods run all day. `in place` ones do too, and are replaced only after they are gone; of the others a
   * rolling update starts a new one first. `passing` ones come to an end.
   */
  life: "standing" | "in place" | "passing";
  /** It has a volume of its own. */
  volume?: true;
}

const standing = (...containers: readonly PodResources[]): PlannedPod => ({ containers, life: "standing" });

/** The pods of a namespace, however many nodes they are on. */
function podsOf(namespace: NamespaceName, profile: Profile): PlannedPod[] {
  const services = catalog
    .filter((service) => service.namespace === namespace)
    .map(({ kind, requests, limits }): PlannedPod => ({
      containers: [{ requests, limits }],
      life: kind === "Job" ? "passing" : kind === "StatefulSet" ? "in place" : "standing",
      ...(kind === "StatefulSet" ? { volume: true } : {}),
    }));
  switch (namespace) {
    case "kafka": {
      const brokers = brokersOf[profile];
      const broker: PlannedPod = {
        containers: [{ requests: kafkaFacts.requests, limits: kafkaFacts.limits }],
        life: "in place",
        // A broker that is alone keeps its log on a volume.
        ...(brokers === 1 ? { volume: true } : {}),
      };
      return [
        ...Array.from({ length: brokers }, () => broker),
        ...Object.values(kafkaHelpers).map((part) => standing(part)),
        ...services,
      ];
    }
    case "monitoring": {
      const { prometheus, configReloader, ...alone } = monitoringParts;
      return [
        { ...standing(prometheus, configReloader), life: "in place" },
        ...Object.values(alone).map((part) => standing(part)),
      ];
    }
    case "argocd":
      return [
        ...Object.values(argoCdParts).map((part) => standing(part)),
        // The job that makes the cache's password.
        { containers: [unstated], life: "passing" },
      ];
    case "ingestion":
    case "strategies":
      return services;
  }
}

type Kind = keyof PodResources;

function sum(pods: readonly PlannedPod[], kind: Kind): Amount {
  return add(pods.flatMap(({ containers }) => containers.map((container) => amount(container[kind]))));
}

/** In each dimension the most that any of them has. */
function most(amounts: readonly Amount[]): Amount {
  return {
    cpu: Math.max(0, ...amounts.map(({ cpu }) => cpu)),
    memory: Math.max(0, ...amounts.map(({ memory }) => memory)),
  };
}

/**
 * What may be requested, and taken, in a namespace: everything that is planned there, and the largest pod that a rolling
 * update may start beside the one it replaces. No Service of it listens on the nodes' or other public addresses.
 */
export function quotaOf(namespace: NamespaceName, profile: Profile): { hard: Record<string, string> } {
  const pods = podsOf(namespace, profile);
  const replaced = pods.filter(({ life }) => life === "standing");
  const total = (kind: Kind) => add([sum(pods, kind), most(replaced.map((pod) => sum([pod], kind)))]);
  const [requests, limits] = [total("requests"), total("limits")];
  return {
    hard: {
      "requests.cpu": `${requests.cpu}m`,
      "requests.memory": `${requests.memory}Mi`,
      "limits.cpu": `${limits.cpu}m`,
      "limits.memory": `${limits.memory}Mi`,
      pods: String(pods.length + (replaced.length > 0 ? 1 : 0)),
      persistentvolumeclaims: String(pods.filter(({ volume }) => volume === true).length),
      "services.loadbalancers": "0",
      "services.nodeports": "0",
    },
  };
}

/** What a container gets that states nothing, and what one may take at most: as much as the largest that is planned. */
export function limitsOf(
  namespace: NamespaceName,
  profile: Profile,
): { limits: types.input.core.v1.LimitRangeItem[] } {
  const containers = podsOf(namespace, profile).flatMap((pod) => pod.containers);
  const { cpu, memory } = most([...containers, unstated].map(({ limits }) => amount(limits)));
  return {
    limits: [
      {
        type: "Container",
        default: { ...unstated.limits },
        defaultRequest: { ...unstated.requests },
        max: { cpu: `${cpu}m`, memory: `${memory}Mi` },
      },
    ],
  };
}
