import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { testContext } from "../core/testing.ts";
import type { RecordSender } from "./idempotent-sender.ts";
import {
  BatchingProducer,
  ProducerQueueFullError,
  RecordTooLargeError,
  type ProducerLimits,
} from "./producer.ts";
import type { OutgoingRecord } from "./record.ts";

/** A sender whose sends end when the test says so. */
class ManualSender implements RecordSender {
  readonly sends: {
    records: readonly OutgoingRecord[];
    succeed(): void;
    fail(error: Error): void;
  }[] = [];
  disconnected = false;
  disconnect = () => {
    this.disconnected = true;
    return Promise.resolve();
  };
  send = (records: readonly OutgoingRecord[]): Promise<void> =>
    new Promise((resolve, reject) => this.sends.push({ records, succeed: resolve, fail: reject }));
}

function make(limits: Partial<ProducerLimits> = {}) {
  const sender = new ManualSender();
  const context = testContext();
  const producer = new BatchingProducer(sender, context, limits);
  const send = (value: string, partition = 0) =>
    producer.send({ topic: "t", key: "k", value: Buffer.from(value), partition });
  return { sender, context, producer, send };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const valuesOf = (send: ManualSender["sends"][number] | undefined) =>
  send?.records.map(({ value }) => value.toString());

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
        .map((value) => Number(value.split(":")[0]));
      assert.deepEqual(order, [...sizes.keys()]);
      for (const { records } of sender.sends) {
        assert.ok(records.length <= 7);
        const bytes = records.reduce((sum, { value }) => sum + value.length, 0);
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
