/**
 * The archiver: exports every topic all day, and seals the archive when a seal-request appears in the bucket. Requests
 * come through the bucket because whoever destroys the cluster may not be able to reach it.
 */
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { Counter, Gauge } from "prom-client";
import { controlRecord, followControl } from "../bus/control.ts";
import { DrainState } from "../bus/drain.ts";
import { connectKafka, type Kafka } from "../bus/kafka.ts";
import { startProducer } from "../bus/producer.ts";
import { integer, list } from "../core/config.ts";
import type { ServiceContext, ServiceDefinition } from "../core/service.ts";
import { toInstant } from "../core/time.ts";
import type { ClusterArchive } from "./cluster-archive.ts";
import { type Manifest, type SealProgress, sealProgressSchema, sealRequestSchema } from "./documents.ts";
import { Exporter } from "./exporter.ts";
import { documents } from "./layout.ts";
import { type DrainRequester, seal } from "./seal.ts";
import { archiveFromEnvironment, storeVariables } from "./settings.ts";

const variables = {
  ...storeVariables,
  /** The services whose `drained` a seal waits for, comma separated. */
  DRAINING_SERVICES: list.default([]),
  /** An object is stored when so many bytes (before compression) have come together … */
  ARCHIVE_ROTATE_BYTES: integer(1_000, 64 * 1024 * 1024).default(8 * 1024 * 1024),
  /** … or the first record in it has waited so long. */
  ARCHIVE_ROTATE_SECONDS: integer(1, 3_600).default(60),
  /** Longest wait for the services' `drained`. */
  SEAL_DRAIN_SECONDS: integer(1, 3_600).default(300),
  /** Longest time for exporting what is left, after the drain. */
  SEAL_EXPORT_SECONDS: integer(1, 7_200).default(600),
};

/** Time between two looks for a seal-request. */
const pollMs = 500;
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

    const watch = context.health.watch("export", maximumSilenceMs);
    const { recordsTotal, behind } = archiveMetrics(context, () => exporter.behind());
    const exporter = new Exporter({
      kafka,
      archive,
      logger,
      rotation: { bytes: config.ARCHIVE_ROTATE_BYTES, ageMs: config.ARCHIVE_ROTATE_SECONDS * 1_000 },
      onProgress: () => watch.progress(),
      onStored: (topic, records) => recordsTotal.inc({ topic }, records),
    });
    context.onStop("export", () => exporter.stop());
    await exporter.start();
    context.onStop("metrics", () => behind.reset());

    const drain = await followDrain(context, kafka, config.DRAINING_SERVICES);
    const requests = new SealRequests(archive, context, (requestId, signal, onProgress) =>
      seal({
        kafka,
        archive,
        exporter,
        drain,
        logger,
        requestId,
        signal,
        onProgress,
        versions: versions(),
        drainTimeoutMs: config.SEAL_DRAIN_SECONDS * 1_000,
        exportTimeoutMs: config.SEAL_EXPORT_SECONDS * 1_000,
      }),
    );
    const watching = requests.watch();
    watching.catch((error: unknown) => context.fatal(error));
    context.onStop("seal", () => watching.catch(() => undefined));
  },
};

function archiveMetrics(context: ServiceContext, behindByTopic: () => Map<string, bigint>) {
  const registers = [context.metrics.registry];
  const labelNames = ["topic"];
  return {
    recordsTotal: new Counter({
      name: "trading_archived_records_total",
      help: "Records stored in the archive bucket, by topic.",
      labelNames,
      registers,
    }),
    behind: new Gauge({
      name: "trading_archive_behind_records",
      help: "Records that the archiver has not read yet, by topic.",
      labelNames,
      registers,
      collect() {
        for (const [topic, records] of behindByTopic()) this.set({ topic }, Number(records));
      },
    }),
  };
}

/** Versions that a reader of the archive may want to know, as far as this process knows them. */
function versions(): Record<string, string> {
  const { version, dependencies } = JSON.parse(
    readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
  ) as { version: string; dependencies: Record<string, string> };
  return { platform: version, node: process.versions.node, kafkajs: dependencies.kafkajs ?? "unknown" };
}

