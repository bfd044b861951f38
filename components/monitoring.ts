import * as pulumi from "@pulumi/pulumi";
import { ruleGroups } from "./alert-rules.ts";
import { HelmChart } from "./custom-resources/helm-chart.ts";
import { PodMonitor, PrometheusRule } from "./custom-resources/prometheus.ts";
import type { K3s } from "./k3s.ts";
import { kafkaFacts } from "./kafka-facts.ts";
import type { Namespaces } from "./namespaces.ts";
import type { NodeName } from "./node-plans.ts";
import { monitoringParts } from "./platform-pods.ts";
import { prometheusFacts } from "./prometheus-facts.ts";
import { charts } from "./versions.ts";

const { namespace } = prometheusFacts;

const resources = (part: keyof typeof monitoringParts) => ({
  requests: monitoringParts[part].requests,
  limits: monitoringParts[part].limits,
});
/** Values of the chart kube-prometheus-stack, as far as they differ from its own. @param node where its pods run. */
export const prometheusValues = (node: NodeName) => ({
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
    nodeSelector: { "kubernetes.io/hostname": node },
    resources: resources("kubeStateMetrics"),
  },
  prometheusOperator: {
    // No certificates and no hook jobs: our rules are checked by tests.
    admissionWebhooks: { enabled: false },
    tls: { enabled: false },
    kubeletService: { enabled: false },
    nodeSelector: { "kubernetes.io/hostname": node },
    resources: resources("operator"),
    prometheusConfigReloader: { resources: resources("configReloader") },
  },
  prometheus: {
    prometheusSpec: {
      retention: "7d",
      nodeSelector: { "kubernetes.io/hostname": node },
      resources: resources("prometheus"),
      scrapeInterval: "15s",
      evaluationInterval: "15s",
      ruleSelectorNilUsesHelmValues: false,
      serviceMonitorSelectorNilUsesHelmValues: false,
      podMonitorSelectorNilUsesHelmValues: false,
    },
  },
});

export interface MonitoringArgs {
  k3s: K3s;
  namespaces: Namespaces;
  /** Where monitoring runs. */
  node: NodeName;
  /** How many brokers there should be. */
  brokers: number;
  /** `YYYY-MM-DD`; rules that make sense only in market hours need it. */
  businessDate: pulumi.Output<string>;
}

/** Prometheus with its own user interface, its sight of Kafka, and the rules it watches. Services bring their own monitors. */
export class Monitoring extends pulumi.ComponentResource {
  constructor(name: string, args: MonitoringArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trading:components:Monitoring", name, {}, opts);
    const { k3s } = args;

    const chart = new HelmChart(
      `${name}-prometheus`,
      {
        release: "prometheus",
        chart: charts.prometheus,
        targetNamespace: namespace,
        values: prometheusValues(args.node),
      },
      k3s.inCluster(this, args.namespaces.before("monitoring")),
    );
    const definitions = k3s.waitForCrds(
      `${name}-definitions`,
      ["podmonitors.monitoring.coreos.com", "prometheusrules.monitoring.coreos.com"],
      { parent: this, dependsOn: [chart] },
    );
    const options = k3s.inCluster(this, [definitions]);

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
        spec: args.businessDate.apply((date) => ({ groups: ruleGroups(date, args.brokers) })),
      },
      options,
    );
    this.registerOutputs({});
  }
}
