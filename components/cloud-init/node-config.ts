/** What a server does at its first boot, so that it is a k3s node without anyone logging in. */
import { stringify } from "yaml";
import type { NodePlan } from "../nodes.ts";
import { k3s } from "../versions.ts";
import { withoutBootDelays } from "./boot-delays.ts";
import { type CloudConfig, renderCloudConfig, type WriteFile } from "./cloud-config.ts";
import { registryOf } from "./images-ahead.ts";
import {
  containerdFile,
  controlPlaneUrl,
  k3sConfig,
  type K3sOptions,
  registriesFile,
  type RegistryCredentials,
} from "./k3s-files.ts";
import { script, scriptDirectory, scripts } from "./scripts.ts";
import { imagesAheadUnit, imagesUnit, k3sUnit, metadataGuardUnit } from "./units.ts";

export { k3sConfig } from "./k3s-files.ts";
export { scriptDirectory, scripts } from "./scripts.ts";

/** How long the scripts on a node wait, in seconds. */
export const deadlines = {
  /** The k3s binary, all attempts together. */
  download: 300,
  /** The private interface, from when the binary is there. */
  privateInterface: 300,
  /** An agent waits for its control plane within this time, before and during its start. */
  k3sStart: 600,
  /** The clock to be synchronised. */
  clock: 60,
  /** A node, from the first contact; all of the above together may take longer, and is then given up. */
  node: 900,
  /** Custom resource definitions of a chart. */
  crds: 600,
} as const;

/** How far a node's clock may be off when it is set up, in seconds: deadlines of orders carry safety. */
export const maxClockSkewSeconds = 0.1;

export interface NodeConfigArgs {
  plan: NodePlan;
  /** Token with which servers join; only the control plane gets it. */
  serverToken: string;
  /** Token with which agents join. */
  agentToken: string;
  /** Ed25519 host key in OpenSSH's format. */
  hostPrivateKey: string;
  /** Its public half, `ssh-ed25519 AAAA...`. */
  hostPublicKey: string;
  /** Images to fetch before they are asked for, in this order. Default: none. */
  images?: readonly string[];
  /** Registries whose images nodes hand to each other. Default: those of `images`, and k3s's own. */
  registries?: readonly string[];
  /** Default: none chosen. */
  k3s?: K3sOptions | undefined;
  /** Default: every image can be had without. */
  registryCredentials?: RegistryCredentials | undefined;
}

/** `KEY=value` lines for bash. */
function environmentFile(values: Record<string, string | number>): string {
  return Object.entries(values)
    .map(([key, value]) => `${key}=${value}\n`)
    .join("");
}

function files(args: NodeConfigArgs): WriteFile[] {
  const { plan, images = [], registryCredentials } = args;
  const command = plan.role === "kafka" ? "agent" : "server";
  const open = (path: string, content: string) => ({ path, permissions: "0644", content });
  /** For tokens: the administrator's only. */
  const closed = (path: string, content: string) => ({ path, permissions: "0600", content });
  const unit = (name: string, content: string) => open(`/etc/systemd/system/${name}.service`, content);
  const registries = registriesFile(
    args.registries ?? [...new Set(["docker.io", ...images.map(registryOf)])],
    args.k3s,
    registryCredentials,
  );
  return [
    open(
      "/etc/trading/node.env",
      environmentFile({
        NODE_NAME: plan.nodeName,
        PRIVATE_ADDRESS: plan.privateAddress,
        CONTROL_PLANE: controlPlaneUrl,
        K3S_COMMAND: command,
        K3S_VERSION: k3s.version,
        K3S_SHA256: k3s.sha256,
        MAX_CLOCK_SKEW_SECONDS: maxClockSkewSeconds,
        DOWNLOAD_DEADLINE: deadlines.download,
        INTERFACE_DEADLINE: deadlines.privateInterface,
        K3S_DEADLINE: deadlines.k3sStart,
        CLOCK_DEADLINE: deadlines.clock,
        NODE_DEADLINE: deadlines.node,
        CRDS_DEADLINE: deadlines.crds,
      }),
    ),
    open("/etc/trading/images.txt", images.map((image) => `${image}\n`).join("")),
    closed("/etc/trading/containerd.toml", containerdFile(registryCredentials)),
    closed("/etc/rancher/k3s/config.yaml", stringify(k3sConfig(args), { version: "1.1" })),
    ...(registries === undefined ? [] : [closed("/etc/rancher/k3s/registries.yaml", registries)]),
    unit("trading-k3s", k3sUnit(command)),
    unit("trading-metadata-guard", metadataGuardUnit),
    unit("trading-images-ahead", imagesAheadUnit),
    unit("trading-images", imagesUnit),
    open(
      "/etc/chrony/sources.d/hetzner.sources",
      // https://docs.hetzner.com/dns-console/dns/general/time-server (Hetzner's own time servers)
      ["ntp1.hetzner.de", "ntp2.hetzner.com", "ntp3.hetzner.net"]
        .map((host) => `server ${host} iburst\n`)
        .join(""),
    ),
    ...scripts.map((name) => ({
      path: `${scriptDirectory}/${name}`,
      permissions: "0755",
      content: script(name),
    })),
  ];
}

/** The first boot of one node, as an object. */
export function nodeConfig(args: NodeConfigArgs): CloudConfig {
  return {
    ssh_deletekeys: true,
    ssh_keys: { ed25519_private: args.hostPrivateKey, ed25519_public: args.hostPublicKey },
    ssh_pwauth: false,
    package_update: false,
    package_upgrade: false,
    bootcmd: [["sh", "-c", withoutBootDelays]],
    write_files: files(args),
    runcmd: [[`${scriptDirectory}/install-node`]],
  };
}

/** The user data of one node. */
export function nodeUserData(args: NodeConfigArgs): string {
  return renderCloudConfig(nodeConfig(args));
}
