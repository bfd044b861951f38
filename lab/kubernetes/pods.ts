/** What became of pods: where they run, and of those that do not, why. */
import { amount, type Amount, type PlacedPod } from "../../components/fit.ts";
import type { KubernetesApi, KubernetesObject } from "./api.ts";

interface PodFields {
  spec: {
    nodeName?: string;
    containers: { resources?: { requests?: Record<string, string> } }[];
    initContainers?: { restartPolicy?: string; resources?: { requests?: Record<string, string> } }[];
  };
  status: { phase: string; conditions?: { type: string; status: string; message?: string }[] };
}

/** A pod as the API has it. */
export interface PodState {
  /** `<namespace>/<name>` */
  name: string;
  namespace: string;
  labels: Readonly<Record<string, string>>;
  /** Undefined while the scheduler has found none. */
  node: string | undefined;
  phase: string;
  /** Running and Ready, or done. */
  settled: boolean;
  requests: Amount;
  /** What the scheduler says when it finds no node. */
  trouble: string | undefined;
}

/** What the scheduler counts for a pod: its containers, or its largest init container if that is more. */
function requestsOf({ spec }: PodFields): Amount {
  const of = ({ resources }: { resources?: { requests?: Record<string, string> } }): Amount =>
    amount({ cpu: resources?.requests?.["cpu"] ?? "0", memory: memoryOf(resources?.requests?.["memory"]) });
  const main = spec.containers.map(of);
  const sum = (amounts: readonly Amount[], key: keyof Amount) =>
    amounts.reduce((total, each) => total + each[key], 0);
  const init = (spec.initContainers ?? []).map(of);
  return {
    cpu: Math.max(sum(main, "cpu"), ...init.map(({ cpu }) => cpu)),
    memory: Math.max(sum(main, "memory"), ...init.map(({ memory }) => memory)),
  };
}

const memoryOf = (text = "0"): string => (/^\d+$/.test(text) ? `${Number(text) / 1024}Ki` : text);

export async function podStates(api: KubernetesApi): Promise<PodState[]> {
  return (await api.list("v1", "Pod")).map((pod) => {
    const { name, namespace = "default", labels = {} } = pod.metadata;
    const fields = pod as unknown as PodFields;
    const { spec, status } = fields;
    const condition = (type: string) => status.conditions?.find((each) => each.type === type);
    return {
      name: `${namespace}/${name}`,
      namespace,
      labels,
      node: spec.nodeName,
      phase: status.phase,
      settled:
        status.phase === "Succeeded" || (status.phase === "Running" && condition("Ready")?.status === "True"),
      requests: requestsOf(fields),
      trouble: condition("PodScheduled")?.status === "False" ? condition("PodScheduled")?.message : undefined,
    };
  });
}

/** The pods that run, as fit.ts counts them. */
export function placed(pods: readonly PodState[]): PlacedPod[] {
  return pods.flatMap(({ name, node, phase, requests }) =>
    node === undefined || phase !== "Running" ? [] : [{ name, node, requests }],
  );
}

/** A controller, and how many of its pods should be and are ready. */
interface Controlled {
  object: KubernetesObject;
  wanted: number;
  ready: number;
}

async function controllers(api: KubernetesApi): Promise<Controlled[]> {
  const all: Controlled[] = [];
  for (const kind of ["Deployment", "StatefulSet"]) {
    for (const object of await api.list("apps/v1", kind)) {
      const { spec, status = {} } = object as unknown as {
        spec: { replicas?: number };
        status?: {
          observedGeneration?: number;
          updatedReplicas?: number;
          readyReplicas?: number;
          replicas?: number;
        };
      };
      const isSeen = status.observedGeneration === object.metadata["generation"];
      const wanted = spec.replicas ?? 1;
      const isRolledOut = (status.updatedReplicas ?? 0) === wanted && (status.replicas ?? 0) === wanted;
      all.push({ object, wanted, ready: isSeen && isRolledOut ? (status.readyReplicas ?? 0) : -1 });
    }
  }
  for (const object of await api.list("batch/v1", "Job")) {
    const { status = {} } = object as unknown as { status?: { succeeded?: number } };
    all.push({ object, wanted: 1, ready: status.succeeded ?? 0 });
  }
  return all;
}

/** Why pods were not even made, as their controllers' events say: refused by Pod Security, by a quota or a limit. */
async function refusals(api: KubernetesApi): Promise<Map<string, string>> {
  const events = (await api.list("v1", "Event")) as unknown as {
    involvedObject: { kind: string; namespace?: string; name: string };
    reason: string;
    type: string;
    message: string;
  }[];
  return new Map(
    events
      .filter(
        ({ reason, type }) => type === "Warning" && /^Failed/.test(reason) && reason !== "FailedScheduling",
      )
      .map(({ involvedObject: { kind, namespace = "", name }, message }) => [
        `${kind} ${namespace}/${name}`,
        message,
      ]),
  );
}

/**
 * Everything that is not as it should be: pods that do not run, controllers without their pods; each with the reason that
 * scheduler or admission give. Empty when all is well.
 */
export async function unsettled(api: KubernetesApi): Promise<string[]> {
  const [pods, controlled] = await Promise.all([podStates(api), controllers(api)]);
  const waiting = pods
    .filter(({ settled }) => !settled)
    .map(
      ({ name, phase, node, trouble }) =>
        `Pod ${name} is ${phase}${node === undefined ? ", on no node" : ` on ${node}`}${trouble === undefined ? "" : `: ${trouble}`}`,
    );
  const short = controlled.filter(({ wanted, ready }) => ready !== wanted);
  if (waiting.length + short.length === 0) return [];
  const reasons = await refusals(api);
  return [
    ...waiting,
    ...short.map(({ object: { kind, metadata }, wanted, ready }) => {
      const name = `${metadata.namespace ?? ""}/${metadata.name}`;
      // A Deployment's pods are made by its ReplicaSet, which has its name as a beginning.
      const why = [...reasons].filter(
        ([about]) => about === `${kind} ${name}` || about.startsWith(`ReplicaSet ${name}-`),
      );
      const count = ready < 0 ? "its pods are not all there" : `${ready} of ${wanted} pods ready or done`;
      return `${kind} ${name}: ${count}${why.map(([, message]) => `: ${message}`).join("")}`;
    }),
  ];
}
