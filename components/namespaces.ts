import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { K3s } from "./k3s.ts";
import { limitsOf, type NamespaceName, namespaceNames, quotaOf } from "./namespace-resources.ts";
import { networkPolicies } from "./network-policies.ts";
import type { Profile } from "./profile.ts";

/**
 * Pod Security level of every namespace: https://kubernetes.io/docs/concepts/security/pod-security-standards/. All pods
 * meet the strictest one: ours, those of the charts of Prometheus and Argo CD as they are, and Strimzi's when its
 * operator is told to (kafka.ts). The node exporter, which needs the host, is not installed.
 */
const podSecurity = "restricted";

export interface NamespacesArgs {
  k3s: K3s;
  /** How many brokers there are to make room for. */
  profile: Profile;
  /** URL of the Git repository that Argo CD may fetch from. Default: none. */
  repository?: string | undefined;
}

/** The namespaces: how strict each is with its pods, what they may take together, and whom they may talk to. */
export class Namespaces extends pulumi.ComponentResource {
  readonly byName: Readonly<Record<NamespaceName, kubernetes.core.v1.Namespace>>;

  readonly #guards = new Map<NamespaceName, pulumi.Resource[]>();

  constructor(name: string, args: NamespacesArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trading:components:Namespaces", name, {}, opts);
    const policies = networkPolicies(args.repository);
    this.byName = Object.fromEntries(
      namespaceNames.map((key) => {
        const namespace = new kubernetes.core.v1.Namespace(
          `${name}-${key}`,
          {
            metadata: {
              name: key,
              labels: Object.fromEntries(
                ["enforce", "audit", "warn"].map((mode) => [
                  `pod-security.kubernetes.io/${mode}`,
                  podSecurity,
                ]),
              ),
            },
          },
          args.k3s.inCluster(this),
        );
        const options = args.k3s.inCluster(this, [namespace]);
        const metadata = { name: "pods", namespace: key };
        this.#guards.set(key, [
          namespace,
          new kubernetes.core.v1.ResourceQuota(
            `${name}-${key}-quota`,
            { metadata, spec: quotaOf(key, args.profile) },
            options,
          ),
          new kubernetes.core.v1.LimitRange(
            `${name}-${key}-limits`,
            { metadata, spec: limitsOf(key, args.profile) },
            options,
          ),
          ...policies
            .filter((policy) => policy.namespace === key)
            .map(
              (policy) =>
                new kubernetes.networking.v1.NetworkPolicy(
                  `${name}-${key}-${policy.name}`,
                  { metadata: { name: policy.name, namespace: key }, spec: policy.spec },
                  options,
                ),
            ),
        ]);
        return [key, namespace];
      }),
    ) as Record<NamespaceName, kubernetes.core.v1.Namespace>;
    this.registerOutputs({});
  }

  /** What must be there before a pod of a namespace: it, its quota, its limits and its network policies. */
  before(name: NamespaceName): pulumi.Resource[] {
    return [...(this.#guards.get(name) ?? [])];
  }
}
