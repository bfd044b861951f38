import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { brokerConfiguration } from "../../components/kafka-configuration.ts";
import { defaultReplication } from "../../components/kafka-facts.ts";
import { connectKafka } from "../../services/bus/kafka.ts";
import { createTopics, topicName, topics as registry } from "../../services/bus/topics.ts";
import { createLogger } from "../../services/core/log.ts";
import { small } from "./configuration.ts";
import { KafkaPortInUseError, KafkaStartError, type LabKafka, startKafka } from "./index.ts";
import { findFreePorts } from "./ports.ts";

const clusterId = "LabTestClusterIdAbcdeA";

describe("the lab's Kafka", () => {
  let directory: string;
  let kafka: LabKafka;
  const unexpectedExits: number[] = [];

  before(async () => {
    directory = await mkdtemp(path.join(tmpdir(), "lab-kafka-"));
    kafka = await startKafka({
      directory: path.join(directory, "three"),
      clusterId,
      configuration: {
        "log.segment.delete.delay.ms": "1000",
        // Kafka 3's, gone since; to see how Kafka shows a setting that it does not know.
        "log.message.format.version": "3.0",
        "broker.session.timeout.ms": "3000", // a killed broker is missed sooner than after 9 s
        "broker.heartbeat.interval.ms": "500",
        "node.id": "7", // must have no effect
      },
      onBrokerExit: (broker) => unexpectedExits.push(broker),
    });
  });
  after(async () => {
    await kafka?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  const logger = createLogger({ service: "test", level: "silent" });
  const connect = () => connectKafka({ clientId: "test", brokers: kafka.brokers, logger });
  /** Every setting of a broker (4) or a topic (2) as Kafka has it. */
  const settingsOf = async (type: 2 | 4, name: string) => {
    const admin = connect().admin();
    await admin.connect();
    const { resources } = await admin
      .describeConfigs({ includeSynonyms: false, resources: [{ type, name }] })
      .finally(() => admin.disconnect());
    return new Map(resources[0]?.configEntries.map((entry) => [entry.configName, entry.configValue]));
  };

  it("has three brokers that share the given cluster id", async () => {
    const admin = connect().admin();
    await admin.connect();
    const cluster = await admin.describeCluster();
    await admin.disconnect();
    assert.equal(cluster.clusterId, clusterId);
    assert.deepEqual(
      cluster.brokers.map(({ nodeId, host, port }) => `${nodeId} ${host}:${port}`).sort(),
      kafka.brokers.map((address, id) => `${id} ${address}`),
    );
    assert.equal(new Set(kafka.pids).size, 3);
  });

  it("runs what the cluster's Kafka object asks for, and sizes for this machine only what that leaves open", async () => {
    const asked = brokerConfiguration(defaultReplication.cluster);
    for (const broker of ["0", "2"]) {
      const has = await settingsOf(4, broker);
      const found = Object.keys(asked).map((key) => [key, has.get(key)]);
      const expected = Object.entries(asked).map(([key, value]) => [key, String(value)]);
      assert.deepEqual(Object.fromEntries(found), Object.fromEntries(expected), `broker ${broker}`);
      // So the comparison above also finds what Kafka only ignores.
      assert.equal(has.get("log.message.format.version"), null);
      assert.equal(has.get("log.segment.delete.delay.ms"), "1000");
    }
    assert.deepEqual(
      Object.keys(small).filter((key) => key in asked),
      [],
    );
  });

  it("takes every topic of the registry with all its settings, three copies each, and refuses what it does not know", async () => {
    const admin = connect().admin();
    await admin.connect();
    const options = { businessDate: "2025-10-14", ...defaultReplication.cluster };
    const names = await createTopics(admin, options);
    const { topics } = await admin.fetchTopicMetadata({ topics: names });
    for (const { name, partitions } of topics) {
      for (const { replicas } of partitions) assert.deepEqual([...replicas].sort(), [0, 1, 2], name);
    }
    for (const topic of [registry.journal, registry.deadLetter]) {
      const has = await settingsOf(2, topicName(topic, options.businessDate));
      assert.equal(has.get("min.insync.replicas"), "2");
      assert.equal(has.get("cleanup.policy"), "delete");
      assert.equal(has.get("retention.ms"), String(topic.retentionMs));
      assert.equal(has.get("compression.type"), "lz4", "the broker's own setting");
      if ("maxMessageBytes" in topic)
        assert.equal(has.get("max.message.bytes"), String(topic.maxMessageBytes));
    }
    for (const entry of [
      { name: "retention.hours", value: "72" },
      { name: "cleanup.policy", value: "remove" },
    ]) {
      await assert.rejects(
        admin.createTopics({ topics: [{ topic: "refused", configEntries: [entry] }] }),
        (error: { errors?: { type?: string }[]; type?: string }) =>
          /INVALID_CONFIG/.test(`${error.type} ${error.errors?.map(({ type }) => type).join()}`),
        entry.name,
      );
    }
    await admin.disconnect();
  });

  it("goes on without one broker, transactions and groups too, takes it back, and keeps what was acknowledged", async () => {
    const client = connect();
    const topic = registry.tradeResult.name;
    const producer = client.producer({ transactionalId: "test-0", idempotent: true, maxInFlightRequests: 1 });
    await producer.connect();
    const send = async (value: string) => {
      const transaction = await producer.transaction();
      await transaction.send({ topic, acks: -1, messages: [{ value }] });
      await transaction.commit();
    };
    await send("before");
    await kafka.stopBroker(1, { kill: true });
    assert.equal(kafka.pids.length, 2);
    await send("without broker 1");
    await kafka.startBroker(1);
    assert.equal(kafka.pids.length, 3);
    await send("after");
    await producer.disconnect();

    const consumer = client.consumer({ groupId: "reader", maxWaitTimeInMs: 100 });
    const read: string[] = [];
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({ eachMessage: async ({ message }) => void read.push(String(message.value)) });
    const deadline = Date.now() + 30_000;
    while (read.length < 3 && Date.now() < deadline) await delay(20);
    await consumer.disconnect();
    assert.deepEqual(read.sort(), ["after", "before", "without broker 1"]);
    assert.deepEqual(unexpectedExits, [], "a broker that was stopped on purpose is no unexpected exit");
  });

  it("names every taken port", async () => {
    const [first = 0, , third = 0] = await findFreePorts(3);
    const squatter = createServer().listen(third, "127.0.0.1");
    await new Promise((resolve) => squatter.once("listening", resolve));
    try {
      await assert.rejects(
        startKafka({ directory: path.join(directory, "taken"), clusterId, firstPort: first }),
        (error) => {
          assert.ok(error instanceof KafkaPortInUseError);
          assert.deepEqual(error.ports, [third]);
          assert.match(error.message, /another first port/);
          return true;
        },
      );
    } finally {
      squatter.close();
    }
  });

  it("tells why a broker does not start, and leaves none behind", async () => {
    await assert.rejects(
      startKafka({
        directory: path.join(directory, "broken"),
        clusterId,
        brokers: 1,
        // A codec that Kafka does not have, where the cluster asks for lz4.
        configuration: { "compression.type": "lz5" },
      }),
      (error) => {
        assert.ok(error instanceof KafkaStartError);
        assert.match(error.message, /broker 0/);
        assert.match(error.message, /Invalid value lz5 for configuration compression\.type/);
        return true;
      },
    );
  });

  it("refuses what cannot be a cluster id", async () => {
    await assert.rejects(
      startKafka({ directory, clusterId: "short" }),
      /"short": expected a Kafka cluster id/,
    );
  });

  it("reports a broker that ends by itself", async () => {
    process.kill(kafka.pids[2] ?? 0, "SIGKILL");
    const deadline = Date.now() + 10_000;
    while (unexpectedExits.length === 0 && Date.now() < deadline) await delay(20);
    assert.deepEqual(unexpectedExits, [2]);
    assert.equal(kafka.pids.length, 2);
  });

  it("acknowledges nothing that only one broker has", async () => {
    const client = connect();
    const producer = client.producer({ retry: { retries: 0 } });
    await producer.connect();
    const topic = registry.stockBar.name;
    const send = (value: string) => producer.send({ topic, acks: -1, timeout: 2_000, messages: [{ value }] });
    const deadline = Date.now() + 30_000;
    // The two that are left take over from the third first.
    while (
      !(await send("with two brokers").then(
        () => true,
        () => false,
      ))
    ) {
      assert.ok(Date.now() < deadline, "two of three brokers must accept");
      await delay(50);
    }
    await kafka.stopBroker(1, { kill: true });
    assert.equal(kafka.pids.length, 1);
    await assert.rejects(send("with one broker"));
    await producer.disconnect().catch(() => undefined);
    // Alone it has no quorum with which it could end in peace.
    await kafka.stopBroker(0, { kill: true });
  });
});
