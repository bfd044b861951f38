import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { parse } from "yaml";
import { CheckError } from "../errors.ts";
import { checkInputs } from "../inputs.ts";
import type { PropertyMap } from "../properties.ts";
import type { Provider } from "../provider.ts";
import { testContext } from "../testing/context.ts";
import { kubernetes } from "./kubernetes.ts";
import { objectProblems } from "./kubernetes-validation.ts";

let directory = "";
before(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), "engine-render-"));
});
after(async () => rm(directory, { recursive: true, force: true }));

function problems(object: PropertyMap): string[] {
  return objectProblems(object).map(({ property, reason }) => `${property}: ${reason}`);
}

const deployment = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name: "service", namespace: "kafka", labels: { "app.kubernetes.io/name": "service" } },
  spec: {
    replicas: 1,
    selector: { matchLabels: { app: "service" } },
    template: {
      metadata: { labels: { app: "service" } },
      spec: {
        nodeSelector: { "kubernetes.io/hostname": "k3s-control" },
        containers: [
          {
            name: "service",
            image: "image:1",
            env: [{ name: "A", value: "b" }],
            envFrom: [{ secretRef: { name: "s" } }, { configMapRef: { name: "c" } }],
            resources: { requests: { cpu: "50m", memory: "128Mi" } },
            readinessProbe: { httpGet: { path: "/readyz", port: 8080 } },
          },
        ],
      },
    },
  },
};

function changed(change: (copy: typeof deployment) => void): PropertyMap {
  const copy = structuredClone(deployment);
  change(copy);
  return copy as unknown as PropertyMap;
}

test("built-in kinds are checked against the API's schema, typos included", () => {
  assert.deepEqual(problems(changed(() => undefined)), []);
  const wrongs: [PropertyMap, RegExp][] = [
    [changed((copy) => Object.assign(copy.spec, { replicas: "one" })), /^spec\.replicas: /],
    [changed((copy) => Object.assign(copy.spec, { replica: 1 })), /^spec\.replica: is not a property/],
    [
      changed((copy) =>
        Object.assign(copy.spec.template.spec.containers[0] ?? {}, { imagePulPolicy: "Always" }),
      ),
      /^spec\.template\.spec\.containers\[0\]\.imagePulPolicy: is not a property/,
    ],
    [changed((copy) => Object.assign(copy.metadata, { label: {} })), /^metadata\.label: is not a property/],
    [
      changed((copy) => Object.assign(copy.metadata, { name: "Service_1" })),
      /^metadata\.name: "Service_1" is no DNS-1123/,
    ],
    [changed((copy) => Object.assign(copy.metadata, { namespace: "a.b" })), /^metadata\.namespace: /],
    [
      changed((copy) => Object.assign(copy, { kind: "Deploymint" })),
      /^kind: Kubernetes has no kind Deploymint in apps\/v1/,
    ],
    [changed((copy) => Object.assign(copy, { apiVersion: "apps" })), /^apiVersion: /],
    [
      { apiVersion: "v1", kind: "Service", metadata: { name: "a.b" }, spec: { ports: [{ port: 80 }] } },
      /DNS-1123 label/,
    ],
    [{ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "c" }, data: { a: 1 } }, /^data\.a: /],
  ];
  for (const [object, expected] of wrongs) {
    const found = problems(object);
    assert.ok(
      found.some((problem) => expected.test(problem)),
      `${expected}: ${found.join("; ")}`,
    );
  }
});

test("of custom resources only the envelope is checked", () => {
  const kafka = {
    apiVersion: "kafka.strimzi.io/v1",
    kind: "Kafka",
    metadata: { name: "kafka", namespace: "kafka" },
    spec: { anything: [{ goes: 1 }] },
  };
  assert.deepEqual(problems(kafka), []);
  assert.match(
    problems({ ...kafka, metadata: { name: "kafka", labels: { a: 1 } } }).join(),
    /metadata\.labels\.a/,
  );
  assert.match(
    problems({ ...kafka, metadata: { name: "kafka", annotation: {} } }).join(),
    /metadata\.annotation: is not a property/,
  );
  assert.match(problems({ ...kafka, spec: "text" }).join(), /spec: must be an object/);
});

async function create(
  provider: Provider,
  type: string,
  given: PropertyMap,
  name = "x",
): Promise<{ id: string; outputs: PropertyMap }> {
  const definition = provider.resource(type);
  assert.ok(definition);
  return definition.create(
    checkInputs(definition, given, undefined, name),
    testContext({ workingDirectory: directory }),
  );
}

