import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { ruleGroups } from "./alert-rules.ts";
import { HelmChart } from "./custom-resources/helm-chart.ts";
import { PodMonitor, PrometheusRule } from "./custom-resources/prometheus.ts";
import type { K3s } from "./k3s.ts";
import { kafkaFacts } from "./kafka-facts.ts";
import { prometheusFacts } from "./prometheus-facts.ts";
import { namespaceNames } from "./settings.ts";
import { charts } from "./versions.ts";
import { metricsLabel } from "./workloads.ts";

const { namespace } = prometheusFacts;

/** What the parts of monitoring request, and where they run (seed 000: Prometheus on kafka-0 with 150 MB). */
export const monitoringParts = {
  prometheus: {
    node: "kafka-0",
    requests: { cpu: "100m", memory: "150Mi" },
    limits: { cpu: "500m", memory: "512Mi" },
  },
  configReloader: {
    node: "kafka-0",
    requests: { cpu: "10m", memory: "32Mi" },
    limits: { cpu: "100m", memory: "64Mi" },
  },
  operator: {
    node: "kafka-0",
    requests: { cpu: "50m", memory: "64Mi" },
    limits: { cpu: "200m", memory: "128Mi" },
  },
  kubeStateMetrics: {
    node: "kafka-0",
    requests: { cpu: "10m", memory: "48Mi" },
    limits: { cpu: "100m", memory: "128Mi" },
  },
} as const;

const resources = (part: keyof typeof monitoringParts) => ({
  requests: monitoringParts[part].requests,
  limits: monitoringParts[part].limits,
});
const placed = (part: keyof typeof monitoringParts) => ({
  "kubernetes.io/hostname": monitoringParts[part].node,
});

/** Values of the chart kube-prometheus-stack, as far as they differ from its own. */
export const prometheusValues = {
  defaultRules: { create: false },
  alertmanager: { enabled: false },
  grafana: { enabled: false },
  nodeExporter: { enabled: false },
  // Parts of the control plane that k3s holds in one process; what counts here is pods and Kafka.
  kubeApiServer: { enabled: false },
  kubelet: { enabled: false },
  kubeControllerManager: { enabled: false },
  kubeEtcd: { enabled: false },
  kubeScheduler: { enabled: false },
  kubeProxy: { enabled: false },
  coreDns: { enabled: false },
  "kube-state-metrics": {
    collectors: ["deployments", "jobs", "nodes", "pods", "statefulsets"],
    nodeSelector: placed("kubeStateMetrics"),
    resources: resources("kubeStateMetrics"),
  },
  prometheusOperator: {
    // No certificates and no hook jobs: our rules are checked by tests.
    admissionWebhooks: { enabled: false },
    tls: { enabled: false },
    kubeletService: { enabled: false },
    nodeSelector: placed("operator"),
    resources: resources("operator"),
    prometheusConfigReloader: { resources: resources("configReloader") },
  },
  prometheus: {
    prometheusSpec: {
      retention: "7d",
      nodeSelector: placed("prometheus"),
      resources: resources("prometheus"),
      scrapeInterval: "15s",
      evaluationInterval: "15s",
      ruleSelectorNilUsesHelmValues: false,
      serviceMonitorSelectorNilUsesHelmValues: false,
      podMonitorSelectorNilUsesHelmValues: false,
    },
  },
} as const;

export interface MonitoringArgs {
  k3s: K3s;
  /** `YYYY-MM-DD`; rules that make sense only in market hours need it. */
  businessDate: pulumi.Output<string>;
}

/** Prometheus with its own user interface, what it scrapes, and the rules it watches. */
export class Monitoring extends pulumi.ComponentResource {
  constructor(name: string, args: MonitoringArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trading:components:Monitoring", name, {}, opts);
    const { k3s } = args;

    const home = new kubernetes.core.v1.Namespace(
      `${name}-namespace`,
      { metadata: { name: namespace, labels: { "pod-security.kubernetes.io/enforce": "baseline" } } },
      k3s.inCluster(this),
    );
    const chart = new HelmChart(
      `${name}-prometheus`,
      {
        release: "prometheus",
        chart: charts.prometheus,
        targetNamespace: namespace,
        values: prometheusValues,
      },
      k3s.inCluster(this, [home]),
    );
    const definitions = k3s.waitForCrds(
      `${name}-definitions`,
      ["podmonitors.monitoring.coreos.com", "prometheusrules.monitoring.coreos.com"],
      { parent: this, dependsOn: [chart] },
    );
    const options = k3s.inCluster(this, [definitions]);

    new PodMonitor(
      `${name}-services`,
      {
        metadata: { name: "services", namespace },
        spec: {
          selector: { matchLabels: metricsLabel },
          namespaceSelector: { matchNames: namespaceNames },
          podMetricsEndpoints: [{ port: "http", path: "/metrics" }],
        },
      },
      options,
    );
    new PodMonitor(
      `${name}-kafka`,
      {
        metadata: { name: "kafka", namespace },
        spec: {
          selector: {
            // Brokers, and the exporter that knows the consumers' lag.
            matchExpressions: [{ key: "strimzi.io/kind", operator: "In", values: ["Kafka"] }],
          },
          namespaceSelector: { matchNames: [kafkaFacts.namespace] },
          podMetricsEndpoints: [{ port: "tcp-prometheus", path: "/metrics" }],
        },
      },
      options,
    );
    new PrometheusRule(
      `${name}-rules`,
      {
        metadata: { name: "trading", namespace },
        spec: args.businessDate.apply((date) => ({ groups: ruleGroups(date) })),
      },
      options,
    );
    this.registerOutputs({});
  }
}
