/** `argoproj.io/v1alpha1` as far as this cluster uses it: https://argo-cd.readthedocs.io/en/stable/operator-manual/application.yaml */
import * as kubernetes from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";

export interface ApplicationSpec {
  project: string;
  source: { repoURL: string; path: string; targetRevision: string };
  destination: { server: string };
  syncPolicy: {
    automated: { prune: boolean; selfHeal: boolean };
    retry: { limit: number; backoff: { duration: string; factor: number; maxDuration: string } };
    syncOptions: string[];
  };
}

export class Application extends kubernetes.apiextensions.CustomResource {
  constructor(
    name: string,
    args: { metadata: kubernetes.types.input.meta.v1.ObjectMeta; spec: ApplicationSpec },
    opts: pulumi.CustomResourceOptions,
  ) {
    super(name, { apiVersion: "argoproj.io/v1alpha1", kind: "Application", ...args }, opts);
  }
}
