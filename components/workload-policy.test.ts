import assert from "node:assert/strict";
import test from "node:test";
import { catalog, type Deployable, type SecretName } from "../services/catalog.ts";
import { prometheus, toDns, toInternet, toKafka, toKubernetesApi, toPrometheus } from "./network-peers.ts";
import { networkPolicy } from "./workload-policy.ts";

function egressOf(name: string): unknown[] {
  const found = catalog.find((service) => service.name === name);
  assert.ok(found !== undefined, name);
  return networkPolicy(found).egress as unknown[];
}

const venuesAndStore = [toDns, toKafka, toInternet(443)];

/** What is known today; a service that comes later reaches what its row says. */
const known: Readonly<Record<string, readonly unknown[]>> = {
  "prepare-day": venuesAndStore,
  archiver: [...venuesAndStore, toKubernetesApi, toPrometheus],
  "ingestion-alpaca-stockstream-api": venuesAndStore,
  "ingest-near-intents": venuesAndStore,
  "normalize-near-intents": [toDns, toKafka],
  "normalize-alpaca": [toDns, toKafka],
  "strategy-dummy": [toDns, toKafka],
  "executor-near-intents": venuesAndStore,
  "executor-alpaca": venuesAndStore,
  "result-monitor": [toDns, toKafka],
};

const expected = ({ name, reaches }: Deployable): readonly unknown[] =>
  known[name] ?? (reaches === undefined ? [toDns, toKafka] : venuesAndStore);

test("every service that is known here is there", () => {
  const names = catalog.map(({ name }) => name);
  for (const name of Object.keys(known)) assert.ok(names.includes(name), name);
});

for (const service of catalog) {
  test(`${service.name}: may reach what its work needs, and is reached by Prometheus alone`, () => {
    const policy = networkPolicy(service);
    assert.deepEqual(policy.podSelector, { matchLabels: { "app.kubernetes.io/name": service.name } });
    assert.deepEqual(policy.policyTypes, ["Ingress", "Egress"]);
    assert.deepEqual(policy.egress, expected(service));
    assert.deepEqual(
      policy.ingress,
      service.kind === "Job" ? [] : [{ from: [prometheus], ports: [{ protocol: "TCP", port: 8080 }] }],
    );
  });
}

test("nobody reaches a private network or the metadata service by way of the internet", () => {
  for (const { name } of catalog) {
    const blocks = JSON.stringify(egressOf(name)).match(/"0\.0\.0\.0\/0","except":\[[^\]]*\]/g) ?? [];
    for (const block of blocks) {
      for (const network of ["169.254.0.0/16", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]) {
        assert.ok(block.includes(`"${network}"`), `${name}: ${network}`);
      }
    }
    assert.ok(!JSON.stringify(egressOf(name)).includes("::/0"), name);
  }
});

test("who has a credential for something outside says that it reaches it, and the other way round", () => {
  const outside: Readonly<Record<SecretName, string>> = {
    "alpaca-credentials": "alpaca",
    "near-intents-relay": "near-intents",
    "near-intents-signer": "near-intents",
    "archive-credentials": "archive",
  };
  for (const { name, secrets, reaches = [] } of catalog) {
    assert.deepEqual(
      [...new Set(secrets.map((secret) => outside[secret]))].sort(),
      [...reaches].sort(),
      name,
    );
  }
});

test("without anything outside a row opens nothing", () => {
  const row = catalog.find(({ name }) => name === "executor-alpaca");
  assert.ok(row !== undefined);
  const closed: Deployable = { ...row, reaches: [] };
  assert.deepEqual(networkPolicy(closed).egress, [toDns, toKafka]);
});
