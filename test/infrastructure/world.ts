/**
 * The world of the infrastructure's checks: an account at the simulated Hetzner Cloud, a real S3 server behind a proxy
 * that can be told to fail, and the whole unmodified program of a stack, hosted by the lab's engine. What runs inside the
 * cluster is simulated, see lab/cluster-inside; nothing here needs Kafka, Java or root. An `up` takes some seconds.
 *
 *   const store = await startBucket();                       // one for all tests of a file
 *   const world = await InfrastructureWorld.start({ store, faults: { rules: [...] } });
 *   await world.up(); await world.opened(); await world.destroy(); world.demandEmpty(); await world.stop();
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { labStackConfiguration, type StackConfiguration } from "../../lab/day/stack-config.ts";
import { labDirectories, projectDirectory } from "../../lab/directories.ts";
import {
  DeploymentFailedError,
  destroy,
  type DestroyResult,
  type EngineClock,
  type EngineEvent,
  type EngineOptions,
  readState,
  type StackSummary,
  up,
  type UpResult,
} from "../../lab/engine/index.ts";
import { type Hetzner, type HetznerArguments, startHetzner } from "../../lab/hetzner/index.ts";
import {
  type FaultyObjectStore,
  type LabObjectStore,
  startFaults,
  startObjectStore,
} from "../../lab/objectstore/index.ts";
import { nobodyThere } from "../../lab/nobody-there.ts";
import { documents } from "../../services/archive/layout.ts";
import { type ClusterArchive, openArchive, verifyArchive } from "../../services/archive/index.ts";
import { ClusterInside } from "../../lab/cluster-inside/cluster-inside.ts";
import { until } from "../until.ts";

const root = mkdtempSync(path.join(tmpdir(), "infrastructure-check-"));
process.once("exit", () => rmSync(root, { recursive: true, force: true }));

/**
 * The engine's time in these checks: providers' pauses (between looks at an action, before a repetition or a dial) pass
 * so many times faster than for real.
 */
export function quickClock(speed = 20): EngineClock {
  return {
    pause: (milliseconds, signal) =>
      delay(milliseconds / speed, undefined, signal === undefined ? {} : { signal }).catch(() => undefined),
  };
}

/** Starts the S3 server of a file's tests. Stop it in the end. */
export function startBucket(): Promise<LabObjectStore> {
  return startObjectStore({ directory: path.join(root, "s3"), cacheDirectory: labDirectories.cache });
}

export interface WorldOptions extends Omit<HetznerArguments, "onServerDeleted"> {
  store: LabObjectStore;
  /** Default `dev`. */
  stack?: "dev" | "prod";
  /** Over what `Pulumi.<stack>.yaml` says; objects and lists as JSON. */
  config?: Readonly<Record<string, string>>;
  /** Longest wait of the export gate for the archiver, in seconds. Default 30. */
  gateTimeoutSeconds?: number;
  /** See {@link quickClock}. Default 20. */
  engineSpeed?: number;
}

/** What differs for one run. */
export interface RunOptions {
  /** Over the world's configuration. */
  config?: Readonly<Record<string, string>>;
  /** Added to the environment, for example TRADING_ALLOW_DATA_LOSS. */
  environment?: Readonly<Record<string, string>>;
  signal?: AbortSignal;
  /** Told in order, for a test that does something in the middle of the run. */
  onEvent?: (event: EngineEvent) => void;
}

/** One operation that failed. */
export interface FailedOperation {
  /** Name in the program; empty when it is the program itself. */
  resource: string;
  operation: string;
  /** The API's code, or the engine's. */
  code: string;
  message: string;
}

/** How a run failed, as the person in front of it reads it. */
export interface FailedRun {
  failures: FailedOperation[];
  /** What program, providers and engine said besides. */
  said: string;
}

/** One cluster in the bucket. */
export interface ArchivedCluster {
  clusterId: string;
  archive: ClusterArchive;
  opened: boolean;
  /** Whether a manifest is there and what the bucket holds is what it says. */
  sealed: boolean;
}

