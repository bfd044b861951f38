/**
 * Every version that the cluster runs, in one place. Nothing else names a version, a chart or an image tag.
 * Raise one line, run the tests, bring up `dev`.
 */

/** k3s: https://github.com/k3s-io/k3s/releases. */
export const k3s = {
  version: "v1.36.5+k3s1",
  /** sha256 of the release asset `k3s` for x86-64, from the release's `sha256sum-amd64.txt`. */
  sha256: "d73847bcd3c5fccef0115b372e2f9a91f3032dc84bbf71518a4617565294d313",
} as const;

/** Operating system image of every server: https://docs.hetzner.com/cloud/servers/overview/ (system images). */
export const serverImage = "ubuntu-24.04";

/** Apache Kafka in Strimzi 1.2 (supports 4.2.0 to 4.3.1). `metadataVersion` is the KRaft feature level of the same line. */
export const kafka = {
  version: "4.3.1",
  metadataVersion: "4.3-IV0",
} as const;

/** Strimzi's images for these versions; nodes fetch them while the control plane starts. */
export const strimziImages = {
  operator: "quay.io/strimzi/operator:1.2.0",
  kafka: `quay.io/strimzi/kafka:1.2.0-kafka-${kafka.version}`,
} as const;

/** A Helm chart, installed by the k3s helm controller. */
export interface ChartPin {
  /** Chart repository (https). */
  repo: string;
  chart: string;
  version: string;
}

export const charts = {
  /** https://strimzi.io/charts/ */
  strimzi: { repo: "https://strimzi.io/charts/", chart: "strimzi-kafka-operator", version: "1.2.0" },
  /** https://github.com/prometheus-community/helm-charts */
  prometheus: {
    repo: "https://prometheus-community.github.io/helm-charts",
    chart: "kube-prometheus-stack",
    version: "88.5.3",
  },
  /** https://github.com/argoproj/argo-helm */
  argoCd: { repo: "https://argoproj.github.io/argo-helm", chart: "argo-cd", version: "10.1.1" },
} as const satisfies Record<string, ChartPin>;

/** Where the service images live and which release of them runs unless `trading:images` says otherwise. */
export const serviceImages = {
  registry: "ghcr.io/trading-cz",
  version: "v0.1.0",
} as const;
