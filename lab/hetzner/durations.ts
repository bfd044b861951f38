/**
 * The latency model: how long everything takes, in one file. Every duration and every deadline of the simulator comes
 * from {@link durations}, through one {@link Latency}. To run the model faster than the real cloud, give the simulator a
 * clock with a higher speed; the proportions stay.
 *
 * Sources of the column `model` (reported = by users, measured elsewhere; nothing here was measured by us in the real cloud):
 * [create] Hetzner server with a stock image, create to running: 22 s reported.
 * [k3s] hetzner-k3s, three nodes from nothing to ready: 2 to 3 minutes reported.
 * [strimzi] Strimzi brokers of a fresh cluster ready: 1 to 2 minutes reported, images pulled within it.
 * [kube-hetzner] a whole cluster by kube-hetzner: about 5 minutes reported.
 * [docs] stated by the documentation of the product.
 * [split] an estimate: how a reported sum is divided; the sum is what was reported.
 * [estimate] an estimate without a source; order of magnitude only.
 */

/** `fast`: milliseconds for tests and the lab's day. `model`: what is reported of the real cloud. */
export type LatencyModel = "fast" | "model";

interface Duration {
  /** Milliseconds in the fast model. */
  fast: number;
  /** Milliseconds in the real cloud. */
  model: number;
}

/** All in milliseconds. Deadlines are those of the scripts on the nodes (components/cloud-init/scripts). */
export const durations = {
  // One request to the API, from Europe, connection kept open. [estimate]
  api_request: { fast: 0, model: 120 },

  // A command over SSH: the connection's round trips and key exchange, before the command itself. [estimate]
  ssh_command: { fast: 0, model: 600 },

  // Actions of the API, by command.
  create_server: { fast: 150, model: 14_000 }, // [create] [split]: with start_server 22 s
  start_server: { fast: 100, model: 8_000 }, // [create] [split]
  stop_server: { fast: 100, model: 3_000 }, // [estimate]
  shutdown_server: { fast: 60, model: 1_000 }, // [docs] only asks the system: ends before it is off. [estimate]
  reboot_server: { fast: 150, model: 12_000 }, // [estimate]
  reset_server: { fast: 150, model: 10_000 }, // [estimate]
  delete_server: { fast: 150, model: 6_000 }, // [estimate]
  attach_to_network: { fast: 60, model: 3_000 }, // [estimate]; late interfaces are a known complaint
  detach_from_network: { fast: 60, model: 3_000 }, // [estimate]
  change_alias_ips: { fast: 40, model: 2_000 }, // [estimate]
  change_dns_ptr: { fast: 30, model: 1_000 }, // [estimate]
  change_protection: { fast: 30, model: 500 }, // [estimate]
  add_to_placement_group: { fast: 40, model: 1_000 }, // [estimate]
  remove_from_placement_group: { fast: 40, model: 1_000 }, // [estimate]
  add_subnet: { fast: 60, model: 1_500 }, // [estimate]
  delete_subnet: { fast: 60, model: 1_500 }, // [estimate]
  add_route: { fast: 60, model: 1_500 }, // [estimate]
  delete_route: { fast: 60, model: 1_500 }, // [estimate]
  change_ip_range: { fast: 60, model: 1_500 }, // [estimate]
  set_firewall_rules: { fast: 40, model: 1_500 }, // [estimate]
  apply_firewall: { fast: 60, model: 3_000 }, // [docs] "up to a few seconds"
  remove_firewall: { fast: 60, model: 3_000 }, // [docs] "up to a few seconds"
  create_primary_ip: { fast: 40, model: 1_000 }, // [estimate]
  assign_primary_ip: { fast: 40, model: 2_000 }, // [estimate]
  unassign_primary_ip: { fast: 40, model: 2_000 }, // [estimate]

  // The boot of a server, from the end of start_server.
  boot_until_ssh: { fast: 100, model: 10_000 }, // [estimate]
  boot_until_runcmd: { fast: 50, model: 6_000 }, // cloud-init's own modules. [estimate]
  shutdown_of_guest: { fast: 80, model: 5_000 }, // [estimate]

  // k3s. A node of [k3s] is ready 150 s after the first request: 22 s create, 16 s boot, and what stands here.
  install_k3s: { fast: 100, model: 15_000 }, // download of the binary (75 MB) and of the time service. [split]
  containerd_start: { fast: 10, model: 4_000 }, // start of k3s to its containerd answering, no image comes in. [estimate]
  k3s_server_ready: { fast: 200, model: 30_000 }, // start of k3s to a Ready node. [k3s] [split]
  k3s_agent_ready: { fast: 150, model: 20_000 }, // the control plane answers to a Ready node: the join. [k3s] [split]

  // In the cluster, images already on the node; pulls are counted apart by imagePullMs.
  kubernetes_request: { fast: 0, model: 100 }, // one object applied and read back, from Europe. [estimate]
  charts_installed: { fast: 150, model: 45_000 }, // Ready control plane to established definitions: helm jobs. [estimate]
  operator_ready: { fast: 100, model: 20_000 }, // an operator's pod, scheduled to Ready. [strimzi] [split]
  broker_ready: { fast: 300, model: 45_000 }, // Kafka object to three brokers Ready. [strimzi] [split]
  prometheus_ready: { fast: 150, model: 25_000 }, // Prometheus object to a Ready pod. [estimate]
  prepare_day: { fast: 100, model: 10_000 }, // the Job that makes the topics and opens the archive. [estimate]
  argocd_ready: { fast: 150, model: 30_000 }, // Argo CD core's pods, scheduled to Ready. [estimate]
  argocd_sync: { fast: 100, model: 12_000 }, // root Application created to its objects applied. [estimate]
  service_ready: { fast: 100, model: 8_000 }, // a service's pod, applied to Ready. [estimate]

  // Deadlines.
  deadline_first_contact: { fast: 2_000, model: 120_000 },
  deadline_private_interface: { fast: 10_000, model: 300_000 },
  deadline_k3s_start: { fast: 20_000, model: 600_000 },
  deadline_wait_for_nodes: { fast: 30_000, model: 900_000 },
  deadline_wait_for_crds: { fast: 20_000, model: 600_000 },
} as const satisfies Record<string, Duration>;

