import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test, { before, describe } from "node:test";
import * as pulumi from "@pulumi/pulumi";
import { parse } from "yaml";
import { exampleEntries } from "../components/testing/example-config.ts";
import {
  exampleKubeconfig,
  type Recording,
  record,
  type Registered,
} from "../components/testing/recording.ts";
import { catalog, secretVariables } from "../services/catalog.ts";
import { parseStackConfig } from "./config.ts";
import type { PulumiStackConfig } from "./pulumi-config.ts";
import { tradingStack, type TradingStackOutputs } from "./trading-stack.ts";

/** The configuration of `Pulumi.<stack>.yaml` with made secrets and a fixed date. */
function stackConfig(stack: string, overrides: Record<string, string> = {}): PulumiStackConfig {
  const file = parse(readFileSync(new URL(`../Pulumi.${stack}.yaml`, import.meta.url), "utf8")) as {
    config: Record<string, unknown>;
  };
  const entries = Object.fromEntries(
    Object.entries(file.config).map(([key, value]) => [
      key,
      typeof value === "string" ? value : JSON.stringify(value),
    ]),
  );
  const config = parseStackConfig({
    ...exampleEntries(),
    ...entries,
    "trading:businessDate": "2025-10-14",
    "trading:expiresAt": "2025-10-14T22:00:00Z",
    ...overrides,
  });
  return {
    ...config,
    secrets: Object.fromEntries(
      Object.entries(config.secrets).map(([key, value]) => [key, pulumi.secret(value)]),
    ) as PulumiStackConfig["secrets"],
  };
}

async function recordStack(stack: string, overrides: Record<string, string> = {}) {
  let outputs: TradingStackOutputs | undefined;
  const recording = await record(
    async () => (outputs = await tradingStack(stack, stackConfig(stack, overrides))),
    { stack },
  );
  assert.ok(outputs !== undefined);
  return { recording, outputs };
}

function valueOf<T>(output: pulumi.Output<T>): Promise<T> {
  return new Promise((resolve) => output.apply(resolve));
}

/** What the engine must delete after `from`: all that it depends on, directly or not. */
function reached(recording: Recording, from: Registered): Set<string> {
  const byUrn = new Map(recording.resources.map((resource) => [resource.urn, resource]));
  const seen = new Set<string>();
  const queue = [from];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    const needs = [
      ...next.dependencies,
      next.parent,
      next.deletedWith,
      next.provider.split("::").slice(0, -1).join("::"),
    ];
    for (const urn of needs) {
      const resource = byUrn.get(urn);
      if (resource !== undefined && !seen.has(urn)) {
        seen.add(urn);
        queue.push(resource);
      }
    }
  }
  return seen;
}

const inCluster = (resource: Registered) => resource.type.startsWith("kubernetes:");

