import assert from "node:assert/strict";
import { test } from "node:test";
import type { Admin, ITopicConfig } from "kafkajs";
import { createTopics, largeRecordBytes, topicName, topics } from "./topics.ts";

const options = { businessDate: "2025-10-14", replicationFactor: 3, minInsyncReplicas: 2 };

/** An admin that has some topics already. */
function fakeAdmin(existing: Record<string, number>) {
  const created: ITopicConfig[] = [];
  const admin = {
    listTopics: async () => Object.keys(existing),
    createTopics: async ({ topics: wanted }: { topics: ITopicConfig[] }) => {
      created.push(...wanted);
      return true;
    },
    fetchTopicMetadata: async ({ topics: names }: { topics: string[] }) => ({
      topics: names.map((name) => {
        const count = existing[name] ?? created.find(({ topic }) => topic === name)?.numPartitions ?? 0;
        return { name, partitions: Array.from({ length: count }, () => ({})) };
      }),
    }),
  };
  return { admin: admin as unknown as Admin, created };
}

test("the topics that do not exist are created as the registry says", async () => {
  const { admin, created } = fakeAdmin({ control: 1 });
  const names = await createTopics(admin, options);
  assert.equal(names.length, Object.keys(topics).length);
  assert.ok(names.includes("stock-stream-2025-10-14"));
  assert.equal(created.length, names.length - 1);
  const journal = created.find(({ topic }) => topic === "exec.journal");
  assert.equal(journal?.replicationFactor, 3);
  assert.deepEqual(journal?.configEntries, [
    { name: "retention.ms", value: "259200000" },
    { name: "min.insync.replicas", value: "2" },
    { name: "cleanup.policy", value: "delete" },
  ]);
});

test("only dead letters may be large, and a record of theirs fits into a batch that the brokers take", async () => {
  const { admin, created } = fakeAdmin({});
  await createTopics(admin, options);
  const large = created.flatMap(({ topic, configEntries = [] }) =>
    configEntries.flatMap(({ name, value }) =>
      name === "max.message.bytes" ? [[topic, Number(value)] as const] : [],
    ),
  );
  assert.deepEqual(large, [["dead-letter", 20 * 1024 * 1024]]);
  assert.deepEqual([...largeRecordBytes.keys()], ["dead-letter"]);
  assert.ok((largeRecordBytes.get("dead-letter") ?? Infinity) < 20 * 1024 * 1024);
});

test("a broker that has not heard of new topics yet, or of their leaders, is asked again", async () => {
  const { admin } = fakeAdmin({});
  const fetch = admin.fetchTopicMetadata.bind(admin);
  let looks = 0;
  admin.fetchTopicMetadata = async (wanted) => {
    looks += 1;
    if (looks === 1) throw Object.assign(new Error("unknown"), { type: "UNKNOWN_TOPIC_OR_PARTITION" });
    const answer = await fetch(wanted);
    if (looks > 2) return answer;
    return {
      topics: answer.topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map((partition) => ({ ...partition, leader: -1 })),
      })),
    };
  };
  await createTopics(admin, options);
  assert.equal(looks, 3);
  admin.fetchTopicMetadata = async () => {
    throw Object.assign(new Error("no"), { type: "TOPIC_AUTHORIZATION_FAILED" });
  };
  await assert.rejects(createTopics(admin, options), /no/);
});

test("a topic with another number of partitions is refused by name", async () => {
  const { admin } = fakeAdmin({ control: 2, "norm.swap_demand": 1 });
  await assert.rejects(createTopics(admin, options), /norm\.swap_demand has 1 .*control has 2/);
});

test("commands and their journal have as many partitions, because entries stay with their command", () => {
  assert.equal(topics.journal.partitions, topics.executeTrade.partitions);
});

test("market data topics carry the business date", () => {
  assert.equal(topicName(topics.stockStream, "2025-10-14"), "stock-stream-2025-10-14");
  assert.equal(topicName(topics.control, "2025-10-14"), "control");
});
