import assert from "node:assert/strict";
import { test } from "node:test";
import kafkajs from "kafkajs";
import { committedMessages, createCluster, type RawMessage } from "./kafka-log.ts";

function message(offset: number, producer: number, more: Partial<RawMessage> = {}): RawMessage {
  return {
    offset: String(offset),
    timestamp: "1",
    key: null,
    value: Buffer.from(`${offset}`),
    headers: {},
    isControlRecord: false,
    batchContext: {
      firstOffset: String(offset),
      lastOffsetDelta: 0,
      producerId: String(producer),
      inTransaction: true,
    },
    ...more,
  };
}
/** Markers carry version 0 and type 0 (abort) or 1 (commit) in their key. */
const marker = (offset: number, producer: number, type: "abort" | "commit") =>
  message(offset, producer, { isControlRecord: true, key: Buffer.from([0, 0, 0, type === "abort" ? 0 : 1]) });

const offsets = (
  messages: RawMessage[],
  abortedTransactions: { producerId: string; firstOffset: string }[],
) => committedMessages({ partition: 0, highWatermark: "99", abortedTransactions, messages });

test("aborted transactions that overlap are told apart, in whatever order the broker lists them", () => {
  const messages = [
    message(10, 1), // of 1's aborted transaction
    message(11, 2), // of 2's aborted transaction
    marker(12, 2, "abort"),
    message(13, 2), // of 2's committed transaction
    marker(14, 1, "abort"),
    marker(15, 2, "commit"),
    message(16, 1), // of 1's committed transaction
    marker(17, 1, "commit"),
  ];
  // As brokers list them: in the order of the markers.
  const { messages: records, end } = offsets(messages, [
    { producerId: "2", firstOffset: "11" },
    { producerId: "1", firstOffset: "10" },
  ]);
  assert.deepEqual(
    records.map(({ offset }) => offset),
    ["13", "16"],
  );
  assert.equal(end, 18n);
});

test("the end lies behind markers, aborted records and what compaction took", () => {
  assert.equal(offsets([], []).end, undefined);
  assert.deepEqual(offsets([marker(3, 1, "commit")], []), { messages: [], end: 4n });
  const compacted = message(5, 1, {
    batchContext: { firstOffset: "5", lastOffsetDelta: 4, producerId: "-1", inTransaction: false },
  });
  assert.equal(offsets([compacted], []).end, 10n);
});

test("the installed kafkajs has what this module needs", async () => {
  const cluster = createCluster(new kafkajs.Kafka({ brokers: ["127.0.0.1:9"], clientId: "test" }));
  for (const name of ["connect", "disconnect", "refreshMetadata", "metadata", "findBroker"] as const) {
    assert.equal(typeof cluster[name], "function", name);
  }
});
