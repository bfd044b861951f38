import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import { businessDateAt } from "../services/catalog.ts";

export interface ClusterIdentityArgs {
  /** Name of the stack, for example `dev`. */
  stack: string;
  /**
   * Business date of the cluster, `YYYY-MM-DD`. Default: that of the session at the New York Stock Exchange that goes on
   * or comes next, so never a weekend or holiday.
   */
  businessDate?: string | undefined;
  /** Hours from now to `expiresAt`. */
  openHours: number;
  /** The present moment; tests give their own. Default: now. */
  now?: Date;
}

/**
 * Who this cluster is. All three facts are fixed when the cluster is first created and stay through every
 * later `up`: they are kept in the identifier's `keepers`, whose changes are ignored.
 */
export class ClusterIdentity extends pulumi.ComponentResource {
  /** 22 characters: a valid Kafka cluster id and a valid Hetzner label value. */
  readonly clusterId: pulumi.Output<string>;
  /** `YYYY-MM-DD`. */
  readonly businessDate: pulumi.Output<string>;
  /** Epoch seconds (as text) after which the cluster should be gone. */
  readonly expiresAt: pulumi.Output<string>;
  /** `<stack>/<business-date>/<cluster-id>/`: where this cluster's topics lie in the archive bucket. */
  readonly archivePrefix: pulumi.Output<string>;

  constructor(name: string, args: ClusterIdentityArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trading:components:ClusterIdentity", name, {}, opts);
    const now = args.now ?? new Date();

    const identifier = new random.RandomString(
      `${name}-cluster-id`,
      {
        // 16 bytes in URL-safe base64 are 21 free characters and a last one that carries two bits: A, Q, g or w.
        length: 21,
        special: false,
        keepers: {
          businessDate: args.businessDate ?? businessDateAt(now),
          expiresAt: String(Math.floor(now.getTime() / 1000) + args.openHours * 3600),
        },
      },
      { parent: this, ignoreChanges: ["keepers"] },
    );

    const kept = (key: string) =>
      identifier.keepers.apply((keepers) => {
        const value = keepers?.[key];
        if (value === undefined) throw new Error(`the cluster's identifier has lost its ${key}`);
        return value;
      });
    this.clusterId = pulumi.interpolate`${identifier.result}A`;
    this.businessDate = kept("businessDate");
    this.expiresAt = kept("expiresAt");
    this.archivePrefix = pulumi.interpolate`${args.stack}/${this.businessDate}/${this.clusterId}/`;
    this.registerOutputs({
      clusterId: this.clusterId,
      businessDate: this.businessDate,
      expiresAt: this.expiresAt,
    });
  }
}

/** The labels that everything billable carries, and with them how leftovers are found. */
export function labels(
  stack: string,
  identity: ClusterIdentity,
  role: string,
): Record<string, pulumi.Input<string>> {
  return {
    project: "trading",
    stack,
    role,
    "business-date": identity.businessDate,
    "cluster-id": identity.clusterId,
    "expires-at": identity.expiresAt,
  };
}
