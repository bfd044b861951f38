/**
 * How long things take. Every duration and every deadline of the simulator comes from {@link durations}, through one
 * {@link Latency}, so that a model can be replaced or scaled in one place.
 */

/** `fast`: milliseconds for tests and the lab's day. `model`: what users of the real cloud report. */
export type LatencyModel = "fast" | "model";

interface Duration {
  /** Milliseconds in the fast model. */
  fast: number;
  /** Milliseconds in the real cloud. */
  model: number;
}

/**
 * All in milliseconds. Sources of the column `model`: "server create to running 22 s (stock image)" and "k3s, 3 nodes, ready
 * in 2-3 minutes" are reported by users of hcloud and hetzner-k3s; what these sums consist of is an estimate, as is every
 * value without a comment. Deadlines are those of the scripts on the nodes (components/cloud-init/scripts).
 */
export const durations = {
  // Actions of the API, by command. create_server + start_server = 22 s reported.
  create_server: { fast: 150, model: 14_000 },
  start_server: { fast: 100, model: 8_000 },
  stop_server: { fast: 100, model: 3_000 },
  shutdown_server: { fast: 60, model: 1_000 },
  reboot_server: { fast: 150, model: 12_000 },
  reset_server: { fast: 150, model: 10_000 },
  delete_server: { fast: 150, model: 6_000 },
  attach_to_network: { fast: 60, model: 3_000 },
  detach_from_network: { fast: 60, model: 3_000 },
  change_alias_ips: { fast: 40, model: 2_000 },
  change_dns_ptr: { fast: 30, model: 1_000 },
  change_protection: { fast: 30, model: 500 },
  add_to_placement_group: { fast: 40, model: 1_000 },
  remove_from_placement_group: { fast: 40, model: 1_000 },
  add_subnet: { fast: 60, model: 1_500 },
  delete_subnet: { fast: 60, model: 1_500 },
  add_route: { fast: 60, model: 1_500 },
  delete_route: { fast: 60, model: 1_500 },
  change_ip_range: { fast: 60, model: 1_500 },
  set_firewall_rules: { fast: 40, model: 1_500 },
  apply_firewall: { fast: 60, model: 3_000 },
  remove_firewall: { fast: 60, model: 3_000 },
  create_primary_ip: { fast: 40, model: 1_000 },
  assign_primary_ip: { fast: 40, model: 2_000 },
  unassign_primary_ip: { fast: 40, model: 2_000 },
  // The boot of a server, from the end of start_server.
  boot_until_ssh: { fast: 100, model: 10_000 },
  boot_until_runcmd: { fast: 50, model: 6_000 },
  // install-node until it starts k3s: the download of k3s and of the time service.
  install_k3s: { fast: 100, model: 15_000 },
  k3s_server_ready: { fast: 200, model: 30_000 },
  k3s_agent_ready: { fast: 150, model: 20_000 },
  shutdown_of_guest: { fast: 80, model: 5_000 },
  // Operators' charts, from the control plane's readiness to established custom resource definitions.
  charts_installed: { fast: 150, model: 45_000 },
  // Deadlines.
  deadline_private_interface: { fast: 10_000, model: 300_000 },
  deadline_k3s_start: { fast: 20_000, model: 600_000 },
  deadline_wait_for_nodes: { fast: 30_000, model: 900_000 },
  deadline_wait_for_crds: { fast: 20_000, model: 600_000 },
} as const satisfies Record<string, Duration>;

export type TimedStep = keyof typeof durations;

/** Where every duration comes from. */
export interface Latency {
  /**
   * @param step what takes time
   * @param subject what it happens to, for example `server/42`; models may tell subjects apart
   * @returns milliseconds, at least 0
   */
  duration(step: TimedStep, subject: string): number;
}

/** A latency model by its name, with single steps replaced where a test needs it. */
export function latencyModel(name: LatencyModel, replaced: Partial<Record<TimedStep, number>> = {}): Latency {
  return { duration: (step) => replaced[step] ?? durations[step][name] };
}
