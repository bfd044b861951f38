import assert from "node:assert/strict";
import { test } from "node:test";
import { documents } from "./layout.ts";
import { MemoryStore } from "./memory-store.ts";
import { strangeKafka } from "./own-kafka.ts";

const identity = { stack: "dev", businessDate: "2025-10-14", clusterId: "OwnKafkaTestClusterIdA" };
const opened = { ...identity, kafkaClusterId: "kafka-1", openedAt: "2025-10-14T12:00:00.000Z" };

test("only the Kafka and the cluster of the marker are no strangers", async () => {
  const archive = new MemoryStore().archive(identity);
  const missing = await strangeKafka(archive, "kafka-1");
  assert.equal(missing?.missing, true);
  assert.match(missing.message, /opened\.json is missing.*Run the prepare-day job again/);

  await archive.write(documents.opened, opened);
  assert.equal(await strangeKafka(archive, "kafka-1"), undefined);
  assert.match((await strangeKafka(archive, "kafka-2"))?.message ?? "", /is of Kafka kafka-1 .* are kafka-2/);

  await archive.write(documents.opened, { ...opened, clusterId: "AnotherClusterIdAAAAAA" });
  assert.match((await strangeKafka(archive, "kafka-1"))?.message ?? "", /cluster AnotherClusterIdAAAAAA/);

  await archive.write(documents.opened, { opened: "?" });
  const damaged = await strangeKafka(archive, "kafka-1");
  assert.equal(damaged?.missing, false);
  assert.match(damaged.message, /opened\.json is not valid.*does not say of which Kafka/);
});
