import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import type { Namespace } from "../services/catalog.ts";
import { argoCdFacts } from "./argocd-facts.ts";
import { managedKinds, type ManagedKind, watchedKinds } from "./argocd-kinds.ts";
import {
  appProject,
  closedDefaultProject,
  closingWindow,
  deliveredNamespaces,
  type GitSource,
} from "./argocd-objects.ts";
import { AppProject } from "./custom-resources/argo-cd.ts";
import { HelmChart } from "./custom-resources/helm-chart.ts";
import type { K3s } from "./k3s.ts";
import type { Namespaces } from "./namespaces.ts";
import type { NodeName } from "./node-plans.ts";
import { argoCdParts } from "./platform-pods.ts";
import { charts } from "./versions.ts";

const resources = (part: keyof typeof argoCdParts) => ({
  resources: { requests: argoCdParts[part].requests, limits: argoCdParts[part].limits },
});

/** Only these are watched: the rest of the cluster is not Argo CD's, and costs it memory. */
function inclusions(): { apiGroups: string[]; kinds: string[]; clusters: string[] }[] {
  const byGroup = new Map<string, string[]>();
  for (const { group, kind } of [...managedKinds(), ...watchedKinds]) {
    byGroup.set(group, [...(byGroup.get(group) ?? []), kind]);
  }
  return [...byGroup].map(([group, kinds]) => ({ apiGroups: [group], kinds, clusters: ["*"] }));
}

/** What the values of the chart depend on. */
export interface ArgoCdValuesArgs {
  /** Where it runs. */
  node: NodeName;
  /** Lines of an SSH `known_hosts` file, for Git hosts that Argo CD does not know by itself. */
  knownHosts?: string | undefined;
}

/**
 * Values of the chart argo-cd that leave its core, controller, repository server and cache, and of its rights those in our
 * namespaces: https://argo-cd.readthedocs.io/en/stable/operator-manual/core/
 */
export const argoCdValues = ({ node, knownHosts }: ArgoCdValuesArgs) => ({
  global: {
    nodeSelector: { "kubernetes.io/hostname": node },
    // The chart's own open the metrics of each part to every namespace; network-policies.ts has what is needed.
    networkPolicy: { create: false },
  },
  // Without it the controller may do everything everywhere; see `rightsIn`.
  createClusterRoles: false,
  configs: {
    cm: {
      // What Git says is there within a minute, not within three.
      "timeout.reconciliation": "60s",
      "timeout.reconciliation.jitter": "0s",
      // Nobody logs in: the dashboard works with its user's own kubeconfig.
      "admin.enabled": false,
      "resource.inclusions": JSON.stringify(inclusions()),
    },
    params: {
      // A dozen objects of one Application; the defaults (20, 10 and without end) are for hundreds.
      "controller.status.processors": 2,
      "controller.operation.processors": 1,
      "reposerver.parallelism.limit": 1,
    },
    ...(knownHosts === undefined ? {} : { ssh: { extraHosts: knownHosts } }),
    clusterCredentials: {
      "in-cluster": {
        server: argoCdFacts.server,
        namespaces: deliveredNamespaces.join(","),
        // Without credentials the controller's own account is used.
        config: { tlsClientConfig: { insecure: false } },
      },
    },
  },
  controller: resources("controller"),
  repoServer: resources("repoServer"),
  redis: resources("redis"),
  // The chart has no switch for these two.
  server: { replicas: 0 },
  applicationSet: { replicas: 0 },
  dex: { enabled: false },
  notifications: { enabled: false },
});

/** How Argo CD gets into a repository that is not public: at most one of the two. */
export interface GitCredentials {
  /** Any name for tokens of GitHub and Forgejo; the name that the host asks for otherwise. */
  user: string;
  /** For https. */
  token?: pulumi.Input<string> | undefined;
  /** Private key, for SSH. */
  sshKey?: pulumi.Input<string> | undefined;
}

