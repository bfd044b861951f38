/** The pipeline for tests: a real Kafka with one broker, the lab's relay, and services started in this process. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { spawn, type ChildProcess } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Admin } from "kafkajs";
import { startKafka, type LabKafka } from "../lab/kafka/index.ts";
import { startAlpaca, type LabAlpaca } from "../lab/venues/alpaca/index.ts";
import { startNear, type LabNear } from "../lab/venues/near/index.ts";
import { connectKafka } from "../services/bus/kafka.ts";
import { readPartition } from "../services/bus/partition-log.ts";
import { startProducer, type BatchingProducer } from "../services/bus/producer.ts";
import type { ReceivedRecord } from "../services/bus/record.ts";
import { createTopics } from "../services/bus/topics.ts";
import { Health } from "../services/core/health.ts";
import { createLogger } from "../services/core/log.ts";
import { createMetrics } from "../services/core/metrics.ts";
import { startService, type RunningService, type ServiceDefinition } from "../services/core/service.ts";
import { riskVariables } from "../services/execution/risk.ts";
import { startExecutor } from "../services/execution/service.ts";
import { resultMonitor } from "../services/monitor/service.ts";
import { strategyDummy } from "../services/strategies/dummy.ts";
import { ingestAlpacaStocks } from "../services/venues/alpaca/ingest.ts";
import { nearExecutionVariables, openNearVenue } from "../services/venues/near-intents/execute.ts";
import { ingestNearIntents } from "../services/venues/near-intents/ingest.ts";
import { normalizeNearIntents } from "../services/venues/near-intents/normalize.ts";
import { topicOffsets } from "../services/bus/topic-offsets.ts";

export const businessDate = "2025-10-14";

const executorVariables = { ...nearExecutionVariables, ...riskVariables };
const executorNearIntents: ServiceDefinition<typeof executorVariables> = {
  variables: executorVariables,
  start: (context, config) =>
    startExecutor(context, () => openNearVenue(context, config), { limits: config }),
};

/** The services, and after whom they drain. */
const services = {
  "ingest-near-intents": { definition: ingestNearIntents, after: "" },
  "normalize-near-intents": { definition: normalizeNearIntents, after: "ingest-near-intents" },
  "strategy-dummy": { definition: strategyDummy, after: "normalize-near-intents" },
  "executor-near-intents": { definition: executorNearIntents, after: "strategy-dummy" },
  "ingestion-alpaca-stockstream-api": { definition: ingestAlpacaStocks, after: "" },
  "result-monitor": { definition: resultMonitor, after: "executor-near-intents" },
} as const;
export type ServiceName = keyof typeof services;
export const serviceNames = Object.keys(services) as ServiceName[];

/** See the module's description. */
export class PipelineWorld {
  readonly kafka: LabKafka;
  readonly near: LabNear;
  readonly alpaca: LabAlpaca;
  readonly admin: Admin;
  readonly producer: BatchingProducer;
  readonly children: ChildProcess[] = [];
  readonly running = new Map<ServiceName, RunningService>();
  readonly #directory: string;
  readonly #stops: (() => Promise<void> | void)[];

  private constructor(
    kafka: LabKafka,
    near: LabNear,
    alpaca: LabAlpaca,
    admin: Admin,
    producer: BatchingProducer,
    directory: string,
    stops: (() => Promise<void> | void)[],
  ) {
    this.kafka = kafka;
    this.near = near;
    this.alpaca = alpaca;
    this.admin = admin;
    this.producer = producer;
    this.#directory = directory;
    this.#stops = stops;
  }

  /** @param clusterId of the Kafka to format. */
  static async start(clusterId: string, brokers: 1 | 3 = 1): Promise<PipelineWorld> {
    const directory = await mkdtemp(path.join(tmpdir(), "pipeline-"));
    const kafka = await startKafka({ directory, clusterId, brokers });
    const near = await startNear({ market: "replay" });
    const alpaca = await startAlpaca({ market: "replay" });
    const logger = createLogger({ service: "test", level: "warn" });
    const client = connectKafka({ brokers: kafka.brokers, clientId: "test", logger });
    const admin = client.admin();
    await admin.connect();
    await createTopics(admin, {
      businessDate,
      replicationFactor: brokers,
      minInsyncReplicas: brokers === 1 ? 1 : 2,
    });
    const stops: (() => Promise<void> | void)[] = [];
    const producer = await startProducer(client, {
      metrics: createMetrics("test"),
      health: new Health(),
      logger,
      fatal: (error) => {
        throw error;
      },
      onStop: (_name, step) => stops.push(step),
    });
    return new PipelineWorld(kafka, near, alpaca, admin, producer, directory, stops);
  }

