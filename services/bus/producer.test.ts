import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Kafka, Message, ProducerBatch, RecordMetadata } from "kafkajs";
import { testContext, until } from "../core/testing.ts";
import {
  BatchingProducer,
  LeaderMovedError,
  MetadataRouter,
  ProducerQueueFullError,
  RecordTooLargeError,
  startProducer,
  type ProducerLimits,
} from "./producer.ts";

/** A sender whose sends end when the test says so. */
class ManualSender {
  readonly sends: {
    messages: { topic: string; message: Message }[];
    /** Answers for all partitions but these. */
    succeed(except?: readonly number[]): void;
    fail(error: Error): void;
  }[] = [];
  disconnected = false;
  connect = () => Promise.resolve();
  disconnect = () => {
    this.disconnected = true;
    return Promise.resolve();
  };
  sendBatch = (batch: ProducerBatch): Promise<RecordMetadata[]> =>
    new Promise((resolve, reject) => {
      const messages = (batch.topicMessages ?? []).flatMap(({ topic, messages }) =>
        messages.map((message) => ({ topic, message })),
      );
      this.sends.push({
        messages,
        succeed: (except = []) =>
          resolve(
            messages
              .map(({ topic, message }) => ({
                topicName: topic,
                partition: message.partition ?? 0,
                errorCode: 0,
              }))
              .filter(({ partition }) => !except.includes(partition)),
          ),
        fail: reject,
      });
    });
}

function make(
  limits: Partial<ProducerLimits> = {},
  options: { leaders?: (partition: number) => number } = {},
) {
  const sender = new ManualSender();
  const context = testContext();
  const leaders = options.leaders ?? (() => 0);
  const known = new Set(["t"]);
  const producer = new BatchingProducer(
    sender,
    {
      locate: ({ topic, partition = 0 }) =>
        known.has(topic) ? { partition, leader: leaders(partition) } : undefined,
    },
    context,
    limits,
  );
  const send = (value: string, partition = 0) =>
    producer.send({ topic: "t", key: "k", value: Buffer.from(value), partition });
  return { sender, context, producer, send, known };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const valuesOf = (send: ManualSender["sends"][number] | undefined) =>
  send?.messages.map(({ message }) => message.value?.toString());

test("the first record goes at once, the following ones together when its answer is there", async () => {
  const { sender, send } = make();
  const first = send("1");
  await turn();
  assert.deepEqual(valuesOf(sender.sends[0]), ["1"]);
  const later = [send("2"), send("3")];
  await turn();
  assert.equal(sender.sends.length, 1, "one send in flight");
  sender.sends[0]?.succeed();
  await first;
  await turn();
  assert.deepEqual(valuesOf(sender.sends[1]), ["2", "3"]);
  sender.sends[1]?.succeed();
  await Promise.all(later);
});

test("a batch ends at its limits, in records and in bytes, and keeps the order", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(300), { minLength: 1, maxLength: 60 }), async (sizes) => {
      const { sender, send, producer } = make({ batchRecords: 7, batchBytes: 500 });
      const promises = sizes.map((size, index) => send(`${index}:${"x".repeat(size)}`));
      for (let at = 0; producer.pending > 0 || at < sender.sends.length; at += 1) {
        await turn();
        sender.sends[at]?.succeed();
        await turn();
      }
      await Promise.all(promises);
      const order = sender.sends
        .flatMap((each) => valuesOf(each) ?? [])
        .map((value) => Number(value?.split(":")[0]));
      assert.deepEqual(order, [...sizes.keys()]);
      for (const { messages } of sender.sends) {
        assert.ok(messages.length <= 7);
        const bytes = messages.reduce((sum, { message }) => sum + (message.value?.length ?? 0), 0);
        assert.ok(bytes <= 500);
      }
    }),
  );
});

