import assert from "node:assert/strict";
import test from "node:test";
import { exampleCluster } from "./testing/example-cluster.ts";
import { record } from "./testing/recording.ts";

type Metadata = { name: string };

test("every namespace has the same settings, and no secret among them", async () => {
  const recording = await record(() => exampleCluster("prod"));
  const maps = recording.all("kubernetes:core/v1:ConfigMap");
  assert.equal(maps.length, 3);
  const clusterId = String(recording.one("pulumi:providers:kubernetes").inputs["clusterIdentifier"]);
  for (const map of maps) {
    assert.equal((map.inputs["metadata"] as Metadata).name, "trading-settings");
    assert.deepEqual(map.secretInputs, []);
    const { EXPIRES_AT: expiresAt, ...data } = map.inputs["data"] as Record<string, string>;
    assert.match(expiresAt ?? "", /^\d{10}$/);
    assert.deepEqual(data, {
      STACK: "prod",
      CLUSTER_ID: clusterId,
      BUSINESS_DATE: "2025-10-14",
      KAFKA_BROKERS: "kafka-bootstrap.kafka.svc.cluster.local:9092",
      KAFKA_REPLICATION_FACTOR: "3",
      KAFKA_MIN_INSYNC_REPLICAS: "2",
      S3_ENDPOINT: "https://s3.example.com",
      S3_REGION: "fsn1",
      S3_BUCKET: "archive",
      ALPACA_STREAM_URL: "wss://stream.example.com/v2/iex",
      ALPACA_REST_URL: "https://alpaca.example.com",
      ALPACA_UPDATES_URL: "wss://alpaca.example.com/stream",
      ALPACA_SYMBOLS: "SPY,QQQ",
      ALPACA_REQUESTS_PER_MINUTE: "200",
      NEAR_RELAY_WEBSOCKET_URL: "wss://relay.example.com/ws",
      NEAR_RELAY_RPC_URL: "https://relay.example.com/rpc",
      NEAR_SALT: "252812b3",
      MAX_EVENT_AGE_DAYS: "7",
      RISK_MAX_NOTIONAL: "2500.50",
      RISK_MAX_AMOUNTS: "nep141:wrap.near=1000,nep141:btc.omft.near=20",
      RISK_MAX_ORDERS_PER_MINUTE: "600",
      RISK_SYMBOLS: "SPY,nep141:wrap.near",
      RISK_MAX_COMMAND_AGE_SECONDS: "30",
      RISK_MAX_CLOCK_SKEW_MS: "500",
      OPEN_ORDERS_AT_CLOSE: "carry-over",
      CANARY_EVERY_SECONDS: "120",
      LOG_LEVEL: "info",
    });
  }
});

test("secrets are secret to Pulumi, inputs and outputs", async () => {
  const recording = await record(() => exampleCluster());
  const secrets = recording.all("kubernetes:core/v1:Secret");
  assert.ok(secrets.length > 0);
  for (const secret of secrets) {
    assert.ok(secret.secretInputs.some((path) => path.startsWith("stringData")));
    // By the SDK.
    assert.deepEqual([...secret.additionalSecretOutputs].sort(), ["data", "stringData"]);
  }
});
