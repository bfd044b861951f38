import assert from "node:assert/strict";
import test from "node:test";
import { catalog } from "../services/catalog.ts";
import { kafkaFacts } from "./kafka-facts.ts";
import { serviceNamespaces } from "./namespace-resources.ts";
import { networkPolicies } from "./network-policies.ts";
import { podsInAny } from "./network-peers.ts";
import { type FlowPod, type FlowPolicy, lets, type Place } from "./testing/network-flows.ts";
import { serviceImages } from "./versions.ts";
import { metricsLabel, workloadObjects } from "./workloads.ts";

const { cluster } = kafkaFacts;

const labelled = (label: string, value: string) => ({ podSelector: { matchLabels: { [label]: value } } });

/**
 * What Strimzi's operator makes of our `Kafka` object, simulated after its source (1.2, KafkaCluster.generateNetworkPolicy
 * and KafkaExporter.generateNetworkPolicy): the operator itself is in no registry.
 */
const simulatedStrimziPolicies: FlowPolicy[] = [
  {
    metadata: { namespace: "kafka", name: `${cluster}-network-policy-kafka` },
    spec: {
      podSelector: { matchLabels: { "strimzi.io/name": `${cluster}-kafka` } },
      ingress: [
        ...[9090, 9091].map((port) => ({
          from: [
            labelled("strimzi.io/kind", "cluster-operator"),
            labelled("strimzi.io/name", `${cluster}-kafka`),
            ...(port === 9091 ? [labelled("strimzi.io/name", `${cluster}-kafka-exporter`)] : []),
          ],
          ports: [{ port }],
        })),
        {
          from: [labelled("strimzi.io/kind", "cluster-operator")],
          ports: [{ port: 8443 }],
        },
        // kafka.test.ts holds that the listener has just these peers.
        { from: [podsInAny(serviceNamespaces, metricsLabel) as never], ports: [{ port: 9092 }] },
        { ports: [{ port: 9404 }] },
      ],
    },
  },
  {
    metadata: { namespace: "kafka", name: `${cluster}-kafka-exporter` },
    spec: {
      podSelector: { matchLabels: { "strimzi.io/name": `${cluster}-kafka-exporter` } },
      ingress: [{ ports: [{ port: 9404 }] }],
    },
  },
];

const policies: FlowPolicy[] = [
  ...(networkPolicies("https://git.example.com/trading.git").map(({ name, namespace, spec }) => ({
    metadata: { name, namespace },
    spec,
  })) as FlowPolicy[]),
  ...(catalog
    .flatMap((service) => workloadObjects(service, serviceImages))
    .filter(({ kind }) => kind === "NetworkPolicy") as unknown as FlowPolicy[]),
  ...simulatedStrimziPolicies,
];

const pod = (namespace: string, labels: Record<string, string>): FlowPod => ({ namespace, labels });
const strimzi = (kind: string, name: string) =>
  pod("kafka", { "strimzi.io/cluster": cluster, "strimzi.io/kind": kind, "strimzi.io/name": name });
const argo = (part: string) => pod("argocd", { "app.kubernetes.io/name": `argocd-${part}` });
const service = (name: string): FlowPod => {
  const row = catalog.find((one) => one.name === name);
  assert.ok(row !== undefined, name);
  return pod(row.namespace, { "app.kubernetes.io/name": name, ...metricsLabel });
};
const at = (address: string): Place => ({ address });

const places = {
  broker: strimzi("Kafka", `${cluster}-kafka`),
  exporter: strimzi("Kafka", `${cluster}-kafka-exporter`),
  operator: pod("kafka", { name: "strimzi-cluster-operator", "strimzi.io/kind": "cluster-operator" }),
  prometheus: pod("monitoring", { "app.kubernetes.io/name": "prometheus" }),
  prometheusOperator: pod("monitoring", { app: "kube-prometheus-stack-operator", release: "prometheus" }),
  stateMetrics: pod("monitoring", { "app.kubernetes.io/name": "kube-state-metrics" }),
  controller: argo("application-controller"),
  repoServer: argo("repo-server"),
  redis: argo("redis"),
  redisSecret: argo("redis-secret-init"),
  dns: pod("kube-system", { "k8s-app": "kube-dns" }),
  api: at("10.0.1.1"),
  internet: at("140.82.121.4"),
  metadata: at("169.254.169.254"),
  node: at("10.0.1.10"),
  stray: pod("strategies", { "app.kubernetes.io/name": "not-ours" }),
  ...Object.fromEntries(catalog.map(({ name }) => [name, service(name)])),
} satisfies Record<string, Place>;
const named: Readonly<Record<string, Place>> = places;

