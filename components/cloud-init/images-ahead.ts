import { catalog } from "../../services/catalog.ts";
import type { NodeName } from "../nodes.ts";
import { placedPods } from "../placed-pods.ts";
import type { Profile } from "../profile.ts";
import { chartImages, helmJobImage } from "../versions.ts";
import { imageOf, type Images } from "../workloads.ts";

/** What each kind of pod runs, the one that others wait for first: Kafka's way to Ready is the longest. */
function imagesByPod(images: Images): ReadonlyMap<string, readonly string[]> {
  return new Map<string, readonly string[]>([
    ["strimzi-operator", [chartImages.strimziOperator]],
    ["broker", [chartImages.kafka]],
    ["argocd-controller", [chartImages.argoCd]],
    ["argocd-repoServer", [chartImages.argoCd]],
    ["argocd-redis", [chartImages.redis]],
    ["monitoring-operator", [chartImages.prometheusOperator]],
    ["monitoring-prometheus", [chartImages.prometheus]],
    ["monitoring-configReloader", [chartImages.prometheusConfigReloader]],
    ["monitoring-kubeStateMetrics", [chartImages.kubeStateMetrics]],
    ["strimzi-exporter", [chartImages.kafka]],
    ...catalog.map(({ name }) => [name, [imageOf(name, images)]] as const),
    // k3s fetches what it brings itself.
    ["coredns", []],
  ]);
}

/**
 * The images that a node fetches before they are asked for: those of the pods that will run on it, each once, in the
 * order in which they are needed.
 * @param images where the services' images are, and which release
 * @throws Error when a pod is placed there of which nobody said what it runs
 */
export function imagesAhead(profile: Profile, node: NodeName, images: Images): string[] {
  const known = imagesByPod(images);
  const pods = placedPods(profile).filter((pod) => pod.node === node);
  const unknown = pods.find((pod) => !known.has(pod.name));
  if (unknown !== undefined) throw new Error(`no image is named for the pod ${unknown.name} on ${node}`);
  const here = new Set(pods.map((pod) => pod.name));
  // Every chart waits for the job that installs it, and that for a node: the control plane is the first.
  const first = node === "k3s-control" ? [helmJobImage] : [];
  return [...new Set([...first, ...[...known].flatMap(([name, names]) => (here.has(name) ? names : []))])];
}

/** Host of an image's registry; names without one are Docker Hub's. */
export function registryOf(image: string): string {
  const [first = "", ...rest] = image.split("/");
  return rest.length > 0 && (/[.:]/.test(first) || first === "localhost") ? first : "docker.io";
}
