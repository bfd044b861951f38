import * as pulumi from "@pulumi/pulumi";
import type { K3s } from "./k3s.ts";
import { workloadResources } from "./workload-resources.ts";
import { type Images, jobs, workloadObjects } from "./workloads.ts";

export interface PrepareDayArgs {
  k3s: K3s;
  images: Images;
  /** What must be done before: Kafka, the settings, and everything whose failure should stop the day. */
  after: pulumi.Resource[];
}

/**
 * The Jobs of the catalog: they create the topics and write the marker that says this cluster holds data.
 * Pulumi waits until they have completed.
 */
export class PrepareDay extends pulumi.ComponentResource {
  constructor(name: string, args: PrepareDayArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trading:components:PrepareDay", name, {}, opts);
    for (const job of jobs) {
      workloadResources(workloadObjects(job, args.images), (after) =>
        args.k3s.inCluster(this, [...args.after, ...after]),
      );
    }
    this.registerOutputs({});
  }
}
