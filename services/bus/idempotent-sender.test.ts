import assert from "node:assert/strict";
import { test } from "node:test";
import { testContext } from "../core/testing.ts";
import { IdempotentSender, SendRefusedError, type SendingCluster } from "./idempotent-sender.ts";
import type { ProduceAnswer } from "./produce-request.ts";

/** A batch as it arrived at a broker. */
interface Arrived {
  broker: number;
  topic: string;
  partition: number;
  batch: Buffer;
}

const baseSequence = (batch: Buffer): number => batch.readInt32BE(53);
const recordCount = (batch: Buffer): number => batch.readInt32BE(57);

/** Reads a request back: one topic and its partitions after the other. */
function arrivals(broker: number, request: Buffer): Arrived[] {
  const found: Arrived[] = [];
  let at = 2 + 2 + 4;
  const int32 = (): number => request.readInt32BE((at += 4) - 4);
  for (let topics = int32(); topics > 0; topics--) {
    const length = request.readInt16BE((at += 2) - 2);
    const topic = request.toString("utf8", at, (at += length));
    for (let partitions = int32(); partitions > 0; partitions--) {
      const partition = int32();
      const size = int32();
      found.push({ broker, topic, partition, batch: request.subarray(at, (at += size)) });
    }
  }
  assert.equal(at, request.length);
  return found;
}

/** Brokers whose answers the test decides. @param answer the error code for a batch; undefined: no answer for it. */
function make(
  answer: (arrived: Arrived, attempt: number) => number | undefined | Error,
  leaders: (partition: number, refreshes: number) => number = () => 0,
) {
  const arrived: Arrived[] = [];
  let refreshes = 0;
  const broker = (nodeId: number) => ({
    initProducerId: async () => ({ producerId: "7", producerEpoch: 0 }),
    connectionPool: {
      send: async ({ request }: { request: object }): Promise<ProduceAnswer[]> => {
        const { buffer } = await (request as { encode(): Promise<{ buffer: Buffer }> }).encode();
        return arrivals(nodeId, buffer).flatMap((batch) => {
          arrived.push(batch);
          const same = arrived.filter(
            ({ topic, partition }) => topic === batch.topic && partition === batch.partition,
          );
          const code = answer(batch, same.length);
          if (code instanceof Error) throw code;
          const { topic, partition } = batch;
          return code === undefined ? [] : [{ topic, partition, errorCode: code }];
        });
      },
    },
  });
  const cluster: SendingCluster = {
    connect: async () => undefined,
    disconnect: async () => undefined,
    isConnected: () => true,
    refreshMetadata: async () => void refreshes++,
    refreshMetadataIfNecessary: async () => undefined,
    removeBroker: () => undefined,
    addMultipleTargetTopics: async () => undefined,
    findTopicPartitionMetadata: () =>
      [0, 1, 2].map((partitionId) => ({ partitionId, leader: leaders(partitionId, refreshes) })),
    findControllerBroker: async () => broker(0),
    findBroker: async ({ nodeId }) => broker(nodeId),
  };
  const sender = new IdempotentSender(cluster, testContext().logger);
  return { sender, arrived, cluster };
}

const record = (partition: number, value = "v", topic = "t") => ({
  topic,
  partition,
  key: "k",
  value: Buffer.from(value),
});

test("one request a broker, one batch a partition, sequence numbers go on", async () => {
  const { sender, arrived } = make(
    () => 0,
    (partition) => partition % 2,
  );
  await sender.connect();
  await sender.send([record(0), record(1), record(2), record(0)]);
  await sender.send([record(0), record(1, "v", "other")]);
  const seen = arrived.map(({ broker, topic, partition, batch }) =>
    [broker, topic, partition, baseSequence(batch), recordCount(batch)].join(" "),
  );
  assert.deepEqual(seen.slice(0, 3).sort(), ["0 t 0 0 2", "0 t 2 0 1", "1 t 1 0 1"]);
  assert.deepEqual(seen.slice(3).sort(), ["0 t 0 2 1", "1 other 1 0 1"]);
});

test("what was not taken is sent again unchanged, to whoever leads it then, and nothing else is", async () => {
  const { sender, arrived } = make(
    // NOT_LEADER_OR_FOLLOWER, then no answer at all, then the broker says that it has it already.
    ({ partition }, attempt) => (partition === 0 || attempt > 3 ? 0 : [6, undefined, 46][attempt - 1]),
    (partition, refreshes) => (partition === 1 && refreshes > 0 ? 1 : 0),
  );
  await sender.connect();
  await sender.send([record(0), record(1)]);
  assert.deepEqual(
    arrived.map(({ broker, partition }) => `${broker} ${partition}`),
    ["0 0", "0 1", "1 1", "1 1"],
  );
  const [first, ...again] = arrived.filter(({ partition }) => partition === 1);
  for (const { batch } of again) assert.deepEqual(batch, first?.batch);
  await sender.send([record(1)]);
  assert.equal(baseSequence(arrived.at(-1)?.batch as Buffer), 1);
});

test("a connection that breaks is no reason to give up, also while a partition has no leader", async () => {
  const lost = Object.assign(new Error("closed"), { name: "KafkaJSConnectionClosedError" });
  const { sender, arrived } = make(
    (_batch, attempt) => (attempt === 1 ? lost : 0),
    (_partition, refreshes) => (refreshes === 1 ? -1 : 0),
  );
  await sender.connect();
  await sender.send([record(0)]);
  assert.equal(arrived.length, 2);
});

test("what no repetition mends is an error that names the partition and the reason", async () => {
  const { sender } = make(({ partition }) => (partition === 1 ? 10 : 0));
  await sender.connect();
  await assert.rejects(sender.send([record(0), record(1)]), (error: Error) => {
    assert.ok(error instanceof SendRefusedError);
    assert.match(error.message, /t\/1: error 10, .*max\.message\.bytes/);
    return true;
  });
});

test("a key chooses its partition as Kafka's Java clients do", async () => {
  const { sender, arrived } = make(() => 0);
  await sender.connect();
  await sender.send([{ topic: "t", key: "21", value: Buffer.from("v") }]);
  // murmur2("21") of Kafka's own tests is -973932308; without its sign bit, modulo 3.
  assert.equal(arrived[0]?.partition, (-973932308 & 0x7fffffff) % 3);
});

test("a broker that has just died does not keep a service from starting; other refusals do", async () => {
  const failing = (...errors: Error[]) => {
    const { sender, cluster } = make(() => 0);
    let attempts = 0;
    cluster.connect = async () => {
      const error = errors[attempts++];
      if (error !== undefined) throw error;
    };
    return { sender, count: () => attempts };
  };
  const refused = Object.assign(new Error("ECONNREFUSED"), { name: "KafkaJSConnectionError" });
  const riding = failing(refused, refused);
  await riding.sender.connect();
  assert.equal(riding.count(), 3);
  const hopeless = failing(new Error("SASL"));
  await assert.rejects(hopeless.sender.connect(), /SASL/);
  assert.equal(hopeless.count(), 1);
});