export interface GitopsArgs {
  k3s: K3s;
  namespaces: Namespaces;
  /** Where Argo CD runs. */
  node: NodeName;
  /** Epoch seconds (as text) of the day's planned end. */
  expiresAt: pulumi.Input<string>;
  /** What the services are delivered from. Default: nothing, Argo CD stands by. */
  source?: GitSource | undefined;
  credentials?: GitCredentials | undefined;
  /** As for {@link ArgoCdValuesArgs}. */
  knownHosts?: string | undefined;
}

/** Argo CD core, what it may do, and how it gets into the repository. */
export class Gitops extends pulumi.ComponentResource {
  constructor(name: string, args: GitopsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trading:components:Gitops", name, {}, opts);
    const { k3s, namespaces } = args;

    for (const namespace of deliveredNamespaces) this.#rightsIn(namespace, name, args);
    const chart = new HelmChart(
      `${name}-argo-cd`,
      {
        release: "argocd",
        chart: charts.argoCd,
        targetNamespace: argoCdFacts.namespace,
        values: argoCdValues(args),
      },
      k3s.inCluster(this, namespaces.before(argoCdFacts.namespace)),
    );
    const definitions = k3s.waitForCrds(
      `${name}-definitions`,
      ["applications.argoproj.io", "appprojects.argoproj.io"],
      { parent: this, dependsOn: [chart] },
    );
    const defined = k3s.inCluster(this, [definitions]);
    new AppProject(`${name}-default-project`, closedDefaultProject(), defined);
    if (args.source !== undefined) {
      const { source } = args;
      const { spec, ...project } = appProject(source);
      const windows = pulumi.output(args.expiresAt).apply((at) => [closingWindow(Number(at))]);
      new AppProject(`${name}-project`, { ...project, spec: { ...spec, syncWindows: windows } }, defined);
      this.#repository(`${name}-repository`, source, args);
    }
    this.registerOutputs({});
  }

  /** All that Argo CD may do in a namespace of the services. It reads no Secret there. */
  #rightsIn(namespace: Namespace, name: string, { k3s, namespaces }: GitopsArgs): void {
    const options = k3s.inCluster(this, [namespaces.byName[namespace]]);
    const metadata = { name: argoCdFacts.controllerAccount, namespace };
    const rule = (kinds: readonly ManagedKind[], verbs: string[]) =>
      [...new Set(kinds.map(({ group }) => group))].map((group) => ({
        apiGroups: [group],
        resources: kinds.filter((kind) => kind.group === group).map(({ resource }) => resource),
        verbs,
      }));
    const reads = ["get", "list", "watch"];
    const role = new kubernetes.rbac.v1.Role(
      `${name}-${namespace}-role`,
      {
        metadata,
        rules: [
          ...rule(managedKinds(), [...reads, "create", "update", "patch", "delete"]),
          ...rule(watchedKinds, reads),
        ],
      },
      options,
    );
    new kubernetes.rbac.v1.RoleBinding(
      `${name}-${namespace}-binding`,
      {
        metadata,
        roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: metadata.name },
        subjects: [
          {
            kind: "ServiceAccount",
            name: argoCdFacts.controllerAccount,
            namespace: argoCdFacts.namespace,
          },
        ],
      },
      k3s.inCluster(this, [role]),
    );
  }

  /** https://argo-cd.readthedocs.io/en/stable/operator-manual/declarative-setup/#repositories */
  #repository(name: string, { repository }: GitSource, { k3s, namespaces, credentials }: GitopsArgs): void {
    const { token, sshKey, user } = credentials ?? {};
    if (token === undefined && sshKey === undefined) return;
    new kubernetes.core.v1.Secret(
      name,
      {
        metadata: {
          name: "repository",
          namespace: argoCdFacts.namespace,
          labels: { "argocd.argoproj.io/secret-type": "repository" },
        },
        stringData: {
          type: "git",
          url: repository,
          project: argoCdFacts.project,
          ...(token === undefined ? {} : { username: user ?? "git", password: pulumi.secret(token) }),
          ...(sshKey === undefined ? {} : { sshPrivateKey: pulumi.secret(sshKey) }),
        },
      },
      k3s.inCluster(this, [namespaces.byName[argoCdFacts.namespace]]),
    );
  }
}
