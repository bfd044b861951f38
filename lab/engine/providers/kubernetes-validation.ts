/**
 * Validates Kubernetes objects without a cluster: built-in kinds against the API's own schemas (npm
 * `kubernetes-models`), everything else as a custom resource, of which only the envelope is known.
 */
import { createRequire } from "node:module";
import { type PropertyMap, type PropertyValue, textOf } from "../properties.ts";

export interface Problem {
  property: string;
  reason: string;
}

const label = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
/** Kinds whose names are DNS labels, not subdomains. */
const labelNamed: ReadonlySet<string> = new Set(["Namespace", "Service"]);
/** Names of these are any path segment. */
const freelyNamed: ReadonlySet<string> = new Set([
  "Role",
  "ClusterRole",
  "RoleBinding",
  "ClusterRoleBinding",
]);
/** API groups of Kubernetes itself. Other groups with a domain are custom resources. */
const builtInGroups: ReadonlySet<string> = new Set([
  "",
  "admissionregistration.k8s.io",
  "apiextensions.k8s.io",
  "apiregistration.k8s.io",
  "apps",
  "autoscaling",
  "batch",
  "certificates.k8s.io",
  "coordination.k8s.io",
  "discovery.k8s.io",
  "events.k8s.io",
  "flowcontrol.apiserver.k8s.io",
  "networking.k8s.io",
  "node.k8s.io",
  "policy",
  "rbac.authorization.k8s.io",
  "scheduling.k8s.io",
  "storage.k8s.io",
]);
/** Built-in kinds without a namespace. */
const clusterScoped: ReadonlySet<string> = new Set([
  "Namespace",
  "Node",
  "PersistentVolume",
  "ClusterRole",
  "ClusterRoleBinding",
  "CustomResourceDefinition",
  "StorageClass",
  "PriorityClass",
  "IngressClass",
  "RuntimeClass",
  "APIService",
  "MutatingWebhookConfiguration",
  "ValidatingWebhookConfiguration",
  "ValidatingAdmissionPolicy",
  "ValidatingAdmissionPolicyBinding",
  "FlowSchema",
  "PriorityLevelConfiguration",
  "CSIDriver",
  "CSINode",
  "VolumeAttachment",
]);

const load = createRequire(import.meta.url);

interface ModelClass {
  prototype: { validate(): void };
}

function groupOf(apiVersion: string): string {
  return apiVersion.includes("/") ? (apiVersion.split("/")[0] ?? "") : "";
}

/** Whether the kind belongs to Kubernetes itself. */
export function isBuiltIn(apiVersion: string): boolean {
  return builtInGroups.has(groupOf(apiVersion));
}

/** Whether a built-in kind lives in a namespace. Unknown for custom resources. */
export function isNamespaced(apiVersion: string, kind: string): boolean | undefined {
  return isBuiltIn(apiVersion) ? !clusterScoped.has(kind) : undefined;
}

function modelOf(apiVersion: string, kind: string): ModelClass | undefined {
  if (!/^[\w./-]+$/.test(apiVersion) || !/^\w+$/.test(kind)) return undefined;
  try {
    const exported = load(`kubernetes-models/${apiVersion}/${kind}`) as Record<
      string,
      ModelClass | undefined
    >;
    return exported[kind];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "MODULE_NOT_FOUND") return undefined;
    throw error;
  }
}

/**
 * Watches which properties of an object the generated validator asks for. It asks for every property that the schema
 * knows, so a property that is there and was not asked for is unknown: the schemas themselves let those pass.
 */
class Watch {
  readonly #seen: { object: object; path: string; asked: Set<string>; isMap: boolean }[] = [];

  wrap(value: PropertyValue, path: string): PropertyValue {
    if (typeof value !== "object" || value === null) return value;
    if (Array.isArray(value)) {
      return value.map((inner: PropertyValue, index) => this.wrap(inner, `${path}[${index}]`));
    }
    const members = Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [
        key,
        this.wrap(inner, path === "" ? key : `${path}.${key}`),
      ]),
    );
    const record = { object: members, path, asked: new Set<string>(), isMap: false };
    this.#seen.push(record);
    return new Proxy(members, {
      get: (target, key) => {
        if (typeof key === "string") record.asked.add(key);
        return Reflect.get(target, key) as PropertyValue;
      },
      // The validator walks over all keys only of free-form maps.
      ownKeys: (target) => {
        record.isMap = true;
        return Reflect.ownKeys(target);
      },
    });
  }

  unknown(): Problem[] {
    return this.#seen.flatMap(({ object, path, asked, isMap }) =>
      // Never asked for anything: the schema says nothing of what is inside.
      isMap || asked.size === 0
        ? []
        : Object.keys(object)
            .filter((key) => !asked.has(key))
            .map((key) => ({
              property: path === "" ? key : `${path}.${key}`,
              reason: "is not a property that Kubernetes knows here",
            })),
    );
  }
}

