/**
 * The connection to Kafka. Importing this module registers the lz4 codec that kafkajs lacks: without it a
 * consumer of lz4 records stops silently (measured, see docs/decisions.md).
 */
import kafkajs, { type Kafka, type logLevel as KafkaLogLevel } from "kafkajs";
import { compressFrameSync, decompressFrameSync } from "lz4-napi";
import type { Logger } from "../core/log.ts";

/** A client of Kafka; made by {@link connectKafka}, given to the functions of this folder. */
export type { Kafka } from "kafkajs";

const { CompressionCodecs, CompressionTypes, Kafka: KafkaClient, logLevel } = kafkajs;

CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async (encoder: { buffer: Buffer }) => compressFrameSync(encoder.buffer),
  decompress: async (buffer: Buffer) => decompressFrameSync(buffer),
});

/** The codec of everything we produce. */
export const compression = CompressionTypes.LZ4;

const levels: Record<KafkaLogLevel, "silent" | "error" | "warn" | "info" | "debug"> = {
  [logLevel.NOTHING]: "silent",
  [logLevel.ERROR]: "error",
  [logLevel.WARN]: "warn",
  [logLevel.INFO]: "info",
  [logLevel.DEBUG]: "debug",
};

/** Arguments of {@link connectKafka}. */
export interface KafkaOptions {
  /** `host:port` of one or more brokers. */
  brokers: readonly string[];
  /** Shown in the brokers' logs and quotas; the service's name. */
  clientId: string;
  logger: Logger;
}

/**
 * Makes a client; connections are opened when producers, consumers and admins connect.
 * kafkajs's own messages go to `logger`, its chatter about joining and leaving at level debug.
 */
export function connectKafka(options: KafkaOptions): Kafka {
  const logger = options.logger.child({ module: "kafkajs" });
  return new KafkaClient({
    brokers: [...options.brokers],
    clientId: options.clientId,
    connectionTimeout: 5_000,
    requestTimeout: 30_000,
    // 300 ms, the default, makes every small hiccup a visible pause; growing to 2 s it spares a restarting broker.
    retry: { initialRetryTime: 50, maxRetryTime: 2_000, retries: 12 },
    logLevel: logLevel.INFO,
    logCreator:
      () =>
      ({ namespace, level, log }) => {
        const { message, timestamp: _timestamp, logger: _logger, ...fields } = log;
        // An answer with an error is repeated where that helps, and thrown where it does not.
        const isAnswer = namespace === "Connection" && levels[level] === "error";
        // Transactions that follow each other closely meet it all the time; whoever sent the request sends it again.
        const isUsual =
          isAnswer && String(fields["error"]).includes("concurrent operation on the same transaction");
        const quieter = isUsual
          ? "debug"
          : isAnswer
            ? "warn"
            : levels[level] === "info"
              ? "debug"
              : levels[level];
        logger[quieter]({ ...fields, namespace }, message);
      },
  });
}
