import assert from "node:assert/strict";
import test from "node:test";
import type { types } from "@pulumi/kubernetes";
import {
  catalog,
  type Deployable,
  drainingServices,
  drainsAfter,
  secretVariables,
} from "../services/catalog.ts";
import { services, type WorkloadObject, workloadObjects } from "./workloads.ts";

const images = { registry: "ghcr.io/trading-cz", version: "v1.2.3" };

interface Container {
  name: string;
  image: string;
  command: string[];
  env: { name: string; value: string }[];
  envFrom: ({ configMapRef: { name: string } } | { secretRef: { name: string } })[];
  resources: unknown;
  securityContext: unknown;
  volumeMounts: { name: string; mountPath: string }[];
  readinessProbe?: unknown;
}

interface PodSpec {
  nodeSelector: unknown;
  automountServiceAccountToken: boolean;
  serviceAccountName?: string;
  terminationGracePeriodSeconds: number;
  securityContext: types.input.core.v1.PodSecurityContext;
  restartPolicy?: string;
  containers: Container[];
  volumes: unknown;
}

function workload(service: Deployable): WorkloadObject {
  const found = workloadObjects(service, images).find((object) => object.kind !== "Service");
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

for (const service of catalog) {
  test(`${service.name}: image, command, resources and place`, () => {
    const { name, image, command, resources } = container(service);
    assert.equal(name, service.name);
    assert.equal(image, `ghcr.io/trading-cz/${service.name}:v1.2.3`);
    assert.deepEqual(command, ["node", "--import", "tsx", service.entry]);
    assert.deepEqual(resources, { requests: service.requests, limits: service.limits });
    assert.deepEqual(pod(service).nodeSelector, { "kubernetes.io/hostname": "k3s-control" });
    assert.equal(pod(service).terminationGracePeriodSeconds, 30);
    assert.equal(workload(service).metadata.namespace, service.namespace);
  });

  test(`${service.name}: meets the restricted Pod Security level and has a token only if it reads pods' logs`, () => {
    const { securityContext, automountServiceAccountToken, serviceAccountName } = pod(service);
    assert.equal(automountServiceAccountToken, service.name === "archiver");
    assert.equal(serviceAccountName, service.name === "archiver" ? "archiver" : undefined);
    assert.equal(securityContext.runAsNonRoot, true);
    assert.deepEqual(securityContext.seccompProfile, { type: "RuntimeDefault" });
    assert.deepEqual(container(service).securityContext, {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    });
  });

  test(`${service.name}: environment`, () => {
    const { env, envFrom } = container(service);
    const values = Object.fromEntries(env.map(({ name, value }) => [name, value]));
    assert.deepEqual(values, {
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
      ...(service.name === "result-monitor"
        ? {
            MONITORED_GROUPS:
              "normalize-near-intents:raw.near-intents.quote,normalize-alpaca:stock-stream-$(BUSINESS_DATE)," +
              "strategy-dummy:norm.swap_demand+norm.stock_trade,executor-near-intents:cmd.execute_trade," +
              "executor-alpaca:cmd.execute_trade,result-monitor:exec.trade_result",
            CANARY_VENUES: "near-intents,alpaca",
          }
        : {}),
      ...(service.stateDirectory === undefined ? {} : { STATE_DIRECTORY: service.stateDirectory }),
    });
    assert.deepEqual(envFrom, [
      { configMapRef: { name: "trading-settings" } },
      ...service.secrets.map((name) => ({ secretRef: { name } })),
    ]);
    for (const name of service.secrets) assert.ok(name in secretVariables);
  });
}

test("a Deployment is one pod that is never two", () => {
  const { kind, spec } = workload(named("ingestion-alpaca-stockstream-api"));
  assert.equal(kind, "Deployment");
  assert.deepEqual((spec as { strategy: unknown }).strategy, { type: "Recreate" });
  assert.equal((spec as { replicas: number }).replicas, 1);
});

test("a Job runs to its end and is tried again", () => {
  const job = named("prepare-day");
  assert.equal(workload(job).kind, "Job");
  assert.equal(pod(job).restartPolicy, "OnFailure");
  assert.equal(container(job).readinessProbe, undefined);
  assert.ok(!services.includes(job), "Argo CD does not run it");
});

test("an executor keeps its state on a local-path volume at the place of seed 001", () => {
  const executor = named("executor-near-intents");
  const objects = workloadObjects(executor, images);
  assert.deepEqual(
    objects.map((object) => object.kind),
    ["Service", "StatefulSet"],
  );
  const spec = workload(executor).spec as {
    serviceName: string;
    volumeClaimTemplates: { metadata: { name: string }; spec: { storageClassName: string } }[];
  };
  assert.equal(spec.serviceName, "executor-near-intents");
  assert.equal(spec.volumeClaimTemplates[0]?.spec.storageClassName, "local-path");
  assert.deepEqual(
    container(executor).volumeMounts.find((mount) => mount.name === "state"),
    { name: "state", mountPath: "/var/lib/unrip/executor-state" },
  );
});
