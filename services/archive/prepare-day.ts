/** Before any service starts: topics exist, and the archive knows that this cluster may hold data from now on. */
import { setTimeout as delay } from "node:timers/promises";
import { withAdmin } from "../bus/cluster-admin.ts";
import { connectKafka, type Kafka } from "../bus/kafka.ts";
import { createTopics } from "../bus/topics.ts";
import { ConfigError, readConfig, serviceVariables } from "../core/config.ts";
import { sessionOf } from "../core/exchange-calendar.ts";
import { createLogger, type Logger } from "../core/log.ts";
import { toInstant } from "../core/time.ts";
import { loadCarryOver } from "./carry-over-load.ts";
import { type Opened, openedSchema } from "./documents.ts";
import { documents } from "./layout.ts";
import { archiveFromEnvironment, storeVariables } from "./settings.ts";

/** How long to wait for enough brokers. */
const brokersDeadlineMs = 300_000;

/** Longest time for writing commands into the journal. */
const carryOverDeadlineMs = 120_000;

/** The cluster cannot be opened; the message says what to do. */
export class PrepareDayError extends Error {
  override readonly name = "PrepareDayError";
}

/**
 * Waits for the brokers, creates the topics of the registry, writes `opened.json` and loads what the cluster before this
 * one carries over, in this order. Running it again changes nothing.
 * @throws ConfigError for a wrong environment; CalendarError for a date that the calendar does not know; PrepareDayError; ArchiveStoreError.
 */
export async function prepareDay(
  environment: Record<string, string | undefined> = process.env,
): Promise<Opened> {
  const config = readConfig({ ...serviceVariables, ...storeVariables }, environment);
  const logger = createLogger({
    service: config.SERVICE_NAME,
    level: config.LOG_LEVEL,
    secrets: [config.S3_ACCESS_KEY_ID, config.S3_SECRET_ACCESS_KEY],
  });
  const { KAFKA_REPLICATION_FACTOR: copies, KAFKA_MIN_INSYNC_REPLICAS: needed } = config;
  if (needed > copies) {
    throw new ConfigError([
      `KAFKA_MIN_INSYNC_REPLICAS: is ${needed}, but KAFKA_REPLICATION_FACTOR is ${copies}: no record could be written`,
    ]);
  }
  const session = sessionOf(config.BUSINESS_DATE);
  if (session === undefined) {
    logger.warn(
      { businessDate: config.BUSINESS_DATE },
      "the stock exchange is closed on the business date: only venues without hours will trade",
    );
  } else {
    const { date: businessDate, open, close } = session;
    logger.info({ businessDate, open, close }, "the stock exchange has a session");
  }
  const archive = archiveFromEnvironment(config);
  const kafka = connectKafka({ brokers: config.KAFKA_BROKERS, clientId: config.SERVICE_NAME, logger });
  try {
    const kafkaClusterId = await waitForBrokers(kafka, config.KAFKA_REPLICATION_FACTOR, logger);
    const before = await archive.read(documents.opened, openedSchema);
    if (before !== undefined && before.kafkaClusterId !== kafkaClusterId) {
      throw new PrepareDayError(
        `${archive.prefix}${documents.opened} is of Kafka ${before.kafkaClusterId}, but the brokers now are ${kafkaClusterId}: ` +
          "they were created anew and their offsets begin again, so they must not be archived over the former ones. " +
          "Destroy this cluster and open a new one.",
      );
    }
    const names = await withAdmin(kafka, (admin) =>
      createTopics(admin, {
        businessDate: config.BUSINESS_DATE,
        replicationFactor: config.KAFKA_REPLICATION_FACTOR,
        minInsyncReplicas: config.KAFKA_MIN_INSYNC_REPLICAS,
      }),
    );
    logger.info({ topics: names }, "topics exist");
    const opened = before ?? { ...archive.identity, kafkaClusterId, openedAt: toInstant(Date.now()) };
    if (before === undefined) await archive.write(documents.opened, opened);
    logger.info(opened, before === undefined ? "opened" : "the cluster was opened before");
    // After the marker, since from here on the cluster holds data.
    const signal = AbortSignal.timeout(carryOverDeadlineMs);
    await loadCarryOver({ kafka, archive, opened, logger, signal });
    return opened;
  } finally {
    archive.store.close();
  }
}

/** @returns Kafka's id of the cluster. */
async function waitForBrokers(kafka: Kafka, wanted: number, logger: Logger): Promise<string> {
  const deadline = performance.now() + brokersDeadlineMs;
  let inTheWay = "nothing was tried";
  let lastLine = -Infinity;
  while (performance.now() < deadline) {
    try {
      const { brokers, clusterId } = await withAdmin(kafka, (admin) => admin.describeCluster(), 2);
      if (brokers.length >= wanted) return clusterId;
      inTheWay = `only ${brokers.length} of ${wanted} brokers are there`;
    } catch (error) {
      inTheWay = String(error);
    }
    if (performance.now() - lastLine > 10_000) {
      lastLine = performance.now();
      logger.info({ inTheWay }, "waiting for the brokers");
    }
    await delay(500);
  }
  throw new PrepareDayError(
    `The brokers were not ready within ${brokersDeadlineMs / 1_000} s: ${inTheWay}. Look at the Kafka pods, then run the job again.`,
  );
}
