/** The files that k3s reads on a node: https://docs.k3s.io/installation/configuration#configuration-file */
import { stringify } from "yaml";
import { reserved } from "../fit.ts";
import { kubernetesApiPort, privateNetwork } from "../network.ts";
import type { NodePlan } from "../nodes.ts";

/** What a stack may choose of k3s. */
export interface K3sOptions {
  /** Nodes hand images to each other (k3s's embedded registry mirror). Default: false. */
  embeddedRegistry: boolean;
  /** Traffic between pods of different nodes is encrypted (flannel's backend `wireguard-native`). Default: false. */
  wireguard: boolean;
}

/** Who may pull from a registry. */
export interface RegistryCredentials {
  /** Host, with its port if it has one: `ghcr.io`. */
  host: string;
  user: string;
  /** Secret. */
  token: string;
}

export const controlPlaneUrl = `https://${privateNetwork.controlPlane}:${kubernetesApiPort}`;

export interface K3sConfigArgs {
  plan: NodePlan;
  /** Token with which servers join; only the control plane gets it. */
  serverToken: string;
  /** Token with which agents join. */
  agentToken: string;
  /** Default: none chosen. */
  k3s?: K3sOptions | undefined;
}

/** `/etc/rancher/k3s/config.yaml`: https://docs.k3s.io/cli/server and https://docs.k3s.io/cli/agent */
export function k3sConfig(args: K3sConfigArgs): Record<string, unknown> {
  const { plan } = args;
  const kept = reserved[plan.role];
  const common = {
    "node-name": plan.nodeName,
    "node-ip": plan.privateAddress,
    "kubelet-arg": [
      `kube-reserved=cpu=${kept.kube.cpu},memory=${kept.kube.memory}`,
      `system-reserved=cpu=${kept.system.cpu},memory=${kept.system.memory}`,
      `eviction-hard=memory.available<${kept.eviction},nodefs.available<5%,imagefs.available<5%`,
      // The logs of pods are evidence of the day, and the API hands out the newest file only: 10 MB by default.
      "container-log-max-size=256Mi",
      "container-log-max-files=2",
    ],
  };
  if (plan.role === "kafka") return { ...common, server: controlPlaneUrl, token: args.agentToken };
  return {
    ...common,
    token: args.serverToken,
    "agent-token": args.agentToken,
    "advertise-address": plan.privateAddress,
    "https-listen-port": kubernetesApiPort,
    "write-kubeconfig-mode": "0600",
    "secrets-encryption": true,
    // Events are evidence of the day; by default they are gone after an hour.
    "kube-apiserver-arg": ["event-ttl=25h"],
    disable: ["traefik", "servicelb", "metrics-server"],
    // Both are the server's to say; agents are told when they join.
    ...(args.k3s?.embeddedRegistry === true ? { "embedded-registry": true } : {}),
    ...(args.k3s?.wireguard === true ? { "flannel-backend": "wireguard-native" } : {}),
  };
}

/**
 * `/etc/rancher/k3s/registries.yaml`: https://docs.k3s.io/installation/private-registry. The embedded registry shares
 * only what stands under `mirrors`, on every node: https://docs.k3s.io/installation/registry-mirror
 * @param registries hosts whose images nodes hand to each other
 * @returns undefined when there is nothing to say
 */
export function registriesFile(
  registries: readonly string[],
  k3s: K3sOptions | undefined,
  credentials: RegistryCredentials | undefined,
): string | undefined {
  const mirrors = k3s?.embeddedRegistry === true ? registries : [];
  if (mirrors.length === 0 && credentials === undefined) return undefined;
  return stringify(
    {
      ...(mirrors.length === 0 ? {} : { mirrors: Object.fromEntries(mirrors.map((host) => [host, {}])) }),
      ...(credentials === undefined
        ? {}
        : {
            configs: {
              [credentials.host]: { auth: { username: credentials.user, password: credentials.token } },
            },
          }),
    },
    { version: "1.1", lineWidth: 0 },
  );
}

/** A TOML basic string: https://toml.io/en/v1.0.0#string. JSON's escapes are all TOML's, but for U+007F. */
const toml = (text: string) => JSON.stringify(text).replaceAll("\u007f", "\\u007F");

/**
 * Configuration of the containerd that fetches images before k3s runs: k3s's own binary and folder, so what it needs
 * is the version of the format and who may pull. https://github.com/containerd/containerd/blob/main/docs/cri/registry.md
 */
export function containerdFile(credentials: RegistryCredentials | undefined): string {
  const registry = "plugins.'io.containerd.cri.v1.images'.registry";
  return [
    "version = 3",
    // It runs no container.
    "[plugins.'io.containerd.nri.v1.nri']",
    "disable = true",
    ...(credentials === undefined
      ? []
      : [
          `[${registry}.configs.${toml(credentials.host)}.auth]`,
          `username = ${toml(credentials.user)}`,
          `password = ${toml(credentials.token)}`,
        ]),
    "",
  ].join("\n");
}
