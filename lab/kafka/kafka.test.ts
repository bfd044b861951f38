import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Kafka, logLevel } from "kafkajs";
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
        "log.retention.hours": "1",
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

  const connect = () =>
    new Kafka({ clientId: "test", brokers: [...kafka.brokers], logLevel: logLevel.NOTHING });

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

  it("replicates a topic three times with two in-sync replicas required, and takes broker properties", async () => {
    const admin = connect().admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic: "replicated", numPartitions: 2 }], waitForLeaders: true });
    const { topics } = await admin.fetchTopicMetadata({ topics: ["replicated"] });
    const configs = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: 2, name: "replicated" }],
    });
    await admin.disconnect();
    assert.deepEqual(
      topics[0]?.partitions.map((partition) => [...partition.replicas].sort()),
      [
        [0, 1, 2],
        [0, 1, 2],
      ],
    );
    const values = new Map(
      configs.resources[0]?.configEntries.map((entry) => [entry.configName, entry.configValue]),
    );
    assert.equal(values.get("min.insync.replicas"), "2");
    assert.equal(values.get("retention.ms"), String(3_600_000));
  });

  it("goes on without one broker, takes it back, and keeps what was acknowledged", async () => {
    const client = connect();
    const producer = client.producer();
    await producer.connect();
    const send = (value: string) => producer.send({ topic: "replicated", acks: -1, messages: [{ value }] });
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
    await consumer.subscribe({ topic: "replicated", fromBeginning: true });
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
        configuration: { "log.segment.bytes": "many" },
      }),
      (error) => {
        assert.ok(error instanceof KafkaStartError);
        assert.match(error.message, /broker 0/);
        assert.match(error.message, /log\.segment\.bytes/);
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
});
