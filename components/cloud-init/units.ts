/** The systemd units of a node. */
import { scriptDirectory } from "./scripts.ts";

/** k3s, as its own installer writes the unit, and after what must be there before. */
export const k3sUnit = (command: "server" | "agent") => `[Unit]
Description=k3s ${command}
Documentation=https://k3s.io
Wants=network-online.target
After=network-online.target
Requires=trading-metadata-guard.service
After=trading-metadata-guard.service
# Stopped before this starts: both containerds work in one folder.
After=trading-images-ahead.service

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

/**
 * Keeps pods away from the metadata service: user data holds tokens. What a pod sends is forwarded and so passes
 * PREROUTING and FORWARD; what the host sends does not. The raw table comes before every rule that Kubernetes writes;
 * mangle's FORWARD comes after address translation, so no Service can be pointed there either. Kubernetes leaves both alone.
 * Pods in the host's network would get through: Pod Security "restricted" on our namespaces forbids them. Hetzner's service
 * has an IPv4 address only (https://docs.hetzner.cloud/reference/cloud#server-metadata), and the servers have no IPv6.
 */
export const metadataGuardUnit = `[Unit]
Description=Keep pods away from the metadata service
Before=trading-k3s.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/iptables --wait --table raw --insert PREROUTING --destination 169.254.169.254/32 --jump DROP
ExecStart=/usr/sbin/iptables --wait --table mangle --insert FORWARD --destination 169.254.169.254/32 --jump DROP

[Install]
WantedBy=multi-user.target
`;

/** Fetches images before k3s runs. Started by install-node only; k3s's start ends it. */
export const imagesAheadUnit = `[Unit]
Description=Fetch images before k3s runs
Conflicts=trading-k3s.service

[Service]
Type=exec
ExecStartPre=-/sbin/modprobe overlay
ExecStart=${scriptDirectory}/pull-images ahead
# Ended by SIGTERM is as good as done.
SuccessExitStatus=143
TimeoutStopSec=15
RuntimeMaxSec=900
`;

/** Fetches, through the containerd of k3s, what is missing then. Started by install-node only. */
export const imagesUnit = `[Unit]
Description=Fetch images beside k3s

[Service]
Type=exec
ExecStart=${scriptDirectory}/pull-images beside
RuntimeMaxSec=2400
`;
