/**
 * The archiver: exports every topic all day, and seals the archive when a seal-request appears in the bucket. Requests
 * come through the bucket because whoever destroys the cluster may not be able to reach it.
 */
import { readFileSync } from "node:fs";
import { z } from "zod";
import { withAdmin } from "../bus/cluster-admin.ts";
import { connectKafka } from "../bus/kafka.ts";
import { integer, list } from "../core/config.ts";
import type { ServiceDefinition } from "../core/service.ts";
import { archiveMetrics } from "./archive-metrics.ts";
import { followDrain } from "./drain-requester.ts";
import { evidenceVariables } from "./evidence/settings.ts";
import { Exporter } from "./exporter.ts";
import { codecs } from "./layout.ts";
import { strangeKafka } from "./own-kafka.ts";
import { ReadinessWriter } from "./readiness-writer.ts";
import { seal } from "./seal.ts";
import { SealError } from "./seal-error.ts";
import { sealExtras } from "./seal-extras.ts";
import { answerSealRequests } from "./seal-requests.ts";
import { archiveFromEnvironment, storeVariables } from "./settings.ts";

const variables = {
  ...storeVariables,
  /** The services whose `drained` a seal waits for, comma separated. */
  DRAINING_SERVICES: list.default([]),
  /** An object is stored when so many bytes (before compression) have come together … */
  ARCHIVE_ROTATE_BYTES: integer(1_000, 64 * 1024 * 1024).default(8 * 1024 * 1024),
  /** … or the first record in it has waited so long. */
  ARCHIVE_ROTATE_SECONDS: integer(1, 3_600).default(60),
  /** How objects are compressed. */
  ARCHIVE_COMPRESSION: z.enum(codecs).default("gzip"),
  /** Longest wait for the services' `drained`. */
  SEAL_DRAIN_SECONDS: integer(1, 3_600).default(300),
  /** Longest time for exporting what is left, after the drain. */
  SEAL_EXPORT_SECONDS: integer(1, 7_200).default(600),
  ...evidenceVariables,
};

/** Reading may be held back by uploads; without any round of reading in this time the archiver is unhealthy. */
const maximumSilenceMs = 300_000;

/** The service `archiver`. */
export const archiver: ServiceDefinition<typeof variables> = {
  variables,
  secrets: ["S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"],
  async start(context, config) {
    const { settings, logger } = context;
    const archive = archiveFromEnvironment({ ...settings, ...config });
    context.onStop("bucket", () => archive.store.close());
    const kafka = connectKafka({ brokers: settings.KAFKA_BROKERS, clientId: settings.SERVICE_NAME, logger });

    const { clusterId } = await withAdmin(kafka, (admin) => admin.describeCluster());
    const strange = await strangeKafka(archive, clusterId);
    if (strange?.missing === false) {
      // Answered all the same: whoever waits for a seal is to read why there is none.
      logger.error({ kafkaClusterId: clusterId }, strange.message);
      const refuse = () => Promise.reject(new SealError(strange.message));
      const watching = answerSealRequests({ archive, logger, signal: context.signal, seal: refuse });
      context.onStop("seal", () => watching);
      return;
    }

    const watch = context.health.watch("export", maximumSilenceMs);
    const { recordsTotal, behind } = archiveMetrics(context, () => exporter.behind());
    const exporter = new Exporter({
      kafka,
      archive,
      logger,
      rotation: { bytes: config.ARCHIVE_ROTATE_BYTES, ageMs: config.ARCHIVE_ROTATE_SECONDS * 1_000 },
      codec: config.ARCHIVE_COMPRESSION,
      onProgress: () => watch.progress(),
      onStored: (topic, records) => recordsTotal.inc({ topic }, records),
    });
    context.onStop("export", () => exporter.stop());
    await exporter.start();
    context.onStop("metrics", () => behind.reset());

    const readiness = new ReadinessWriter({ archive, logger, signal: context.signal });
    const drain = await followDrain(context, kafka, config.DRAINING_SERVICES, (message) =>
      readiness.take(message),
    );
    readiness.start();
    context.onStop("readiness", () => readiness.stop());
    const extras = sealExtras({ kafka, archive, logger, config, signal: context.signal });
    const watching = answerSealRequests({
      archive,
      logger,
      signal: context.signal,
      seal: (requestId, signal, onProgress) =>
        seal({
          kafka,
          archive,
          exporter,
          drain,
          logger,
          requestId,
          signal,
          onProgress,
          ...extras,
          versions: versions(),
          drainTimeoutMs: config.SEAL_DRAIN_SECONDS * 1_000,
          exportTimeoutMs: config.SEAL_EXPORT_SECONDS * 1_000,
        }),
    });
    context.onStop("seal", () => watching);
  },
};

/** Versions that a reader of the archive may want to know, as far as this process knows them. */
function versions(): Record<string, string> {
  const { version, dependencies } = JSON.parse(
    readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
  ) as { version: string; dependencies: Record<string, string> };
  return { platform: version, node: process.versions.node, kafkajs: dependencies.kafkajs ?? "unknown" };
}