/** See the module's description. */
export class InfrastructureWorld {
  readonly hetzner: Hetzner;
  /** Between the S3 server and both the program's gate and the simulated archiver. */
  readonly bucket: FaultyObjectStore;
  readonly inside: ClusterInside;
  readonly stack: string;
  /** As Pulumi's configuration: the account, the bucket, made-up secrets. */
  readonly configuration: StackConfiguration;
  readonly stateFile: string;
  readonly passphrase = "throwaway";
  readonly renderDirectory: string;
  /** What the engine told in the run that is under way, or was the last. */
  events: EngineEvent[] = [];
  readonly #store: LabObjectStore;
  readonly #directory: string;
  readonly #gateTimeoutSeconds: number;
  readonly #engineSpeed: number | undefined;

  private constructor(
    options: WorldOptions,
    parts: Pick<InfrastructureWorld, "hetzner" | "bucket" | "inside" | "renderDirectory">,
    directory: string,
  ) {
    this.hetzner = parts.hetzner;
    this.bucket = parts.bucket;
    this.inside = parts.inside;
    this.renderDirectory = parts.renderDirectory;
    this.stack = options.stack ?? "dev";
    this.#store = options.store;
    this.#directory = directory;
    this.#gateTimeoutSeconds = options.gateTimeoutSeconds ?? 30;
    this.#engineSpeed = options.engineSpeed;
    this.stateFile = path.join(directory, `${this.stack}.json`);
    const { values, secretKeys } = labStackConfiguration(projectDirectory, this.stack, {
      hetzner: this.hetzner,
      s3: { ...options.store, endpoint: this.bucket.endpoint },
      renderDirectory: this.renderDirectory,
      ...nobodyThere,
    });
    this.configuration = { values: { ...values, ...options.config }, secretKeys };
  }

  /** An empty account and an empty state. */
  static async start(options: WorldOptions): Promise<InfrastructureWorld> {
    const directory = mkdtempSync(path.join(root, "world-"));
    const renderDirectory = path.join(directory, "rendered");
    const isControlPlane = (labels: Readonly<Record<string, string>>) => labels["role"] === "k3s-control";
    let hetzner: Hetzner | undefined;
    const inside = new ClusterInside(
      renderDirectory,
      () => hetzner?.project.servers().some(({ labels }) => isControlPlane(labels)) === true,
    );
    try {
      hetzner = await startHetzner({
        ...options,
        onServerDeleted: ({ labels }) => {
          if (!isControlPlane(labels)) return;
          rmSync(renderDirectory, { recursive: true, force: true });
          void inside.lost();
        },
      });
      const bucket = await startFaults(options.store.endpoint);
      return new InfrastructureWorld(options, { hetzner, bucket, inside, renderDirectory }, directory);
    } catch (error) {
      await inside.stop();
      await hetzner?.close();
      throw error;
    }
  }

