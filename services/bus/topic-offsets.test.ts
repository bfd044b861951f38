import assert from "node:assert/strict";
import { test } from "node:test";
import { topicOffsets } from "./topic-offsets.ts";

const offsets = [{ partition: 0, offset: "3", low: "1", high: "3" }];

test("calls through one admin do not overlap", async () => {
  let underway = 0;
  const admin = {
    fetchTopicOffsets: async () => {
      underway += 1;
      assert.equal(underway, 1, "a call began before the one before it had ended");
      await new Promise((resolve) => setImmediate(resolve));
      underway -= 1;
      return offsets;
    },
  };
  assert.deepEqual(await Promise.all(["a", "b", "c"].map((topic) => topicOffsets(admin, topic))), [
    offsets,
    offsets,
    offsets,
  ]);
});

test("metadata that does not hold the topic yet is waited for, other errors are told", async () => {
  let calls = 0;
  const admin = {
    fetchTopicOffsets: async () => {
      calls += 1;
      // What kafkajs does with an answer without partitions.
      if (calls < 3) return ([] as { partitions: typeof offsets }[]).pop()!.partitions;
      if (calls === 4) throw new Error("no broker");
      return offsets;
    },
  };
  assert.deepEqual(await topicOffsets(admin, "new"), offsets);
  assert.equal(calls, 3);
  await assert.rejects(topicOffsets(admin, "new"), /no broker/);
  assert.deepEqual(await topicOffsets(admin, "new"), offsets, "a failure does not end the queue");
});

test("a broker that does not know yet that it leads a new partition is asked again", async () => {
  let calls = 0;
  const admin = {
    fetchTopicOffsets: async () => {
      calls += 1;
      if (calls === 1) throw Object.assign(new Error("not the leader"), { type: "NOT_LEADER_FOR_PARTITION" });
      return offsets;
    },
  };
  assert.deepEqual(await topicOffsets(admin, "new"), offsets);
  assert.equal(calls, 2);
});

test("a leader that has just died does not end the question", async () => {
  let calls = 0;
  const admin = {
    fetchTopicOffsets: async () => {
      calls += 1;
      if (calls < 3) throw Object.assign(new Error("ECONNREFUSED"), { name: "KafkaJSConnectionError" });
      return offsets;
    },
  };
  assert.deepEqual(await topicOffsets(admin, "led elsewhere now"), offsets);
  assert.equal(calls, 3);
});
