/** The service `archiver` as a process of its own, started by its entry point, and what it tells about itself. */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { projectDirectory } from "../lab/directories.ts";
import { findFreePorts } from "../lab/kafka/ports.ts";
import type { LabObjectStore } from "../lab/objectstore/index.ts";
import type { LabProcess } from "../lab/processes.ts";
import { sealProgressSchema, type SealRequest } from "../services/archive/documents.ts";
import type { ClusterArchive } from "../services/archive/index.ts";
import { documents } from "../services/archive/layout.ts";
import { catalog } from "../services/catalog.ts";
import { toInstant } from "../services/core/time.ts";
import { archiveVariables } from "./archive-parts.ts";
import { MeasurementError, measurementDeadlineMs } from "./process-output.ts";
import { type Usage, usageOf } from "./process-usage.ts";
import type { BenchWorld } from "./world.ts";

/** Between two looks; what is measured takes seconds. */
const pollMs = 50;
/** Between two looks at the metrics, which cost the archiver something to tell. */
const metricsPollMs = 200;
/** From the process's start to the first answer of its HTTP port. */
const startDeadlineMs = 60_000;
/** A stop stores what waits and writes the CPU profile. */
const stopGraceMs = 25_000;

/** Arguments of {@link ArchiverProcess.start}. */
export interface ArchiverArguments {
  world: BenchWorld;
  store: LabObjectStore;
  archive: ClusterArchive;
  /** Tells the CPU profiles of several runs apart. */
  label: string;
}

/** See the module's description. */
export class ArchiverProcess {
  readonly #process: LabProcess;
  readonly #archive: ClusterArchive;
  readonly #signal: AbortSignal;
  readonly #port: number;
  #lastWords = "";

  private constructor(started: LabProcess, archive: ClusterArchive, signal: AbortSignal, port: number) {
    this.#process = started;
    this.#archive = archive;
    this.#signal = signal;
    this.#port = port;
    const keep = (chunk: Buffer) => {
      this.#lastWords = (this.#lastWords + chunk.toString("utf8")).slice(-4_000);
    };
    started.child.stdout?.on("data", keep);
    started.child.stderr?.on("data", keep);
  }

  /** Resolves when its code is loaded and it begins to work: its HTTP port answers. @throws MeasurementError */
  static async start({ world, store, archive, label }: ArchiverArguments): Promise<ArchiverProcess> {
    const { kafka, registry, signal } = world;
    const [port] = await findFreePorts(1);
    const started = await registry.start(
      "archiver",
      process.execPath,
      [...world.profiling(`archiver-${label}`), "--import", "tsx", "services/apps/archiver.ts"],
      {
        cwd: projectDirectory,
        env: {
          PATH: process.env["PATH"],
          ...catalog.find(({ name }) => name === "archiver")?.runtime,
          SERVICE_NAME: "archiver",
          HTTP_PORT: String(port),
          ...archiveVariables(store, archive),
          KAFKA_BROKERS: kafka.brokers.join(","),
          KAFKA_REPLICATION_FACTOR: String(kafka.brokers.length),
          KAFKA_MIN_INSYNC_REPLICAS: kafka.brokers.length === 1 ? "1" : "2",
        },
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    const archiver = new ArchiverProcess(started, archive, signal, port ?? 0);
    await archiver.#until("answers on its HTTP port", startDeadlineMs, async () => {
      return (await archiver.#metrics()) !== undefined;
    });
    return archiver;
  }

  /** Asks for the seal. @returns the request's id. @throws ArchiveStoreError */
  static async requestSeal(archive: ClusterArchive): Promise<string> {
    const request: SealRequest = { requestId: randomUUID(), requestedAt: toInstant(Date.now()) };
    await archive.write(documents.sealRequest, request);
    return request.requestId;
  }

  /** Waits until so many records of a topic are in the bucket. @throws MeasurementError */
  async stored(topic: string, records: number): Promise<void> {
    await this.#until(`stored ${records} records`, measurementDeadlineMs, async () => {
      const metrics = await this.#metrics();
      if (readGauge(metrics ?? "", "trading_archived_records_total", topic) >= records) return true;
      await delay(metricsPollMs - pollMs);
      return false;
    });
  }

  /** Records of a topic that it has not read yet, as far as it knows. */
  async unread(topic: string): Promise<number> {
    return readGauge((await this.#metrics()) ?? "", "trading_archive_behind_records", topic);
  }

  /** Waits for the answer to a request. @throws MeasurementError with the archiver's words when it cannot seal. */
  async sealed(requestId: string): Promise<void> {
    await this.#until("sealed", measurementDeadlineMs, async () => {
      const progress = await this.#archive.read(documents.sealProgress, sealProgressSchema);
      if (progress?.requestId !== requestId) return false;
      if (progress.state === "failed")
        throw new MeasurementError(
          `the archiver could not seal: ${progress.message} Its last words:\n${this.#lastWords}`,
        );
      return progress.state === "sealed";
    });
  }

  /** What it used so far. */
  get usage(): Usage {
    return usageOf(this.#process.pid);
  }

  /** Ends it in order; safe at any time. */
  async stop(): Promise<void> {
    await this.#process.stop(stopGraceMs);
  }

  /** Undefined while nobody answers. */
  async #metrics(): Promise<string | undefined> {
    try {
      const answer = await fetch(`http://127.0.0.1:${this.#port}/metrics`, {
        signal: AbortSignal.any([this.#signal, AbortSignal.timeout(10_000)]),
      });
      return await answer.text();
    } catch {
      this.#signal.throwIfAborted();
      return undefined;
    }
  }

  async #until(what: string, deadlineMs: number, condition: () => Promise<boolean>): Promise<void> {
    const end = performance.now() + deadlineMs;
    while (!(await condition())) {
      this.#signal.throwIfAborted();
      const { exitCode, signalCode } = this.#process.child;
      const ended = exitCode !== null || signalCode !== null;
      if (ended || performance.now() > end) {
        const fate = ended
          ? `ended with ${String(exitCode ?? signalCode)}`
          : `took more than ${deadlineMs / 1_000} s`;
        throw new MeasurementError(
          `archiver: ${fate} before it was "${what}". Its last words:\n${this.#lastWords}`,
        );
      }
      await delay(pollMs);
    }
  }
}

/** A metric's value for a topic, from Prometheus's text format; 0 when there is none yet. */
export function readGauge(metrics: string, name: string, topic: string): number {
  const line = metrics
    .split("\n")
    .find((candidate) => candidate.startsWith(`${name}{`) && candidate.includes(`topic="${topic}"`));
  return Number(line?.split(" ").at(-1) ?? 0);
}
