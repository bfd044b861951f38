/** What a server does at its first boot, so that it is a k3s node without anyone logging in. */
import { readFileSync } from "node:fs";
import { stringify } from "yaml";
import { reserved } from "../fit.ts";
import { kubernetesApiPort, privateNetwork } from "../network.ts";
import type { NodePlan } from "../nodes.ts";
import { k3s, strimziImages } from "../versions.ts";
import { type CloudConfig, renderCloudConfig } from "./cloud-config.ts";

/** Where the scripts stand on a node. */
export const scriptDirectory = "/usr/local/lib/trading";

/** The commands that are run over SSH, and the one that cloud-init runs. */
export const scripts = [
  "install-node",
  "wait-for-node",
  "wait-for-nodes",
  "print-kubeconfig",
  "wait-for-crds",
] as const;

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
}

/** `/etc/rancher/k3s/config.yaml`: https://docs.k3s.io/installation/configuration#configuration-file */
export function k3sConfig(args: NodeConfigArgs): Record<string, unknown> {
  const { plan } = args;
  const common = {
    "node-name": plan.nodeName,
    "node-ip": plan.privateAddress,
    "kubelet-arg": [
      `kube-reserved=cpu=${reserved[plan.role].kube.cpu},memory=${reserved[plan.role].kube.memory}`,
      `system-reserved=cpu=${reserved[plan.role].system.cpu},memory=${reserved[plan.role].system.memory}`,
      `eviction-hard=memory.available<${reserved[plan.role].eviction},nodefs.available<5%,imagefs.available<5%`,
      // The logs of pods are evidence of the day, and the API hands out the newest file only: 10 MB by default.
      "container-log-max-size=256Mi",
      "container-log-max-files=2",
    ],
  };
  if (plan.role === "kafka") {
    return {
      ...common,
      server: `https://${privateNetwork.controlPlane}:${kubernetesApiPort}`,
      token: args.agentToken,
    };
  }
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
  };
}

/** Images that a node fetches before they are asked for. */
function imagesAhead(plan: NodePlan): string[] {
  if (plan.role !== "kafka") return [];
  return plan.nodeName === "kafka-1" ? [strimziImages.operator, strimziImages.kafka] : [strimziImages.kafka];
}

const k3sUnit = (command: "server" | "agent") => `[Unit]
Description=k3s ${command}
Documentation=https://k3s.io
Wants=network-online.target
After=network-online.target
Requires=trading-metadata-guard.service
After=trading-metadata-guard.service

[Service]
Type=notify
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStartPre=-/sbin/modprobe overlay
ExecStart=/usr/local/bin/k3s ${command}
KillMode=process
Delegate=yes
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=5

[Install]
WantedBy=multi-user.target
`;

// User data holds tokens. What a pod sends is forwarded and so passes PREROUTING; what the host sends does not.
// The raw table comes before every rule that Kubernetes writes, and Kubernetes leaves it alone.
const metadataGuardUnit = `[Unit]
Description=Keep pods away from the metadata service
Before=trading-k3s.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/iptables --wait --table raw --insert PREROUTING --destination 169.254.169.254/32 --jump DROP

[Install]
WantedBy=multi-user.target
`;

function script(name: (typeof scripts)[number]): string {
  return readFileSync(new URL(`./scripts/${name}`, import.meta.url), "utf8");
}

/** The first boot of one node, as an object. */
export function nodeConfig(args: NodeConfigArgs): CloudConfig {
  const { plan } = args;
  const command = plan.role === "kafka" ? "agent" : "server";
  const environment = {
    NODE_NAME: plan.nodeName,
    PRIVATE_ADDRESS: plan.privateAddress,
    K3S_COMMAND: command,
    K3S_VERSION: k3s.version,
    K3S_SHA256: k3s.sha256,
  };
  const aptUnits = ["apt-daily.timer", "apt-daily-upgrade.timer", "unattended-upgrades.service"];
  return {
    ssh_deletekeys: true,
    ssh_keys: { ed25519_private: args.hostPrivateKey, ed25519_public: args.hostPublicKey },
    ssh_pwauth: false,
    package_update: false,
    package_upgrade: false,
    // A machine that lives for a day is not upgraded under its brokers, and apt's lock stays free.
    // An image without one of these units must boot all the same.
    bootcmd: [["sh", "-c", `systemctl mask --now ${aptUnits.join(" ")} || true`]],
    write_files: [
      {
        path: "/etc/trading/node.env",
        permissions: "0644",
        content: Object.entries(environment)
          .map(([key, value]) => `${key}=${value}\n`)
          .join(""),
      },
      {
        path: "/etc/trading/images.txt",
        permissions: "0644",
        content: imagesAhead(plan)
          .map((image) => `${image}\n`)
          .join(""),
      },
      {
        path: "/etc/rancher/k3s/config.yaml",
        permissions: "0600",
        content: stringify(k3sConfig(args), { version: "1.1" }),
      },
      { path: "/etc/systemd/system/trading-k3s.service", permissions: "0644", content: k3sUnit(command) },
      {
        path: "/etc/systemd/system/trading-metadata-guard.service",
        permissions: "0644",
        content: metadataGuardUnit,
      },
      {
        path: "/etc/chrony/sources.d/hetzner.sources",
        permissions: "0644",
        // https://docs.hetzner.com/dns-console/dns/general/time-server (Hetzner's own time servers)
        content: ["ntp1.hetzner.de", "ntp2.hetzner.com", "ntp3.hetzner.net"]
          .map((host) => `server ${host} iburst\n`)
          .join(""),
      },
      ...scripts.map((name) => ({
        path: `${scriptDirectory}/${name}`,
        permissions: "0755",
        content: script(name),
      })),
    ],
    runcmd: [[`${scriptDirectory}/install-node`]],
  };
}

/** The user data of one node. */
export function nodeUserData(args: NodeConfigArgs): string {
  return renderCloudConfig(nodeConfig(args));
}
