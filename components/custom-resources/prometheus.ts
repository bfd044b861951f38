/** `monitoring.coreos.com/v1` as far as this cluster uses it: https://prometheus-operator.dev/docs/api-reference/api/ */
import * as kubernetes from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";

type Metadata = kubernetes.types.input.meta.v1.ObjectMeta;

export interface AlertRule {
  alert: string;
  /** PromQL. */
  expr: string;
  /** How long the expression must hold, for example `2m`. */
  for: string;
  labels: { severity: "warning" | "critical" };
  annotations: { summary: string; description: string };
}

export interface RecordingRule {
  record: string;
  /** PromQL. */
  expr: string;
}

export interface RuleGroup {
  name: string;
  rules: (AlertRule | RecordingRule)[];
}

export class PrometheusRule extends kubernetes.apiextensions.CustomResource {
  constructor(
    name: string,
    args: { metadata: Metadata; spec: pulumi.Input<{ groups: RuleGroup[] }> },
    opts: pulumi.CustomResourceOptions,
  ) {
    super(name, { apiVersion: "monitoring.coreos.com/v1", kind: "PrometheusRule", ...args }, opts);
  }
}

export interface PodMonitorSpec {
  /** Label of the pods whose value is the series' label `job`. Default: `<namespace>/<name>` of this object. */
  jobLabel?: string;
  selector: {
    matchLabels?: Record<string, string>;
    matchExpressions?: { key: string; operator: "In" | "Exists"; values?: string[] }[];
  };
  /** Default: the namespace of this object. */
  namespaceSelector?: { matchNames: string[] };
  podMetricsEndpoints: {
    port: string;
    path: string;
    relabelings?: {
      action?: "labelmap" | "replace";
      regex?: string;
      sourceLabels?: string[];
      targetLabel?: string;
      replacement?: string;
    }[];
  }[];
}

export class PodMonitor extends kubernetes.apiextensions.CustomResource {
  constructor(
    name: string,
    args: { metadata: Metadata; spec: PodMonitorSpec },
    opts: pulumi.CustomResourceOptions,
  ) {
    super(name, { apiVersion: "monitoring.coreos.com/v1", kind: "PodMonitor", ...args }, opts);
  }
}
