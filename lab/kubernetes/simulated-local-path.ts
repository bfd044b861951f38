/**
 * Stands in for k3s's local-path provisioner, SIMULATED: a volume appears for each claim whose pod the scheduler has put on
 * a node, bound to that node as local-path's are, and there is no folder behind it. Binding claim and volume is the real
 * controller manager's.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { KubernetesApi, KubernetesObject } from "./api.ts";

export const storageClassName = "local-path";

/** As k3s applies it: https://github.com/k3s-io/k3s/blob/master/manifests/local-storage.yaml. */
export const storageClass: KubernetesObject = {
  apiVersion: "storage.k8s.io/v1",
  kind: "StorageClass",
  metadata: {
    name: storageClassName,
    annotations: { "storageclass.kubernetes.io/is-default-class": "true" },
  },
  provisioner: "rancher.io/local-path",
  volumeBindingMode: "WaitForFirstConsumer",
  reclaimPolicy: "Delete",
};

const chosenNode = "volume.kubernetes.io/selected-node";
const lookEveryMs = 200;

interface Claim {
  spec: { storageClassName?: string; volumeName?: string; resources: { requests: { storage: string } } };
}

/** The volume for a claim; undefined while it needs none: bound already, of another class, or without a node. */
export function volumeFor(claim: KubernetesObject): KubernetesObject | undefined {
  const { spec } = claim as unknown as Claim;
  const node = claim.metadata.annotations?.[chosenNode];
  if (spec.storageClassName !== storageClassName || spec.volumeName !== undefined || node === undefined)
    return undefined;
  const { name, namespace = "default", uid } = claim.metadata;
  const term = { matchExpressions: [{ key: "kubernetes.io/hostname", operator: "In", values: [node] }] };
  return {
    apiVersion: "v1",
    kind: "PersistentVolume",
    metadata: { name: `pvc-${uid ?? name}` },
    spec: {
      accessModes: ["ReadWriteOnce"],
      capacity: { storage: spec.resources.requests.storage },
      claimRef: {
        apiVersion: "v1",
        kind: "PersistentVolumeClaim",
        name,
        namespace,
        ...(uid === undefined ? {} : { uid }),
      },
      hostPath: { path: `/var/lib/rancher/k3s/storage/pvc-${uid ?? name}`, type: "DirectoryOrCreate" },
      nodeAffinity: { required: { nodeSelectorTerms: [term] } },
      persistentVolumeReclaimPolicy: "Delete",
      storageClassName,
    },
  };
}

/**
 * Serves claims until it is stopped.
 * @param onError told why a volume could not be made; serving goes on.
 */
export function startSimulatedLocalPath(
  api: KubernetesApi,
  onError: (error: unknown) => void = () => undefined,
): { stop(): Promise<void> } {
  const end = new AbortController();
  const serve = async (): Promise<void> => {
    while (!end.signal.aborted) {
      try {
        for (const claim of await api.list("v1", "PersistentVolumeClaim")) {
          const volume = volumeFor(claim);
          if (volume !== undefined) await api.apply(volume, { fieldManager: "simulated-local-path" });
        }
      } catch (error) {
        if (!end.signal.aborted) onError(error);
      }
      await delay(lookEveryMs, undefined, { signal: end.signal }).catch(() => undefined);
    }
  };
  const serving = serve();
  return {
    stop: async () => {
      end.abort();
      await serving;
    },
  };
}