/** Asks for the drain on the control topic and follows the answers. */
async function followDrain(
  context: ServiceContext,
  kafka: Kafka,
  services: readonly string[],
): Promise<DrainRequester> {
  const name = context.settings.SERVICE_NAME;
  const state = new DrainState();
  const follower = await followControl({ kafka, context, onMessage: (message) => void state.apply(message) });
  context.onStop("control", () => follower.stop());
  const producer = await startProducer(kafka, context);
  return {
    unanswered: (requestId) => state.unanswered(requestId, services),
    request: async (requestId) => {
      if (state.requests.includes(requestId)) return;
      await producer.send(controlRecord({ type: "drain", requestId, at: toInstant(Date.now()) }, name));
      context.logger.info({ requestId, services }, "drain requested");
    },
  };
}

/** Makes a seal for a request. */
type Sealing = (
  requestId: string,
  signal: AbortSignal,
  onProgress: (state: SealProgress["state"], message: string) => void,
) => Promise<Manifest>;

/** Looks for requests and has them answered; a newer request takes the place of one that is being worked on. */
class SealRequests {
  readonly #archive: ClusterArchive;
  readonly #context: ServiceContext;
  readonly #seal: Sealing;

  constructor(archive: ClusterArchive, context: ServiceContext, sealing: Sealing) {
    this.#archive = archive;
    this.#context = context;
    this.#seal = sealing;
  }

  async watch(): Promise<void> {
    const { signal, logger } = this.#context;
    let current: { requestId: string; abort: AbortController; done: Promise<void> } | undefined;
    while (!signal.aborted) {
      try {
        const request = await this.#archive.read(documents.sealRequest, sealRequestSchema);
        if (request !== undefined && request.requestId !== current?.requestId) {
          current?.abort.abort(new Error("a newer seal-request has come"));
          await current?.done;
          const abort = new AbortController();
          const { requestId } = request;
          current = {
            requestId,
            abort,
            done: this.#answer(requestId, AbortSignal.any([signal, abort.signal])),
          };
        }
      } catch (error) {
        logger.warn({ err: error }, "could not look for a seal-request, trying again");
      }
      await delay(pollMs, undefined, { signal }).catch(() => undefined);
    }
    await current?.done;
  }

  /** Never rejects. */
  async #answer(requestId: string, signal: AbortSignal): Promise<void> {
    const { logger } = this.#context;
    const progress = new ProgressWriter(this.#archive, requestId, (error) =>
      logger.warn({ err: error }, "could not write the seal's progress"),
    );
    try {
      const before = await this.#archive
        .read(documents.sealProgress, sealProgressSchema)
        .catch(() => undefined);
      // Answered before this process started.
      if (before?.requestId === requestId && (before.state === "sealed" || before.state === "failed")) return;
      const manifest = await this.#seal(requestId, signal, (state, message) =>
        progress.report({ state, message }),
      );
      const { generation, checksum, totals } = manifest;
      logger.info({ requestId, generation, records: totals.records }, "sealed");
      const message = `sealed: ${totals.records} records, generation ${generation}`;
      await progress.end({ state: "sealed", message, generation, manifestChecksum: checksum });
    } catch (error) {
      if (signal.aborted) return;
      logger.error({ err: error, requestId }, "could not seal");
      await progress.end({ state: "failed", message: (error as Error).message });
    } finally {
      progress.stop();
    }
  }
}

type Progress = Omit<SealProgress, "requestId" | "updatedAt">;

/** Writes the progress when it changes, at most twice a second, one write at a time. */
class ProgressWriter {
  readonly #archive: ClusterArchive;
  readonly #requestId: string;
  readonly #onError: (error: unknown) => void;
  #wanted: Progress | undefined;
  #writing: Promise<void> | undefined;
  #stopped = false;

  constructor(archive: ClusterArchive, requestId: string, onError: (error: unknown) => void) {
    this.#archive = archive;
    this.#requestId = requestId;
    this.#onError = onError;
  }

  report(progress: Progress): void {
    this.#wanted = progress;
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
  }

  /** Writes the outcome, however long that takes within the store's own bounds. */
  async end(progress: Progress): Promise<void> {
    this.stop();
    await this.#writing;
    await this.#put(progress);
  }

  stop(): void {
    this.#stopped = true;
  }

  async #write(): Promise<void> {
    while (this.#wanted !== undefined && !this.#stopped) {
      const progress = this.#wanted;
      this.#wanted = undefined;
      await this.#put(progress).catch(this.#onError);
      await delay(500, undefined, { ref: false });
    }
  }

  async #put(progress: Progress): Promise<void> {
    const document: SealProgress = {
      requestId: this.#requestId,
      ...progress,
      updatedAt: toInstant(Date.now()),
    };
    await this.#archive.write(documents.sealProgress, document);
  }
}
