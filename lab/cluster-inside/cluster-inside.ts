/**
 * What the inside of a cluster does for the outside, played here without Kafka and without containers: when the rendered
 * prepare-day Job appears, the `opened` marker is written, with an object of records, and then whether it can trade; when a
 * seal is requested, it is answered. SIMULATED: there are no brokers, no archiver and no services; the records and the
 * canaries are made up. The documents are written by services/archive's own functions, with what the rendered Job's
 * environment says, so the export gate verifies them for real.
 */
import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { pino } from "pino";
import { resolveEnvironment } from "../workloads/environment.ts";
import { readObjects } from "../workloads/objects.ts";
import { type ClusterArchive, openArchive } from "../../services/archive/index.ts";
import type { Manifest } from "../../services/archive/documents.ts";
import type { ControlMessage } from "../../services/bus/control.ts";
import { toInstant } from "../../services/core/time.ts";
import { mismatchReason } from "../../services/execution/gates.ts";
import type { ArchivedRecord } from "../../services/archive/line.ts";
import { documents } from "../../services/archive/layout.ts";
import { ReadinessState } from "../../services/archive/readiness-writer.ts";
import { answerSealRequests } from "../../services/archive/seal-requests.ts";
import { writeOpened, writeSealedArchive } from "./sealed-archive.ts";

/** How seal requests are met: with a seal, with a refusal, or not at all (an archiver that is gone). */
export type SealConduct = "seals" | "refuses" | "silent";

/**
 * What the monitor of a cluster says of it once it is opened: its canaries come through, and the account is as in our books;
 * they do not come through; they do, and the account differs, so that the kill switch is engaged; nothing at all.
 */
export type ReadinessConduct = "ready" | "never" | "mismatch" | "silent";

const pollMs = 25;
/** As the renderer names it; between the two stands the namespace. */
const jobFile = /^batch_v1-job-.+-prepare-day\.yaml$/;
const logger = pino({ level: process.env["TEST_LOG_LEVEL"] ?? "silent" });

/** What the made-up Kafka of a cluster held. */
const records: readonly ArchivedRecord[] = [0, 1, 2].map((number) => ({
  topic: "norm.stock_quotes",
  partition: 0,
  offset: String(number),
  timestamp: String(1_760_000_000_000 + number),
  key: Buffer.from("AAPL"),
  headers: [],
  value: Buffer.from(JSON.stringify({ made_up: number })),
}));

const at = (): string => toInstant(Date.now());
const mismatch = "position SPY: expected 0, found 7";

/** What is said on the control topic of a cluster that is opened. */
const saidWhen: Readonly<Record<ReadinessConduct, readonly ControlMessage[]>> = {
  ready: [
    {
      type: "trading_ready",
      at: at(),
      canaries: ["made-up"],
      accounts: [{ venue: "alpaca", outcome: "matched", at: at(), differences: [] }],
    },
  ],
  never: [
    { type: "trading_not_ready", at: at(), missing: ["no answer to canaries: alpaca partition 0: dummy"] },
  ],
  mismatch: [
    {
      type: "kill_switch",
      state: "engaged",
      scope: "alpaca",
      reason: `${mismatchReason}${mismatch}`,
      by: "executor-alpaca",
      at: at(),
    },
    {
      type: "trading_ready",
      at: at(),
      canaries: ["made-up"],
      accounts: [{ venue: "alpaca", outcome: "mismatch", at: at(), differences: [mismatch] }],
    },
  ],
  silent: [],
};

interface OpenedCluster {
  archive: ClusterArchive;
  readiness: ReadinessState;
  ended: AbortController;
  answering: Promise<void>;
  manifest?: Promise<Manifest>;
}

/** See the module's description. One object follows one stack through all its clusters. */
export class ClusterInside {
  /** How seal requests are met from now on. */
  conduct: SealConduct = "seals";
  /** What clusters that are opened from now on say of themselves. */
  readiness: ReadinessConduct = "ready";
  /** By how many milliseconds their clocks are ahead of the bucket's. */
  clockSkewMs = 0;
  readonly #renderDirectory: string;
  readonly #alive: () => boolean;
  readonly #ended = new AbortController();
  readonly #clusters = new Map<string, OpenedCluster>();
  readonly #watching: Promise<void>;

  /**
   * @param renderDirectory where the engine puts Kubernetes objects
   * @param alive whether the control plane's server is there; without it nothing runs in the cluster
   */
  constructor(renderDirectory: string, alive: () => boolean) {
    this.#renderDirectory = renderDirectory;
    this.#alive = alive;
    this.#watching = this.#watch();
  }

