import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { catalog, type Namespace } from "../services/catalog.ts";
import type { K3s } from "./k3s.ts";
import { evidenceNamespaces } from "./workloads.ts";

export interface EvidenceAccessArgs {
  k3s: K3s;
  namespaces: Readonly<Record<Namespace, kubernetes.core.v1.Namespace>>;
}

/**
 * What may be read of the cluster by the services that keep evidence: in each namespace of ours the pods, their logs and
 * the events, and nothing else. No other pod of ours has a token at all.
 */
export class EvidenceAccess extends pulumi.ComponentResource {
  constructor(name: string, args: EvidenceAccessArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trading:components:EvidenceAccess", name, {}, opts);
    for (const service of catalog.filter(({ keepsEvidence }) => keepsEvidence === true)) {
      const role = `${service.name}-evidence`;
      for (const namespace of evidenceNamespaces) {
        const metadata = { name: role, namespace };
        const allowed = new kubernetes.rbac.v1.Role(
          `${name}-${service.name}-${namespace}-role`,
          {
            metadata,
            rules: [
              { apiGroups: [""], resources: ["pods"], verbs: ["list"] },
              { apiGroups: [""], resources: ["pods/log"], verbs: ["get"] },
              { apiGroups: [""], resources: ["events"], verbs: ["list"] },
            ],
          },
          args.k3s.inCluster(this, [args.namespaces[namespace]]),
        );
        new kubernetes.rbac.v1.RoleBinding(
          `${name}-${service.name}-${namespace}-binding`,
          {
            metadata,
            roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: role },
            // Comes with the service itself; Kubernetes takes a name that is not there yet.
            subjects: [{ kind: "ServiceAccount", name: service.name, namespace: service.namespace }],
          },
          args.k3s.inCluster(this, [allowed]),
        );
      }
    }
    this.registerOutputs({});
  }
}