for (const stack of ["dev", "prod"] as const) {
  for (const delivery of ["gitops", "direct"] as const) {
    describe(`${stack}, ${delivery}`, () => {
      let recording: Recording;
      let outputs: TradingStackOutputs;
      before(async () => {
        ({ recording, outputs } = await recordStack(stack, { "trading:delivery": delivery }));
      });

      test("the export gate reaches every other resource, so it is deleted first and alone", () => {
        const gate = recording.one("command:local:Command", "export-gate-sealed-archive");
        const missed = recording.resources
          .filter((resource) => resource.urn !== gate.urn && !reached(recording, gate).has(resource.urn))
          .map((resource) => resource.urn);
        assert.deepEqual(missed, []);
        const dependents = recording.resources.filter((resource) =>
          reached(recording, resource).has(gate.urn),
        );
        assert.deepEqual(dependents, []);
      });

      test("the end that was given stands on everything that bills", () => {
        const labelled = recording.resources.filter(({ inputs }) => "labels" in inputs);
        assert.ok(labelled.length >= 8);
        for (const { urn, inputs } of labelled)
          assert.equal((inputs["labels"] as Record<string, string>)["expires-at"], "1760479200", urn);
      });

      test("a gate exists before the cluster may hold data, and holds the servers", () => {
        const gate = recording.one("command:local:Command", "opening-gate-sealed-archive");
        for (const server of recording.all("hcloud:index/server:Server"))
          assert.ok(reached(recording, gate).has(server.urn), server.urn);
        const day = recording.resources.filter(({ name }) =>
          ["prepare-day", "archiver", "delivery-root"].includes(name),
        );
        assert.ok(day.filter(inCluster).length >= 2);
        for (const resource of day.filter(inCluster))
          assert.ok(reached(recording, resource).has(gate.urn), resource.urn);
      });

      test("nothing in the cluster is deleted object by object", () => {
        const control = recording.one("hcloud:index/server:Server", "nodes-k3s-control");
        const objects = recording.resources.filter(inCluster);
        assert.ok(objects.length > 20);
        for (const object of objects) assert.equal(object.deletedWith, control.urn, object.urn);
      });

      test("no secret is among the plain inputs", () => {
        const secrets = Object.entries(exampleEntries())
          .filter(([key]) => /Token|Secret|Key|Signer/.test(key))
          .map(([, value]) => value);
        assert.equal(secrets.length, 8);
        for (const resource of recording.resources) {
          const plain = structuredClone(resource.inputs);
          for (const path of resource.secretInputs) {
            const steps = path.split(".");
            const last = steps.pop() ?? "";
            const holder = steps.reduce<Record<string, unknown>>(
              (inner, step) => inner[step] as Record<string, unknown>,
              plain,
            );
            delete holder[last];
          }
          const text = JSON.stringify(plain);
          for (const secret of [...secrets, "PRIVATE KEY", "bootstrapservertoken", "client-key-data"]) {
            assert.ok(!text.includes(secret), `${resource.urn} has ${secret} in clear`);
          }
        }
      });

      test("the outputs are those of the contract, the kubeconfig secret and with the public address", async () => {
        assert.deepEqual(Object.keys(outputs).sort(), [
          "archivePrefix",
          "businessDate",
          "clusterId",
          "controlPlaneAddress",
          "kubeconfig",
          "location",
        ]);
        const clusterId = await valueOf(outputs.clusterId);
        assert.match(clusterId, /^[A-Za-z0-9]{21}A$/);
        assert.equal(await valueOf(outputs.businessDate), "2025-10-14");
        assert.equal(await valueOf(outputs.archivePrefix), `${stack}/2025-10-14/${clusterId}/`);
        assert.equal(await valueOf(outputs.location), "fsn1");
        const address = await valueOf(outputs.controlPlaneAddress);
        assert.equal(
          await valueOf(outputs.kubeconfig),
          exampleKubeconfig.replace("127.0.0.1:6443", `${address}:6443`),
        );
        assert.equal(await pulumi.isSecret(outputs.kubeconfig), true);
      });

      test("prepare-day waits for everything, and services wait for it", () => {
        const job = recording.one("kubernetes:batch/v1:Job");
        const before = reached(recording, job);
        for (const resource of recording.resources) {
          const later =
            resource.urn === job.urn ||
            resource.name.startsWith("export-gate") ||
            resource.type.endsWith(":Delivery") ||
            resource.parent.includes(":Delivery::");
          assert.equal(before.has(resource.urn), !later, resource.urn);
        }
        const delivered = recording.resources.filter((resource) => resource.parent.includes(":Delivery::"));
        assert.ok(delivered.length > 0);
        for (const resource of delivered) assert.ok(resource.dependencies.includes(job.urn), resource.urn);
      });

      test("the services come by the way that was chosen", () => {
        const longRunning = catalog.filter((service) => service.kind !== "Job");
        const workloads = [
          ...recording.all("kubernetes:apps/v1:Deployment"),
          ...recording.all("kubernetes:apps/v1:StatefulSet"),
        ];
        const applications = recording.all("kubernetes:argoproj.io/v1alpha1:Application");
        if (delivery === "direct") {
          assert.deepEqual(
            workloads.map((resource) => resource.name).sort(),
            longRunning.map((service) => service.name).sort(),
          );
          assert.equal(applications.length, 0);
        } else {
          assert.equal(workloads.length, 0);
          assert.equal(applications.length, 1);
          assert.deepEqual((applications[0]?.inputs["spec"] as { source: unknown }).source, {
            repoURL: "https://github.com/trading-cz/trading-platform.git",
            path: `k8s/overlays/${stack}`,
            targetRevision: stack === "dev" ? "master" : "production",
          });
        }
      });

      test("every secret that a service names is in its namespace, and no other", () => {
        const wanted = new Set(
          catalog.flatMap((service) => service.secrets.map((name) => `${service.namespace}/${name}`)),
        );
        const secrets = recording.all("kubernetes:core/v1:Secret").map((secret) => {
          const metadata = secret.inputs["metadata"] as {
            namespace: string;
            name: keyof typeof secretVariables;
          };
          const data = secret.inputs["stringData"] as Record<string, string>;
          assert.deepEqual(Object.keys(data).sort(), [...secretVariables[metadata.name]].sort());
          return `${metadata.namespace}/${metadata.name}`;
        });
        assert.deepEqual(secrets.sort(), [...wanted].sort());
      });
    });
  }
}

