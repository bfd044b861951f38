import assert from "node:assert/strict";
import test from "node:test";
import { brokerConfiguration } from "./kafka-configuration.ts";
import { defaultReplication } from "./kafka-facts.ts";

/**
 * What Strimzi 1.2 sets itself and drops from a `Kafka` object with no more than a line in its log:
 * api/src/main/java/io/strimzi/api/kafka/model/kafka/KafkaClusterSpec.java, FORBIDDEN_PREFIXES, less its exceptions.
 */
const droppedByStrimzi =
  /^(listeners|advertised\.|broker\.|listener\.|host\.name|port|inter\.broker\.listener\.name|sasl\.|ssl\.|security\.|password\.|log\.dir|zookeeper\.|authorizer\.|super\.user|cruise\.control\.|node\.id|process\.roles|controller\.|metadata\.log\.dir|client\.quota\.callback\.static\.|prometheus\.metrics\.reporter\.|cordoned\.log\.dirs)/;

test("Strimzi drops none of the settings", () => {
  for (const profile of ["cluster", "single-node"] as const) {
    for (const key of Object.keys(brokerConfiguration(defaultReplication[profile])))
      assert.doesNotMatch(key, droppedByStrimzi);
  }
  assert.match("listener.name.plain.ssl.client.auth", droppedByStrimzi);
});

// Share groups keep Kafka's own default, 3 copies, which one broker cannot give: nothing here uses them.
test("what Kafka keeps for consumer groups and transactions has as many copies as the topics", () => {
  const one = brokerConfiguration({ replicationFactor: 1, minInsyncReplicas: 1 });
  const ofCopies = Object.entries(one).filter(([key]) => /replica|isr/.test(key));
  assert.equal(ofCopies.length, 5);
  for (const [key, value] of ofCopies) assert.equal(value, 1, key);
});
