import * as kubernetes from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import { PodMonitor } from "./custom-resources/prometheus.ts";
import { podKinds, type WorkloadObject } from "./workloads.ts";

/** Follows the service's name in the name of the resource. What runs pods has the service's name itself. */
const suffixes = {
  ServiceAccount: "-account",
  ConfigMap: "-settings",
  NetworkPolicy: "-policy",
  Service: "-service",
  Job: "",
  Deployment: "",
  StatefulSet: "",
  PodDisruptionBudget: "-disruption-budget",
  PodMonitor: "-monitor",
} as const satisfies Record<WorkloadObject["kind"], string>;

/** Registers an object of a service with Pulumi, by its kind. */
function workloadResource(
  name: string,
  object: WorkloadObject,
  options: pulumi.CustomResourceOptions,
): pulumi.CustomResource {
  const { metadata } = object;
  switch (object.kind) {
    case "ServiceAccount": {
      const { automountServiceAccountToken } = object;
      return new kubernetes.core.v1.ServiceAccount(name, { metadata, automountServiceAccountToken }, options);
    }
    case "ConfigMap":
      return new kubernetes.core.v1.ConfigMap(name, { metadata, data: object.data }, options);
    case "NetworkPolicy":
      return new kubernetes.networking.v1.NetworkPolicy(name, { metadata, spec: object.spec }, options);
    case "Job":
      return new kubernetes.batch.v1.Job(name, { metadata, spec: object.spec }, options);
    case "Deployment":
      return new kubernetes.apps.v1.Deployment(name, { metadata, spec: object.spec }, options);
    case "StatefulSet":
      return new kubernetes.apps.v1.StatefulSet(name, { metadata, spec: object.spec }, options);
    case "Service":
      return new kubernetes.core.v1.Service(name, { metadata, spec: object.spec }, options);
    case "PodDisruptionBudget":
      return new kubernetes.policy.v1.PodDisruptionBudget(name, { metadata, spec: object.spec }, options);
    case "PodMonitor":
      return new PodMonitor(name, { metadata, spec: object.spec }, options);
  }
}

/**
 * Registers all objects of a service with Pulumi. What the pods need is there before them, and so are their limits.
 * @param objects of one service, from `workloadObjects`
 * @param options of a resource, given what it must come after among these
 */
export function workloadResources(
  objects: readonly WorkloadObject[],
  options: (after: pulumi.Resource[]) => pulumi.CustomResourceOptions,
): void {
  const runsPods = ({ kind }: WorkloadObject) => podKinds.some((each) => each === kind);
  const register = (object: WorkloadObject, after: pulumi.Resource[]) =>
    workloadResource(object.metadata.name + suffixes[object.kind], object, options(after));
  const needed = objects.filter((object) => !runsPods(object)).map((object) => register(object, []));
  for (const object of objects.filter(runsPods)) register(object, needed);
}
