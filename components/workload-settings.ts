/**
 * What a service is told beside the cluster's common settings and its secrets: derived from its row, so it is the same
 * everywhere and stands in Git.
 */
import { createHash } from "node:crypto";
import {
  catalog,
  consumerGroups,
  type Deployable,
  drainingServices,
  drainsAfter,
  executionVenues,
  type Namespace,
} from "../services/catalog.ts";
import { prometheusFacts } from "./prometheus-facts.ts";

/** Port of health and metrics, the only one that a service listens on. */
export const httpPort = 8080;

/** A service's own variables. */
export interface WorkloadSettings {
  /** Values of its ConfigMap. */
  data: Record<string, string>;
  /** Variables of its container that are made from others: only there does Kubernetes put `$(NAME)` in. */
  variables: { name: string; value: string }[];
}

/** The namespaces whose pods' logs and events are evidence: those of the services, and so Kafka's. */
export const evidenceNamespaces: readonly Namespace[] = [
  ...new Set(catalog.map(({ namespace }) => namespace)),
].sort();

/** A service's own variables. */
export function workloadSettings(service: Deployable): WorkloadSettings {
  const data: Record<string, string> = {
    SERVICE_NAME: service.name,
    HTTP_PORT: String(httpPort),
    DRAIN_AFTER: drainsAfter(service).join(","),
  };
  const variables: WorkloadSettings["variables"] = [];
  if (service.name === "archiver") data["DRAINING_SERVICES"] = drainingServices().join(",");
  if (service.keepsEvidence === true) {
    data["EVIDENCE_KUBERNETES_NAMESPACES"] = evidenceNamespaces.join(",");
    data["EVIDENCE_PROMETHEUS_URL"] = prometheusFacts.url;
  }
  if (service.name === "result-monitor") {
    data["CANARY_VENUES"] = executionVenues().join(",");
    // `group:topic+topic,group:topic`. These objects stand in Git, the date is the cluster's.
    const groups = consumerGroups().map(({ group, topics }) => `${group}:${topics.join("+")}`);
    const value = groups.join(",").replaceAll("<business-date>", "$(BUSINESS_DATE)");
    variables.push({ name: "MONITORED_GROUPS", value });
  }
  if (service.stateDirectory !== undefined) data["STATE_DIRECTORY"] = service.stateDirectory;
  return { data: { ...data, ...service.runtime }, variables };
}

/** Changes when a value does: in a pod's template, it makes a change of the ConfigMap start the pod anew. */
export function settingsChecksum(data: Readonly<Record<string, string>>): string {
  return createHash("sha256")
    .update(JSON.stringify(Object.entries(data).sort()))
    .digest("hex")
    .slice(0, 16);
}
