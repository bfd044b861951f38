/**
 * The world of the archive's checks: one real Kafka (one broker) and one real S3 server that checks signatures, for all
 * tests of a file. Each test opens a cluster of its own: another identity, so another folder in the bucket, and
 * a Kafka without the topics of the tests before.
 */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Admin, Kafka, Producer } from "kafkajs";
import { pino } from "pino";
import { type LabKafka, startKafka } from "../../lab/kafka/index.ts";
import { type LabObjectStore, startObjectStore } from "../../lab/objectstore/index.ts";
import { ProcessRegistry } from "../../lab/processes.ts";
import { type Opened } from "../../services/archive/documents.ts";
import { type ClusterArchive, openArchive } from "../../services/archive/index.ts";
import { connectKafka } from "../../services/bus/kafka.ts";
import { knownTopics } from "../../services/bus/topics.ts";
import { toInstant } from "../../services/core/time.ts";
import { type AnswersDrains, answerDrains } from "./drains.ts";
import { until } from "../until.ts";
import { endPrograms } from "./processes.ts";
import { TestCluster } from "./cluster.ts";

/** The one business date of the checks: clusters on it differ by their ids. */
export const businessDate = "2025-10-14";

/** Where things are fetched to once. */
export const cacheDirectory = path.join(import.meta.dirname, "../../.lab/cache");

const logger = pino({ level: process.env.TEST_LOG_LEVEL ?? "silent" });

/** A canonical Kafka cluster id: URL-safe base64 of 16 bytes, which Kafka wants not to begin with a dash. */
export function newClusterId(): string {
  const id = randomBytes(16).toString("base64url");
  return id.startsWith("-") ? newClusterId() : id;
}

/** How a world is started. */
export interface WorldOptions {
  /** Broker properties that win over those of the lab. */
  configuration?: Readonly<Record<string, string>>;
}

/** See the module's description. */
export class ArchiveWorld {
  readonly brokers: LabKafka;
  readonly store: LabObjectStore;
  readonly kafka: Kafka;
  readonly admin: Admin;
  readonly producer: Producer;
  /** Kafka's own id. */
  readonly kafkaClusterId: string;
  /** For files of tests; removed at the end. */
  readonly directory: string;
  /** Answers drain requests in place of the services; can be told to be silent. */
  readonly services: AnswersDrains;
  readonly #registry: ProcessRegistry;
  readonly #clusters: TestCluster[] = [];

  private constructor(
    parts: Pick<
      ArchiveWorld,
      "brokers" | "store" | "kafka" | "admin" | "producer" | "kafkaClusterId" | "directory" | "services"
    >,
    registry: ProcessRegistry,
  ) {
    this.brokers = parts.brokers;
    this.store = parts.store;
    this.kafka = parts.kafka;
    this.admin = parts.admin;
    this.producer = parts.producer;
    this.kafkaClusterId = parts.kafkaClusterId;
    this.directory = parts.directory;
    this.services = parts.services;
    this.#registry = registry;
  }

  /** Starts Kafka and the S3 server. Nothing is left running when it fails. */
  static async start(options: WorldOptions = {}): Promise<ArchiveWorld> {
    const directory = mkdtempSync(path.join(tmpdir(), "archive-check-"));
    const registry = new ProcessRegistry(path.join(directory, "processes"));
    try {
      const kafkaClusterId = newClusterId();
      const [store, brokers] = await Promise.all([
        startObjectStore({ directory: path.join(directory, "s3"), cacheDirectory, registry }),
        startKafka({
          directory: path.join(directory, "kafka"),
          cacheDirectory,
          registry,
          clusterId: kafkaClusterId,
          brokers: 1,
          // Only a test that wants records deleted has them deleted.
          configuration: { "log.retention.ms": "-1", ...options.configuration },
        }),
      ]);
      const kafka = connectKafka({ brokers: brokers.brokers, clientId: "archive-check", logger });
      const admin = kafka.admin();
      const producer = kafka.producer({ allowAutoTopicCreation: false });
      await Promise.all([admin.connect(), producer.connect()]);
      await admin.createTopics({ waitForLeaders: false, topics: [{ topic: "control", numPartitions: 1 }] });
      await knownTopics(admin, ["control"]);
      const services = await answerDrains(kafka, logger);
      const parts = { brokers, store, kafka, admin, producer, kafkaClusterId, directory, services };
      return new ArchiveWorld(parts, registry);
    } catch (error) {
      await registry.stopAll();
      rmSync(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /**
   * A cluster of its own: fresh id, and no topics but `control` and the given ones.
   * @param topics number of partitions by topic.
   */
  async open(topics: Readonly<Record<string, number>> = {}): Promise<TestCluster> {
    // Of a test that failed.
    await endPrograms();
    await this.removeTopics();
    const archive = this.archive(newClusterId());
    const cluster = await TestCluster.open(this, archive);
    this.#clusters.push(cluster);
    this.services.silent = false;
    if (Object.keys(topics).length > 0) await this.createTopics(topics);
    const opened: Opened = {
      ...archive.identity,
      kafkaClusterId: this.kafkaClusterId,
      openedAt: toInstant(Date.now()),
    };
    await archive.write("opened.json", opened);
    return cluster;
  }

  /** An archive in the bucket, reached directly and with the key that may do everything. */
  archive(clusterId: string, date = businessDate): ClusterArchive {
    return openArchive(this.store, { stack: "dev", businessDate: date, clusterId });
  }

  /** @param topics number of partitions by topic. @param settings of all of them. */
  async createTopics(
    topics: Readonly<Record<string, number>>,
    settings: Readonly<Record<string, string>> = {},
  ): Promise<void> {
    const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
    await this.admin.createTopics({
      waitForLeaders: false,
      topics: Object.entries(topics).map(([topic, numPartitions]) => ({
        topic,
        numPartitions,
        configEntries,
      })),
    });
    await knownTopics(this.admin, Object.keys(topics));
  }

  /** Deletes all topics but Kafka's own and `control`, and waits until they are gone. */
  async removeTopics(): Promise<void> {
    const own = async () => (await this.admin.listTopics()).filter((name) => !/^__|^control$/.test(name));
    const topics = await own();
    if (topics.length > 0) await this.admin.deleteTopics({ topics });
    await until("the former topics are gone", async () => (await own()).length === 0);
  }

  /** Ends everything and removes its files. */
  async stop(): Promise<void> {
    await endPrograms();
    for (const cluster of this.#clusters) await cluster.close();
    await this.services.stop();
    await Promise.all([this.producer.disconnect(), this.admin.disconnect()]);
    await this.#registry.stopAll();
    rmSync(this.directory, { recursive: true, force: true });
  }
}