  /** Ids of the clusters that were opened, the newest last. */
  get opened(): string[] {
    return [...this.#clusters.keys()];
  }

  /** Everything in the cluster is gone: its servers are. */
  async lost(): Promise<void> {
    for (const cluster of this.#clusters.values()) cluster.ended.abort();
    await Promise.all([...this.#clusters.values()].map(({ answering }) => answering));
  }

  async stop(): Promise<void> {
    this.#ended.abort();
    await this.#watching;
    await this.lost();
    for (const { archive } of this.#clusters.values()) archive.store.close();
  }

  async #watch(): Promise<void> {
    const { signal } = this.#ended;
    // To read everything that is rendered at every look would keep a processor busy.
    let opened: string | undefined;
    while (!signal.aborted) {
      const job = this.#alive() ? await this.#job() : undefined;
      if (job !== undefined && job !== opened) {
        try {
          await this.#open();
          opened = job;
        } catch (error) {
          // A file that is being written or removed at this moment: looked at again.
          logger.warn({ err: error }, "not opened yet");
        }
      }
      await delay(pollMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /** Tells one writing of the rendered Job from another; undefined when there is none. */
  async #job(): Promise<string | undefined> {
    const folder = path.join(this.#renderDirectory, "1-manifest");
    const file = (await readdir(folder).catch(() => [])).find((name) => jobFile.test(name));
    const facts = file && (await stat(path.join(folder, file)).catch(() => undefined));
    return facts ? `${facts.ino} ${facts.mtimeMs} ${facts.ctimeMs}` : undefined;
  }

  async #open(): Promise<void> {
    const archive = this.#archive();
    const { clusterId } = archive.identity;
    if (this.#clusters.has(clusterId)) return archive.store.close();
    await writeOpened(archive);
    const ended = new AbortController();
    const readiness = new ReadinessState();
    const cluster: OpenedCluster = { archive, readiness, ended, answering: Promise.resolve() };
    cluster.answering = answerSealRequests({
      archive,
      logger,
      pollMs: 50,
      signal: ended.signal,
      seal: (_requestId, signal) => this.#seal(cluster, signal),
    });
    this.#clusters.set(clusterId, cluster);
    void this.#say(cluster, ...saidWhen[this.readiness]);
  }

  /** The newest cluster's control topic: what is said there changes its document. */
  async say(...messages: readonly ControlMessage[]): Promise<void> {
    const cluster = [...this.#clusters.values()].at(-1);
    if (cluster === undefined) throw new Error("no cluster was opened");
    await this.#say(cluster, ...messages);
  }

  /** As the archiver writes it: until the bucket takes it. */
  async #say(
    { archive, readiness, ended }: OpenedCluster,
    ...messages: readonly ControlMessage[]
  ): Promise<void> {
    if (messages.length === 0) return;
    for (const message of messages) readiness.apply(message);
    while (!ended.signal.aborted) {
      try {
        await archive.write(documents.ready, readiness.document(archive.identity, this.clockSkewMs));
        return;
      } catch (error) {
        logger.warn({ err: error }, "readiness is not written yet");
        await delay(pollMs, undefined, { signal: ended.signal }).catch(() => undefined);
      }
    }
  }

  /** The archive that the rendered Job was told to open. */
  #archive(): ClusterArchive {
    const objects = readObjects(this.#renderDirectory);
    const job = objects.workloads.find(({ metadata }) => metadata.name === "prepare-day");
    const container = job?.spec.template.spec.containers[0];
    if (job === undefined || container === undefined) throw new Error("no prepare-day Job is rendered");
    const { namespace, name } = job.metadata;
    const environment = resolveEnvironment(container, namespace, `${namespace}/${name}`, objects);
    const value = (variable: string): string => {
      const found = environment[variable];
      if (found === undefined) throw new Error(`the prepare-day Job has no ${variable}`);
      return found;
    };
    return openArchive(
      {
        endpoint: value("S3_ENDPOINT"),
        region: value("S3_REGION"),
        bucket: value("S3_BUCKET"),
        accessKeyId: value("S3_ACCESS_KEY_ID"),
        secretAccessKey: value("S3_SECRET_ACCESS_KEY"),
      },
      { stack: value("STACK"), businessDate: value("BUSINESS_DATE"), clusterId: value("CLUSTER_ID") },
    );
  }

  async #seal(
    cluster: OpenedCluster,
    signal: AbortSignal,
  ): Promise<{ manifest: Manifest; unchanged: boolean }> {
    while (this.conduct === "silent") await delay(pollMs, undefined, { signal });
    if (this.conduct === "refuses") throw new Error("the simulated archiver was told to refuse");
    const unchanged = cluster.manifest !== undefined;
    cluster.manifest ??= writeSealedArchive(cluster.archive, { records });
    try {
      return { manifest: await cluster.manifest, unchanged };
    } catch (error) {
      delete cluster.manifest;
      throw error;
    }
  }
}