test("the queue is bounded; room() waits for half of it", async () => {
  const { sender, send, producer } = make({ queuedRecords: 4, batchRecords: 2 });
  const first = send("in flight");
  await turn();
  const waiting = ["a", "b", "c", "d"].map((value) => send(value));
  await assert.rejects(send("e"), ProducerQueueFullError);
  assert.equal(producer.hasRoom, false);
  let room = false;
  void producer.room().then(() => (room = true));
  sender.sends[0]?.succeed();
  await first;
  await turn();
  assert.equal(room, false, "two of four still wait");
  sender.sends[1]?.succeed();
  await turn();
  assert.equal(room, true);
  sender.sends[2]?.succeed();
  await Promise.all(waiting);
});

test("a record above the limit is refused by itself", async () => {
  const { sender, send } = make({ batchBytes: 200 });
  await assert.rejects(send("x".repeat(300)), RecordTooLargeError);
  const good = send("fits");
  await turn();
  sender.sends[0]?.succeed();
  await good;
});

test("where the topic takes more, a record larger than a batch is sent alone", async () => {
  const { sender, send } = make({ batchBytes: 200, recordBytes: new Map([["t", 1_000]]) });
  const large = "x".repeat(300);
  await assert.rejects(send("x".repeat(1_000)), RecordTooLargeError);
  const all = ["before", large, "after"].map((value) => send(value));
  for (const expected of [["before"], [large], ["after"]]) {
    await turn();
    assert.deepEqual(valuesOf(sender.sends.at(-1)), expected);
    sender.sends.at(-1)?.succeed();
  }
  await Promise.all(all);
});

test("records of a partition that did not answer are sent again before anything else", async () => {
  const { sender, send } = make();
  const all = [send("p0", 0), send("p1", 1), send("p1 too", 1)];
  await turn();
  sender.sends[0]?.succeed([1]);
  await turn();
  assert.deepEqual(valuesOf(sender.sends[1]), ["p1", "p1 too"]);
  sender.sends[1]?.succeed();
  await Promise.all(all);
});

test("each send goes to one broker, and all are awaited", async () => {
  const { sender, send } = make({}, { leaders: (partition) => partition % 2 });
  const all = [send("p0", 0), send("p1", 1), send("p2", 2)];
  await turn();
  assert.deepEqual(sender.sends.map(valuesOf), [["p0", "p2"], ["p1"]]);
  const later = send("next", 0);
  sender.sends[0]?.succeed();
  await turn();
  assert.equal(sender.sends.length, 2, "the next batch waits for both");
  sender.sends[1]?.succeed();
  await Promise.all(all);
  await turn();
  sender.sends[2]?.succeed();
  await later;
});

test("of a topic not seen before the first record goes alone: its send tells who leads the others", async () => {
  const { sender, producer, known } = make();
  const send = (value: string) =>
    producer.send({ topic: "new", key: "k", value: Buffer.from(value), partition: 1 });
  const all = ["1", "2", "3"].map(send);
  await turn();
  assert.deepEqual(valuesOf(sender.sends[0]), ["1"]);
  known.add("new");
  // kafkajs chooses the partition of a message that names none, and answers for it.
  const [first] = sender.sends[0]?.messages ?? [];
  assert.ok(first);
  first.message.partition = 1;
  sender.sends[0]?.succeed();
  await turn();
  assert.deepEqual(valuesOf(sender.sends[1]), ["2", "3"]);
  sender.sends[1]?.succeed();
  await Promise.all(all);
});

test("a send whose partitions have moved apart is put together anew, with the same records of each", async () => {
  let moved = false;
  const { sender, send } = make({}, { leaders: (partition) => (moved ? partition : 7) });
  const all = [send("p0", 0), send("p1", 1), send("p0 too", 0)];
  await turn();
  assert.deepEqual(sender.sends.map(valuesOf), [["p0", "p1", "p0 too"]]);
  moved = true;
  sender.sends[0]?.fail(new LeaderMovedError("t", 0, 7, 0));
  await until("sent anew", () => sender.sends.length === 3);
  assert.deepEqual(sender.sends.slice(1).map(valuesOf), [["p0", "p0 too"], ["p1"]]);
  sender.sends[1]?.succeed();
  sender.sends[2]?.succeed();
  await Promise.all(all);
});

