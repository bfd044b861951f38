/**
 * How fast a stage with exactly-once output can be: kafkajs's transactions, one a batch, which carry the consumed
 * offsets. No service of ours is such a stage: the executor's transactions write many partitions' journals, but its
 * effects are at the venue. This measures what the client library allows.
 */
import type { EachBatchPayload, Message } from "kafkajs";
import { compression, connectKafka } from "../../services/bus/kafka.ts";
import { encodeEvent } from "../../services/core/envelope.ts";
import { decodeEvent } from "../../services/core/events.ts";
import type { ServiceContext } from "../../services/core/service.ts";
import { eventType } from "../events.ts";
import type { StageOptions, Throughput } from "../worker-options.ts";
import { startStopwatch } from "./stopwatch.ts";

/** Records in a transaction; kafkajs groups a send in quadratic time. */
const transactionRecords = 1_000;

/** Reads, validates, encodes and writes `count` events; over when the last transaction is committed. */
export async function measureTransactions(
  context: ServiceContext,
  options: StageOptions,
): Promise<Throughput> {
  const groupId = context.settings.SERVICE_NAME;
  const kafka = connectKafka({ brokers: options.brokers, clientId: groupId, logger: context.logger });
  const producer = kafka.producer({
    transactionalId: groupId,
    idempotent: true,
    maxInFlightRequests: 1,
    // Back to back transactions meet CONCURRENT_TRANSACTIONS; kafkajs's default pause of 300 ms would rule.
    retry: { initialRetryTime: 3, retries: 20 },
  });
  const consumer = kafka.consumer({
    groupId,
    maxWaitTimeInMs: 100,
    minBytes: 1,
    readUncommitted: false,
  });
  await Promise.all([producer.connect(), consumer.connect()]);
  context.onStop("producer", () => producer.disconnect());
  context.onStop("consumer", () => consumer.disconnect());
  let finish: ((records: number) => Throughput) | undefined;
  let records = 0;
  let result: Throughput | undefined;
  let done: () => void = () => undefined;
  const all = new Promise<void>((resolve) => {
    done = resolve;
  });

  const eachBatch = async (work: EachBatchPayload): Promise<void> => {
    finish ??= startStopwatch();
    const { topic, partition, messages } = work.batch;
    for (let start = 0; start < messages.length && result === undefined; start += transactionRecords) {
      const part = messages.slice(start, start + transactionRecords);
      const derived = part.map(({ key, value }): Message => {
        const event = decodeEvent(eventType, value);
        return { key, value: encodeEvent({ ...event, venue: "measured" }) };
      });
      const next = String(BigInt(part.at(-1)?.offset ?? 0) + 1n);
      const transaction = await producer.transaction();
      await transaction.send({ topic: options.output, acks: -1, compression, messages: derived });
      await transaction.sendOffsets({
        consumerGroupId: groupId,
        topics: [{ topic, partitions: [{ partition, offset: next }] }],
      });
      await transaction.commit();
      work.resolveOffset(part.at(-1)?.offset ?? "0");
      await work.heartbeat();
      records += part.length;
      if (records >= options.count) {
        result = finish(records);
        done();
      }
    }
  };
  await consumer.subscribe({ topics: [options.topic], fromBeginning: true });
  consumer.on(consumer.events.CRASH, ({ payload }) => context.fatal(payload.error));
  await consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch });
  await all;
  return result as unknown as Throughput;
}
