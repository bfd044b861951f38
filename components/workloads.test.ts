import assert from "node:assert/strict";
import test from "node:test";
import type { types } from "@pulumi/kubernetes";
import {
  catalog,
  consumerGroups,
  type Deployable,
  drainingServices,
  drainsAfter,
  executionVenues,
  secretVariables,
} from "../services/catalog.ts";
import { demandValid, InvalidObjectsError } from "./object-validation.ts";
import { settingsChecksum } from "./workload-settings.ts";
import { imageOf, services, type WorkloadObject, workloadObjects } from "./workloads.ts";

const images = { registry: "ghcr.io/trading-cz", version: "v1.2.3" };

interface Container {
  name: string;
  image: string;
  command?: string[];
  env?: { name: string; value: string }[];
  envFrom: ({ configMapRef: { name: string } } | { secretRef: { name: string } })[];
  resources: unknown;
  volumeMounts: { name: string; mountPath: string }[];
  readinessProbe?: unknown;
}

interface PodSpec {
  nodeSelector: unknown;
  automountServiceAccountToken: boolean;
  serviceAccountName: string;
  terminationGracePeriodSeconds: number;
  restartPolicy?: string;
  containers: Container[];
}

function ofKind<Kind extends WorkloadObject["kind"]>(
  service: Deployable,
  kind: Kind,
): Extract<WorkloadObject, { kind: Kind }> | undefined {
  return workloadObjects(service, images).find(
    (object): object is Extract<WorkloadObject, { kind: Kind }> => object.kind === kind,
  );
}

function workload(service: Deployable) {
  const found = ofKind(service, service.kind);
  assert.ok(found !== undefined);
  return found;
}

function pod(service: Deployable): PodSpec {
  const { template } = workload(service).spec as { template: { spec: PodSpec } };
  return template.spec;
}

function container(service: Deployable): Container {
  const [only, ...others] = pod(service).containers;
  assert.ok(only !== undefined);
  assert.equal(others.length, 0);
  return only;
}

function named(name: string): Deployable {
  const found = catalog.find((service) => service.name === name);
  assert.ok(found !== undefined, name);
  return found;
}

test("the monitor watches every group that consumes, with the day's own topics", () => {
  const { env = [] } = container(named("result-monitor"));
  const watched = env.find(({ name }) => name === "MONITORED_GROUPS")?.value?.split(",") ?? [];
  for (const group of [
    "normalize-near-intents:raw.near-intents.quote",
    "normalize-alpaca:stock-stream-$(BUSINESS_DATE)",
    "strategy-dummy:norm.swap_demand+norm.stock_trade",
    "executor-near-intents:cmd.execute_trade",
    "executor-alpaca:cmd.execute_trade",
    "result-monitor:exec.trade_result",
  ])
    assert.ok(watched.includes(group), group);
  assert.equal(watched.length, consumerGroups().length);
});

for (const service of catalog) {
  test(`${service.name}: image, resources and place`, () => {
    const { name, image, command, resources } = container(service);
    assert.equal(name, service.name);
    assert.equal(image, `ghcr.io/trading-cz/${service.name}:v1.2.3`);
    assert.equal(command, undefined, "the image starts its own program");
    assert.deepEqual(resources, { requests: service.requests, limits: service.limits });
    assert.deepEqual(pod(service).nodeSelector, { "kubernetes.io/hostname": "k3s-control" });
    assert.equal(pod(service).terminationGracePeriodSeconds, 30);
    for (const { metadata } of workloadObjects(service, images)) {
      assert.equal(metadata.namespace, service.namespace);
      assert.equal(metadata.name, service.name);
    }
  });

  test(`${service.name}: an account of its own, and a token only if it reads pods' logs`, () => {
    const { automountServiceAccountToken, serviceAccountName } = pod(service);
    assert.equal(serviceAccountName, service.name);
    assert.equal(automountServiceAccountToken, service.name === "archiver");
    assert.equal(ofKind(service, "ServiceAccount")?.automountServiceAccountToken, false);
  });

  test(`${service.name}: environment`, () => {
    const { env = [], envFrom } = container(service);
    assert.deepEqual(ofKind(service, "ConfigMap")?.data, {
      SERVICE_NAME: service.name,
      HTTP_PORT: "8080",
      DRAIN_AFTER: drainsAfter(service).join(","),
      ...(service.name === "archiver"
        ? {
            DRAINING_SERVICES: drainingServices().join(","),
            EVIDENCE_KUBERNETES_NAMESPACES: "ingestion,kafka,strategies",
            EVIDENCE_PROMETHEUS_URL: "http://prometheus-operated.monitoring.svc.cluster.local:9090",
          }
        : {}),
      ...service.runtime,
      ...(service.name === "result-monitor" ? { CANARY_VENUES: executionVenues().join(",") } : {}),
      ...(service.stateDirectory === undefined ? {} : { STATE_DIRECTORY: service.stateDirectory }),
    });
    assert.deepEqual(
      env?.map(({ name }) => name) ?? [],
      service.name === "result-monitor" ? ["MONITORED_GROUPS"] : [],
    );
    // Later ones win: what is a service's own over what is common.
    assert.deepEqual(envFrom, [
      { configMapRef: { name: "trading-settings" } },
      { configMapRef: { name: service.name } },
      ...service.secrets.map((name) => ({ secretRef: { name } })),
    ]);
    for (const name of service.secrets) assert.ok(name in secretVariables);
  });

  test(`${service.name}: its objects are what Kubernetes takes`, () => {
    demandValid(workloadObjects(service, images));
  });
}

