import * as kubernetes from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import type { WorkloadObject } from "./workloads.ts";

/** Registers an object of a service with Pulumi, by its kind. */
export function workloadResource(
  name: string,
  object: WorkloadObject,
  options: pulumi.CustomResourceOptions,
): pulumi.CustomResource {
  const { metadata } = object;
  switch (object.kind) {
    case "Job":
      return new kubernetes.batch.v1.Job(name, { metadata, spec: object.spec }, options);
    case "Deployment":
      return new kubernetes.apps.v1.Deployment(name, { metadata, spec: object.spec }, options);
    case "StatefulSet":
      return new kubernetes.apps.v1.StatefulSet(name, { metadata, spec: object.spec }, options);
    case "Service":
      return new kubernetes.core.v1.Service(name, { metadata, spec: object.spec }, options);
  }
}
