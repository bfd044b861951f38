/**
 * Which topics there are, by their ids, asked of brokers that may be away or behind: one that has just started may not have
 * heard yet of a topic that the others lead.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Cluster, ClusterMetadata } from "./kafka-log.ts";
import { topicIds } from "./topic-ids.ts";

/** Topics and their leaders as one broker names them, and the id of each topic that is not one of Kafka's own. */
export interface TopicLook extends ClusterMetadata {
  ids: ReadonlyMap<string, string>;
}

const pauseAfterErrorMs = 200;
/** How often the brokers are asked for topics until each has its id. */
const looks = 20;
/** A topic that no broker names for so long was deleted. A broker that starts is behind for less. */
const deletedAfterMs = 1_000;
/** Longest time between two questions that belong together. */
const longestGapMs = 5_000;

/** Internal topics of Kafka are not archived: they mean nothing in another cluster. */
export const isInternal = (topic: string): boolean => topic.startsWith("__");

/** Asks one broker, another one if it fails. @throws KafkaJSError; Error when no broker tells the topics or all ids */
export async function lookForTopics(cluster: Cluster): Promise<TopicLook> {
  let problem: unknown;
  for (let attempt = 0; attempt < looks; attempt++) {
    // Topics may be created or deleted between two questions, and brokers may be away or behind: that passes.
    if (attempt > 0) await delay(pauseAfterErrorMs);
    const metadata = await cluster.metadata();
    if (metadata === null) throw new Error("no broker told what topics there are");
    const partitions = metadata.topicMetadata.flatMap(({ partitionMetadata }) => partitionMetadata);
    const leaders = [...new Set(partitions.map(({ leader }) => leader))].filter((leader) => leader >= 0);
    try {
      const nodeId = leaders[attempt % leaders.length];
      const ids =
        nodeId === undefined
          ? new Map<string, string>()
          : await topicIds(await cluster.findBroker({ nodeId }));
      const unknown = metadata.topicMetadata.find(({ topic }) => !isInternal(topic) && !ids.has(topic));
      if (unknown === undefined) return { ...metadata, ids };
      problem = new Error(`the brokers do not tell the id of the topic ${unknown.topic}`);
    } catch (error) {
      problem = error;
      await cluster.refreshMetadata().catch(() => undefined);
    }
  }
  throw problem;
}

/** Tells topics that were deleted from those that only one broker, or for a moment none, names. */
export class DeletedTopics {
  readonly #cluster: Cluster;
  /** By the topic's id: since when no broker names it. */
  readonly #unnamedSince = new Map<string, number>();
  /** All that were ever named: one that has just started may know of itself alone. */
  readonly #brokers = new Set<number>();
  #askedAt = -Infinity;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /**
   * Of topics that a look did not find, those that were deleted: none while less than half of the brokers answer.
   * @param missing ids
   */
  async among(missing: ReadonlySet<string>, { brokers }: ClusterMetadata): Promise<ReadonlySet<string>> {
    for (const { nodeId } of brokers) this.#brokers.add(nodeId);
    const now = performance.now();
    if (now - this.#askedAt > longestGapMs) this.#unnamedSince.clear();
    this.#askedAt = now;
    if (missing.size === 0) {
      this.#unnamedSince.clear();
      return missing;
    }
    const named = await this.#namedByAny();
    if (named === undefined) {
      this.#unnamedSince.clear();
      return new Set();
    }
    for (const id of this.#unnamedSince.keys())
      if (!missing.has(id) || named.has(id)) this.#unnamedSince.delete(id);
    return new Set(
      [...missing].filter((id) => {
        if (named.has(id)) return false;
        const since = this.#unnamedSince.get(id) ?? performance.now();
        this.#unnamedSince.set(id, since);
        return now - since >= deletedAfterMs;
      }),
    );
  }

  /** Ids of all topics that any broker names; undefined: too few answered. */
  async #namedByAny(): Promise<Set<string> | undefined> {
    const answers = await Promise.all(
      [...this.#brokers].map(async (nodeId) => {
        try {
          return await topicIds(await this.#cluster.findBroker({ nodeId }));
        } catch {
          // It is away; the others are believed.
          return undefined;
        }
      }),
    );
    const given = answers.filter((ids) => ids !== undefined);
    if (given.length === 0 || given.length < answers.length / 2) return undefined;
    return new Set(given.flatMap((ids) => [...ids.values()]));
  }
}
