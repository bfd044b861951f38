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

/**
 * The image of the jobs by which k3s's Helm controller installs charts: `VERSION_HELM_JOB` in `scripts/version.sh` of that
 * k3s line. k3s goes on naming it by itself, so one that is wrong here costs the fetching of another, nothing else.
 */
export const helmJobImage = "docker.io/rancher/klipper-helm:v0.13.3-build20260727";

/** Operating system image of every server: https://docs.hetzner.com/cloud/servers/overview/ (system images). */
export const serverImage = "ubuntu-24.04";

/** Apache Kafka in Strimzi 1.2 (supports 4.2.0 to 4.3.1). `metadataVersion` is the KRaft feature level of the same line. */
export const kafka = {
  version: "4.3.1",
  metadataVersion: "4.3-IV0",
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

/**
 * The images that the charts above and the Kafka version name, so that nodes can fetch them before they are asked for.
 * The charts go on naming them by themselves: one that is wrong here costs time, nothing else. Raise them with the chart.
 */
export const chartImages = {
  /** Chart strimzi-kafka-operator: `defaultImageTag` is the release, Kafka's images carry both versions. */
  strimziOperator: `quay.io/strimzi/operator:${charts.strimzi.version}`,
  /** Brokers and the exporter. */
  kafka: `quay.io/strimzi/kafka:${charts.strimzi.version}-kafka-${kafka.version}`,
  /** Chart kube-prometheus-stack 88.5.3: `appVersion` v0.93.1 is the operator's and the reloader's tag. */
  prometheusOperator: "quay.io/prometheus-operator/prometheus-operator:v0.93.1",
  prometheusConfigReloader: "quay.io/prometheus-operator/prometheus-config-reloader:v0.93.1",
  /** The same chart's `prometheus.prometheusSpec.image`. */
  prometheus: "quay.io/prometheus/prometheus:v3.14.0-distroless",
  /** Its dependency kube-state-metrics 8.4.0: `appVersion` 2.20.0. */
  kubeStateMetrics: "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.20.0",
  /** Chart argo-cd 10.1.1: `appVersion` v3.4.4 (controller, repository server, and the job that makes redis' password). */
  argoCd: "quay.io/argoproj/argocd:v3.4.4",
  /** The same chart's `redis.image`. */
  redis: "ecr-public.aws.com/docker/library/redis:8.2.3-alpine",
} as const;

/** Where the service images live and which release of them runs unless `trading:images` says otherwise. */
export const serviceImages = {
  registry: "ghcr.io/trading-cz",
  version: "v0.1.0",
} as const;

/**
 * What the service images are built from and on: the same Node release line, which has been LTS since 2026-10-28
 * (https://github.com/nodejs/Release, `schedule.json`). The Dockerfile names both; a check holds them equal to these.
 */
export const serviceImageBases = {
  /** Node of the build, and of the check that starts every service from its image's files. */
  node: "26.10.0",
  build: "node:26.10.0-trixie-slim@sha256:ec7758ee051e457b468b32bde57b0879010b325bb9862718e9615225ce4aaae1",
  /** Node and the libraries that it needs: no shell, no package manager. Its patch release may differ from the build's. */
  runtime:
    "gcr.io/distroless/nodejs26-debian13:nonroot@sha256:afc6657a4b662f9cb69ca892b0596e55d6ef81a10e83ee8887b13f602877df89",
} as const;
