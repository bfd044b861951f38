import { local } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import type { ClusterIdentity } from "./cluster-identity.ts";

export interface ExportGateArgs {
  stack: string;
  identity: ClusterIdentity;
  archive: { endpoint: string; region: string; bucket: string };
  archiveAccessKeyId: pulumi.Input<string>;
  archiveSecretAccessKey: pulumi.Input<string>;
  /** What must outlive the gate's refusal. What the gate does not reach would be deleted beside it. */
  after: pulumi.Resource[];
}

/** Runs where the operator runs Pulumi, in the project's folder; needs S3 and nothing else. */
export const gateCommand = "node --import tsx services/archive/gate.ts";

/**
 * Demands a sealed archive before anything that it depends on is destroyed.
 * The stack's last gate depends on every other resource, so on destroy it goes first and alone; when its command
 * fails, nothing is gone. Create and update do nothing. It has no triggers (a changed trigger would run the delete command during
 * an `up`) and no `deletedWith` (which would skip it).
 */
export class ExportGate extends pulumi.ComponentResource {
  constructor(name: string, args: ExportGateArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trading:components:ExportGate", name, {}, opts);
    new local.Command(
      `${name}-sealed-archive`,
      {
        create: ":",
        update: ":",
        delete: gateCommand,
        dir: ".",
        environment: {
          STACK: args.stack,
          BUSINESS_DATE: args.identity.businessDate,
          CLUSTER_ID: args.identity.clusterId,
          S3_ENDPOINT: args.archive.endpoint,
          S3_REGION: args.archive.region,
          S3_BUCKET: args.archive.bucket,
          S3_ACCESS_KEY_ID: pulumi.secret(args.archiveAccessKeyId),
          S3_SECRET_ACCESS_KEY: pulumi.secret(args.archiveSecretAccessKey),
        },
      },
      {
        parent: this,
        dependsOn: args.after,
        // The gate itself ends after GATE_TIMEOUT_SECONDS; this only must not come first.
        customTimeouts: { delete: "60m" },
      },
    );
    this.registerOutputs({});
  }
}
