import * as hcloud from "@pulumi/hcloud";
import type * as pulumi from "@pulumi/pulumi";
import { archiveMark } from "../components/archive-mark.ts";
import { ClusterIdentity, labels } from "../components/cluster-identity.ts";
import { Delivery } from "../components/delivery.ts";
import { EvidenceAccess } from "../components/evidence-access.ts";
import { ExportGate } from "../components/export-gate.ts";
import { Gitops } from "../components/gitops.ts";
import { demandFreeWay } from "../components/in-the-way.ts";
import { K3sBootstrap } from "../components/k3s-bootstrap.ts";
import { K3s } from "../components/k3s.ts";
import { Kafka } from "../components/kafka.ts";
import { Monitoring } from "../components/monitoring.ts";
import { Namespaces } from "../components/namespaces.ts";
import { Network } from "../components/network.ts";
import { Nodes } from "../components/nodes.ts";
import { placementOf } from "../components/placement.ts";
import { PrepareDay } from "../components/prepare-day.ts";
import { resolveCapacity } from "../components/resolve-capacity.ts";
import { Settings } from "../components/settings.ts";
import type { PulumiStackConfig } from "./pulumi-config.ts";

/** What the stack tells the outside. */
export interface TradingStackOutputs {
  clusterId: pulumi.Output<string>;
  /** `YYYY-MM-DD` */
  businessDate: pulumi.Output<string>;
  /** Hetzner location of all servers. */
  location: pulumi.Output<string>;
  /** Public IPv4 address of k3s-control. */
  controlPlaneAddress: pulumi.Output<string>;
  /** Secret. */
  kubeconfig: pulumi.Output<string>;
  /** `<stack>/<business-date>/<cluster-id>/` in the archive bucket. */
  archivePrefix: pulumi.Output<string>;
}

/**
 * A whole trading cluster.
 * @param stack name of the stack, for example `dev`.
 * @throws RunError when no location offers the servers, or another cluster's servers are in the way.
 */
export async function tradingStack(stack: string, config: PulumiStackConfig): Promise<TradingStackOutputs> {
  const { secrets, images, profile } = config;
  const placement = placementOf(profile);

  const identity = new ClusterIdentity("cluster", {
    stack,
    businessDate: config.businessDate,
    profile,
    openHours: config.openHours,
    expiresAt: config.expiresAt,
    archive: archiveMark(config.archive),
  });
  const labelled = (role: string) => labels(stack, identity, role);

  // Servers.
  const provider = new hcloud.Provider("hcloud", {
    token: secrets.hcloudToken,
    pollFunction: "constant",
    pollInterval: "500ms",
    ...(config.hcloudEndpoint === undefined ? {} : { endpoint: config.hcloudEndpoint }),
  });
  const onHetzner = { providers: { hcloud: provider } };
  await demandFreeWay(stack, identity.clusterId, provider);
  const capacity = await resolveCapacity(config, stack, provider);
  const network = new Network(
    "network",
    {
      stack,
      adminCidrs: config.adminCidrs,
      sshPort: config.ssh.port,
      networkZone: capacity.networkZone,
      labels: labelled,
    },
    onHetzner,
  );
  const bootstrap = new K3sBootstrap(
    "bootstrap",
    {
      stack,
      labels: labelled,
      profile,
      images,
      k3s: config.k3s,
      registryCredentials:
        config.registryUser === undefined || secrets.registryToken === undefined
          ? undefined
          : { user: config.registryUser, token: secrets.registryToken },
    },
    onHetzner,
  );
  const nodes = new Nodes(
    "nodes",
    {
      stack,
      profile,
      network,
      location: capacity.location,
      brokerServerType: capacity.brokerServerType,
      controlPlaneServerType: capacity.controlPlaneServerType,
      sshKeys: [bootstrap.sshKey.id],
      userData: bootstrap.userData,
      labels: labelled,
    },
    onHetzner,
  );

  // Kubernetes and what runs all day below the services.
  const k3s = new K3s("k3s", {
    nodes,
    bootstrap,
    clusterId: identity.clusterId,
    sshPort: config.ssh.port,
    renderDirectory: config.kubernetesRenderDirectory,
  });
  const namespaces = new Namespaces("namespaces", {
    k3s,
    profile,
    repository: config.delivery === "gitops" ? config.gitops?.repository : undefined,
  });
  const settings = new Settings("settings", {
    k3s,
    namespaces,
    stack,
    identity,
    kafkaBootstrapServers: config.kafka.bootstrapServers,
    replication: config.kafka,
    archive: config.archive,
    venues: config.venues,
    maxEventAgeDays: config.maxEventAgeDays,
    risk: config.risk,
    openOrdersAtClose: config.openOrdersAtClose,
    canaryEverySeconds: config.canary.everySeconds,
    secrets: {
      ALPACA_KEY_ID: secrets.alpacaKeyId,
      ALPACA_SECRET_KEY: secrets.alpacaSecretKey,
      NEAR_RELAY_TOKEN: secrets.nearRelayToken,
      NEAR_SIGNER_ID: secrets.nearSignerId,
      NEAR_PRIVATE_KEY: secrets.nearPrivateKey,
      S3_ACCESS_KEY_ID: secrets.archiveAccessKeyId,
      S3_SECRET_ACCESS_KEY: secrets.archiveSecretAccessKey,
    },
  });
  const evidenceAccess = new EvidenceAccess("evidence-access", { k3s, namespaces: namespaces.byName });
  const kafka = new Kafka("kafka", {
    k3s,
    namespaces,
    placement,
    replication: config.kafka,
  });
  const monitoring = new Monitoring("monitoring", {
    k3s,
    namespaces,
    node: placement.monitoring,
    brokers: placement.brokers.length,
    businessDate: identity.businessDate,
  });
  const gitops = new Gitops("gitops", {
    k3s,
    namespaces,
    node: placement.argoCd,
    expiresAt: identity.expiresAt,
    ...(config.delivery === "gitops" ? { source: config.gitops, knownHosts: config.gitops?.knownHosts } : {}),
    credentials: {
      user: config.gitops?.user ?? "git",
      token: secrets.gitToken,
      sshKey: secrets.gitSshKey,
    },
  });

  // The day. Nothing that can still fail comes after it but the services themselves.
  const foundation = [
    provider,
    identity,
    network,
    bootstrap,
    nodes,
    k3s,
    namespaces,
    settings,
    evidenceAccess,
    kafka,
    monitoring,
    gitops,
  ];
  const gate = {
    stack,
    identity,
    archive: config.archive,
    archiveAccessKeyId: secrets.archiveAccessKeyId,
    archiveSecretAccessKey: secrets.archiveSecretAccessKey,
  };
  // An `up` that dies once the cluster may hold data has not come to the export gate; this one is there already.
  const openingGate = new ExportGate("opening-gate", { ...gate, after: foundation });
  const prepareDay = new PrepareDay("prepare-day", { k3s, images, after: [...foundation, openingGate] });
  const delivery = new Delivery("delivery", {
    k3s,
    stack,
    delivery: config.delivery,
    repository: config.gitops,
    images,
    after: [prepareDay],
  });

  // Before anything is destroyed.
  new ExportGate("export-gate", { ...gate, after: [...foundation, openingGate, prepareDay, delivery] });

  return {
    clusterId: identity.clusterId,
    businessDate: identity.businessDate,
    location: nodes.controlPlane.location,
    controlPlaneAddress: nodes.controlPlane.ipv4Address,
    kubeconfig: k3s.kubeconfig,
    archivePrefix: identity.archivePrefix,
  };
}