  /** The environment of a service, as its pod would have it. */
  environment(name: ServiceName, more: Record<string, string> = {}): Record<string, string> {
    return {
      SERVICE_NAME: name,
      HTTP_PORT: "0",
      STACK: "dev",
      CLUSTER_ID: "test",
      BUSINESS_DATE: businessDate,
      KAFKA_BROKERS: this.kafka.brokers.join(","),
      DRAIN_AFTER: services[name].after,
      LOG_LEVEL: process.env["TEST_LOG_LEVEL"] ?? "fatal",
      NEAR_RELAY_WEBSOCKET_URL: this.near.ws,
      NEAR_RELAY_RPC_URL: this.near.rpc,
      NEAR_RELAY_TOKEN: this.near.token,
      NEAR_SIGNER_ID: this.near.signerId,
      NEAR_PRIVATE_KEY: this.near.privateKey,
      NEAR_SALT: this.near.salt,
      ALPACA_STREAM_URL: this.alpaca.stream,
      ALPACA_SYMBOLS: "*",
      ALPACA_KEY_ID: this.alpaca.keyId,
      ALPACA_SECRET_KEY: this.alpaca.secret,
      // Tests count records; the test of canaries asks for them.
      CANARY_VENUES: "none",
      ...more,
    };
  }

  async startService(name: ServiceName, more: Record<string, string> = {}): Promise<RunningService> {
    const { definition } = services[name];
    const running = await startService(definition as ServiceDefinition<Record<never, never>>, {
      environment: this.environment(name, more),
    });
    this.running.set(name, running);
    return running;
  }

  /** Starts a service as a process of its own, by its entry point; resolves when it is ready. */
  async spawnService(name: ServiceName, more: Record<string, string> = {}): Promise<ChildProcess> {
    const root = fileURLToPath(new URL("..", import.meta.url));
    const child = spawn(process.execPath, ["--import", "tsx", `services/apps/${name}.ts`], {
      cwd: root,
      env: { PATH: process.env["PATH"], ...this.environment(name, { LOG_LEVEL: "info", ...more }) },
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.children.push(child);
    await new Promise<void>((resolve, reject) => {
      let log = "";
      child.stdout.on("data", (chunk: Buffer) => {
        log = (log + chunk.toString()).slice(-20_000);
        if (log.includes('"msg":"ready"')) resolve();
      });
      child.once("exit", (code) => reject(new Error(`${name} exited with ${String(code)}: ${log}`)));
    });
    return child;
  }

  async stopService(name: ServiceName): Promise<void> {
    await this.running.get(name)?.stop();
    this.running.delete(name);
  }

  /** Everything that stands on a topic now, in order within a partition; without aborted transactions. */
  async read(topic: string): Promise<ReceivedRecord[]> {
    const logger = createLogger({ service: "test", level: "fatal" });
    const kafka = connectKafka({ brokers: this.kafka.brokers, clientId: "test-reader", logger });
    const partitions = await topicOffsets(this.admin, topic);
    const read = partitions.map(async ({ partition }) => {
      const records: ReceivedRecord[] = [];
      const onRecord = (record: ReceivedRecord): void => void records.push(record);
      await readPartition({ kafka, topic, partition, onRecord, signal: AbortSignal.timeout(60_000), logger });
      return records;
    });
    return (await Promise.all(read)).flat();
  }

  /** How many offsets a topic has used: its records, and the markers of transactions where there are any. */
  async count(topic: string): Promise<number> {
    const offsets = await topicOffsets(this.admin, topic);
    return offsets.reduce((sum, { high, low }) => sum + Number(high) - Number(low), 0);
  }

  async stop(): Promise<void> {
    for (const child of this.children) child.kill("SIGKILL");
    for (const name of [...this.running.keys()].reverse()) await this.stopService(name);
    await this.near.close();
    await this.alpaca.close();
    for (const stop of this.#stops) await stop();
    await this.admin.disconnect();
    await this.kafka.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }
}
