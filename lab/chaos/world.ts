/** What a chaos run runs on: three real brokers, the lab's venues with faults, and every service as a process. */
import { mkdirSync, rmSync } from "node:fs";
import path from "node:path";
import type { Kafka } from "kafkajs";
import { connectKafka } from "../../services/bus/kafka.ts";
import { createTopics, topicName, topics } from "../../services/bus/topics.ts";
import { catalog, type Deployable, drainsAfter } from "../../services/catalog.ts";
import { createLogger, type Logger } from "../../services/core/log.ts";
import { labDirectories } from "../directories.ts";
import { type LabKafka, startKafka } from "../kafka/index.ts";
import type { ProcessRegistry } from "../processes.ts";
import { type LabAlpaca, startAlpaca } from "../venues/alpaca/index.ts";
import type { FaultPlan } from "../venues/faults.ts";
import { type LabNear, startNear } from "../venues/near/index.ts";
import type { Mutation } from "./options.ts";
import { ServiceProcess } from "./service-process.ts";

/** The day that the run plays. */
export const businessDate = "2025-10-14";
/** Canonical Kafka id. */
const clusterId = "Y2hhb3MtY2x1c3Rlci0wMQ";
const brokerCount = 3;

/** How many of 100 orders meet which fault. */
const percent = 0.01;
const faultRates: FaultPlan["rates"] = {
  timeout_after_accept: 2 * percent,
  server_error: 2 * percent,
  error_after_accept: 2 * percent,
  rate_limited: 2 * percent,
  drop_socket: 2 * percent,
  answer_twice: 5 * percent,
  late_result: 3 * percent,
  no_news: 3 * percent,
};

/** Topic names of this run. */
export const names = {
  rawNear: topics.rawNearIntentsQuote.name,
  rawAlpaca: topicName(topics.stockStream, businessDate),
  commands: topics.executeTrade.name,
  journal: topics.journal.name,
  results: topics.tradeResult.name,
  reconciliation: topics.reconciliation.name,
  deadLetters: topics.deadLetter.name,
} as const;

/** A pod that a run starts. */
export interface Pod {
  name: string;
  deployable: Deployable;
  venue: string | undefined;
  entry: string;
}

/** Programs of a run that take the place of the deployable's own. */
const entriesOf = (mutation: Mutation | undefined): Readonly<Record<string, string>> => ({
  "strategy-dummy": "lab/chaos/services/strategy-dummy.ts",
  ...(mutation === undefined
    ? {}
    : { "executor-alpaca": `lab/chaos/services/executor-alpaca-${mutation}.ts` }),
});

/**
 * The deployables of a run with mutated executors: Alpaca's side, where a second order with an id of a filled one is
 * executed. NEAR's nonces would hide what the executor does wrong.
 */
const mutated: readonly string[] = [
  "ingestion-alpaca-stockstream-api",
  "normalize-alpaca",
  "strategy-dummy",
  "executor-alpaca",
];

/**
 * The pods of a run: executors twice, in one group, everything else once. The archiver is left out: the archive's own
 * tests kill it.
 * @param mutation which safeguard the executors lack, if any.
 */
export function podsOf(mutation: Mutation | undefined): Pod[] {
  const entries = entriesOf(mutation);
  return catalog
    .filter(({ kind, name }) => kind !== "Job" && name !== "archiver")
    .filter(({ name }) => mutation === undefined || mutated.includes(name))
    .flatMap((deployable): Pod[] => {
      const { name } = deployable;
      const venue = /^executor-(.+)$/.exec(name)?.[1];
      const entry = entries[name] ?? deployable.entry;
      return venue === undefined
        ? [{ name, deployable, venue, entry }]
        : [0, 1].map((replica) => ({ name: `${name}-${replica}`, deployable, venue, entry }));
    });
}

/** Arguments of {@link ChaosWorld.start}. */
export interface WorldArguments {
  directory: string;
  registry: ProcessRegistry;
  seed: number;
  pods: readonly Pod[];
  faults: boolean;
  onProgress: (line: string) => void;
  onCrash: (name: string, code: number | null) => void;
  signal: AbortSignal;
}

/** See the module's description. */
export class ChaosWorld {
  readonly kafka: LabKafka;
  readonly client: Kafka;
  readonly logger: Logger;
  readonly near: LabNear;
  readonly alpaca: LabAlpaca;
  readonly processes: readonly ServiceProcess[];
  readonly #directory: string;

