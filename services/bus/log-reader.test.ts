import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { Kafka } from "kafkajs";
import { pino } from "pino";
import type { FetchedLog } from "./fetch.ts";
import type { LogRecord } from "./kafka-log.ts";
import { LogReader, type PartitionReceiver } from "./log-reader.ts";
import { RecordBatchBuilder } from "./record-batch.ts";

const logger = pino({ level: "silent" });

/** A batch of records without keys, as a broker stores it. */
function batch(baseOffset: number, records: number): Buffer {
  const builder = new RecordBatchBuilder();
  for (let index = 0; index < records; index++) {
    builder.add({ timestamp: "1760448600000", key: null, headers: [], value: Buffer.from("v") });
  }
  const bytes = builder.build({ producerId: -1n, producerEpoch: 0, baseSequence: 0 });
  bytes.writeBigInt64BE(BigInt(baseOffset), 0);
  return bytes;
}

/** Simulated: one broker that leads the one partition of topic t. */
interface SimulatedBroker {
  /** What a fetch from an offset brings. */
  fetch: (offset: number) => { batches: Buffer[]; highWatermark: number };
  /** The answer to ListOffsets, or what it throws. */
  end: () => number;
}

function kafkaOf({ fetch, end }: SimulatedBroker): Kafka {
  const broker = {
    listOffsets: async () => ({
      responses: [{ topic: "t", partitions: [{ partition: 0, offset: String(end()) }] }],
    }),
    connectionPool: {
      async send({
        request,
        response,
      }: {
        request: { apiName: string; encode(): Promise<{ buffer: Buffer }> };
        response: { parse(decoded: object): Promise<unknown> };
      }) {
        if (request.apiName === "Metadata") return response.parse(new Map([["t", "ab".repeat(16)]]));
        const { buffer } = await request.encode();
        // As encodeFetch writes it for one partition of a topic whose name has one letter.
        const { batches, highWatermark } = fetch(Number(buffer.readBigInt64BE(44)));
        await delay(1);
        const log: FetchedLog = {
          topic: "t",
          partition: 0,
          errorCode: 0,
          highWatermark: BigInt(highWatermark),
          abortedTransactions: [],
          batches: Buffer.concat(batches),
        };
        return response.parse({ logs: [log] });
      },
    },
  };
  const cluster = {
    connect: async () => undefined,
    disconnect: async () => undefined,
    refreshMetadata: async () => undefined,
    metadata: async () => ({
      clusterId: "simulated",
      brokers: [{ nodeId: 1 }],
      topicMetadata: [{ topic: "t", partitionMetadata: [{ partitionId: 0, leader: 1 }] }],
    }),
    findBroker: async () => broker,
  };
  return { [Symbol("private:Kafka:createCluster")]: () => cluster } as unknown as Kafka;
}

/** Takes what continues its position, as the archiver does. */
class Receiver implements PartitionReceiver {
  readonly topic = "t";
  readonly partition = 0;
  readonly broken = undefined;
  position = 0n;
  readonly taken: number[] = [];
  /** Called after each batch; may set the position back. */
  afterBatch: (receiver: Receiver) => void = () => undefined;

  async take(from: bigint, records: Iterable<LogRecord>, end: bigint): Promise<void> {
    if (from > this.position) return;
    for (const { offset } of records) if (BigInt(offset) >= this.position) this.taken.push(Number(offset));
    this.position = end;
    this.afterBatch(this);
    await Promise.resolve();
  }

  outOfRange(): void {
    throw new Error("not expected");
  }
}

async function reading(
  broker: SimulatedBroker,
  receiver: Receiver,
  work: (reader: LogReader) => Promise<void>,
) {
  const reader = new LogReader({
    kafka: kafkaOf(broker),
    logger,
    open: () => receiver,
    onProgress: () => undefined,
  });
  await reader.start();
  try {
    await work(reader);
  } finally {
    await reader.stop();
  }
}

test("a receiver that is set back between two batches of one answer gets everything again", async () => {
  const broker = {
    fetch: (offset: number) => ({
      batches: offset === 0 ? [batch(0, 2), batch(2, 2)] : offset === 2 ? [batch(2, 2)] : [],
      highWatermark: 4,
    }),
    end: () => 4,
  };
  const receiver = new Receiver();
  receiver.afterBatch = () => {
    receiver.position = 0n;
    receiver.afterBatch = () => undefined;
  };
  await reading(broker, receiver, async (reader) => {
    await reader.readToEnds(AbortSignal.timeout(5_000));
  });
  assert.deepEqual(receiver.taken, [0, 1, 0, 1, 2, 3]);
});

test("what an old leader brings late, when the new one has brought more, does not set the receiver back", async () => {
  const broker = {
    fetch: (offset: number) => ({
      batches: [0, 1, 2, 3].filter((at) => at >= offset).map((at) => batch(at, 1)),
      highWatermark: 4,
    }),
    end: () => 4,
  };
  const receiver = new Receiver();
  // As the answer of another broker does that is handed over between two batches of this one.
  receiver.afterBatch = () => {
    receiver.taken.push(1, 2);
    receiver.position = 3n;
    receiver.afterBatch = () => undefined;
  };
  await reading(broker, receiver, async (reader) => {
    await reader.readToEnds(AbortSignal.timeout(5_000));
  });
  assert.deepEqual(receiver.taken, [0, 1, 2, 3]);
});

test("a receiver that is set back is served from there although the log never stops growing", async () => {
  const broker = {
    fetch: (offset: number) => ({ batches: [batch(offset, 1)], highWatermark: offset + 2 }),
    end: () => 1,
  };
  const receiver = new Receiver();
  receiver.afterBatch = () => {
    if (receiver.position < 5n) return;
    receiver.position = 0n;
    receiver.afterBatch = () => undefined;
  };
  await reading(broker, receiver, async () => {
    const deadline = performance.now() + 5_000;
    while (receiver.taken.length < 8 && performance.now() < deadline) await delay(1);
  });
  assert.deepEqual(receiver.taken.slice(0, 8), [0, 1, 2, 3, 4, 0, 1, 2]);
});

test("the ends are those that the leader vouches for, not those that a fetch from a new leader tells", async () => {
  let fetches = 0;
  let questions = 0;
  const broker = {
    fetch: (offset: number) => {
      const highWatermark = fetches++ < 20 ? 2 : 4;
      return { batches: offset < highWatermark ? [batch(offset, 1)] : [], highWatermark };
    },
    end: () => {
      if (questions++ === 0) throw new Error("LEADER_NOT_AVAILABLE");
      return 4;
    },
  };
  const receiver = new Receiver();
  await reading(broker, receiver, async (reader) => {
    const ends = await reader.readToEnds(AbortSignal.timeout(5_000));
    assert.deepEqual(ends, [{ topic: "t", partition: 0, end: 4n }]);
  });
  assert.deepEqual(receiver.taken, [0, 1, 2, 3]);
});
