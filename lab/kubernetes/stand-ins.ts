/**
 * Pods in place of what charts and operators would start: no Helm controller runs here, and the Strimzi operator is in no
 * package registry. SIMULATED: they have the requests, limits and places that the `HelmChart` and Strimzi objects ask for,
 * and the security contexts that charts and operator give their pods; image and command say nothing.
 */
import { parse } from "yaml";
import type { KubernetesObject } from "./api.ts";

type Fields = Record<string, unknown>;

/** A value somewhere inside. */
function at(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((inner, key) => (inner as Fields | undefined)?.[key], value);
}

const textAt = (value: unknown, path: readonly string[]): string => {
  const found = at(value, path);
  return typeof found === "string" ? found : "";
};

/** The values of a `HelmChart`. */
const valuesOf = (chart: KubernetesObject | undefined): unknown =>
  parse(textAt(chart, ["spec", "valuesContent"])) ?? {};

/** A pod of a chart, and where the chart's values say what it requests and where it runs. */
interface ChartPod {
  name: string;
  /** One path of `resources` in the values for each container. */
  containers: Readonly<Record<string, readonly string[]>>;
  nodeSelectorAt: readonly string[];
  /** A hook that runs once. Default: runs for ever. */
  job?: true;
}

/** The pods of the charts by their names, of the versions in components/versions.ts, with the values that we set. */
const chartPods: Readonly<Record<string, readonly ChartPod[]>> = {
  "strimzi-kafka-operator": [
    {
      name: "strimzi-cluster-operator",
      containers: { "strimzi-cluster-operator": ["resources"] },
      nodeSelectorAt: ["nodeSelector"],
    },
  ],
  "kube-prometheus-stack": [
    {
      name: "prometheus-operator",
      containers: { "kube-prometheus-stack": ["prometheusOperator", "resources"] },
      nodeSelectorAt: ["prometheusOperator", "nodeSelector"],
    },
    {
      name: "prometheus-kube-state-metrics",
      containers: { "kube-state-metrics": ["kube-state-metrics", "resources"] },
      nodeSelectorAt: ["kube-state-metrics", "nodeSelector"],
    },
    {
      name: "prometheus-prometheus",
      containers: {
        prometheus: ["prometheus", "prometheusSpec", "resources"],
        "config-reloader": ["prometheusOperator", "prometheusConfigReloader", "resources"],
      },
      nodeSelectorAt: ["prometheus", "prometheusSpec", "nodeSelector"],
    },
  ],
  "argo-cd": [
    {
      // A hook of the chart that makes Redis' password; its resources are empty unless `redisSecretInit` says otherwise.
      name: "argocd-redis-secret-init",
      containers: { "secret-init": ["redisSecretInit", "resources"] },
      nodeSelectorAt: ["global", "nodeSelector"],
      job: true,
    },
    {
      name: "argocd-application-controller",
      containers: { "application-controller": ["controller", "resources"] },
      nodeSelectorAt: ["global", "nodeSelector"],
    },
    {
      name: "argocd-repo-server",
      // The init container that copies a binary has the same resources.
      containers: { "repo-server": ["repoServer", "resources"] },
      nodeSelectorAt: ["global", "nodeSelector"],
    },
    {
      name: "argocd-redis",
      containers: { redis: ["redis", "resources"] },
      nodeSelectorAt: ["global", "nodeSelector"],
    },
  ],
};

/** What Pod Security `restricted` demands; the charts of Prometheus and Argo CD set it by themselves. */
const restrictedPod = { runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: "RuntimeDefault" } };
const restrictedContainer = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ["ALL"] },
  readOnlyRootFilesystem: true,
};

interface PodShape {
  containers: Readonly<Record<string, unknown>>;
  restricted: boolean;
  nodeSelector?: unknown;
  affinity?: unknown;
  volumes?: unknown[];
  terminationGracePeriodSeconds?: unknown;
}

function podSpec(shape: PodShape): Fields {
  const { containers, restricted, ...rest } = shape;
  return {
    ...Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined)),
    automountServiceAccountToken: false,
    ...(restricted ? { securityContext: restrictedPod } : {}),
    containers: Object.entries(containers).map(([name, resources]) => ({
      name,
      image: "simulated.invalid/stand-in:none",
      ...(resources === undefined ? {} : { resources }),
      ...(restricted ? { securityContext: restrictedContainer } : {}),
    })),
  };
}

function deployment(
  namespace: string,
  name: string,
  labels: Record<string, string>,
  spec: Fields,
): KubernetesObject {
  const own = { ...labels, "lab.invalid/stand-in": name };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, namespace, labels: own },
    spec: { replicas: 1, selector: { matchLabels: own }, template: { metadata: { labels: own }, spec } },
  };
}

