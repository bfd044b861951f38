/** One cluster of a check: its archive, its programs and the records that were written to it. */
import assert from "node:assert/strict";
import { DeleteObjectsCommand, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import type { ArchiveWorld } from "./world.ts";
import { type Manifest, manifestSchema } from "../../services/archive/documents.ts";
import { type FaultyObjectStore, startFaults } from "../../lab/objectstore/index.ts";
import type { ClusterArchive } from "../../services/archive/index.ts";
import { type GateOutcome, passGate } from "../../services/archive/seal-gate.ts";
import { drainingServices } from "./drains.ts";
import { type Program, startProgram } from "./processes.ts";
import { Records } from "./records.ts";

/** See the module's description. */
export class TestCluster {
  readonly world: ArchiveWorld;
  /** Reached directly and with the key that may do everything, whatever the programs use. */
  readonly archive: ClusterArchive;
  /** Stands between the archiver and the S3 server; the other programs go to the server itself. */
  readonly faults: FaultyObjectStore;
  readonly records: Records;
  readonly #ended = new AbortController();
  #archiver: Program | undefined;

  private constructor(world: ArchiveWorld, archive: ClusterArchive, faults: FaultyObjectStore) {
    this.world = world;
    this.archive = archive;
    this.faults = faults;
    this.records = new Records(world.kafka);
  }

  /** Connects; nothing is written yet. Close it when done. */
  static async open(world: ArchiveWorld, archive: ClusterArchive): Promise<TestCluster> {
    const faults = await startFaults(world.store.endpoint);
    return new TestCluster(world, archive, faults);
  }

  /** What any of the cluster's programs is told. Their key may not delete anything. */
  environment(more: Readonly<Record<string, string>> = {}): Record<string, string> {
    const { store, brokers } = this.world;
    const { stack, businessDate, clusterId } = this.archive.identity;
    return {
      STACK: stack,
      BUSINESS_DATE: businessDate,
      CLUSTER_ID: clusterId,
      KAFKA_BROKERS: brokers.brokers.join(","),
      KAFKA_REPLICATION_FACTOR: "1",
      KAFKA_MIN_INSYNC_REPLICAS: "1",
      HTTP_PORT: "0",
      S3_ENDPOINT: store.endpoint,
      S3_REGION: store.region,
      S3_BUCKET: store.bucket,
      S3_ACCESS_KEY_ID: store.writer.accessKeyId,
      S3_SECRET_ACCESS_KEY: store.writer.secretAccessKey,
      LOG_LEVEL: "info",
      ...more,
    };
  }

  /** The archiver: small objects (100 kB or 1 s) so that a short check has many of them. */
  startArchiver(more: Readonly<Record<string, string>> = {}): Program {
    this.#archiver = startProgram(
      "services/apps/archiver.ts",
      this.environment({
        SERVICE_NAME: "archiver",
        S3_ENDPOINT: this.faults.endpoint,
        DRAINING_SERVICES: drainingServices.join(","),
        ARCHIVE_ROTATE_BYTES: "100000",
        ARCHIVE_ROTATE_SECONDS: "1",
        SEAL_DRAIN_SECONDS: "60",
        ...more,
      }),
    );
    return this.#archiver;
  }

  /** The gate as the destroy runs it. Its standard error is in the log. */
  startGate(more: Readonly<Record<string, string>> = {}): Program {
    return startProgram(
      "services/archive/gate.ts",
      this.environment({ GATE_TIMEOUT_SECONDS: "60", ...more }),
    );
  }

  /** Demands a seal and asserts that the gate lets the cluster go. @returns the manifest and what the gate said. */
  async sealed(): Promise<{ manifest: Manifest; log: string }> {
    const { log, error } = await this.#passGate(60_000);
    const about = `${String(error)}\n${log}\nThe archiver's log ends with:\n${this.archiverLog()}`;
    assert.equal(error, undefined, about);
    assert.match(log, /verified:/);
    return { manifest: await this.manifest(), log };
  }

  /** The end of the last archiver's log, for messages of failed checks. */
  archiverLog(): string {
    return this.#archiver?.log().slice(-6_000) ?? "(none was started)";
  }

  /** Demands a seal and asserts that the gate refuses, with these words. Never a false "verified". */
  async refused(pattern: RegExp, timeoutMs = 60_000): Promise<string> {
    const { log, error } = await this.#passGate(timeoutMs);
    assert.ok(error !== undefined, `the gate opened: ${log}`);
    assert.match(error.message, pattern, `The archiver's log ends with:\n${this.archiverLog()}`);
    assert.doesNotMatch(log, /verified:/);
    return error.message;
  }

  /** The gate within this process: saves the start of another. */
  gate(timeoutMs = 60_000, report: (line: string) => void = () => undefined): Promise<GateOutcome> {
    return passGate({
      archive: this.archive,
      timeoutMs,
      allowDataLoss: undefined,
      report,
      signal: this.#ended.signal,
    });
  }

  async #passGate(timeoutMs: number): Promise<{ log: string; error?: Error }> {
    const lines: string[] = [];
    try {
      await this.gate(timeoutMs, (line) => lines.push(line));
      return { log: lines.join("\n") };
    } catch (error) {
      return { log: lines.join("\n"), error: error as Error };
    }
  }

  /** The manifest as it is in the bucket. */
  async manifest(): Promise<Manifest> {
    const manifest = await this.archive.read("manifest.json", manifestSchema);
    assert.ok(manifest, `${this.archive.prefix} has no manifest`);
    return manifest;
  }

  /** Names of the objects with records in the bucket, in order. */
  async objectNames(): Promise<string[]> {
    return [...(await this.archive.ranges()).values()]
      .flat()
      .map(({ name }) => name)
      .sort();
  }

  /** Removes objects, as no program of ours does. @param names relative to the archive's prefix. */
  async removeObjects(...names: string[]): Promise<void> {
    const Objects = names.map((name) => ({ Key: this.archive.prefix + name }));
    await this.#client((client) =>
      client.send(new DeleteObjectsCommand({ Bucket: this.world.store.bucket, Delete: { Objects } })),
    );
  }

  /** Writes over an object with other bytes; its metadata stays. */
  async replaceObject(name: string, change: (body: Buffer) => Buffer): Promise<void> {
    const stored = await this.archive.get(name);
    assert.ok(stored, `${name} is not in the bucket`);
    await this.#client((client) =>
      client.send(
        new PutObjectCommand({
          Bucket: this.world.store.bucket,
          Key: this.archive.prefix + name,
          Body: change(Buffer.from(stored.body)),
          Metadata: { ...stored.metadata },
        }),
      ),
    );
  }

  /** Ends gates that still wait, and gives the connections up. */
  async close(): Promise<void> {
    this.#ended.abort(new Error("the check is over"));
    this.archive.store.close();
    await this.records.close();
    await this.faults.close();
  }

  async #client<T>(work: (client: S3Client) => Promise<T>): Promise<T> {
    const { accessKeyId, secretAccessKey, endpoint, region } = this.world.store;
    const client = new S3Client({
      endpoint,
      region,
      forcePathStyle: true,
      credentials: { accessKeyId, secretAccessKey },
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
    });
    try {
      return await work(client);
    } finally {
      client.destroy();
    }
  }
}