  private constructor(
    parts: Pick<ChaosWorld, "kafka" | "client" | "logger" | "near" | "alpaca" | "processes">,
    directory: string,
  ) {
    this.kafka = parts.kafka;
    this.client = parts.client;
    this.logger = parts.logger;
    this.near = parts.near;
    this.alpaca = parts.alpaca;
    this.processes = parts.processes;
    this.#directory = directory;
  }

  /** Starts brokers and venues and makes the topics; no service runs yet. */
  static async start(args: WorldArguments): Promise<ChaosWorld> {
    const { directory, registry, seed, signal } = args;
    mkdirSync(directory, { recursive: true });
    const kafka = await startKafka({
      directory: kafkaDirectory(directory),
      cacheDirectory: labDirectories.cache,
      registry,
      clusterId,
      brokers: brokerCount,
      onProgress: (line) => args.onProgress(line),
      signal,
    });
    const faults: FaultPlan = { seed, rates: args.faults ? faultRates : {} };
    const near = await startNear({ market: "replay", faults });
    const alpaca = await startAlpaca({
      market: "replay",
      faults,
      // What is documented: an id may be used again once its order is filled. So a second send would be a second trade.
      clientOrderIds: "documented",
      cash: "100000000000",
      requestsPerMinute: 60_000,
    });
    const logger = createLogger({ service: "chaos", level: "fatal" });
    const client = connectKafka({ brokers: kafka.brokers, clientId: "chaos", logger });
    const admin = client.admin();
    await admin.connect();
    await createTopics(admin, { businessDate, replicationFactor: brokerCount, minInsyncReplicas: 2 });
    await admin.disconnect();
    const processes = args.pods.map(
      (pod) =>
        new ServiceProcess({
          name: pod.name,
          service: pod.deployable.name,
          venue: pod.venue,
          entry: pod.entry,
          environment: environmentOf(pod, args.pods, { kafka, near, alpaca }),
          registry,
          logDirectory: directory,
          onCrash: args.onCrash,
        }),
    );
    return new ChaosWorld({ kafka, client, logger, near, alpaca, processes }, directory);
  }

  /** The process of that name. @throws RangeError when there is none. */
  process(name: string): ServiceProcess {
    const found = this.processes.find((each) => each.name === name);
    if (found === undefined) throw new RangeError(`there is no process ${name}`);
    return found;
  }

  /** Ends the venues and brokers; the processes are the registry's. The brokers' data are removed, their logs stay. */
  async stop(): Promise<void> {
    await this.near.close();
    await this.alpaca.close();
    await this.kafka.stop();
    for (const broker of this.kafka.brokers.keys()) {
      rmSync(path.join(kafkaDirectory(this.#directory), `broker-${broker}`), {
        recursive: true,
        force: true,
      });
    }
  }
}

const kafkaDirectory = (directory: string) => path.join(directory, "kafka");

/** Every variable that any service reads; each takes its own. Secrets are the lab's throwaway ones. */
function environmentOf(
  { name, deployable }: Pod,
  pods: readonly Pod[],
  { kafka, near, alpaca }: Pick<ChaosWorld, "kafka" | "near" | "alpaca">,
): Record<string, string> {
  return {
    SERVICE_NAME: deployable.name,
    POD_NAME: name,
    HOSTNAME: name,
    HTTP_PORT: "0",
    STACK: "dev",
    CLUSTER_ID: clusterId,
    BUSINESS_DATE: businessDate,
    KAFKA_BROKERS: kafka.brokers.join(","),
    DRAIN_AFTER: drainsAfter(deployable)
      .filter((other) => pods.some((pod) => pod.deployable.name === other))
      .join(","),
    LOG_LEVEL: "info",
    NEAR_RELAY_WEBSOCKET_URL: near.ws,
    NEAR_RELAY_RPC_URL: near.rpc,
    NEAR_RELAY_TOKEN: near.token,
    NEAR_SIGNER_ID: near.signerId,
    NEAR_PRIVATE_KEY: near.privateKey,
    NEAR_SALT: near.salt,
    ALPACA_STREAM_URL: alpaca.stream,
    ALPACA_REST_URL: alpaca.rest,
    ALPACA_UPDATES_URL: alpaca.updates,
    ALPACA_SYMBOLS: "*",
    ALPACA_KEY_ID: alpaca.keyId,
    ALPACA_SECRET_KEY: alpaca.secret,
    ALPACA_REQUESTS_PER_MINUTE: "60000",
    DUMMY_PERCENT: "100",
    DUMMY_MOVE_BASIS_POINTS: "1",
    RISK_MAX_NOTIONAL: "1000000",
    // The lab's canary traffic is not what is tested here.
    CANARY_EVERY_SECONDS: "300",
  };
}