test("objects are written as the real provider writes them, for the owner only, and removed again", async () => {
  const provider = kubernetes.configure({ renderYamlToDirectory: "rendered" });
  const secret: PropertyMap = { metadata: { name: "s", namespace: "kafka" }, stringData: { key: "value" } };
  await assert.rejects(create(provider, "kubernetes:core/v1:Secret", secret), /namespaces "kafka" not found/);
  const namespace = await create(provider, "kubernetes:core/v1:Namespace", { metadata: { name: "kafka" } });
  assert.equal(namespace.id, "kafka");
  const again = kubernetes.configure({ renderYamlToDirectory: "rendered" });
  assert.equal((await create(again, "kubernetes:core/v1:Secret", secret)).id, "kafka/s");
  await assert.rejects(
    create(again, "kubernetes:core/v1:Secret", secret),
    /another resource of this program is Secret kafka\/s/,
  );
  await create(again, "kubernetes:kafka.strimzi.io/v1:Kafka", {
    apiVersion: "kafka.strimzi.io/v1",
    kind: "Kafka",
    metadata: { name: "kafka", namespace: "kafka" },
    spec: { kafka: { version: "4.3.1" } },
  });
  const named = await create(again, "kubernetes:core/v1:ConfigMap", { data: {} }, "settings");
  assert.match(named.id, /^default\/settings-[0-9a-f]{8}$/);
  const crd = {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: "things.example.com" },
    spec: {
      group: "example.com",
      names: { kind: "Thing", plural: "things" },
      scope: "Namespaced",
      versions: [{ name: "v1", served: true, storage: true }],
    },
  };
  await create(again, "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition", crd);

  const manifests = path.join(directory, "rendered", "1-manifest");
  assert.deepEqual(
    readdirSync(manifests).filter((file) => !file.includes("settings")),
    [
      "kafka.strimzi.io_v1-kafka-kafka-kafka.yaml",
      "v1-namespace-default-kafka.yaml",
      "v1-secret-kafka-s.yaml",
    ],
  );
  const crdFile = path.join(
    directory,
    "rendered",
    "0-crd",
    "apiextensions.k8s.io_v1-customresourcedefinition-default-things.example.com.yaml",
  );
  assert.deepEqual(parse(readFileSync(crdFile, "utf8")), crd);
  const file = path.join(manifests, "v1-secret-kafka-s.yaml");
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.equal(statSync(manifests).mode & 0o777, 0o700);
  assert.deepEqual(parse(readFileSync(file, "utf8")), { apiVersion: "v1", kind: "Secret", ...secret });

  const definition = again.resource("kubernetes:core/v1:Secret");
  const context = testContext({ workingDirectory: directory });
  const inputs = { apiVersion: "v1", kind: "Secret", ...secret };
  const recorded = { id: "kafka/s", inputs, outputs: inputs };
  assert.equal(await definition?.isStale?.(recorded, context), false);
  await definition?.delete(recorded, context);
  assert.equal(existsSync(file), false);
  assert.equal(await definition?.isStale?.(recorded, context), true, "a file that is gone is written again");
  await definition?.delete(recorded, context);
});

test("a cluster, helm, yaml, lists and patches are refused; all mistakes come together", () => {
  assert.match(JSON.stringify(kubernetes.configuration.safeParse({}).error?.issues), /only render mode/);
  const both = kubernetes.configuration.safeParse({ renderYamlToDirectory: directory, kubeconfig: "x" });
  assert.match(
    JSON.stringify(both.error?.issues),
    /kubeconfig.*not compatible with renderYamlToDirectory|not compatible.*kubeconfig/,
  );
  const provider = kubernetes.configure({ renderYamlToDirectory: directory });
  for (const type of [
    "kubernetes:helm.sh/v3:Release",
    "kubernetes:core/v1:ConfigMapList",
    "kubernetes:apps/v1:DeploymentPatch",
  ]) {
    assert.equal(provider.resource(type), undefined, type);
  }
  const definition = provider.resource("kubernetes:core/v1:ConfigMap");
  assert.ok(definition);
  assert.throws(
    () => checkInputs(definition, { metadata: { name: "A" }, dat: {}, data: { a: 1 } }, undefined, "x"),
    (error: unknown) => error instanceof CheckError && error.problems.length === 3,
  );
});
