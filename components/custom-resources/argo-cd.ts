/** `argoproj.io/v1alpha1` as far as this cluster uses it: https://argo-cd.readthedocs.io/en/stable/operator-manual/application.yaml */
import * as kubernetes from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import type { ApplicationObject, AppProjectObject, SyncWindow } from "../argocd-objects.ts";

/** See `rootApplication` in components/argocd-objects.ts. */
export class Application extends kubernetes.apiextensions.CustomResource {
  constructor(
    name: string,
    object: Pick<ApplicationObject, "metadata" | "spec"> & Partial<Pick<ApplicationObject, "operation">>,
    opts: pulumi.CustomResourceOptions,
  ) {
    super(name, { ...object, apiVersion: "argoproj.io/v1alpha1", kind: "Application" }, opts);
  }
}

/** When nothing is to be done may be known only while the program runs. */
type AppProjectSpec = Omit<AppProjectObject["spec"], "syncWindows"> & {
  syncWindows?: pulumi.Input<SyncWindow[]>;
};

/** What the Applications of a project may do. */
export class AppProject extends kubernetes.apiextensions.CustomResource {
  constructor(
    name: string,
    object: Pick<AppProjectObject, "metadata"> & { spec: AppProjectSpec },
    opts: pulumi.CustomResourceOptions,
  ) {
    super(name, { ...object, apiVersion: "argoproj.io/v1alpha1", kind: "AppProject" }, opts);
  }
}
