/** What the charts of our clusters bring, as far as it takes time: definitions, pods and their images. */
import type { TimedStep } from "../hetzner/durations.ts";

/** A pod that a chart, or an operator of it, starts. */
export interface ChartPod {
  name: string;
  /** Parts of the names of its images, as `imageMegabytes` has them. */
  images: readonly string[];
  /** From its images on the node to Ready. */
  step: TimedStep;
  /** Where the chart's values name its node. */
  nodeAt: readonly string[];
  /** A pod of the same chart that starts it. */
  startedBy?: string;
}

export interface ChartContents {
  /** Groups of its custom resource definitions. */
  groups: readonly string[];
  pods: readonly ChartPod[];
}

/** The job that installs a chart runs this image. */
export const helmJobImage = "rancher/klipper-helm";
/** What brokers run. */
export const brokerImage = "strimzi/kafka";

const hostname = ["nodeSelector", "kubernetes.io/hostname"];

/** By the chart's name. */
export const chartContents: Readonly<Record<string, ChartContents>> = {
  "strimzi-kafka-operator": {
    groups: ["kafka.strimzi.io", "core.strimzi.io"],
    pods: [
      { name: "strimzi-operator", images: ["strimzi/operator"], step: "operator_ready", nodeAt: hostname },
    ],
  },
  "kube-prometheus-stack": {
    groups: ["monitoring.coreos.com"],
    pods: [
      {
        name: "prometheus-operator",
        images: ["prometheus-operator/prometheus-operator"],
        step: "operator_ready",
        nodeAt: ["prometheusOperator", ...hostname],
      },
      {
        name: "kube-state-metrics",
        images: ["kube-state-metrics"],
        step: "operator_ready",
        nodeAt: ["kube-state-metrics", ...hostname],
      },
      {
        name: "prometheus",
        images: ["prometheus/prometheus", "prometheus-config-reloader"],
        step: "prometheus_ready",
        nodeAt: ["prometheus", "prometheusSpec", ...hostname],
        startedBy: "prometheus-operator",
      },
    ],
  },
  "argo-cd": {
    groups: ["argoproj.io"],
    pods: [
      {
        name: "argo-cd",
        images: ["argoproj/argocd", "redis"],
        step: "argocd_ready",
        nodeAt: ["global", ...hostname],
      },
    ],
  },
};
