/**
 * Who may talk to whom. Every namespace begins with nothing in and nothing out; here is what the platform's own pods
 * need beyond that. The services' flows follow from the catalog (workloads.ts). Policies add up, they never take away.
 */
import type { types } from "@pulumi/kubernetes";
import { catalog } from "../services/catalog.ts";
import { kafkaFacts } from "./kafka-facts.ts";
import { type NamespaceName, namespaceNames, serviceNamespaces } from "./namespace-resources.ts";
import {
  brokerLabels,
  type EgressRule,
  type IngressRule,
  type Peer,
  type PodLabels,
  podsIn,
  podsInAny,
  portOf,
  prometheus,
  tcp,
  toDns,
  toInternet,
  toKubernetesApi,
} from "./network-peers.ts";
import { prometheusFacts } from "./prometheus-facts.ts";
import { metricsLabel } from "./workloads.ts";

/** A NetworkPolicy, before it is an object. */
export interface Policy {
  name: string;
  namespace: NamespaceName;
  spec: types.input.networking.v1.NetworkPolicySpec;
}

/** A policy that opens some flows of some pods. What is left out stays as it is. */
function opening(
  namespace: NamespaceName,
  name: string,
  labels: PodLabels,
  rules: { ingress?: IngressRule[]; egress?: EgressRule[] },
): Policy {
  const policyTypes = [
    ...(rules.ingress === undefined ? [] : ["Ingress"]),
    ...(rules.egress === undefined ? [] : ["Egress"]),
  ];
  return { name, namespace, spec: { podSelector: { matchLabels: { ...labels } }, policyTypes, ...rules } };
}

/** Nothing in, nothing out but questions for addresses. */
function closed(namespace: NamespaceName): Policy[] {
  return [
    {
      name: "default-deny",
      namespace,
      spec: { podSelector: {}, policyTypes: ["Ingress", "Egress"] },
    },
    {
      name: "dns",
      namespace,
      spec: { podSelector: {}, policyTypes: ["Egress"], egress: [toDns] },
    },
  ];
}

/** Port of Strimzi's metrics on brokers and exporter. */
const strimziMetricsPort = 9404;

/**
 * Strimzi's pods. What comes in to brokers and exporter is said by policies that the operator makes itself, ports 9090
 * (controllers), 9091 (replication) and 8443 (its agent) for Strimzi's pods, 9404 (metrics) for all, and the client
 * listener for its `networkPolicyPeers`; it makes none for what goes out. Nobody calls the operator.
 */
function kafkaPolicies(): Policy[] {
  const { namespace, cluster } = kafkaFacts;
  const brokers = podsIn(namespace, brokerLabels);
  const policy = (name: string, labels: PodLabels, egress: EgressRule[]) =>
    opening(namespace, name, labels, { egress });
  return [
    policy("strimzi-operator", { "strimzi.io/kind": "cluster-operator" }, [
      toKubernetesApi,
      { to: [brokers], ports: tcp(9090, 9091, 8443) },
    ]),
    policy("kafka-brokers", brokerLabels, [
      { to: [brokers], ports: tcp(9090, 9091) },
      // Strimzi's brokers read their certificates from Secrets by themselves, each with a Role for just those.
      toKubernetesApi,
    ]),
    policy(
      "kafka-exporter",
      { "strimzi.io/cluster": cluster, "strimzi.io/name": `${cluster}-kafka-exporter` },
      [{ to: [brokers], ports: tcp(9091) }],
    ),
  ];
}

/** Prometheus, its operator, and what tells of pods. */
function monitoringPolicies(): Policy[] {
  const { namespace } = prometheusFacts;
  const operator = { app: "kube-prometheus-stack-operator" };
  const stateMetrics = { "app.kubernetes.io/name": "kube-state-metrics" };
  const scraped: IngressRule = { from: [prometheus], ports: tcp(8080) };
  const readers: Peer[] = catalog
    .filter(({ keepsEvidence }) => keepsEvidence === true)
    .map((service) => podsIn(service.namespace, { "app.kubernetes.io/name": service.name }));
  return [
    opening(
      namespace,
      "prometheus",
      { "app.kubernetes.io/name": "prometheus" },
      {
        ingress: [{ from: readers, ports: tcp(9090) }],
        egress: [
          // Whom to scrape.
          toKubernetesApi,
          { to: [podsInAny(serviceNamespaces, metricsLabel)], ports: tcp(8080) },
          {
            to: [podsIn(kafkaFacts.namespace, { "strimzi.io/kind": "Kafka" })],
            ports: tcp(strimziMetricsPort),
          },
          { to: [podsIn(namespace, operator), podsIn(namespace, stateMetrics)], ports: tcp(8080) },
        ],
      },
    ),
    opening(namespace, "prometheus-operator", operator, { ingress: [scraped], egress: [toKubernetesApi] }),
    opening(namespace, "kube-state-metrics", stateMetrics, { ingress: [scraped], egress: [toKubernetesApi] }),
  ];
}

/** Argo CD's core. @param repository URL that the repository server fetches from; without one it fetches nothing. */
function argoCdPolicies(repository: string | undefined): Policy[] {
  const namespace = "argocd";
  const named = (part: string) => ({ "app.kubernetes.io/name": `argocd-${part}` });
  const controller = named("application-controller");
  const repoServer = named("repo-server");
  const redis = named("redis");
  const pods = (labels: PodLabels): Peer => podsIn(namespace, labels);
  const toRedis: EgressRule = { to: [pods(redis)], ports: tcp(6379) };
  return [
    opening(namespace, "application-controller", controller, {
      egress: [toKubernetesApi, { to: [pods(repoServer)], ports: tcp(8081) }, toRedis],
    }),
    opening(namespace, "repo-server", repoServer, {
      ingress: [{ from: [pods(controller)], ports: tcp(8081) }],
      egress: [toRedis, ...(repository === undefined ? [] : [toInternet(portOf(repository))])],
    }),
    opening(namespace, "redis", redis, {
      ingress: [{ from: [pods(controller), pods(repoServer)], ports: tcp(6379) }],
    }),
    // It puts the cache's password into a Secret.
    opening(namespace, "redis-secret-init", named("redis-secret-init"), { egress: [toKubernetesApi] }),
  ];
}

/**
 * The policies that Pulumi makes.
 * @param repository URL of the Git repository that Argo CD follows; undefined under `delivery: direct`
 */
export function networkPolicies(repository: string | undefined): Policy[] {
  return [
    ...namespaceNames.flatMap(closed),
    ...kafkaPolicies(),
    ...monitoringPolicies(),
    ...argoCdPolicies(repository),
  ];
}
