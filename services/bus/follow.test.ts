import assert from "node:assert/strict";
import { test } from "node:test";
import kafkajs, { type Consumer, type EachBatchPayload, type Kafka } from "kafkajs";
import { testContext } from "../core/testing.ts";
import { followTopics } from "./follow.ts";

/** A kafkajs that hands over what the test says, as often as it says so. */
class ScriptedKafka {
  readonly events = new kafkajs.Kafka({ brokers: ["127.0.0.1:1"] }).consumer({ groupId: "names" }).events;
  running: ((payload: EachBatchPayload) => Promise<void>) | undefined;
  deletedGroups: string[] = [];
  readonly #ends: Record<string, string>;

  /** @param ends where the partitions of any topic end when the reader starts, by partition. */
  constructor(ends: Record<string, string>) {
    this.#ends = ends;
  }

  admin() {
    return {
      connect: () => Promise.resolve(),
      disconnect: () => Promise.resolve(),
      fetchTopicOffsets: () =>
        Promise.resolve(
          Object.entries(this.#ends).map(([partition, high]) => ({
            partition: Number(partition),
            offset: high,
            low: "0",
            high,
          })),
        ),
      deleteGroups: (groups: string[]) => {
        this.deletedGroups.push(...groups);
        return Promise.resolve([]);
      },
    };
  }

  consumer(): Partial<Consumer> {
    return {
      events: this.events,
      on: () => () => undefined,
      connect: () => Promise.resolve(),
      disconnect: () => Promise.resolve(),
      subscribe: () => Promise.resolve(),
      run: (config) => {
        this.running = config?.eachBatch;
        return Promise.resolve();
      },
    };
  }

  /** Hands over a batch with these offsets. */
  async hand(partition: number, ...offsets: number[]): Promise<void> {
    const messages = offsets.map((offset) => ({
      offset: String(offset),
      timestamp: "0",
      key: null,
      value: null,
    }));
    const batch = { topic: "t", partition, messages, lastOffset: () => String(offsets.at(-1)) };
    await this.running?.({ batch } as unknown as EachBatchPayload);
  }
}

function follow(kafka: ScriptedKafka, onRecord: (place: string) => void) {
  const context = testContext({ SERVICE_NAME: "follower" });
  const errors: unknown[] = [];
  const following = followTopics({
    kafka: kafka as unknown as Kafka,
    topics: ["t"],
    name: "follower",
    context: { logger: context.logger, fatal: (error) => void errors.push(error) },
    onRecord: ({ partition, offset }) => onRecord(`${partition}/${offset}`),
  });
  return { following, errors };
}

const turns = () => new Promise((resolve) => setImmediate(resolve));

test("a reader that kafkajs restarts at the beginning hands over each record once, in order", async () => {
  const kafka = new ScriptedKafka({ 0: "3", 1: "0" });
  const handed: string[] = [];
  let isCaughtUp = false;
  const { following, errors } = follow(kafka, (place) => handed.push(place));
  void following.then(() => (isCaughtUp = true));
  await turns();
  await kafka.hand(0, 0, 1);
  // Restarted: it has no position of its own, so everything comes again.
  await kafka.hand(0, 0);
  await turns();
  assert.equal(isCaughtUp, false);
  await kafka.hand(0, 0, 1, 2, 3);
  const follower = await following;
  await kafka.hand(1, 0);
  await kafka.hand(0, 2, 3, 7);
  assert.deepEqual([handed, errors], [["0/0", "0/1", "0/2", "0/3", "1/0", "0/7"], []]);
  await follower.stop();
  assert.match(kafka.deletedGroups.join(), /^follower-[0-9a-f-]{36}$/);
});

test("a record that cannot be handled is fatal; before the end was reached, the caller hears of it, too", async () => {
  const kafka = new ScriptedKafka({ 0: "2" });
  const mistake = new Error("not today");
  const { following, errors } = follow(kafka, () => {
    throw mistake;
  });
  await turns();
  await kafka.hand(0, 0, 1);
  await assert.rejects(following, mistake);
  assert.deepEqual([errors, kafka.deletedGroups.length], [[mistake], 1]);
});
