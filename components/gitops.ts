import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { HelmChart } from "./custom-resources/helm-chart.ts";
import type { K3s } from "./k3s.ts";
import { charts } from "./versions.ts";

export const argoCdNamespace = "argocd";
const node = "k3s-control";

/** What the parts of Argo CD request (seed 000: 200 MB in all). */
export const argoCdParts = {
  controller: {
    node,
    requests: { cpu: "50m", memory: "112Mi" },
    limits: { cpu: "500m", memory: "384Mi" },
  },
  repoServer: {
    node,
    requests: { cpu: "20m", memory: "64Mi" },
    limits: { cpu: "500m", memory: "256Mi" },
  },
  redis: {
    node,
    requests: { cpu: "10m", memory: "24Mi" },
    limits: { cpu: "100m", memory: "64Mi" },
  },
} as const;

const resources = (part: keyof typeof argoCdParts) => ({
  resources: { requests: argoCdParts[part].requests, limits: argoCdParts[part].limits },
});

/** Values of the chart argo-cd that leave its core: controller, repository server and cache. */
export const argoCdValues = {
  global: { nodeSelector: { "kubernetes.io/hostname": node } },
  // What Git says is there within a minute, not within three.
  configs: { cm: { "timeout.reconciliation": "60s", "timeout.reconciliation.jitter": "0s" } },
  controller: resources("controller"),
  repoServer: resources("repoServer"),
  redis: resources("redis"),
  // The chart has no switch for these two.
  server: { replicas: 0 },
  applicationSet: { replicas: 0 },
  dex: { enabled: false },
  notifications: { enabled: false },
} as const;

export interface GitopsArgs {
  k3s: K3s;
}

/** Argo CD core on k3s-control. */
export class Gitops extends pulumi.ComponentResource {
  constructor(name: string, args: GitopsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trading:components:Gitops", name, {}, opts);
    const { k3s } = args;

    const home = new kubernetes.core.v1.Namespace(
      `${name}-namespace`,
      {
        metadata: { name: argoCdNamespace, labels: { "pod-security.kubernetes.io/enforce": "baseline" } },
      },
      k3s.inCluster(this),
    );
    const chart = new HelmChart(
      `${name}-argo-cd`,
      {
        release: "argocd",
        chart: charts.argoCd,
        targetNamespace: argoCdNamespace,
        values: argoCdValues,
      },
      k3s.inCluster(this, [home]),
    );
    k3s.waitForCrds(`${name}-definitions`, ["applications.argoproj.io", "appprojects.argoproj.io"], {
      parent: this,
      dependsOn: [chart],
    });
    this.registerOutputs({});
  }
}
