/** `helm.cattle.io/v1`: https://github.com/k3s-io/helm-controller, pkg/apis/helm.cattle.io/v1/types.go */
import * as kubernetes from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import { stringify } from "yaml";
import type { ChartPin } from "../versions.ts";

export interface HelmChartArgs {
  /** Name of the Helm release and of the object. */
  release: string;
  chart: ChartPin;
  /** Namespace into which the chart is installed; it must exist. */
  targetNamespace: string;
  /** The chart's values. */
  values: object;
}

/** A chart that k3s installs by itself, with a job in `kube-system`. */
export class HelmChart extends kubernetes.apiextensions.CustomResource {
  constructor(name: string, args: HelmChartArgs, opts: pulumi.CustomResourceOptions) {
    super(
      name,
      {
        apiVersion: "helm.cattle.io/v1",
        kind: "HelmChart",
        // The Helm controller of k3s looks at charts everywhere; its own stand in kube-system.
        metadata: { name: args.release, namespace: "kube-system" },
        spec: {
          repo: args.chart.repo,
          chart: args.chart.chart,
          version: args.chart.version,
          targetNamespace: args.targetNamespace,
          valuesContent: stringify(args.values, { version: "1.1" }),
          // A failed download or a slow API is tried again; wait-for-crds ends the wait.
          backOffLimit: 20,
          timeout: "10m0s",
        },
      },
      opts,
    );
  }
}
