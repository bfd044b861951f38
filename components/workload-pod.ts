/** The pod of a service. It meets the Pod Security level `restricted`, in whatever namespace it runs. */
import type { types } from "@pulumi/kubernetes";
import type { Deployable } from "../services/catalog.ts";
import { settingsName } from "./settings-name.ts";
import { httpPort, settingsChecksum, type WorkloadSettings } from "./workload-settings.ts";

type PodTemplate = types.input.core.v1.PodTemplateSpec;

/** Where the service images are and which of them run. */
export interface Images {
  /** Registry and path, for example `ghcr.io/trading-cz`. */
  registry: string;
  /** Tag of every image without one of its own, for example `v1.0.0`. */
  version: string;
  /** By service: a tag of its own, as a rollback of one service sets it. Default: `version`. */
  versions?: Readonly<Record<string, string | undefined>> | undefined;
  /** By service: `sha256:<64 hexadecimal digits>` of exactly one image, whatever its tag. Default: the tag. */
  digests?: Readonly<Record<string, string | undefined>> | undefined;
}

/** Which image of a service runs: its digest where one is given, or else its tag. */
export function pinOf(name: string, images: Images): { digest: string } | { tag: string } {
  const digest = images.digests?.[name];
  return digest === undefined ? { tag: images.versions?.[name] ?? images.version } : { digest };
}

/** The image of a service: `<registry>/<name>:<version>`, or `<registry>/<name>@<digest>`. */
export function imageOf(name: string, images: Images): string {
  const pin = pinOf(name, images);
  return `${images.registry}/${name}${"digest" in pin ? `@${pin.digest}` : `:${pin.tag}`}`;
}

/** The node of the services (seed 000). */
export const servicesNode = "k3s-control";

/** Label of all pods of ours. */
export const metricsLabel = { "app.kubernetes.io/part-of": "trading" } as const;

/** Not root; no image knows this user by name. */
const user = 1000;

/** Labels of a service's pods and objects. */
export function labelsOf(service: Deployable): Record<string, string> {
  return { "app.kubernetes.io/name": service.name, ...metricsLabel };
}

function probe(path: string, failureThreshold: number) {
  return { httpGet: { path, port: "http" }, periodSeconds: 5, timeoutSeconds: 2, failureThreshold };
}

/** The template of a service's pods. */
export function podTemplate(
  service: Deployable,
  images: Images,
  { data, variables }: WorkloadSettings,
): PodTemplate {
  const long = service.kind !== "Job";
  return {
    metadata: {
      labels: labelsOf(service),
      annotations: { "trading/settings-checksum": settingsChecksum(data) },
    },
    spec: {
      nodeSelector: { "kubernetes.io/hostname": servicesNode },
      serviceAccountName: service.name,
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
          // The image knows its program.
          image: imageOf(service.name, images),
          ...(variables.length === 0 ? {} : { env: variables.map((variable) => ({ ...variable })) }),
          envFrom: [
            { configMapRef: { name: settingsName } },
            { configMapRef: { name: service.name } },
            ...service.secrets.map((name) => ({ secretRef: { name } })),
          ],
          // With its default stated: the protocol is part of the key by which server-side apply knows a port.
          ports: [{ name: "http", containerPort: httpPort, protocol: "TCP" }],
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