function place(name: string): Place {
  const found = named[name];
  if (found === undefined) throw new Error(`no place ${name}`);
  return found;
}

/** `from to port`, one a line; all are TCP. */
function open(flows: string): [string, boolean][] {
  return flows
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .map(([from = "", to = "", port = ""]) => [
      `${from} ${to} ${port}`,
      lets(policies, place(from), place(to), Number(port)),
    ]);
}

test("the platform's pods reach what they need", () => {
  const needed = `
    operator           broker             9090
    operator           broker             9091
    operator           broker             8443
    operator           api                6443
    broker             broker             9090
    broker             broker             9091
    broker             api                6443
    exporter           broker             9091
    prometheus         broker             9404
    prometheus         exporter           9404
    prometheus         prometheusOperator 8080
    prometheus         stateMetrics       8080
    prometheus         api                6443
    prometheusOperator api                6443
    stateMetrics       api                6443
    controller         api                6443
    controller         repoServer         8081
    controller         redis              6379
    repoServer         redis              6379
    repoServer         internet           443
    redisSecret        api                6443
    archiver           prometheus         9090
    archiver           api                6443
    archiver           internet           443
    prepare-day        internet           443
  `;
  assert.deepEqual(
    open(needed).filter(([, isOpen]) => !isOpen),
    [],
  );
});

test("every service reaches Kafka and answers Prometheus; those that talk to the outside reach it at 443 alone", () => {
  for (const { name, kind, reaches = [] } of catalog) {
    const self = service(name);
    assert.equal(lets(policies, self, places.broker, 9092), true, name);
    assert.equal(lets(policies, places.prometheus, self, 8080), kind !== "Job", name);
    assert.equal(lets(policies, self, places.internet, 443), reaches.length > 0, name);
    assert.equal(lets(policies, self, places.internet, 22), false, name);
  }
});

test("every pod may ask for addresses, and nothing else goes out of a pod without a policy of its own", () => {
  for (const [name, from] of Object.entries(named)) {
    if ("address" in from || from.namespace === "kube-system") continue;
    assert.equal(lets(policies, from, places.dns, 53, "UDP"), true, name);
  }
  for (const to of ["api", "internet", "broker", "prometheus", "node"]) {
    for (const port of [80, 443, 6443, 9092, 9090]) {
      assert.equal(lets(policies, places.stray, place(to), port), false, `stray to ${to} ${port}`);
    }
  }
});

test("the metadata service, the nodes and the kubelets are closed for every pod", () => {
  for (const [name, from] of Object.entries(named)) {
    if ("address" in from || from.namespace === "kube-system") continue;
    for (const to of [places.metadata, places.node, at("10.0.0.1"), at("10.43.0.1"), at("192.168.1.1")]) {
      for (const port of [22, 80, 443, 2379, 6443, 9092, 10250]) {
        assert.equal(lets(policies, from, to, port), false, `${name} to ${JSON.stringify(to)} ${port}`);
      }
    }
    assert.equal(lets(policies, from, places.api, 10250), false, name);
  }
});

test("what nobody needs is closed", () => {
  const refused = `
    strategy-dummy     api            6443
    executor-alpaca    api            6443
    executor-alpaca    prometheus     9090
    strategy-dummy     executor-alpaca 8080
    executor-alpaca    broker         9091
    executor-alpaca    broker         8443
    prometheus         broker         9092
    controller         broker         9092
    controller         internet       443
    exporter           api            6443
    redis              api            6443
    repoServer         api            6443
    strategy-dummy     redis          6379
    broker             internet       443
    operator           internet       443
    stray              broker         9092
    internet           broker         9092
    internet           prometheus     9090
  `;
  assert.deepEqual(
    open(refused).filter(([, isOpen]) => isOpen),
    [],
  );
});

test("without a Git server Argo CD fetches nothing; one at another port is reached there", () => {
  const of = (repository: string | undefined): FlowPolicy[] =>
    networkPolicies(repository).map(({ name, namespace, spec }) => ({
      metadata: { name, namespace },
      spec,
    })) as FlowPolicy[];
  assert.equal(lets(of(undefined), places.repoServer, places.internet, 443), false);
  assert.equal(
    lets(of("ssh://git@git.example.com:2222/a.git"), places.repoServer, places.internet, 2222),
    true,
  );
  assert.equal(
    lets(of("ssh://git@git.example.com:2222/a.git"), places.repoServer, places.internet, 443),
    false,
  );
});
