/** Secrets come from Pulumi and stand nowhere else: not in another input of the graph, and nothing of them in Git. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import test, { before } from "node:test";
import { fileURLToPath } from "node:url";
import * as pulumi from "@pulumi/pulumi";
import { parseAllDocuments } from "yaml";
import { exampleEntries } from "../components/testing/example-config.ts";
import { type Recording, record } from "../components/testing/recording.ts";
import { catalog, secretVariables } from "../services/catalog.ts";
import { parseStackConfig } from "./config.ts";
import type { PulumiStackConfig } from "./pulumi-config.ts";
import { tradingStack } from "./trading-stack.ts";

const repository = fileURLToPath(new URL("..", import.meta.url));

/** Made up; a value that nothing else could have. The keys' forms are those that the configuration demands. */
const secrets: Readonly<Record<string, string>> = {
  "trading:hcloudToken": "hcloud".repeat(11).slice(0, 64),
  "trading:archiveAccessKeyId": "made-up-archive-access-key-id",
  "trading:archiveSecretAccessKey": "made-up-archive-secret-access-key",
  "trading:alpacaKeyId": "made-up-alpaca-key-id",
  "trading:alpacaSecretKey": "made-up-alpaca-secret-key",
  "trading:nearRelayToken": "made-up-near-relay-token",
  "trading:nearSignerId": "made-up-solver.near",
  "trading:nearPrivateKey": `ed25519:${"2".repeat(87)}`,
  "trading:registryToken": "made-up-registry-token",
  "trading:gitToken": "made-up-git-token",
};

let recording: Recording;
before(async () => {
  const config = parseStackConfig({
    ...exampleEntries(),
    ...secrets,
    "trading:businessDate": "2025-10-14",
    "trading:delivery": "gitops",
    "trading:gitops":
      '{"repository":"https://git.example.com/trading.git","path":"k8s/overlays/dev","revision":"master"}',
    "trading:registryUser": "puller",
  });
  const wrapped = Object.fromEntries(
    Object.entries(config.secrets).map(([key, value]) => [key, pulumi.secret(value)]),
  ) as PulumiStackConfig["secrets"];
  recording = await record(() => tradingStack("dev", { ...config, secrets: wrapped }));
});

/** A resource's inputs without those that Pulumi keeps encrypted. */
function plainInputs(inputs: Record<string, unknown>, secretInputs: readonly string[]): string {
  const without = (value: unknown, at: string): unknown => {
    if (secretInputs.includes(at)) return undefined;
    if (Array.isArray(value)) return value.map((inner, index) => without(inner, `${at}.${index}`));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, inner]) => [key, without(inner, at === "" ? key : `${at}.${key}`)]),
    );
  };
  return JSON.stringify(without(inputs, ""));
}

/** A value as it may stand somewhere: as it is, and as base64 at each of the three offsets. */
function forms(value: string): string[] {
  const encoded = [0, 1, 2].map((offset) =>
    Buffer.from(`${"x".repeat(offset)}${value}`)
      .toString("base64")
      .slice(offset === 0 ? 0 : 4, -4),
  );
  return [value, encodeURIComponent(value), ...encoded];
}

test("no secret value is in a plain input of any resource, nor asked of a function, in whatever form", () => {
  assert.ok(recording.resources.length > 100);
  for (const [key, value] of Object.entries(secrets)) {
    for (const form of forms(value)) {
      for (const { urn, inputs, secretInputs } of recording.resources) {
        assert.ok(!plainInputs(inputs, secretInputs).includes(form), `${urn} has ${key} in clear`);
      }
      for (const { token, inputs } of recording.invokes) {
        assert.ok(!JSON.stringify(inputs).includes(form), `${token} is given ${key}`);
      }
    }
  }
});

test("every secret of the configuration is used, so the test above looks for values that are there", () => {
  const all = recording.resources.map(({ inputs }) => JSON.stringify(inputs)).join("\n");
  const userData = recording
    .all("hcloud:index/server:Server")
    .map(({ inputs }) => String(inputs["userData"]))
    .join("\n");
  for (const [key, value] of Object.entries(secrets)) {
    assert.ok(`${all}\n${userData}`.includes(value), `${key} is nowhere`);
  }
});