/**
 * What a chart would start.
 * @throws Error when the chart is not known here: somebody has to say which pods it brings.
 */
export function chartStandIns(chart: KubernetesObject): KubernetesObject[] {
  const name = textAt(chart, ["spec", "chart"]);
  const namespace = textAt(chart, ["spec", "targetNamespace"]);
  const values = valuesOf(chart);
  const pods = chartPods[name];
  if (pods === undefined)
    throw new Error(
      `chart ${name}: lab/kubernetes/stand-ins.ts does not know its pods; add them to chartPods`,
    );
  return pods.map((pod) => {
    const spec = podSpec({
      containers: Object.fromEntries(
        Object.entries(pod.containers).map(([container, where]) => [container, at(values, where)]),
      ),
      restricted: true,
      nodeSelector: at(values, pod.nodeSelectorAt),
    });
    if (pod.job !== true) return deployment(namespace, pod.name, {}, spec);
    return {
      apiVersion: "batch/v1",
      kind: "Job",
      metadata: { name: pod.name, namespace },
      spec: { template: { spec: { ...spec, restartPolicy: "OnFailure" } } },
    };
  });
}

/** Whether a chart's values tell the Strimzi operator to give its pods what `restricted` demands. */
function isStrimziRestricted(chart: KubernetesObject | undefined): boolean {
  const variables = (at(valuesOf(chart), ["extraEnvs"]) ?? []) as { name: string; value: string }[];
  return variables.some(
    ({ name, value }) => name === "STRIMZI_POD_SECURITY_PROVIDER_CLASS" && value === "restricted",
  );
}

interface Volume {
  id: number;
  type: string;
  class?: string;
  size?: string;
  sizeLimit?: string;
}

/**
 * What the Strimzi operator would start for a `Kafka` with its node pools, and the claims of their volumes.
 * @param pools the `KafkaNodePool` objects that name the cluster.
 * @param operator the operator's `HelmChart`: it decides which security context the pods get.
 */
export function kafkaStandIns(
  kafka: KubernetesObject,
  pools: readonly KubernetesObject[],
  operator: KubernetesObject | undefined,
): KubernetesObject[] {
  const { name: cluster, namespace = "default" } = kafka.metadata;
  const restricted = isStrimziRestricted(operator);
  let number = 0;
  const objects: KubernetesObject[] = [];
  for (const pool of pools) {
    const count = Number(at(pool, ["spec", "replicas"]));
    const volumes = (at(pool, ["spec", "storage", "volumes"]) ?? []) as Volume[];
    for (let index = 0; index < count; index++, number++) {
      // As Strimzi names them: the ids of nodes go on from pool to pool.
      const name = `${cluster}-${pool.metadata.name}-${number}`;
      const claims = volumes.filter(({ type }) => type === "persistent-claim");
      for (const { id, class: storageClassName, size } of claims) {
        objects.push({
          apiVersion: "v1",
          kind: "PersistentVolumeClaim",
          metadata: { name: `data-${id}-${name}`, namespace },
          spec: {
            accessModes: ["ReadWriteOnce"],
            storageClassName,
            resources: { requests: { storage: size } },
          },
        });
      }
      objects.push({
        apiVersion: "v1",
        kind: "Pod",
        metadata: {
          name,
          namespace,
          labels: {
            "strimzi.io/cluster": cluster,
            "strimzi.io/name": `${cluster}-kafka`,
            "strimzi.io/kind": "Kafka",
            "strimzi.io/pool-name": pool.metadata.name,
            "strimzi.io/broker-role": "true",
            "strimzi.io/controller-role": "true",
          },
        },
        spec: podSpec({
          containers: { kafka: at(pool, ["spec", "resources"]) },
          restricted,
          affinity: at(pool, ["spec", "template", "pod", "affinity"]),
          terminationGracePeriodSeconds: at(pool, [
            "spec",
            "template",
            "pod",
            "terminationGracePeriodSeconds",
          ]),
          volumes: volumes.map(({ id, type, sizeLimit }) => ({
            name: `data-${id}`,
            ...(type === "persistent-claim"
              ? { persistentVolumeClaim: { claimName: `data-${id}-${name}` } }
              : { emptyDir: sizeLimit === undefined ? {} : { sizeLimit } }),
          })),
        }),
      });
    }
  }
  const exporter = at(kafka, ["spec", "kafkaExporter"]);
  if (exporter !== undefined) {
    const labels = { "strimzi.io/cluster": cluster, "strimzi.io/kind": "Kafka" };
    const spec = podSpec({
      containers: { exporter: at(exporter, ["resources"]) },
      restricted,
      affinity: at(exporter, ["template", "pod", "affinity"]),
    });
    objects.push(deployment(namespace, `${cluster}-kafka-exporter`, labels, spec));
  }
  return objects;
}
