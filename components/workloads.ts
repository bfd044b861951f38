/** From a row of the catalog to Kubernetes objects. Pure: the same objects go to Git and to the cluster. */
import type { types } from "@pulumi/kubernetes";
import {
  catalog,
  consumerGroups,
  type Deployable,
  drainingServices,
  drainsAfter,
  executionVenues,
  type Namespace,
} from "../services/catalog.ts";
import { prometheusFacts } from "./prometheus-facts.ts";
import { settingsName } from "./settings-name.ts";

type Job = types.input.batch.v1.Job;
type Deployment = types.input.apps.v1.Deployment;
type StatefulSet = types.input.apps.v1.StatefulSet;
type Service = types.input.core.v1.Service;
type PodTemplate = types.input.core.v1.PodTemplateSpec;

/** An object of one kind. Every value in it is plain, so that it can be written to a file as it stands. */
interface Plain<Kind extends string, Spec> {
  apiVersion: string;
  kind: Kind;
  metadata: {
    name: string;
    namespace: string;
    labels: Record<string, string>;
    annotations?: Record<string, string>;
  };
  spec: NonNullable<Spec>;
}

/** Any object that a service is made of. */
export type WorkloadObject =
  | Plain<"Job", Job["spec"]>
  | Plain<"Deployment", Deployment["spec"]>
  | Plain<"StatefulSet", StatefulSet["spec"]>
  | Plain<"Service", Service["spec"]>;

/** Which images run. */
export interface Images {
  /** Registry and path, for example `ghcr.io/trading-cz`. */
  registry: string;
  /** Tag, for example `v1.0.0`. */
  version: string;
}

/** The node of the services (seed 000). */
export const servicesNode = "k3s-control";

/** Label of the pods that Prometheus scrapes. */
export const metricsLabel = { "app.kubernetes.io/part-of": "trading" } as const;

/** The namespaces whose pods' logs and events are evidence: those of the services, and so Kafka's. */
export const evidenceNamespaces: readonly Namespace[] = [
  ...new Set(catalog.map(({ namespace }) => namespace)),
].sort();

const port = 8080;
const user = 1000;

function labelsOf(service: Deployable): Record<string, string> {
  return { "app.kubernetes.io/name": service.name, ...metricsLabel };
}

/** The container's own variables, over those of the settings and secrets. */
function environmentOf(service: Deployable): { name: string; value: string }[] {
  const environment: Record<string, string> = {
    SERVICE_NAME: service.name,
    HTTP_PORT: String(port),
    DRAIN_AFTER: drainsAfter(service).join(","),
  };
  if (service.name === "archiver") environment["DRAINING_SERVICES"] = drainingServices().join(",");
  if (service.keepsEvidence === true) {
    environment["EVIDENCE_KUBERNETES_NAMESPACES"] = evidenceNamespaces.join(",");
    environment["EVIDENCE_PROMETHEUS_URL"] = prometheusFacts.url;
  }
  if (service.name === "result-monitor") Object.assign(environment, monitored());
  if (service.stateDirectory !== undefined) environment["STATE_DIRECTORY"] = service.stateDirectory;
  Object.assign(environment, service.runtime);
  return Object.entries(environment).map(([name, value]) => ({ name, value }));
}

/** What the monitor watches, from the catalog: `group:topic+topic,group:topic`, and the venues to probe. */
function monitored(): Record<string, string> {
  const groups = consumerGroups().map(({ group, topics }) => `${group}:${topics.join("+")}`);
  return {
    // These objects stand in Git, the date is the cluster's: Kubernetes puts the setting in.
    MONITORED_GROUPS: groups.join(",").replaceAll("<business-date>", "$(BUSINESS_DATE)"),
    CANARY_VENUES: executionVenues().join(","),
  };
}

function probe(path: string, failureThreshold: number) {
  return { httpGet: { path, port: "http" }, periodSeconds: 5, timeoutSeconds: 2, failureThreshold };
}

function podTemplate(service: Deployable, images: Images): PodTemplate {
  const long = service.kind !== "Job";
  return {
    metadata: { labels: labelsOf(service) },
    spec: {
      nodeSelector: { "kubernetes.io/hostname": servicesNode },
      ...(service.keepsEvidence === true ? { serviceAccountName: service.name } : {}),
      automountServiceAccountToken: service.keepsEvidence === true,
      enableServiceLinks: false,
      terminationGracePeriodSeconds: 30,
      ...(long ? {} : { restartPolicy: "OnFailure" }),
      securityContext: {
        runAsNonRoot: true,
        runAsUser: user,
        runAsGroup: user,
        fsGroup: user,
        seccompProfile: { type: "RuntimeDefault" },
      },
      containers: [
        {
          name: service.name,
          image: `${images.registry}/${service.name}:${images.version}`,
          command: ["node", "--import", "tsx", service.entry],
          env: environmentOf(service),
          envFrom: [
            { configMapRef: { name: settingsName } },
            ...service.secrets.map((name) => ({ secretRef: { name } })),
          ],
          ports: [{ name: "http", containerPort: port }],
          ...(long ? { livenessProbe: probe("/healthz", 6), readinessProbe: probe("/readyz", 2) } : {}),
          resources: { requests: { ...service.requests }, limits: { ...service.limits } },
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ["ALL"] },
          },
          volumeMounts: [
            { name: "tmp", mountPath: "/tmp" },
            ...(service.stateDirectory === undefined
              ? []
              : [{ name: "state", mountPath: service.stateDirectory }]),
          ],
        },
      ],
      volumes: [{ name: "tmp", emptyDir: { sizeLimit: "64Mi" } }],
    },
  };
}

/** The objects of one service: a Job, a Deployment, or a StatefulSet with its headless Service. */
export function workloadObjects(service: Deployable, images: Images): WorkloadObject[] {
  const labels = labelsOf(service);
  const metadata = { name: service.name, namespace: service.namespace, labels };
  const selector = { matchLabels: { "app.kubernetes.io/name": service.name } };
  const template = podTemplate(service, images);
  switch (service.kind) {
    case "Job":
      return [
        {
          apiVersion: "batch/v1",
          kind: "Job",
          metadata,
          spec: { backoffLimit: 6, activeDeadlineSeconds: 600, template },
        },
      ];
    case "Deployment":
      return [
        {
          apiVersion: "apps/v1",
          kind: "Deployment",
          metadata,
          // Never two of one service: venues allow one connection, and consumers would hand over for nothing.
          spec: { replicas: 1, revisionHistoryLimit: 2, strategy: { type: "Recreate" }, selector, template },
        },
      ];
    case "StatefulSet":
      return [
        {
          apiVersion: "v1",
          kind: "Service",
          metadata,
          spec: { clusterIP: "None", selector: selector.matchLabels, ports: [{ name: "http", port }] },
        },
        {
          apiVersion: "apps/v1",
          kind: "StatefulSet",
          metadata,
          spec: {
            replicas: 1,
            serviceName: service.name,
            revisionHistoryLimit: 2,
            selector,
            template,
            volumeClaimTemplates: [
              {
                metadata: { name: "state" },
                spec: {
                  accessModes: ["ReadWriteOnce"],
                  storageClassName: "local-path",
                  resources: { requests: { storage: "1Gi" } },
                },
              },
            ],
          },
        },
      ];
  }
}

/** The rows that run once, before all others. They are Pulumi's in either way of delivery. */
export const jobs: readonly Deployable[] = catalog.filter((service) => service.kind === "Job");

/** The rows that run all day: what Argo CD syncs. */
export const services: readonly Deployable[] = catalog.filter((service) => service.kind !== "Job");
