/**
 * What cannot be changed in a Kubernetes object in place: a change of it replaces the object. As the real provider
 * has it (pulumi-kubernetes, provider/pkg/provider/diff.go); of its kinds, those that a program of ours could have.
 */
import { parsePath } from "../differences.ts";
import { equal, type PropertyMap, type PropertyValue, textOf } from "../properties.ts";

/** Paths by kind. */
const immutable: Readonly<Record<string, readonly string[]>> = {
  ClusterRoleBinding: ["roleRef"],
  DaemonSet: ["spec.selector"],
  Deployment: ["spec.selector"],
  Job: ["spec.completions", "spec.parallelism", "spec.selector", "spec.template"],
  PersistentVolumeClaim: ["spec.accessModes", "spec.selector", "spec.storageClassName", "spec.volumeName"],
  ResourceQuota: ["spec.scopes"],
  RoleBinding: ["roleRef"],
  Service: ["spec.clusterIP"],
  StatefulSet: [
    "spec.podManagementPolicy",
    "spec.revisionHistoryLimit",
    "spec.selector",
    "spec.serviceName",
    "spec.volumeClaimTemplates",
  ],
  StorageClass: ["parameters", "provisioner"],
};

/** Groups in which those kinds are Kubernetes' own. */
const groups: ReadonlySet<string> = new Set([
  "",
  "apps",
  "batch",
  "rbac.authorization.k8s.io",
  "storage.k8s.io",
]);

/** Whether data may change in place, as the provider's configuration has it. Default of both: no. */
export interface Mutability {
  /** The provider's `enableConfigMapMutable`. */
  configMaps: boolean;
  /** The provider's `enableSecretMutable`. */
  secrets: boolean;
}

function pathsOf(object: PropertyMap, mutability: Mutability): readonly string[] {
  const apiVersion = textOf(object["apiVersion"]);
  const group = apiVersion.includes("/") ? (apiVersion.split("/")[0] ?? "") : "";
  if (!groups.has(group)) return [];
  const kind = textOf(object["kind"]);
  const fixed = object["immutable"] === true;
  if (kind === "Secret" && group === "") {
    return mutability.secrets && !fixed ? ["type"] : ["type", "stringData", "data"];
  }
  if (kind === "ConfigMap" && group === "")
    return mutability.configMaps && !fixed ? [] : ["binaryData", "data"];
  return immutable[kind] ?? [];
}

function at(object: PropertyMap, path: string): PropertyValue | undefined {
  let value: PropertyValue | undefined = object;
  for (const step of parsePath(path)) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Record<string, PropertyValue>)[String(step)];
  }
  return value;
}

/** Top-level members of an object that a change of what is inside cannot leave in place. */
export function immutableChanges(old: PropertyMap, fresh: PropertyMap, mutability: Mutability): string[] {
  const changed = ["metadata.name", "metadata.namespace", ...pathsOf(fresh, mutability)].filter(
    (path) => !equal(at(old, path), at(fresh, path)),
  );
  return [...new Set(changed.map((path) => path.split(".")[0] ?? path))];
}
