/**
 * Whom a NetworkPolicy names, each once: https://kubernetes.io/docs/concepts/services-networking/network-policies/
 *
 * k3s's controller (kube-router) judges a packet after kube-proxy has put a pod's or node's address in the place of a
 * service's. So a policy names pods and their own ports, and the Kubernetes API by the control plane's address.
 */
import type { types } from "@pulumi/kubernetes";
import type { Namespace } from "../services/catalog.ts";
import { kafkaFacts } from "./kafka-facts.ts";
import { kubernetesApiPort, privateNetwork } from "./node-plans.ts";
import { prometheusFacts } from "./prometheus-facts.ts";

/** One side of a flow: pods by their labels, or addresses. */
export type Peer = types.input.networking.v1.NetworkPolicyPeer;

/** Who may reach the selected pods, and where. */
export type IngressRule = types.input.networking.v1.NetworkPolicyIngressRule;

/** Whom the selected pods may reach, and where. */
export type EgressRule = types.input.networking.v1.NetworkPolicyEgressRule;

/** Labels that a pod must have. */
export type PodLabels = Readonly<Record<string, string>>;

/** Kubernetes puts this label on every namespace, with its name. */
const namespaceLabel = "kubernetes.io/metadata.name";

/** Some pods of a namespace. Without labels: all of them. */
export function podsIn(namespace: string, labels: PodLabels = {}): Peer {
  return {
    namespaceSelector: { matchLabels: { [namespaceLabel]: namespace } },
    podSelector: { matchLabels: { ...labels } },
  };
}

/** Some pods of several namespaces. */
export function podsInAny(namespaces: readonly Namespace[], labels: PodLabels): Peer {
  return {
    namespaceSelector: {
      matchExpressions: [{ key: namespaceLabel, operator: "In", values: [...namespaces] }],
    },
    podSelector: { matchLabels: { ...labels } },
  };
}

/** TCP ports of a rule. */
export function tcp(...ports: readonly number[]): types.input.networking.v1.NetworkPolicyPort[] {
  return ports.map((port) => ({ protocol: "TCP", port }));
}

/** The brokers, as Strimzi labels them: `strimzi.io/name` is `<cluster>-kafka`. */
export const brokerLabels: PodLabels = {
  "strimzi.io/cluster": kafkaFacts.cluster,
  "strimzi.io/name": `${kafkaFacts.cluster}-kafka`,
};

/** What clients of Kafka need. Who may come in is said by the listener's `networkPolicyPeers`. */
export const toKafka: EgressRule = {
  to: [podsIn(kafkaFacts.namespace, brokerLabels)],
  ports: tcp(kafkaFacts.port),
};

/** Prometheus, as its operator labels the pod. */
export const prometheus: Peer = podsIn(prometheusFacts.namespace, { "app.kubernetes.io/name": "prometheus" });

/** Asking Prometheus. */
export const toPrometheus: EgressRule = { to: [prometheus], ports: tcp(9090) };

/** k3s's CoreDNS: manifests/coredns.yaml of k3s. */
export const toDns: EgressRule = {
  to: [podsIn("kube-system", { "k8s-app": "kube-dns" })],
  ports: [
    { protocol: "UDP", port: 53 },
    { protocol: "TCP", port: 53 },
  ],
};

/** The Kubernetes API: the service `kubernetes` is the control plane's private address. */
export const toKubernetesApi: EgressRule = {
  to: [{ ipBlock: { cidr: `${privateNetwork.controlPlane}/32` } }],
  ports: tcp(kubernetesApiPort),
};

/**
 * Networks that are never outside: the cluster's machines, pods and services, other private ones, and the link-local one
 * with the metadata service, which hands out the user data (RFC 1918, 3927, 5735, 6598).
 */
export const notOutside = [
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.168.0.0/16",
] as const;

/**
 * Hosts on the internet. A NetworkPolicy knows no host names, so this is every public address, at some ports.
 * @param ports TCP
 */
export function toInternet(...ports: readonly number[]): EgressRule {
  return { to: [{ ipBlock: { cidr: "0.0.0.0/0", except: [...notOutside] } }], ports: tcp(...ports) };
}

/**
 * The TCP port at which the host of a URL answers: the one it names, or its scheme's.
 * @param url `https://`, `http://`, `wss://`, `ws://` or `ssh://`, or Git's short form `user@host:path`
 * @throws Error for any other
 */
export function portOf(url: string): number {
  const usual: Readonly<Record<string, number>> = {
    "https:": 443,
    "wss:": 443,
    "http:": 80,
    "ws:": 80,
    "ssh:": 22,
  };
  if (!url.includes("://") && /^[^@/\s]+@[^:/\s]+:/.test(url)) return 22;
  const { protocol, port } = new URL(url);
  const found = port === "" ? usual[protocol] : Number(port);
  if (found === undefined) {
    throw new Error(
      `${protocol}// has no port that is known here: expected https, http, wss, ws or ssh in ${url}`,
    );
  }
  return found;
}