  /** What the engine is told, as plain JSON: a run in a process of its own needs no more (and may add `quickClock`). */
  engineOptions({ config, environment }: Omit<RunOptions, "signal"> = {}): Omit<
    EngineOptions,
    "signal" | "onEvent" | "clock"
  > {
    return {
      projectDirectory,
      stack: this.stack,
      config: { ...this.configuration.values, ...config },
      secretKeys: this.configuration.secretKeys,
      stateFile: this.stateFile,
      passphrase: this.passphrase,
      environment: { GATE_TIMEOUT_SECONDS: String(this.#gateTimeoutSeconds), ...environment },
    };
  }

  #options(options: RunOptions): EngineOptions {
    this.events = [];
    return {
      ...this.engineOptions(options),
      clock: quickClock(this.#engineSpeed),
      onEvent: (event) => {
        this.events.push(event);
        options.onEvent?.(event);
      },
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    };
  }

  /** @throws what the engine throws */
  up(options: RunOptions = {}): Promise<UpResult> {
    return up(this.#options(options));
  }

  /** @throws what the engine throws */
  destroy(options: RunOptions = {}): Promise<DestroyResult> {
    return destroy(this.#options(options));
  }

  /**
   * A run that may fail.
   * @returns why it failed; undefined when it did not
   * @throws whatever is no failure of the run's own
   */
  async attempt(run: "up" | "destroy", options: RunOptions = {}): Promise<FailedRun | undefined> {
    try {
      await (run === "up" ? this.up(options) : this.destroy(options));
      return undefined;
    } catch (error) {
      if (!(error instanceof DeploymentFailedError)) throw error;
      return {
        failures: error.failures.map(({ urn, operation, code, message }) => ({
          resource: urn?.split("::").at(-1) ?? "",
          operation,
          code: code ?? "",
          message,
        })),
        said: this.events.flatMap((event) => (event.kind === "diagnostic" ? [event.message] : [])).join("\n"),
      };
    }
  }

  /** A run that must fail. @throws AssertionError when it does not */
  async failed(run: "up" | "destroy", options: RunOptions = {}): Promise<FailedRun> {
    return (await this.attempt(run, options)) ?? assert.fail(`${run} did not fail`);
  }

  /** What the engine's state knows; undefined when there is none. */
  state(): Promise<StackSummary | undefined> {
    return readState({ stateFile: this.stateFile, passphrase: this.passphrase });
  }

  /** Resolves with the id of the cluster when its marker is in the bucket. */
  async opened(): Promise<string> {
    return until("the cluster is opened", () => this.inside.opened.at(-1));
  }

  /** Every cluster of the stack that the bucket knows, asked past the proxy. */
  async archived(): Promise<ArchivedCluster[]> {
    const { stack } = this;
    const anyone = this.archive("any", "2025-01-01");
    const last = (folder: string): string => folder.split("/").at(-2) ?? "";
    const clusters: ArchivedCluster[] = [];
    for (const day of await anyone.store.folders(`${stack}/`)) {
      for (const folder of await anyone.store.folders(day)) {
        if (!this.inside.opened.includes(last(folder))) continue;
        const archive = this.archive(last(folder), last(day));
        const opened = (await archive.get(documents.opened)) !== undefined;
        const { verified } = await verifyArchive(archive, { mode: "fast" });
        clusters.push({ clusterId: last(folder), archive, opened, sealed: verified });
        archive.store.close();
      }
    }
    anyone.store.close();
    return clusters;
  }

  /** A cluster's archive, reached past the proxy. Close its store. */
  archive(clusterId: string, businessDate: string): ClusterArchive {
    return openArchive(this.#store, { stack: this.stack, businessDate, clusterId });
  }

  /** Everything that is in the account, by kind and name; primary addresses go with their servers. */
  account(): string[] {
    const { project } = this.hetzner;
    const kinds = {
      server: project.servers(),
      network: project.networks(),
      firewall: project.firewalls(),
      "placement group": project.placementGroups(),
      "SSH key": project.sshKeys(),
      "primary IP": project.primaryIps(),
    };
    return Object.entries(kinds).flatMap(([kind, all]) => all.map(({ name }) => `${kind} ${name}`));
  }

  /** Names of what bills now. */
  billing(): string[] {
    return this.hetzner.project.billable().map(({ name }) => name);
  }

  /** @throws AssertionError unless exactly one whole cluster is there and bills, and the state knows all of it */
  async demandOneCluster(): Promise<void> {
    const { project } = this.hetzner;
    const servers = project.servers();
    const names = ["k3s-control", "kafka-0", "kafka-1", "kafka-2"].map((name) => `${this.stack}-${name}`);
    assert.deepEqual(servers.map(({ name }) => name).sort(), names);
    assert.ok(
      servers.every(({ status }) => status === "running"),
      "every server runs",
    );
    assert.equal(new Set(servers.map(({ labels }) => labels["cluster-id"])).size, 1, "of one cluster");
    const bills = project.billable().filter(({ kind }) => kind === "server");
    assert.deepEqual(bills.map(({ name }) => name).sort(), names, "and nothing else bills");
    assert.equal(project.primaryIps().length, servers.length, "each has one address");
    assert.deepEqual((await this.state())?.pendingCreations, [], "no creation is open");
  }

  /** @throws AssertionError when anything is left in the account or in the state */
  async demandEmpty(): Promise<void> {
    assert.deepEqual(this.billing(), [], "nothing bills");
    assert.deepEqual(this.account(), [], "nothing is left in the account");
    assert.equal(await this.state(), undefined, "the state is gone");
  }

  /** Ends all of it; nothing is kept. The S3 server stays. */
  async stop(): Promise<void> {
    await this.inside.stop();
    await Promise.all([this.hetzner.close(), this.bucket.close()]);
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
