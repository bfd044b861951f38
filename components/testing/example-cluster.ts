/** A cluster up to its Kubernetes provider and settings, for tests of what is built on it. */
import * as hcloud from "@pulumi/hcloud";
import { ClusterIdentity, labels } from "../cluster-identity.ts";
import { K3sBootstrap } from "../k3s-bootstrap.ts";
import { K3s } from "../k3s.ts";
import { defaultReplication } from "../kafka-facts.ts";
import { Namespaces } from "../namespaces.ts";
import { Network } from "../network.ts";
import { Nodes } from "../nodes.ts";
import type { Profile } from "../profile.ts";
import { Settings } from "../settings.ts";

/** What Argo CD follows. */
const exampleRepository = "https://git.example.com/trading.git";

export function exampleCluster(stack = "dev", profile: Profile = "cluster") {
  const identity = new ClusterIdentity("cluster", {
    stack,
    businessDate: "2025-10-14",
    openHours: 2,
    archive: "0a",
  });
  const labelled = (role: string) => labels(stack, identity, role);
  const provider = new hcloud.Provider("hcloud", { token: "t".repeat(64) });
  const onHetzner = { providers: { hcloud: provider } };
  const network = new Network(
    "network",
    {
      stack,
      adminCidrs: ["203.0.113.0/24", "2001:db8::/48"],
      networkZone: "eu-central",
      labels: labelled,
    },
    onHetzner,
  );
  const bootstrap = new K3sBootstrap("bootstrap", { stack, labels: labelled, profile }, onHetzner);
  const nodes = new Nodes(
    "nodes",
    {
      stack,
      profile,
      network,
      location: "nbg1",
      brokerServerType: "cpx32",
      controlPlaneServerType: "cpx22",
      sshKeys: [bootstrap.sshKey.id],
      userData: bootstrap.userData,
      labels: labelled,
    },
    onHetzner,
  );
  const k3s = new K3s("k3s", { nodes, bootstrap, clusterId: identity.clusterId });
  const namespaces = new Namespaces("namespaces", { k3s, profile, repository: exampleRepository });
  const settings = new Settings("settings", {
    k3s,
    namespaces,
    stack,
    identity,
    kafkaBootstrapServers: "kafka-bootstrap.kafka.svc.cluster.local:9092",
    replication: defaultReplication[profile],
    archive: { endpoint: "https://s3.example.com", region: "fsn1", bucket: "archive" },
    venues: {
      alpaca: {
        streamUrl: "wss://stream.example.com/v2/iex",
        restUrl: "https://alpaca.example.com",
        updatesUrl: "wss://alpaca.example.com/stream",
        symbols: ["SPY", "QQQ"],
        requestsPerMinute: 200,
      },
      nearIntents: {
        relayWebSocketUrl: "wss://relay.example.com/ws",
        relayRpcUrl: "https://relay.example.com/rpc",
        salt: "252812b3",
      },
    },
    maxEventAgeDays: 7,
    risk: {
      maxNotional: "2500.50",
      maxAmounts: { "nep141:wrap.near": "1000", "nep141:btc.omft.near": "20" },
      maxOrdersPerMinute: 600,
      symbols: ["SPY", "nep141:wrap.near"],
      maxCommandAgeSeconds: 30,
      maxClockSkewMs: 500,
    },
    openOrdersAtClose: "carry-over",
    canaryEverySeconds: 120,
    secrets: {
      ALPACA_KEY_ID: "a",
      ALPACA_SECRET_KEY: "b",
      NEAR_RELAY_TOKEN: "c",
      NEAR_SIGNER_ID: "d",
      NEAR_PRIVATE_KEY: "e",
      S3_ACCESS_KEY_ID: "f",
      S3_SECRET_ACCESS_KEY: "g",
    },
  });
  return { identity, network, bootstrap, nodes, k3s, namespaces, settings };
}
