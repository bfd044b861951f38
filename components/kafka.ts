import * as kubernetes from "@pulumi/kubernetes";
import * as pulumi from "@pulumi/pulumi";
import { HelmChart } from "./custom-resources/helm-chart.ts";
import { Kafka as KafkaObject, KafkaNodePool } from "./custom-resources/strimzi.ts";
import type { K3s } from "./k3s.ts";
import { brokerConfiguration } from "./kafka-configuration.ts";
import { kafkaFacts, type Replication } from "./kafka-facts.ts";
import { serviceNamespaces } from "./namespace-resources.ts";
import type { Namespaces } from "./namespaces.ts";
import { podsInAny } from "./network-peers.ts";
import { onNodes, type Placement } from "./placement.ts";
import { kafkaHelpers } from "./platform-pods.ts";
import { charts, kafka as kafkaVersion } from "./versions.ts";
import { metricsLabel } from "./workloads.ts";

export interface KafkaArgs {
  k3s: K3s;
  namespaces: Namespaces;
  /** Where the brokers run, one on each of their nodes, and what stands beside them. */
  placement: Pick<Placement, "brokers" | "kafkaHelpers">;
  /** Of topics that say nothing else, and of Kafka's own. */
  replication: Replication;
}

/** The Strimzi operator and the combined KRaft nodes: three in a cluster, one on a single node. */
export class Kafka extends pulumi.ComponentResource {
  /** Done when the brokers are Ready and the bootstrap address has endpoints. */
  readonly ready: pulumi.Resource;

  constructor(name: string, args: KafkaArgs, opts?: pulumi.ComponentResourceOptions) {
    super("trading:components:Kafka", name, {}, opts);
    const { k3s, placement, replication } = args;
    const { namespace, cluster, nodePool } = kafkaFacts;

    const operator = new HelmChart(
      `${name}-operator`,
      {
        release: "strimzi",
        chart: charts.strimzi,
        targetNamespace: namespace,
        values: {
          nodeSelector: { "kubernetes.io/hostname": placement.kafkaHelpers },
          resources: { requests: kafkaHelpers.operator.requests, limits: kafkaHelpers.operator.limits },
          // Its own pod is as the level `restricted` wants it; this makes brokers and exporter so, too.
          extraEnvs: [{ name: "STRIMZI_POD_SECURITY_PROVIDER_CLASS", value: "restricted" }],
        },
      },
      k3s.inCluster(this, args.namespaces.before("kafka")),
    );
    const definitions = k3s.waitForCrds(
      `${name}-definitions`,
      ["kafkas.kafka.strimzi.io", "kafkanodepools.kafka.strimzi.io", "strimzipodsets.core.strimzi.io"],
      { parent: this, dependsOn: [operator] },
    );

    // A pod that the operator replaces comes back empty and is filled by the others. Where there are no others, what it
    // had must outlive it.
    const storage =
      placement.brokers.length > 1
        ? ({ type: "ephemeral" } as const)
        : ({ type: "persistent-claim", class: "local-path", size: kafkaFacts.loneBrokerStorage } as const);
    const pool = new KafkaNodePool(
      `${name}-nodes`,
      {
        metadata: { name: nodePool, namespace, labels: { "strimzi.io/cluster": cluster } },
        spec: {
          replicas: placement.brokers.length,
          roles: ["controller", "broker"],
          storage: { type: "jbod", volumes: [{ id: 0, kraftMetadata: "shared", ...storage }] },
          resources: { requests: kafkaFacts.requests, limits: kafkaFacts.limits },
          jvmOptions: { "-Xms": kafkaFacts.heap, "-Xmx": kafkaFacts.heap },
          template: {
            pod: {
              terminationGracePeriodSeconds: 60,
              affinity: {
                ...onNodes(placement.brokers),
                podAntiAffinity: {
                  requiredDuringSchedulingIgnoredDuringExecution: [
                    {
                      topologyKey: "kubernetes.io/hostname",
                      labelSelector: {
                        matchLabels: { "strimzi.io/cluster": cluster, "strimzi.io/pool-name": nodePool },
                      },
                    },
                  ],
                },
              },
            },
          },
        },
      },
      k3s.inCluster(this, [definitions, k3s.allNodesReady]),
    );

    const brokers = new KafkaObject(
      `${name}-cluster`,
      {
        metadata: {
          name: cluster,
          namespace,
          annotations: { "pulumi.com/waitFor": "condition=Ready" },
        },
        spec: {
          kafka: {
            version: kafkaVersion.version,
            metadataVersion: kafkaVersion.metadataVersion,
            listeners: [
              {
                name: "plain",
                port: kafkaFacts.port,
                type: "internal",
                tls: false,
                // The operator makes the brokers' network policy; without peers all pods might come in.
                networkPolicyPeers: [podsInAny(serviceNamespaces, metricsLabel)],
              },
            ],
            config: brokerConfiguration(replication),
            metricsConfig: { type: "strimziMetricsReporter" },
          },
          kafkaExporter: {
            topicRegex: ".*",
            groupRegex: ".*",
            resources: { requests: kafkaHelpers.exporter.requests, limits: kafkaHelpers.exporter.limits },
            template: { pod: { affinity: onNodes([placement.kafkaHelpers]) } },
          },
        },
      },
      // Images of 1 GB on each node, a quorum, and the operator's own start.
      { ...k3s.inCluster(this, [pool]), customTimeouts: { create: "15m" } },
    );

    // Strimzi calls its own service <cluster>-kafka-bootstrap; seed 000 names this address.
    this.ready = new kubernetes.core.v1.Service(
      `${name}-bootstrap`,
      {
        metadata: { name: kafkaFacts.bootstrapService, namespace },
        spec: {
          selector: {
            "strimzi.io/cluster": cluster,
            "strimzi.io/kind": "Kafka",
            "strimzi.io/broker-role": "true",
          },
          ports: [{ name: "plain", port: kafkaFacts.port, targetPort: kafkaFacts.port, protocol: "TCP" }],
        },
      },
      k3s.inCluster(this, [brokers]),
    );
    this.registerOutputs({});
  }
}