test("dev and prod are the same program: they differ in names and in what their files say", async () => {
  const [dev, prod] = [stackConfig("dev"), stackConfig("prod")];
  assert.notEqual(dev.archive.bucket, prod.archive.bucket);
  const shape = (recording: Recording) =>
    recording.resources.map((resource) => `${resource.type} ${resource.name}`).sort();
  assert.deepEqual(shape((await recordStack("dev")).recording), shape((await recordStack("prod")).recording));
});

test("a single node is one server with everything on it, and nothing names a node that is not there", async () => {
  const { recording } = await recordStack("dev", {
    "trading:profile": "single-node",
    "trading:delivery": "direct",
  });
  const [server, ...others] = recording.all("hcloud:index/server:Server");
  assert.deepEqual(others, []);
  assert.equal(server?.inputs["name"], "dev-k3s-control");
  assert.equal(server?.inputs["serverType"], "cpx32", "the first that holds everything and is sold");
  assert.deepEqual(
    recording.all("command:remote:Command").filter(({ name }) => name.includes("kafka-")),
    [recording.one("command:remote:Command", "kafka-definitions")],
  );
  for (const resource of recording.resources)
    assert.doesNotMatch(JSON.stringify(resource.inputs), /\bkafka-[012]\b/, resource.urn);

  const pool = recording.one("kubernetes:kafka.strimzi.io/v1:KafkaNodePool").inputs["spec"] as {
    replicas: number;
  };
  assert.equal(pool.replicas, 1);
  const cluster = recording.one("kubernetes:kafka.strimzi.io/v1:Kafka").inputs["spec"] as {
    kafka: { config: Record<string, unknown> };
  };
  const ofOne = Object.entries(cluster.kafka.config).filter(([key]) => /replica|isr/.test(key));
  assert.equal(ofOne.length, 5);
  assert.deepEqual(new Set(ofOne.map(([, value]) => value)), new Set([1]));
  const settings = recording
    .all("kubernetes:core/v1:ConfigMap")
    .filter(({ inputs }) => (inputs["metadata"] as { name: string }).name === "trading-settings");
  assert.equal(settings.length, 3);
  for (const { inputs } of settings) {
    const data = inputs["data"] as Record<string, string>;
    assert.deepEqual([data["KAFKA_REPLICATION_FACTOR"], data["KAFKA_MIN_INSYNC_REPLICAS"]], ["1", "1"]);
  }

  const gate = recording.one("command:local:Command", "export-gate-sealed-archive");
  assert.equal(reached(recording, gate).size, recording.resources.length - 1);
});

test("a single node of a type that is too small is refused before the first server, with what it needs", async () => {
  await assert.rejects(
    recordStack("dev", {
      "trading:profile": "single-node",
      "trading:controlPlaneServerTypes": '["cpx22"]',
    }),
    /cpx22: 2 cores and 4 GB, needed 3 and 7/,
  );
});

test("the render folder changes nothing but where objects go", async () => {
  const { recording } = await recordStack("dev", { "trading:kubernetesRenderDirectory": ".lab/objects" });
  const provider = recording.one("pulumi:providers:kubernetes");
  assert.equal(provider.inputs["renderYamlToDirectory"], ".lab/objects");
  assert.equal(provider.inputs["kubeconfig"], undefined, "the real provider refuses the two together");
  const usual = (await recordStack("dev")).recording;
  const kubeconfig = String(usual.one("pulumi:providers:kubernetes").inputs["kubeconfig"]);
  assert.match(kubeconfig, /server: https:\/\/192\.0\.2\./);
  assert.equal(usual.one("pulumi:providers:kubernetes").inputs["renderYamlToDirectory"], undefined);
  assert.equal(recording.resources.length, usual.resources.length);
});

test("a capacity that cannot be had fails the program with what was looked at", async () => {
  await assert.rejects(
    record(() => tradingStack("dev", stackConfig("dev", { "trading:locations": '["ash"]' }))),
    /No location offers the servers of this cluster[\s\S]*ash: no such location/,
  );
});