test("a changed setting changes the pod's template, or nobody would read it", () => {
  for (const service of catalog) {
    const { template } = workload(service).spec as {
      template: { metadata: { annotations: Record<string, string> } };
    };
    const data = ofKind(service, "ConfigMap")?.data ?? {};
    const checksum = template.metadata.annotations["trading/settings-checksum"];
    assert.equal(checksum, settingsChecksum(data));
    assert.equal(checksum, settingsChecksum(Object.fromEntries(Object.entries(data).reverse())));
    assert.notEqual(checksum, settingsChecksum({ ...data, DRAIN_AFTER: "another" }));
  }
});

test("a Deployment is one pod that is never two", () => {
  const spec = ofKind(named("ingestion-alpaca-stockstream-api"), "Deployment")?.spec as {
    strategy: unknown;
    replicas: number;
  };
  assert.deepEqual(spec.strategy, { type: "Recreate" });
  assert.equal(spec.replicas, 1);
});

test("a Job runs to its end, is tried again, and is watched by nobody", () => {
  const job = named("prepare-day");
  assert.deepEqual(
    workloadObjects(job, images).map(({ kind }) => kind),
    ["ServiceAccount", "ConfigMap", "NetworkPolicy", "Job"],
  );
  assert.equal(pod(job).restartPolicy, "OnFailure");
  assert.equal(container(job).readinessProbe, undefined);
  assert.ok(!services.includes(job), "Argo CD does not run it");
});

test("an executor keeps its state on a local-path volume at the place of seed 001", () => {
  const executor = named("executor-near-intents");
  assert.deepEqual(
    workloadObjects(executor, images).map(({ kind }) => kind),
    [
      "ServiceAccount",
      "ConfigMap",
      "NetworkPolicy",
      "Service",
      "StatefulSet",
      "PodDisruptionBudget",
      "PodMonitor",
    ],
  );
  const spec = ofKind(executor, "StatefulSet")?.spec as {
    serviceName: string;
    volumeClaimTemplates: unknown;
  };
  assert.equal(spec.serviceName, "executor-near-intents");
  // Nothing that the API server would add: Argo CD would see a difference for ever.
  assert.deepEqual(spec.volumeClaimTemplates, [
    {
      apiVersion: "v1",
      kind: "PersistentVolumeClaim",
      metadata: { name: "state" },
      spec: {
        accessModes: ["ReadWriteOnce"],
        volumeMode: "Filesystem",
        storageClassName: "local-path",
        resources: { requests: { storage: "1Gi" } },
      },
    },
  ]);
  assert.deepEqual(
    container(executor).volumeMounts.find((mount) => mount.name === "state"),
    { name: "state", mountPath: "/var/lib/unrip/executor-state" },
  );
});

test("evicting a pod is refused where the interruption loses what no restart brings back, and there alone", () => {
  const guarded = catalog.filter((service) => ofKind(service, "PodDisruptionBudget") !== undefined);
  assert.deepEqual(guarded.map(({ name }) => name).sort(), [
    "executor-alpaca",
    "executor-near-intents",
    "ingest-near-intents",
    "ingestion-alpaca-stockstream-api",
  ]);
  for (const service of guarded) {
    assert.deepEqual(ofKind(service, "PodDisruptionBudget")?.spec, {
      maxUnavailable: 0,
      unhealthyPodEvictionPolicy: "AlwaysAllow",
      selector: { matchLabels: { "app.kubernetes.io/name": service.name } },
    });
  }
});

test("every service that runs all day has one monitor, for its own pods", () => {
  for (const service of services) {
    assert.deepEqual(ofKind(service, "PodMonitor")?.spec, {
      jobLabel: "app.kubernetes.io/name",
      selector: { matchLabels: { "app.kubernetes.io/name": service.name } },
      podMetricsEndpoints: [{ port: "http", path: "/metrics" }],
    });
  }
});

test("an image is named by its tag, a service's own before that of all, or by its digest alone", () => {
  const digest = `sha256:${"0".repeat(64)}`;
  const pinned = {
    ...images,
    versions: { archiver: "v1.0.0", "normalize-alpaca": "v1.0.0" },
    digests: { archiver: digest },
  };
  assert.equal(imageOf("archiver", pinned), `ghcr.io/trading-cz/archiver@${digest}`);
  assert.equal(imageOf("normalize-alpaca", pinned), "ghcr.io/trading-cz/normalize-alpaca:v1.0.0");
  assert.equal(imageOf("strategy-dummy", pinned), "ghcr.io/trading-cz/strategy-dummy:v1.2.3");
});

test("an object that no cluster takes is refused with all its mistakes", () => {
  const executor = named("executor-alpaca");
  const policy = ofKind(executor, "NetworkPolicy");
  const set = ofKind(executor, "StatefulSet");
  assert.ok(policy !== undefined && set !== undefined);
  const withoutSelector = {
    ...set,
    spec: { ...(set.spec as object), selector: undefined },
  } as unknown as typeof set;
  const ofNumbers: types.input.networking.v1.NetworkPolicySpec = {
    podSelector: {},
    policyTypes: [1 as unknown as string],
  };
  assert.throws(
    () => demandValid([withoutSelector, { ...policy, spec: ofNumbers }]),
    (error) =>
      error instanceof InvalidObjectsError &&
      /StatefulSet strategies\/executor-alpaca\/spec: .*selector/.test(error.message) &&
      /NetworkPolicy strategies\/executor-alpaca\/spec\/policyTypes\/0: must be string/.test(error.message),
  );
});