test("the router lets nothing go to a broker that it was not meant for", () => {
  const router = new MetadataRouter();
  const partition = router.createPartitioner();
  const message: Message = { key: "k", value: null, partition: 0 };
  const led = (leader: number) => ({
    topic: "t",
    message,
    partitionMetadata: [{ partitionId: 0, partitionErrorCode: 0, leader, replicas: [], isr: [] }],
  });
  assert.equal(partition(led(1)), 0);
  router.expect(message, 1);
  assert.equal(partition(led(1)), 0);
  assert.throws(() => partition(led(2)), LeaderMovedError);
  assert.equal(router.locate({ topic: "t", key: "k", partition: 0 })?.leader, 2, "but it has learnt of it");
  assert.equal(partition(led(-1)), 0, "kafkajs looks for a leader where there is none");
  router.expect(message, undefined);
  assert.equal(partition(led(2)), 0);
});

test("the router chooses as Java clients do, from the metadata of the last send", () => {
  const router = new MetadataRouter();
  const record = { topic: "t", key: "nep141:wrap.near|nep141:eth.omft.near" };
  assert.equal(router.locate(record), undefined);
  const partitionMetadata = [0, 1, 2].map((partitionId) => ({
    partitionId,
    leader: 10 + partitionId,
    partitionErrorCode: 0,
    replicas: [],
    isr: [],
  }));
  const choose = router.createPartitioner();
  const partition = choose({ topic: "t", partitionMetadata, message: { key: record.key, value: null } });
  assert.deepEqual(router.locate(record), { partition, leader: 10 + partition });
  assert.deepEqual(router.locate({ ...record, partition: 2 }), { partition: 2, leader: 12 });
  // murmur2("21") of Kafka's own tests is -973932308; without its sign bit, modulo 3.
  assert.equal(router.locate({ topic: "t", key: "21" })?.partition, (-973932308 & 0x7fffffff) % 3);
});

test("after a failed send nothing more is sent, and the service is told", async () => {
  const { sender, send, context, producer } = make();
  const first = send("1");
  await turn();
  const second = send("2");
  const outcomes = Promise.allSettled([first, second]);
  sender.sends[0]?.fail(new Error("fenced"));
  assert.deepEqual(
    (await outcomes).map(({ status }) => status),
    ["rejected", "rejected"],
  );
  await assert.rejects(send("3"), /Kafka refused a send: fenced/);
  await producer.room();
  assert.equal(context.fatals.length, 1);
  assert.equal(sender.sends.length, 1);
});

test("close() sends what waits, then disconnects", async () => {
  const { sender, send, producer } = make();
  const record = send("last");
  const closed = producer.close();
  await turn();
  assert.equal(sender.disconnected, false);
  sender.sends[0]?.succeed();
  await record;
  await closed;
  assert.equal(sender.disconnected, true);
  await assert.rejects(send("after"), /closed/);
});

test("a controller that has just died does not keep a service from starting; other refusals do", async () => {
  const failing = (...errors: Error[]) => {
    let attempts = 0;
    const sender = {
      connect: async () => {
        const error = errors[attempts++];
        if (error !== undefined) throw error;
      },
      disconnect: () => Promise.resolve(),
    };
    const kafka = { producer: () => sender } as unknown as Kafka;
    return {
      start: () => startProducer(kafka, { ...testContext(), onStop: () => undefined }),
      count: () => attempts,
    };
  };
  const refused = Object.assign(new Error("ECONNREFUSED"), { name: "KafkaJSConnectionError" });
  const riding = failing(refused, refused);
  await (await riding.start()).close();
  assert.equal(riding.count(), 3);
  const hopeless = failing(new Error("SASL"));
  await assert.rejects(hopeless.start(), /SASL/);
  assert.equal(hopeless.count(), 1);
});