interface SchemaError {
  instancePath: string;
  message?: string;
}

/** `/spec/containers/0/name` as `spec.containers[0].name`. */
function propertyPath(pointer: string): string {
  return pointer
    .split("/")
    .slice(1)
    .map((step, index) =>
      /^\d+$/.test(step)
        ? `[${step}]`
        : `${index === 0 ? "" : "."}${step.replaceAll("~1", "/").replaceAll("~0", "~")}`,
    )
    .join("");
}

function schemaProblems(model: ModelClass, object: PropertyMap): Problem[] {
  const watch = new Watch();
  const watched = watch.wrap(object, "");
  const problems: Problem[] = [];
  try {
    model.prototype.validate.call(watched as never);
  } catch (error) {
    const { errors, message } = error as { errors?: SchemaError[]; message: string };
    problems.push(
      ...(errors?.map(({ instancePath, message: reason }) => ({
        property: propertyPath(instancePath),
        reason: reason ?? "is not valid",
      })) ?? [{ property: "", reason: message }]),
    );
  }
  return [...problems, ...watch.unknown()];
}

/**
 * Everything that is wrong with an object.
 * @param object with `apiVersion`, `kind` and `metadata.name`
 */
export function objectProblems(object: PropertyMap): Problem[] {
  const { apiVersion, kind, metadata } = object;
  if (typeof apiVersion !== "string" || !/^([a-z0-9.-]+\/)?v\d+((alpha|beta)\d+)?$/.test(apiVersion)) {
    return [
      { property: "apiVersion", reason: `"${textOf(apiVersion)}" is no API version such as v1 or apps/v1` },
    ];
  }
  if (typeof kind !== "string" || !/^[A-Z][A-Za-z0-9]*$/.test(kind)) {
    return [{ property: "kind", reason: `"${textOf(kind)}" is no kind such as ConfigMap` }];
  }
  const problems: Problem[] = [];
  const { name, namespace } = metadata as { name?: unknown; namespace?: unknown };
  const pattern = labelNamed.has(kind) ? label : subdomain;
  if (
    typeof name !== "string" ||
    name.length > 253 ||
    !(freelyNamed.has(kind) ? /^[^/%]+$/ : pattern).test(name)
  ) {
    problems.push({
      property: "metadata.name",
      reason: `"${String(name)}" is no DNS-1123 ${labelNamed.has(kind) ? "label" : "subdomain"} (lower case letters, digits, "-")`,
    });
  }
  if (namespace !== undefined && (typeof namespace !== "string" || !label.test(namespace))) {
    problems.push({
      property: "metadata.namespace",
      reason: `${JSON.stringify(namespace)} is no DNS-1123 label`,
    });
  }
  if (!isBuiltIn(apiVersion)) return [...problems, ...customResourceProblems(object)];
  const model = modelOf(apiVersion, kind);
  if (model === undefined) {
    return [...problems, { property: "kind", reason: `Kubernetes has no kind ${kind} in ${apiVersion}` }];
  }
  return [...problems, ...schemaProblems(model, object)];
}

/** Of a custom resource only the envelope is known here: its own schema is its CRD's. */
function customResourceProblems(object: PropertyMap): Problem[] {
  const problems: Problem[] = [];
  const model = modelOf("v1", "ConfigMap");
  if (model !== undefined) {
    // A ConfigMap's metadata has the schema of all metadata.
    const { metadata = {} } = object;
    problems.push(...schemaProblems(model, { apiVersion: "v1", kind: "ConfigMap", metadata }));
  }
  const { spec } = object;
  if (spec !== undefined && (typeof spec !== "object" || spec === null || Array.isArray(spec))) {
    problems.push({ property: "spec", reason: "must be an object" });
  }
  return problems;
}
