import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ConfigError, integer, nonEmptyList, readConfig, serviceVariables, text, url } from "./config.ts";

const good = {
  SERVICE_NAME: "normalize-near-intents",
  STACK: "dev",
  CLUSTER_ID: "abc",
  BUSINESS_DATE: "2025-10-14",
  KAFKA_BROKERS: "a:9092, b:9092,",
};

test("defaults are filled in and lists are split", () => {
  const settings = readConfig(serviceVariables, good);
  assert.deepEqual(settings.KAFKA_BROKERS, ["a:9092", "b:9092"]);
  assert.equal(settings.HTTP_PORT, 8080);
  assert.equal(settings.KAFKA_REPLICATION_FACTOR, 3);
  assert.equal(settings.KAFKA_MIN_INSYNC_REPLICAS, 2);
  assert.deepEqual(settings.DRAIN_AFTER, []);
});

test("all mistakes come together, by name and without values", () => {
  const shape = { ...serviceVariables, TOKEN: text, RELAY: url("wss", "ws") };
  const environment = {
    ...good,
    STACK: "",
    BUSINESS_DATE: "14.10.2025",
    HTTP_PORT: "99999",
    RELAY: "s3cret",
  };
  assert.throws(
    () => readConfig(shape, environment),
    (error) => {
      assert.ok(error instanceof ConfigError);
      assert.deepEqual(error.mistakes.map((mistake) => mistake.split(":")[0]).sort(), [
        "BUSINESS_DATE",
        "HTTP_PORT",
        "RELAY",
        "STACK",
        "TOKEN",
      ]);
      assert.match(error.message, /STACK: is missing/);
      assert.match(error.message, /RELAY: expected a URL that begins with wss:\/\/ or ws:\/\//);
      assert.doesNotMatch(error.message, /s3cret|99999/);
      return true;
    },
  );
});

test("whole numbers are taken inside their range only", () => {
  const schema = integer(-5, 70_000);
  fc.assert(
    fc.property(fc.integer(), (value) => {
      assert.equal(schema.safeParse(String(value)).success, value >= -5 && value <= 70_000);
    }),
  );
  for (const wrong of ["", " 1", "1.5", "1e3", "0x10", "one"]) {
    assert.equal(schema.safeParse(wrong).success, false, wrong);
  }
});

test("a list needs an item", () => {
  assert.equal(nonEmptyList.safeParse(" , ").success, false);
});
