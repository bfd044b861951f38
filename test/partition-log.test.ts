/** Reading a partition by offset, on a real broker with transactions that overlap, and over the broker's restart. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, test } from "node:test";
import { type LabKafka, startKafka } from "../lab/kafka/index.ts";
import { connectKafka, type Kafka } from "../services/bus/kafka.ts";
import { PartitionLogError, readPartition } from "../services/bus/partition-log.ts";
import { knownTopics } from "../services/bus/topics.ts";
import { createLogger } from "../services/core/log.ts";

const topic = "exec.journal";
const logger = createLogger({ service: "test", level: "fatal" });
let directory: string;
let brokers: LabKafka;
let kafka: Kafka;

before(async () => {
  directory = await mkdtemp(path.join(tmpdir(), "partition-log-"));
  brokers = await startKafka({ directory, clusterId: "cGFydGl0aW9uLWxvZy0wMQ", brokers: 1 });
  kafka = connectKafka({ brokers: brokers.brokers, clientId: "test", logger });
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic, numPartitions: 2 }], waitForLeaders: false });
  await knownTopics(admin, [topic]);
  await admin.disconnect();
});
after(async () => {
  await brokers.stop();
  await rm(directory, { recursive: true, force: true });
});

/** Reads partition 1 and returns the values with the offset behind them. */
async function read(
  range: { from?: bigint | "start"; to?: bigint | "end" } = {},
  { signal, onValue }: { signal?: AbortSignal; onValue?: () => void } = {},
) {
  const values: string[] = [];
  const end = await readPartition({
    kafka,
    topic,
    partition: 1,
    ...range,
    onRecord: (record) => {
      values.push(String(record.value));
      onValue?.();
    },
    signal: signal ?? AbortSignal.timeout(60_000),
    logger,
  });
  return { values, end };
}

async function transactional(id: string) {
  const producer = kafka.producer({
    transactionalId: id,
    idempotent: true,
    maxInFlightRequests: 1,
    retry: { initialRetryTime: 5, retries: 12 },
  });
  await producer.connect();
  return producer;
}

test("a partition is read as it was committed", async (t) => {
  const [one, two] = [await transactional("one"), await transactional("two")];
  t.after(() => Promise.all([one.disconnect(), two.disconnect()]));
  assert.deepEqual(await read(), { values: [], end: 0n });

  const send = (to: { send: typeof one.send }, value: string) =>
    to.send({ topic, messages: [{ partition: 1, key: "k", value }] });
  const first = await one.transaction();
  await send(first, "a"); // offset 0
  await first.commit(); // marker 1
  // Two transactions that overlap, one of which is aborted; then the same producer goes on.
  const dropped = await one.transaction();
  await send(dropped, "dropped"); // 2
  const kept = await two.transaction();
  await send(kept, "b"); // 3
  await kept.commit(); // marker 4
  await dropped.abort(); // marker 5
  const second = await one.transaction();
  await send(second, "c"); // 6
  await second.commit(); // marker 7
  assert.deepEqual(await read(), { values: ["a", "b", "c"], end: 8n });
  assert.deepEqual(await read({ from: 1n, to: 6n }), { values: ["b"], end: 6n });
  assert.deepEqual(await read({ from: 8n }), { values: [], end: 8n });

  await t.test(
    "an open transaction is waited for, and what was aborted in the end is not there",
    async () => {
      const open = await two.transaction();
      await send(open, "never"); // 8
      let done = false;
      let begun: () => void = () => undefined;
      const hasBegun = new Promise<void>((resolve) => (begun = resolve));
      const reading = read({ from: 6n }, { onValue: begun }).finally(() => (done = true));
      // What is below the open transaction comes, the end does not.
      const upTo = await read({ from: 6n, to: 8n });
      assert.deepEqual(upTo, { values: ["c"], end: 8n });
      await assert.rejects(read({}, { signal: AbortSignal.timeout(200) }), { name: "TimeoutError" });
      await hasBegun;
      assert.equal(done, false, "nobody has decided the transaction yet");
      await open.abort(); // marker 9
      assert.deepEqual(await reading, { values: ["c"], end: 9n });
    },
  );

  await t.test("what onRecord throws ends the reading", async () => {
    const failing = readPartition({
      kafka,
      topic,
      partition: 1,
      onRecord: () => Promise.reject(new RangeError("not mine")),
      signal: AbortSignal.timeout(60_000),
      logger,
    });
    await assert.rejects(failing, RangeError);
  });

  await t.test("a log that ends before the offset wanted is named", async () => {
    await assert.rejects(read({ from: 99n, to: 100n }), (error: Error) => {
      assert.ok(error instanceof PartitionLogError);
      assert.match(error.message, /exec\.journal\/1: the log ends at 10, before the offset 99/);
      return true;
    });
  });

  await t.test("a broker that is away and comes back is waited for", async () => {
    await brokers.stopBroker(0, { kill: true });
    const reading = read();
    await brokers.startBroker(0);
    assert.deepEqual(await reading, { values: ["a", "b", "c"], end: 10n });
  });
});