export type TimedStep = keyof typeof durations;

/**
 * Pulling images: megabytes (10^6 bytes) a second that a node receives and unpacks, and seconds that each image costs
 * besides. The line of a Hetzner server is shared and not guaranteed; registries give a client 30 to 100 MB/s; unpacking
 * gzip layers on two to four shared cores takes about as long as receiving them. [estimate]
 */
export const imagePulls = {
  fast: { receiveMegabytesPerSecond: 20_000, unpackMegabytesPerSecond: 20_000, perImageMs: 5 },
  model: { receiveMegabytesPerSecond: 50, unpackMegabytesPerSecond: 60, perImageMs: 1_500 },
} as const satisfies Record<LatencyModel, PullSpeed>;

/** How fast a node takes images in. */
export interface PullSpeed {
  receiveMegabytesPerSecond: number;
  unpackMegabytesPerSecond: number;
  /** Manifests, tokens and checks, in ms an image. */
  perImageMs: number;
}

/**
 * Compressed megabytes of the images that a node of ours pulls, by a part of their name; first match. Rounded from what
 * the registries list for linux/amd64 of these lines. [estimate] A name that fits none counts as `otherImageMegabytes`.
 */
export const imageMegabytes: readonly (readonly [part: string, megabytes: number])[] = [
  ["strimzi/operator", 330],
  ["strimzi/kafka", 420],
  ["prometheus-config-reloader", 15],
  ["prometheus-operator", 20],
  ["kube-state-metrics", 17],
  ["prometheus/prometheus", 130],
  ["argoproj/argocd", 180],
  ["redis", 12],
  ["rancher/klipper-helm", 61], // 61,161,558 bytes: https://github.com/k3s-io/k3s/issues/14081
  ["rancher/mirrored-coredns", 20],
  ["rancher/local-path-provisioner", 20],
  ["rancher/mirrored-pause", 1],
];
export const otherImageMegabytes = 75;

/** Size of an image by its name. */
export function megabytesOf(image: string): number {
  return imageMegabytes.find(([part]) => image.includes(part))?.[1] ?? otherImageMegabytes;
}

/**
 * How long a node pulls images, one after the other.
 * @param megabytes compressed size of each
 * @returns milliseconds
 */
export function imagePullMs(megabytes: readonly number[], speed: PullSpeed = imagePulls.model): number {
  const perMegabyte = 1_000 / speed.receiveMegabytesPerSecond + 1_000 / speed.unpackMegabytesPerSecond;
  return megabytes.reduce((sum, size) => sum + size * perMegabyte + speed.perImageMs, 0);
}

/** Where every duration comes from. */
export interface Latency {
  /**
   * @param step what takes time
   * @param subject what it happens to, for example `server/42`; models may tell subjects apart
   * @returns simulated milliseconds, at least 0
   */
  duration(step: TimedStep, subject: string): number;
  /** How fast nodes take images in. Default: as in the real cloud. */
  readonly pulls?: PullSpeed;
}

/** A latency model by its name, with single steps replaced where a test needs it. */
export function latencyModel(name: LatencyModel, replaced: Partial<Record<TimedStep, number>> = {}): Latency {
  return { duration: (step) => replaced[step] ?? durations[step][name], pulls: imagePulls[name] };
}
