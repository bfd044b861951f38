/**
 * The objects with which Argo CD is told what to do, from the configuration. Pure: the same objects go to the cluster by
 * Pulumi, and to `k8s/argocd/` for readers and for clusters that Pulumi did not make.
 */
import { AppProject, Application } from "@kubernetes-models/argo-cd/argoproj.io/v1alpha1";
import type { IApplication } from "@kubernetes-models/argo-cd/argoproj.io/v1alpha1/Application";
import type { IAppProject } from "@kubernetes-models/argo-cd/argoproj.io/v1alpha1/AppProject";
import type { Namespace } from "../services/catalog.ts";
import { argoCdFacts } from "./argocd-facts.ts";
import { managedKinds } from "./argocd-kinds.ts";
import { services } from "./workloads.ts";

/** What Argo CD follows. */
export interface GitSource {
  /** Clone address. */
  repository: string;
  /** Folder with the overlay, for example `k8s/overlays/dev`. */
  path: string;
  /** Branch, tag or commit. */
  revision: string;
}

type Plain<Model extends { apiVersion: string; kind: string; spec: unknown }> = Pick<
  Model,
  "apiVersion" | "kind" | "spec"
> & { metadata: { name: string; namespace: string } };

/** An AppProject of plain values. */
export type AppProjectObject = Plain<IAppProject>;

/** Our Applications have one source and sync by themselves, which the general type leaves open. */
export type ApplicationObject = Plain<IApplication> & {
  operation: NonNullable<IApplication["operation"]>;
  spec: {
    source: NonNullable<IApplication["spec"]["source"]>;
    syncPolicy: NonNullable<IApplication["spec"]["syncPolicy"]>;
  };
};

/** A time in which Argo CD changes nothing by itself. */
export type SyncWindow = NonNullable<IAppProject["spec"]["syncWindows"]>[number];

/** The namespaces that services live in. */
export const deliveredNamespaces: readonly Namespace[] = [
  ...new Set(services.map(({ namespace }) => namespace)),
].sort();

/** Seconds before the day's end from which nothing is rolled out any more. */
export const closingSeconds = 15 * 60;

/**
 * From a quarter of an hour before the cluster's planned end on, neither a commit nor self-heal changes anything: the
 * day's close must not have an executor replaced under it. Whoever has to may still ask for a sync by hand.
 * @param expiresAt epoch seconds
 */
export function closingWindow(expiresAt: number): SyncWindow {
  const from = new Date((expiresAt - closingSeconds) * 1_000);
  const schedule = [from.getUTCMinutes(), from.getUTCHours(), from.getUTCDate(), from.getUTCMonth() + 1, "*"];
  return {
    kind: "deny",
    // Cron knows no year: it is this day's, and the cluster does not live to see the next.
    schedule: schedule.join(" "),
    timeZone: "UTC",
    // A cluster that could not be sealed stays behind its end; it is repaired by hand.
    duration: "24h",
    applications: ["*"],
    manualSync: true,
  };
}

/**
 * What Argo CD may do: bring objects of the kinds that `k8s/` has, from this repository, into the services' namespaces.
 * Nothing for the whole cluster, no Secrets, no roles, and no Applications of its own.
 */
export function appProject(source: Pick<GitSource, "repository">): AppProjectObject {
  const project: AppProjectObject = {
    apiVersion: "argoproj.io/v1alpha1",
    kind: "AppProject",
    metadata: { name: argoCdFacts.project, namespace: argoCdFacts.namespace },
    spec: {
      description: "The trading services. Everything else in the cluster is Pulumi's.",
      sourceRepos: [source.repository],
      destinations: deliveredNamespaces.map((namespace) => ({ server: argoCdFacts.server, namespace })),
      clusterResourceWhitelist: [],
      namespaceResourceWhitelist: managedKinds().map(({ group, kind }) => ({ group, kind })),
    },
  };
  return valid(AppProject, project);
}

/**
 * The project that every Application without another one is in. Argo CD makes it when it is missing, with leave to do
 * everything (the dashboard's server does so at its start); this one has leave to do nothing.
 */
export function closedDefaultProject(): AppProjectObject {
  const project: AppProjectObject = {
    apiVersion: "argoproj.io/v1alpha1",
    kind: "AppProject",
    metadata: { name: "default", namespace: argoCdFacts.namespace },
    spec: {
      description: "Allows nothing; see the project trading.",
      sourceRepos: [],
      destinations: [],
      clusterResourceWhitelist: [],
      namespaceResourceWhitelist: [],
    },
  };
  return valid(AppProject, project);
}

const syncOptions: string[] = [
  // The namespaces are Pulumi's.
  "CreateNamespace=false",
  "ServerSideApply=true",
  // What is new is there and healthy before what is old goes.
  "PruneLast=true",
];

/**
 * A sync is tried for as long as it fails (a Git host may be away for longer than any number of tries; a sync that has given
 * up waits for a new commit), at most half a minute apart, and each time with what Git says by then, so that a commit
 * which cannot be applied is repaired by the next one.
 */
const retry = {
  limit: -1,
  refresh: true,
  backoff: { duration: "2s", factor: 2, maxDuration: "30s" },
};

/**
 * The one Application: the overlay of a stack.
 *
 * `operation` asks for the first sync. An Application that Argo CD has not seen before is compared at once, but when that
 * comparison fails (its repository server is a pod that starts beside it) the next one is a whole
 * `timeout.reconciliation` later. A requested sync is tried again within seconds instead; Argo CD takes it out of the object
 * when it begins.
 */
export function rootApplication({ repository, path, revision }: GitSource): ApplicationObject {
  const application: ApplicationObject = {
    apiVersion: "argoproj.io/v1alpha1",
    kind: "Application",
    // No finalizer: the services go with the servers, and only after the seal.
    metadata: { name: argoCdFacts.application, namespace: argoCdFacts.namespace },
    spec: {
      project: argoCdFacts.project,
      source: { repoURL: repository, path, targetRevision: revision },
      destination: { server: argoCdFacts.server },
      syncPolicy: {
        // An overlay that renders to nothing is a mistake and removes nothing.
        automated: { prune: true, selfHeal: true, allowEmpty: false },
        retry,
        syncOptions,
      },
      // Of a day's cluster nobody reads more than what was there before the last few changes.
      revisionHistoryLimit: 3,
    },
    operation: {
      initiatedBy: { username: "trading" },
      info: [{ name: "Reason", value: "first sync" }],
      sync: { prune: true, syncOptions },
      retry,
    },
  };
  return valid(Application, application);
}

/** @throws Error with everything that Argo CD's own schema refuses. */
function valid<Declared, Data extends Declared>(
  Model: new (data: Declared) => { validate(): void },
  object: Data,
): Data {
  new Model(object).validate();
  return object;
}
