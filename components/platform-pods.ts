/**
 * What the pods beside brokers and services request and may take. On which node they run stands in placement.ts, and
 * placed-pods.ts adds it all up. Plain values: who only asks what fits needs no provider.
 */
import type { Quantities } from "../services/catalog.ts";

/** Resources of one pod or container. */
export interface PodResources {
  requests: Quantities;
  limits: Quantities;
}

/** The Strimzi operator and the exporter of consumer lag. */
export const kafkaHelpers = {
  operator: { requests: { cpu: "100m", memory: "384Mi" }, limits: { cpu: "1000m", memory: "512Mi" } },
  exporter: { requests: { cpu: "50m", memory: "64Mi" }, limits: { cpu: "500m", memory: "128Mi" } },
} as const satisfies Record<string, PodResources>;

/** Monitoring (seed 000: Prometheus with 150 MB). */
export const monitoringParts = {
  prometheus: { requests: { cpu: "100m", memory: "150Mi" }, limits: { cpu: "500m", memory: "512Mi" } },
  configReloader: { requests: { cpu: "10m", memory: "32Mi" }, limits: { cpu: "100m", memory: "64Mi" } },
  operator: { requests: { cpu: "50m", memory: "64Mi" }, limits: { cpu: "200m", memory: "128Mi" } },
  kubeStateMetrics: { requests: { cpu: "10m", memory: "48Mi" }, limits: { cpu: "100m", memory: "128Mi" } },
} as const satisfies Record<string, PodResources>;

/** Argo CD (seed 000: 200 MB in all). */
export const argoCdParts = {
  controller: { requests: { cpu: "50m", memory: "112Mi" }, limits: { cpu: "500m", memory: "384Mi" } },
  repoServer: { requests: { cpu: "20m", memory: "64Mi" }, limits: { cpu: "500m", memory: "256Mi" } },
  redis: { requests: { cpu: "10m", memory: "24Mi" }, limits: { cpu: "100m", memory: "64Mi" } },
} as const satisfies Record<string, PodResources>;
