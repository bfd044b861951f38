import * as pulumi from "@pulumi/pulumi";
import { HelmChart } from "./custom-resources/helm-chart.ts";
import type { K3s } from "./k3s.ts";
import type { Namespaces } from "./namespaces.ts";
import type { NodeName } from "./node-plans.ts";
import { argoCdParts } from "./platform-pods.ts";
import { charts } from "./versions.ts";

export const argoCdNamespace = "argocd";

const resources = (part: keyof typeof argoCdParts) => ({
  resources: { requests: argoCdParts[part].requests, limits: argoCdParts[part].limits },
});

/** Values of the chart argo-cd that leave its core: controller, repository server and cache. @param node where it runs. */
export const argoCdValues = (node: NodeName) => ({
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
});

export interface GitopsArgs {
  k3s: K3s;
  namespaces: Namespaces;
  /** Where Argo CD runs. */
  node: NodeName;
}

/** Argo CD core. */
export class Gitops extends pulumi.ComponentResource {
  constructor(name: string, args: GitopsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trading:components:Gitops", name, {}, opts);
    const { k3s } = args;

    const chart = new HelmChart(
      `${name}-argo-cd`,
      {
        release: "argocd",
        chart: charts.argoCd,
        targetNamespace: argoCdNamespace,
        values: argoCdValues(args.node),
      },
      k3s.inCluster(this, args.namespaces.before("argocd")),
    );
    k3s.waitForCrds(`${name}-definitions`, ["applications.argoproj.io", "appprojects.argoproj.io"], {
      parent: this,
      dependsOn: [chart],
    });
    this.registerOutputs({});
  }
}
