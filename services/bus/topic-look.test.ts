import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import type { Cluster } from "./kafka-log.ts";
import { DeletedTopics, lookForTopics } from "./topic-look.ts";

const one = "1".repeat(32);
const two = "2".repeat(32);

/** Simulated: brokers 1, 2, ... of which each names topics and their ids; undefined: it does not answer. */
function clusterOf(brokers: readonly (Record<string, string> | undefined)[], asked = 0): Cluster {
  const nodes = brokers.map((_, index) => ({ nodeId: index + 1 }));
  return {
    connect: async () => undefined,
    disconnect: async () => undefined,
    refreshMetadata: async () => undefined,
    metadata: async () => ({
      clusterId: "simulated",
      brokers: nodes,
      topicMetadata: Object.keys(brokers[asked] ?? {}).map((topic) => ({
        topic,
        partitionMetadata: nodes.map(({ nodeId }, partitionId) => ({ partitionId, leader: nodeId })),
      })),
    }),
    findBroker: async ({ nodeId }: { nodeId: number }) => ({
      connectionPool: {
        send: async () => {
          const named = brokers[nodeId - 1];
          if (named === undefined) throw new Error("Connection refused");
          return new Map(Object.entries(named));
        },
      },
    }),
  } as unknown as Cluster;
}

const all = [{ nodeId: 1 }, { nodeId: 2 }, { nodeId: 3 }];
const look = { clusterId: "simulated", brokers: all, topicMetadata: [] };

/** Asks until the answer is the wanted one; the last answer. */
async function until(
  deleted: DeletedTopics,
  missing: string[],
  isWanted: (answer: ReadonlySet<string>) => boolean,
): Promise<ReadonlySet<string>> {
  for (let tries = 0; ; tries++) {
    const answer = await deleted.among(new Set(missing), look);
    if (isWanted(answer) || tries === 500) return answer;
    await delay(10);
  }
}

/** For longer than a topic must be unnamed to count as deleted. */
async function neverDeleted(deleted: DeletedTopics, missing: string[]): Promise<void> {
  for (const end = performance.now() + 1_500; performance.now() < end; await delay(50))
    assert.deepEqual(await deleted.among(new Set(missing), look), new Set());
}

test("every topic is found with its id, also where the first broker asked is away", async () => {
  const topics = { trades: one, quotes: two };
  const found = await lookForTopics(clusterOf([undefined, topics, topics], 1));
  assert.deepEqual(found.ids, new Map(Object.entries(topics)));
  assert.deepEqual(
    found.topicMetadata.map(({ topic }) => topic),
    ["trades", "quotes"],
  );
});

test("a topic that one broker has not heard of is not deleted: another one names it", async () => {
  await neverDeleted(new DeletedTopics(clusterOf([{}, { trades: one }, undefined])), [one]);
});

test("while less than half of the brokers answer, no topic is deleted", async () => {
  await neverDeleted(new DeletedTopics(clusterOf([undefined, undefined, undefined])), [one]);
  await neverDeleted(new DeletedTopics(clusterOf([{}, undefined, undefined])), [one]);
});

test("a topic that is unnamed for a moment is not deleted", async () => {
  const brokers: (Record<string, string> | undefined)[] = [{}, {}, undefined];
  const deleted = new DeletedTopics(clusterOf(brokers));
  assert.deepEqual(await deleted.among(new Set([one]), look), new Set());
  brokers[0] = { trades: one };
  await neverDeleted(deleted, [one]);
  // Its time begins anew.
  brokers[0] = {};
  assert.deepEqual(await deleted.among(new Set([one]), look), new Set());
  // Also behind a time in which nobody answered.
  await delay(1_100);
  brokers.fill(undefined);
  assert.deepEqual(await deleted.among(new Set([one]), look), new Set());
  brokers.fill({});
  assert.deepEqual(await deleted.among(new Set([one]), look), new Set());
});

test("a topic that no broker names any more was deleted, one that was created anew under its name too", async () => {
  const deleted = new DeletedTopics(clusterOf([{ trades: two }, { trades: two }, undefined]));
  const answer = await until(deleted, [one, two], ({ size }) => size > 0);
  assert.deepEqual(answer, new Set([one]));
});
