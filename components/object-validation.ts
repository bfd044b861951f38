/** Validates objects against the schemas of Kubernetes and of the Prometheus operator, without a cluster. */
import { PodMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PodMonitor";
import { Deployment } from "kubernetes-models/apps/v1/Deployment";
import { StatefulSet } from "kubernetes-models/apps/v1/StatefulSet";
import { Job } from "kubernetes-models/batch/v1/Job";
import { NetworkPolicy } from "kubernetes-models/networking.k8s.io/v1/NetworkPolicy";
import { PodDisruptionBudget } from "kubernetes-models/policy/v1/PodDisruptionBudget";
import { ConfigMap } from "kubernetes-models/v1/ConfigMap";
import { Service } from "kubernetes-models/v1/Service";
import { ServiceAccount } from "kubernetes-models/v1/ServiceAccount";
import type { WorkloadObject } from "./workloads.ts";

/** A generated class with the validator of its kind. */
interface Model {
  prototype: { validate(): void };
}

const models = {
  ConfigMap,
  Deployment,
  Job,
  NetworkPolicy,
  PodDisruptionBudget,
  PodMonitor,
  Service,
  ServiceAccount,
  StatefulSet,
} as const satisfies Record<WorkloadObject["kind"], Model>;

interface SchemaError {
  instancePath: string;
  message?: string;
}

/** Objects that no cluster would take. `message` has all mistakes of all of them. */
export class InvalidObjectsError extends Error {
  override name = "InvalidObjectsError";
}

function mistakesOf(object: WorkloadObject): string[] {
  const { kind, metadata } = object;
  const place = `${kind} ${metadata.namespace}/${metadata.name}`;
  const model: Model = models[kind];
  try {
    // The validator wants a plain object; a value of `undefined` is not written to a file either.
    model.prototype.validate.call(JSON.parse(JSON.stringify(object)) as never);
    return [];
  } catch (error) {
    const { errors, message } = error as { errors?: SchemaError[]; message: string };
    return (errors ?? [{ instancePath: "", message }]).map(
      ({ instancePath, message: reason }) => `${place}${instancePath}: ${reason ?? "is not valid"}`,
    );
  }
}

/**
 * Holds objects against their schemas. Unknown properties are the compiler's to find, and the API server's.
 * @throws InvalidObjectsError with all mistakes
 */
export function demandValid(objects: readonly WorkloadObject[]): void {
  const mistakes = objects.flatMap(mistakesOf);
  if (mistakes.length === 0) return;
  throw new InvalidObjectsError(
    `Kubernetes would refuse what the catalog says:\n${mistakes.map((mistake) => `  ${mistake}`).join("\n")}\n` +
      "Correct the row in services/catalog.ts, or what is made of it in components/workload*.ts.",
  );
}