test("each Secret is in the namespaces of the services that name it, the repository's in Argo CD's, and no other exists", () => {
  const named = catalog.flatMap((service) => service.secrets.map((name) => `${service.namespace}/${name}`));
  const found = recording.all("kubernetes:core/v1:Secret").map(({ inputs, secretInputs }) => {
    assert.ok(secretInputs.length > 0);
    const { namespace, name } = inputs["metadata"] as { namespace: string; name: string };
    return `${namespace}/${name}`;
  });
  assert.deepEqual(found.sort(), [...new Set([...named, "argocd/repository"])].sort());
});

/** Every object below a key of that name, wherever it is. */
function valuesOf(value: unknown, key: string): unknown[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value as Record<string, unknown>).flatMap(([name, inner]) => [
    ...(name === key ? [inner] : []),
    ...valuesOf(inner, key),
  ]);
}

const variables = new Set<string>(Object.values(secretVariables).flat());

/** What is wrong with an object that stands in Git. */
function leaks(object: unknown): string[] {
  const { kind, data } = object as { kind?: string; data?: Record<string, unknown> };
  const set = valuesOf(object, "env").flatMap((list) => list as { name: string; value?: unknown }[]);
  return [
    ...(kind === "Secret" ? ["is a Secret"] : []),
    ...valuesOf(object, "secretGenerator").map(() => "makes a Secret"),
    ...valuesOf(object, "stringData").map(() => "has stringData"),
    ...Object.keys(data ?? {})
      .filter((name) => variables.has(name))
      .map((name) => `tells ${name}`),
    ...set
      .filter(({ name, value }) => variables.has(name) && value !== undefined)
      .map(({ name }) => `sets ${name}`),
  ];
}

test("nothing secret is in k8s/: no Secret, nothing that makes one, no variable that a Secret carries", () => {
  const files = readdirSync(path.join(repository, "k8s"), { recursive: true, encoding: "utf8" }).filter(
    (file) => file.endsWith(".yaml"),
  );
  assert.ok(files.length > 10);
  for (const file of files) {
    const text = readFileSync(path.join(repository, "k8s", file), "utf8");
    for (const document of parseAllDocuments(text)) assert.deepEqual(leaks(document.toJS()), [], file);
    assert.doesNotMatch(text, /PRIVATE KEY|ed25519:|BEGIN CERTIFICATE/, file);
  }
});

test("such leaks are found", () => {
  assert.deepEqual(leaks({ kind: "Secret", stringData: { A: "b" } }), ["is a Secret", "has stringData"]);
  assert.deepEqual(leaks({ kind: "Kustomization", secretGenerator: [] }), ["makes a Secret"]);
  assert.deepEqual(leaks({ kind: "ConfigMap", data: { NEAR_PRIVATE_KEY: "x" } }), ["tells NEAR_PRIVATE_KEY"]);
  const env = [
    { name: "ALPACA_SECRET_KEY", value: "x" },
    { name: "LOG_LEVEL", value: "info" },
  ];
  assert.deepEqual(leaks({ kind: "Deployment", spec: { template: { spec: { containers: [{ env }] } } } }), [
    "sets ALPACA_SECRET_KEY",
  ]);
});

test("no reviewed graph has a secret: each Secret's content stands as a mark", () => {
  for (const name of ["dev", "prod", "single-node"]) {
    const file = path.join(repository, "stacks", "graph", `${name}.json`);
    const graph = JSON.parse(readFileSync(file, "utf8")) as Record<
      string,
      { inputs: Record<string, unknown> }
    >;
    const found = Object.entries(graph).filter(([key]) => key.startsWith("kubernetes:core/v1:Secret "));
    assert.ok(found.length > 0);
    for (const [key, { inputs }] of found) assert.equal(inputs["stringData"], "[secret]", key);
  }
});
