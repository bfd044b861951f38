/** The kinds of objects that `k8s/` holds, and so all that Argo CD may touch. */
import { services, workloadObjects } from "./workloads.ts";

/** A kind as a whitelist names it (`kind`) and as a role does (`resource`). */
export interface ManagedKind {
  /** Empty for Kubernetes' core. */
  group: string;
  kind: string;
  /** Plural, in lower case. */
  resource: string;
}

/** The name that a role gives to each kind; all of them live in namespaces. */
const resources: Readonly<Record<string, string>> = {
  ConfigMap: "configmaps",
  Deployment: "deployments",
  NetworkPolicy: "networkpolicies",
  PodDisruptionBudget: "poddisruptionbudgets",
  PodMonitor: "podmonitors",
  Service: "services",
  ServiceAccount: "serviceaccounts",
  StatefulSet: "statefulsets",
};

/** What appears below the managed objects: Argo CD shows it and changes none of it. */
export const watchedKinds: readonly ManagedKind[] = [
  { group: "", kind: "Pod", resource: "pods" },
  { group: "", kind: "PersistentVolumeClaim", resource: "persistentvolumeclaims" },
  { group: "apps", kind: "ReplicaSet", resource: "replicasets" },
];

/**
 * The kinds of a list of objects, each once, in the order of group and kind.
 * @throws Error for a kind that Argo CD must not bring: nobody could add a Secret or a Role to Git by accident.
 */
export function managedKindsOf(
  objects: readonly Readonly<{ apiVersion: string; kind: string }>[],
): ManagedKind[] {
  const found = new Map<string, ManagedKind>();
  for (const { apiVersion, kind } of objects) {
    const resource = resources[kind];
    if (resource === undefined) {
      throw new Error(
        `k8s/ has an object of kind ${kind} (${apiVersion}), expected ${Object.keys(resources).join(", ")}. ` +
          "If Argo CD is to bring this kind, add it to components/argocd-kinds.ts; otherwise it is Pulumi's.",
      );
    }
    const group = apiVersion.includes("/") ? (apiVersion.split("/")[0] ?? "") : "";
    found.set(`${group}/${kind}`, { group, kind, resource });
  }
  return [...found.entries()].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, kind]) => kind);
}

/** The kinds of all services. Images do not change a kind. */
export function managedKinds(): ManagedKind[] {
  const images = { registry: "registry.invalid", version: "v0.0.0" };
  return managedKindsOf(services.flatMap((service) => workloadObjects(service, images)));
}
