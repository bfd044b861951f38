import * as pulumi from "@pulumi/pulumi";
import { type GitSource, rootApplication } from "./argocd-objects.ts";
import { Application } from "./custom-resources/argo-cd.ts";
import type { K3s } from "./k3s.ts";
import { overlayObjects } from "./overlays.ts";
import { workloadResources } from "./workload-resources.ts";
import type { Images, WorkloadObject } from "./workloads.ts";

export interface DeliveryArgs {
  k3s: K3s;
  /** Name of the stack, and so of the overlay whose objects are applied when delivery is `direct`. */
  stack: string;
  /** `gitops`: the root Application of Argo CD. `direct`: the same objects, applied by Pulumi. */
  delivery: "gitops" | "direct";
  /** Where the rendered services stand in Git. Needed when delivery is `gitops`. */
  repository?: GitSource | undefined;
  images: Images;
  /** What must be done before a service starts. */
  after: pulumi.Resource[];
}

/** Brings the services into the cluster. */
export class Delivery extends pulumi.ComponentResource {
  constructor(name: string, args: DeliveryArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trading:components:Delivery", name, {}, opts);
    if (args.delivery === "gitops") this.#rootApplication(name, args);
    else this.#objects(args);
    this.registerOutputs({});
  }

  #rootApplication(name: string, args: DeliveryArgs): void {
    if (args.repository === undefined) throw new Error("delivery by gitops needs a repository");
    new Application(`${name}-root`, rootApplication(args.repository), args.k3s.inCluster(this, args.after));
  }

  #objects(args: DeliveryArgs): void {
    const byService = new Map<string, WorkloadObject[]>();
    for (const object of overlayObjects(args.stack, args.images)) {
      // As with Argo CD, nothing waits for the pods: once services may run, only the export gate is left to
      // create, and a service that does not start must not keep it from being there.
      const annotations = { "pulumi.com/skipAwait": "true" };
      const unawaited: WorkloadObject = { ...object, metadata: { ...object.metadata, annotations } };
      const { name } = object.metadata;
      byService.set(name, [...(byService.get(name) ?? []), unawaited]);
    }
    for (const objects of byService.values()) {
      workloadResources(objects, (after) => args.k3s.inCluster(this, [...args.after, ...after]));
    }
  }
}
