import * as pulumi from "@pulumi/pulumi";
import * as random from "@pulumi/random";
import { businessDateAt } from "../services/catalog.ts";
import type { Profile } from "./profile.ts";

export interface ClusterIdentityArgs {
  /** Name of the stack, for example `dev`. */
  stack: string;
  /**
   * Business date of the cluster, `YYYY-MM-DD`. Default: that of the session at the New York Stock Exchange that goes on
   * or comes next, so never a weekend or holiday.
   */
  businessDate?: string | undefined;
  /** Which machines there are; fixed like the others. Default: `cluster`. */
  profile?: Profile;
  /** Hours from now to the end of the cluster, where `expiresAt` says nothing else. */
  openHours: number;
  /** When the cluster should be gone, in epoch seconds. Default: `openHours` from now. */
  expiresAt?: number | undefined;
  /** Which bucket the archive is in (archive-mark.ts); fixed like the others. */
  archive: string;
  /** The present moment; tests give their own. Default: now. */
  now?: Date;
}

/**
 * Refuses machines other than those that a cluster was created with.
 * @param keepers what the cluster's identifier keeps; a `cluster` is not written there
 * @throws RunError which ends the program with this message alone
 */
export function demandSameProfile(
  keepers: Readonly<Record<string, string>> | undefined,
  profile: Profile,
): void {
  const first = keepers?.["profile"] ?? "cluster";
  if (first === profile) return;
  throw new pulumi.RunError(
    `trading:profile is ${profile}, but this cluster was created with ${first}: its brokers and what they hold ` +
      `would be removed. Set trading:profile to ${first}, or close the day first (pulumi destroy, which seals).`,
  );
}

/**
 * Refuses another archive bucket than the one that a cluster was created with: what removes it would ask the wrong one.
 * @param keepers what the cluster's identifier keeps
 * @throws RunError which ends the program with this message alone
 */
export function demandSameArchive(
  keepers: Readonly<Record<string, string>> | undefined,
  archive: string,
): void {
  const first = keepers?.["archive"];
  if (first === undefined || first === archive) return;
  throw new pulumi.RunError(
    "trading:archive names another endpoint or bucket than the one that this cluster was created with, which holds what it has " +
      "archived. Set trading:archive back, close the day (pulumi destroy, which seals), and change it then.",
  );
}

/**
 * Who this cluster is. All facts are fixed when the cluster is first created and stay through every
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
  /** Which bucket the archive is in (archive-mark.ts). */
  readonly archive: pulumi.Output<string>;

  constructor(name: string, args: ClusterIdentityArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trading:components:ClusterIdentity", name, {}, opts);
    const { now = new Date(), profile = "cluster" } = args;

    const identifier = new random.RandomString(
      `${name}-cluster-id`,
      {
        // 16 bytes in URL-safe base64 are 21 free characters and a last one that carries two bits: A, Q, g or w.
        length: 21,
        special: false,
        keepers: {
          businessDate: args.businessDate ?? businessDateAt(now),
          expiresAt: String(args.expiresAt ?? Math.floor(now.getTime() / 1000) + args.openHours * 3600),
          archive: args.archive,
          ...(profile === "cluster" ? {} : { profile }),
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
    // Whatever is created has the id in its labels or comes after what has, so that nothing is done without this check.
    this.clusterId = pulumi.all([identifier.result, identifier.keepers]).apply(([result, keepers]) => {
      demandSameProfile(keepers, profile);
      demandSameArchive(keepers, args.archive);
      return `${result}A`;
    });
    this.businessDate = kept("businessDate");
    this.expiresAt = kept("expiresAt");
    this.archive = kept("archive");
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
    archive: identity.archive,
  };
}
