/** `kafka.strimzi.io/v1` as far as this cluster uses it: https://strimzi.io/docs/operators/1.2.0/configuring */
import * as kubernetes from "@pulumi/kubernetes";
import type * as pulumi from "@pulumi/pulumi";
import type { Quantities } from "../../services/catalog.ts";
import type { BrokerConfiguration } from "../kafka-configuration.ts";

type Affinity = kubernetes.types.input.core.v1.Affinity;
type Metadata = kubernetes.types.input.meta.v1.ObjectMeta;

/** Containers and pods as Strimzi makes them. */
interface PodTemplate {
  pod?: { affinity?: Affinity; terminationGracePeriodSeconds?: number };
}

export interface KafkaNodePoolSpec {
  replicas: number;
  roles: ("controller" | "broker")[];
  storage: {
    type: "jbod";
    volumes: ({ id: number; kraftMetadata?: "shared" } & (
      { type: "ephemeral"; sizeLimit?: string } | { type: "persistent-claim"; class: string; size: string }
    ))[];
  };
  resources: { requests: Quantities; limits: Quantities };
  jvmOptions: { "-Xms": string; "-Xmx": string };
  template: PodTemplate;
}

export interface KafkaSpec {
  kafka: {
    version: string;
    metadataVersion: string;
    listeners: {
      name: string;
      port: number;
      type: "internal";
      tls: boolean;
      /** Who may come in, as in a NetworkPolicy. */
      networkPolicyPeers: kubernetes.types.input.networking.v1.NetworkPolicyPeer[];
    }[];
    config: BrokerConfiguration;
    metricsConfig: { type: "strimziMetricsReporter"; values?: { allowList: string[] } };
  };
  kafkaExporter?: {
    topicRegex: string;
    groupRegex: string;
    resources: { requests: Quantities; limits: Quantities };
    template: PodTemplate;
  };
}

/** A set of Kafka nodes with the same roles and resources. */
export class KafkaNodePool extends kubernetes.apiextensions.CustomResource {
  constructor(
    name: string,
    args: { metadata: Metadata; spec: KafkaNodePoolSpec },
    opts: pulumi.CustomResourceOptions,
  ) {
    super(name, { apiVersion: "kafka.strimzi.io/v1", kind: "KafkaNodePool", ...args }, opts);
  }
}

/** A Kafka cluster. */
export class Kafka extends kubernetes.apiextensions.CustomResource {
  constructor(
    name: string,
    args: { metadata: Metadata; spec: KafkaSpec },
    opts: pulumi.CustomResourceOptions,
  ) {
    super(name, { apiVersion: "kafka.strimzi.io/v1", kind: "Kafka", ...args }, opts);
  }
}
