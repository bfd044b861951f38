/** A whole cluster as the stack makes it, for tests: one network, one firewall, four servers. */
import type { KeyPair } from "../boot/key-pair.ts";
import { newKeyPair, type TestClient } from "./client.ts";
import { stringify } from "yaml";

const scripts = ["install-node", "wait-for-node", "wait-for-nodes", "print-kubeconfig", "wait-for-crds"];

export interface NodeUserData {
  nodeName: string;
  privateAddress: string;
  /** Agents: where they join. */
  server?: string;
  token: string;
  agentToken?: string;
  hostKey: string;
}

/** User data of one node, in the form that the stack's own has. */
export function nodeUserData(node: NodeUserData): string {
  const config = {
    "node-name": node.nodeName,
    "node-ip": node.privateAddress,
    token: node.token,
    ...(node.server === undefined ? { "agent-token": node.agentToken } : { server: node.server }),
  };
  const environment = {
    NODE_NAME: node.nodeName,
    K3S_COMMAND: node.server === undefined ? "server" : "agent",
  };
  const lines = Object.entries(environment).map(([key, value]) => `${key}=${value}\n`);
  const document = {
    ssh_deletekeys: true,
    ssh_keys: { ed25519_private: node.hostKey },
    write_files: [
      { path: "/etc/trading/node.env", permissions: "0644", content: lines.join("") },
      { path: "/etc/rancher/k3s/config.yaml", permissions: "0600", content: stringify(config) },
      ...scripts.map((name) => ({
        path: `/usr/local/lib/trading/${name}`,
        permissions: "0755",
        content: "#!/bin/bash\n",
      })),
    ],
    runcmd: [["/usr/local/lib/trading/install-node"]],
  };
  return `#cloud-config\n${stringify(document, { lineWidth: 0 })}`;
}

export interface TestCluster {
  adminKey: string;
  hostKeys: KeyPair[];
  /** Addresses of k3s-control, kafka-0, kafka-1, kafka-2. */
  addresses: string[];
  ids: { network: number; firewall: number; sshKey: number; placementGroup: number; servers: number[] };
}

export interface ClusterWish {
  /** Token of each agent; default: the right one. */
  agentTokens?: string[];
  /** User data of a node in place of {@link nodeUserData}'s. */
  userData?: (nodeName: string, hostKey: KeyPair) => string;
}

/** Creates the cluster as the real provider does and waits for its actions, not for its boot. */
export async function createCluster(client: TestClient, wish: ClusterWish = {}): Promise<TestCluster> {
  const admin = newKeyPair();
  const { ssh_key: sshKey } = await client.expect(201, "POST", "/ssh_keys", {
    name: "dev",
    public_key: admin.public,
  });
  const { network } = await client.expect(201, "POST", "/networks", { name: "dev", ip_range: "10.0.0.0/16" });
  const subnet = { type: "cloud", network_zone: "eu-central", ip_range: "10.0.1.0/24" };
  const added = await client.expect(201, "POST", `/networks/${network.id}/actions/add_subnet`, subnet);
  const rule = { direction: "in", protocol: "tcp", port: "22", source_ips: ["127.0.0.0/8"] };
  const created = await client.expect(201, "POST", "/firewalls", { name: "dev", rules: [rule] });
  const group = await client.expect(201, "POST", "/placement_groups", { name: "dev", type: "spread" });
  await client.wait(added.action, ...created.actions);

  const names = ["k3s-control", "kafka-0", "kafka-1", "kafka-2"];
  const addresses = ["10.0.1.1", "10.0.1.10", "10.0.1.11", "10.0.1.12"];
  const hostKeys = names.map(() => newKeyPair());
  const defaultUserData = (index: number) =>
    nodeUserData({
      nodeName: names[index] ?? "",
      privateAddress: addresses[index] ?? "",
      hostKey: hostKeys[index]?.private ?? "",
      ...(index === 0
        ? { token: "server-token", agentToken: "agent-token" }
        : { token: wish.agentTokens?.[index - 1] ?? "agent-token", server: "https://10.0.1.1:6443" }),
    });
  const servers = await Promise.all(
    names.map(async (nodeName, index) => {
      const control = index === 0;
      const body = await client.expect(201, "POST", "/servers", {
        name: `dev-${nodeName}`,
        server_type: control ? "cpx22" : "cpx32",
        image: "ubuntu-24.04",
        location: "fsn1",
        ssh_keys: [sshKey.id],
        firewalls: [{ firewall: created.firewall.id }],
        placement_group: group.placement_group.id,
        public_net: { enable_ipv4: true, enable_ipv6: false },
        labels: { role: control ? "k3s-control" : "kafka" },
        user_data: wish.userData?.(nodeName, hostKeys[index] ?? admin) ?? defaultUserData(index),
      });
      await client.wait(body.action, ...body.next_actions);
      const { action } = await client.expect(
        201,
        "POST",
        `/servers/${body.server.id}/actions/attach_to_network`,
        {
          network: network.id,
          ip: addresses[index],
        },
      );
      await client.wait(action);
      return body.server;
    }),
  );
  return {
    adminKey: admin.private,
    hostKeys,
    addresses: servers.map((server) => server.public_net.ipv4?.ip ?? ""),
    ids: {
      network: network.id,
      firewall: created.firewall.id,
      sshKey: sshKey.id,
      placementGroup: group.placement_group.id,
      servers: servers.map(({ id }) => id),
    },
  };
}
