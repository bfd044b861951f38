/** From a row of the catalog to Kubernetes objects. Pure: the same objects go to Git and to the cluster. */
import type { types } from "@pulumi/kubernetes";
import { catalog, type Deployable } from "../services/catalog.ts";
import type { PodMonitorSpec } from "./custom-resources/prometheus.ts";
import { type Images, labelsOf, podTemplate } from "./workload-pod.ts";
import { networkPolicy } from "./workload-policy.ts";
import { httpPort, workloadSettings } from "./workload-settings.ts";

export { evidenceNamespaces } from "./workload-settings.ts";
export { imageOf, type Images, metricsLabel, pinOf, servicesNode } from "./workload-pod.ts";

type Spec<Resource extends { spec?: unknown }> = { spec: NonNullable<Resource["spec"]> };

/** An object of one kind. Every value in it is plain, so that it can be written to a file as it stands. */
type Plain<Version extends string, Kind extends string, Content> = {
  apiVersion: Version;
  kind: Kind;
  metadata: {
    name: string;
    namespace: string;
    labels: Record<string, string>;
    annotations?: Record<string, string>;
  };
} & Content;

/** Any object that a service is made of. */
export type WorkloadObject =
  | Plain<"v1", "ServiceAccount", { automountServiceAccountToken: boolean }>
  | Plain<"v1", "ConfigMap", { data: Record<string, string> }>
  | Plain<"networking.k8s.io/v1", "NetworkPolicy", Spec<types.input.networking.v1.NetworkPolicy>>
  | Plain<"v1", "Service", Spec<types.input.core.v1.Service>>
  | Plain<"batch/v1", "Job", Spec<types.input.batch.v1.Job>>
  | Plain<"apps/v1", "Deployment", Spec<types.input.apps.v1.Deployment>>
  | Plain<"apps/v1", "StatefulSet", Spec<types.input.apps.v1.StatefulSet>>
  | Plain<"policy/v1", "PodDisruptionBudget", Spec<types.input.policy.v1.PodDisruptionBudget>>
  | Plain<"monitoring.coreos.com/v1", "PodMonitor", { spec: PodMonitorSpec }>;

/** The kinds of the objects whose pods run. */
export const podKinds = ["Job", "Deployment", "StatefulSet"] as const;

/**
 * Pods of each service. Never two of one: venues allow one connection, executors would share the partitions, and the
 * drain counts one answer a service.
 */
export const replicas = 1;

/** Whether a row runs all day, as opposed to once. */
const runsAllDay = (service: Deployable): boolean => service.kind !== "Job";

/** The rows that run once, before all others. They are Pulumi's in either way of delivery. */
export const jobs: readonly Deployable[] = catalog.filter((service) => !runsAllDay(service));

/** The rows that run all day: what Argo CD syncs. */
export const services: readonly Deployable[] = catalog.filter(runsAllDay);

/** The objects of one service: what its pod needs, the pod, and what watches over it. */
export function workloadObjects(service: Deployable, images: Images): WorkloadObject[] {
  const metadata = { name: service.name, namespace: service.namespace, labels: labelsOf(service) };
  const matchLabels = { "app.kubernetes.io/name": service.name };
  const settings = workloadSettings(service);
  return [
    // A pod that needs the token asks for it itself.
    { apiVersion: "v1", kind: "ServiceAccount", metadata, automountServiceAccountToken: false },
    { apiVersion: "v1", kind: "ConfigMap", metadata, data: settings.data },
    {
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      metadata,
      spec: networkPolicy(service),
    },
    ...podObjects(service, metadata, matchLabels, podTemplate(service, images, settings)),
    ...disruptionBudget(service, metadata, matchLabels),
    ...podMonitor(service, metadata, matchLabels),
  ];
}

type Metadata = WorkloadObject["metadata"];
type Labels = Record<string, string>;

/**
 * Whether a pod's interruption loses something that no restart brings back: what a venue sent in the meantime, or the
 * time in which an order should have been placed. The others read on in Kafka where they were.
 */
function talksToVenue(service: Deployable): boolean {
  return (service.reaches ?? []).some((outside) => outside !== "archive");
}

/** What tells who drains the node: there is no other to go to, so an eviction is an outage. */
function disruptionBudget(service: Deployable, metadata: Metadata, matchLabels: Labels): WorkloadObject[] {
  if (!talksToVenue(service)) return [];
  return [
    {
      apiVersion: "policy/v1",
      kind: "PodDisruptionBudget",
      metadata,
      // A pod that is not healthy holds nothing up.
      spec: { maxUnavailable: 0, unhealthyPodEvictionPolicy: "AlwaysAllow", selector: { matchLabels } },
    },
  ];
}

/** How Prometheus finds the pods. A Job has ended before anyone would look. */
function podMonitor(service: Deployable, metadata: Metadata, matchLabels: Labels): WorkloadObject[] {
  if (!runsAllDay(service)) return [];
  return [
    {
      apiVersion: "monitoring.coreos.com/v1",
      kind: "PodMonitor",
      metadata,
      spec: {
        jobLabel: "app.kubernetes.io/name",
        selector: { matchLabels },
        podMetricsEndpoints: [{ port: "http", path: "/metrics" }],
      },
    },
  ];
}

/** A Job, a Deployment, or a StatefulSet with its headless Service. */
function podObjects(
  service: Deployable,
  metadata: Metadata,
  matchLabels: Labels,
  template: types.input.core.v1.PodTemplateSpec,
): WorkloadObject[] {
  const selector = { matchLabels };
  switch (service.kind) {
    case "Job":
      return [
        {
          apiVersion: "batch/v1",
          kind: "Job",
          metadata,
          spec: { backoffLimit: 6, activeDeadlineSeconds: 600, template },
        },
      ];
    case "Deployment":
      return [
        {
          apiVersion: "apps/v1",
          kind: "Deployment",
          metadata,
          // The old pod ends before the new one starts.
          spec: { replicas, revisionHistoryLimit: 2, strategy: { type: "Recreate" }, selector, template },
        },
      ];
    case "StatefulSet":
      return [
        {
          apiVersion: "v1",
          kind: "Service",
          metadata,
          spec: {
            clusterIP: "None",
            selector: matchLabels,
            ports: [{ name: "http", port: httpPort, protocol: "TCP" }],
          },
        },
        {
          apiVersion: "apps/v1",
          kind: "StatefulSet",
          metadata,
          spec: {
            replicas,
            serviceName: service.name,
            revisionHistoryLimit: 2,
            selector,
            template,
            volumeClaimTemplates: [
              {
                // As the API server completes it: the list is compared as a whole, so what is missing here would be
                // a difference that Argo CD never gets rid of (https://github.com/argoproj/argo-cd/issues/11143).
                apiVersion: "v1",
                kind: "PersistentVolumeClaim",
                metadata: { name: "state" },
                spec: {
                  accessModes: ["ReadWriteOnce"],
                  volumeMode: "Filesystem",
                  storageClassName: "local-path",
                  resources: { requests: { storage: "1Gi" } },
                },
              },
            ],
          },
        },
      ];
  }
}
