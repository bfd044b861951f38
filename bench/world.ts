/** What all benchmarks run on: real brokers of their own, Kafka's Java tools, and a folder that vanishes at the end. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, open, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import kafkajs, { type Admin } from "kafkajs";
import { labDirectories, projectDirectory } from "../lab/directories.ts";
import { installKafkaTools, type LabKafka, startKafka } from "../lab/kafka/index.ts";
import { ProcessRegistry } from "../lab/processes.ts";
import { connectKafka } from "../services/bus/kafka.ts";
import { topicOffsets } from "../services/bus/topic-offsets.ts";
import { createTopics, topics } from "../services/bus/topics.ts";
import { createLogger } from "../services/core/log.ts";
import { encodedEvents } from "./events.ts";
import { countLines, MeasurementError, outputOf } from "./process-output.ts";
import type { WorkerOptions } from "./worker-options.ts";

const { KafkaJSError } = kafkajs;

/** Arguments of {@link BenchWorld.start}. */
export interface WorldArguments {
  brokers: 1 | 3;
  /** Told what is being done, one short line at a time. */
  onProgress: (line: string) => void;
  signal: AbortSignal;
  /** Folder for the CPU profiles of all Node processes that are measured; undefined: none. */
  profile: string | undefined;
}

/** Arguments of {@link BenchWorld.printLines}. */
export interface PrintArguments {
  name: string;
  command: string;
  args: readonly string[];
  /** How many it must print. */
  lines: number;
  /** In addition to this process's. */
  environment?: Readonly<Record<string, string>>;
}

/** The day that the benchmarks' services believe it is. */
export const businessDate = "2025-10-14";

/** Longest wait for a new topic's leaders, or until a removed one is gone. */
const topicDeadlineMs = 30_000;

const folder = fileURLToPath(new URL(".", import.meta.url));

/** See the module's description. */
export class BenchWorld {
  readonly kafka: LabKafka;
  readonly admin: Admin;
  readonly registry: ProcessRegistry;
  /** Vanishes at the end. */
  readonly directory: string;
  readonly signal: AbortSignal;
  readonly #classPath: string;
  readonly #profile: string | undefined;
  #lastTopic = 0;

  private constructor(
    kafka: LabKafka,
    admin: Admin,
    registry: ProcessRegistry,
    directory: string,
    classPath: string,
    signal: AbortSignal,
    profile: string | undefined,
  ) {
    this.kafka = kafka;
    this.admin = admin;
    this.registry = registry;
    this.directory = directory;
    this.#classPath = classPath;
    this.signal = signal;
    this.#profile = profile;
  }

  /** @throws KafkaInstallError, KafkaStartError; nothing is left running then. */
  static async start({ brokers, onProgress, signal, profile }: WorldArguments): Promise<BenchWorld> {
    const registry = new ProcessRegistry(labDirectories.processes);
    await registry.endLeftovers();
    const directory = path.join(labDirectories.root, `bench-${process.pid}`);
    await mkdir(directory, { recursive: true });
    try {
      const libraries = await installKafkaTools(labDirectories.cache, onProgress, registry);
      const classes = await compileReference(libraries, registry, onProgress);
      await writeFile(path.join(directory, "events.ndjson"), payloadFile());
      const kafka = await startKafka({
        directory: path.join(directory, "kafka"),
        cacheDirectory: labDirectories.cache,
        registry,
        clusterId: "BenchmarkClusterIdAbcA",
        brokers,
        onProgress,
        signal,
      });
      const logger = createLogger({ service: "bench", level: "error" });
      const admin = connectKafka({ brokers: kafka.brokers, clientId: "bench", logger }).admin();
      await admin.connect();
      // The services' own topics, the control topic among them.
      await createServiceTopics(admin, brokers);
      return new BenchWorld(kafka, admin, registry, directory, `${classes}:${libraries}/*`, signal, profile);
    } catch (error) {
      await registry.close(1_000);
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** Ends everything that runs and removes what was written; safe at any time. */
  async stop(): Promise<void> {
    await this.admin.disconnect().catch(() => undefined);
    await this.kafka.stop().catch(() => undefined);
    await this.registry.close(2_000);
    await rm(this.directory, { recursive: true, force: true });
  }

  /** A file with one event a line, for Kafka's tools. */
  get payload(): string {
    return path.join(this.directory, "events.ndjson");
  }

  /** Makes a topic with three partitions, as the pipeline's have; replicated as the brokers allow. */
  async newTopic(name: string): Promise<string> {
    this.#lastTopic += 1;
    const topic = `bench-${name}-${this.#lastTopic}`;
    await this.admin.createTopics({ topics: [{ topic, numPartitions: 3 }], waitForLeaders: false });
    // A busy broker may not have heard of the topic that the controller has made.
    for (const end = Date.now() + topicDeadlineMs; !(await this.#hasLeaders(topic)); await delay(50)) {
      this.signal.throwIfAborted();
      if (Date.now() > end)
        throw new MeasurementError(`${topic} has no leaders after ${topicDeadlineMs / 1_000} s`);
    }
    return topic;
  }

  async #hasLeaders(topic: string): Promise<boolean> {
    try {
      const { topics } = await this.admin.fetchTopicMetadata({ topics: [topic] });
      return topics[0]?.partitions.every(({ leader }) => leader >= 0) === true;
    } catch (error) {
      if (error instanceof KafkaJSError) return false;
      throw error;
    }
  }

  /** How many records a topic holds that no transaction wrote to. */
  async recordsIn(topic: string): Promise<number> {
    const offsets = await topicOffsets(this.admin, topic);
    return offsets.reduce((sum, { low, high }) => sum + Number(high) - Number(low), 0);
  }

  /** Removes topics whose data is not needed any more, so that the disk does not fill; the brokers do not list them then. */
  async dropTopics(...topics: readonly string[]): Promise<void> {
    await this.admin.deleteTopics({ topics: [...topics] });
    for (const end = Date.now() + topicDeadlineMs; ; await delay(50)) {
      const left = (await this.admin.listTopics()).filter((topic) => topics.includes(topic));
      if (left.length === 0) return;
      if (Date.now() > end)
        throw new MeasurementError(`${left.join(", ")} still there after ${topicDeadlineMs / 1_000} s`);
    }
  }

  /** Forgets what was said on the control topic: who was asked to drain once stays drained. No service must run. */
  async renewControl(): Promise<void> {
    const { name } = topics.control;
    await this.dropTopics(name);
    // A broker that has not heard of the removal yet would name it as if it were there.
    for (const end = Date.now() + topicDeadlineMs; !(await this.#hasLeaders(name)); await delay(50)) {
      this.signal.throwIfAborted();
      if (Date.now() > end)
        throw new MeasurementError(`${name} has no leaders after ${topicDeadlineMs / 1_000} s`);
      await createServiceTopics(this.admin, this.kafka.brokers.length);
    }
  }

  /** Runs a Java class of Kafka's tools or of ours. @returns what it printed. @throws MeasurementError */
  java(mainClass: string, args: readonly string[]): Promise<string> {
    return this.#run(shortName(mainClass), "java", this.#javaArguments(mainClass, args));
  }

  #javaArguments(mainClass: string, args: readonly string[]): string[] {
    // A level that does not fill standard output between the figures.
    const log4j = path.join(this.directory, "kafka", "log4j2.properties");
    const quiet = ["-Dlog4j2.level=ERROR", `-Dlog4j2.configurationFile=${log4j}.quiet`];
    return ["-Xmx512m", ...quiet, "-cp", this.#classPath, mainClass, ...args];
  }

  /** As {@link java}, for a class that prints a line a record. @returns as {@link printLines}. */
  printJavaLines(mainClass: string, args: readonly string[], lines: number): Promise<number> {
    return this.printLines({
      name: shortName(mainClass),
      command: "java",
      args: this.#javaArguments(mainClass, args),
      lines,
    });
  }

  /**
   * Has a program print to a file, counts the lines and removes the file.
   * @returns how long the program took, from its start to its end, in seconds.
   * @throws MeasurementError also when it printed another number of lines.
   */
  async printLines({ name, command, args, lines, environment = {} }: PrintArguments): Promise<number> {
    this.signal.throwIfAborted();
    const target = path.join(this.directory, `${name}.out`);
    const file = await open(target, "w");
    try {
      const started = performance.now();
      const child = await this.registry.start(name, command, args, {
        env: { ...process.env, ...environment },
        stdio: ["ignore", file.fd, "pipe"],
      });
      await outputOf(child, this.signal);
      const seconds = (performance.now() - started) / 1_000;
      const printed = await countLines(target);
      if (printed === lines) return seconds;
      throw new MeasurementError(`${name} printed ${printed} lines instead of ${lines}`);
    } finally {
      await file.close();
      await rm(target, { force: true });
    }
  }

  /**
   * Runs one measurement of ours in a process of its own.
   * @param environment in addition to this process's: what must not stand on a command line.
   * @throws MeasurementError
   */
  async worker<Result>(
    options: WorkerOptions,
    environment: Readonly<Record<string, string>> = {},
  ): Promise<Result> {
    const program = ["--import", "tsx", path.join(folder, "worker.ts"), JSON.stringify(options)];
    const args = [...this.profiling(options.mode), ...program];
    const printed = await this.#run(`bench-${options.mode}`, process.execPath, args, environment);
    return JSON.parse(printed.trim().split("\n").at(-1) ?? "null") as Result;
  }

  /** What Node is told so that it writes a CPU profile at its end, where that was asked for. */
  profiling(name: string): string[] {
    return this.#profile === undefined
      ? []
      : ["--cpu-prof", `--cpu-prof-dir=${path.resolve(this.#profile, name)}`];
  }

  async #run(
    name: string,
    command: string,
    args: readonly string[],
    environment: Readonly<Record<string, string>> = {},
  ): Promise<string> {
    this.signal.throwIfAborted();
    const child = await this.registry.start(name, command, args, {
      cwd: projectDirectory,
      env: { ...process.env, ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    return outputOf(child, this.signal);
  }
}

/** The services' own topics, those that are missing. */
const createServiceTopics = (admin: Admin, brokers: number): Promise<unknown> =>
  createTopics(admin, { businessDate, replicationFactor: brokers, minInsyncReplicas: brokers === 3 ? 2 : 1 });

/** A class without its package. */
const shortName = (mainClass: string): string => mainClass.split(".").at(-1) ?? mainClass;

const payloadFile = (): string =>
  encodedEvents().reduce((lines, { value }) => `${lines}${value.toString()}\n`, "");

/** Compiles the Java references into the lab's cache, once for each version of their sources. */
async function compileReference(
  libraries: string,
  registry: ProcessRegistry,
  onProgress: (line: string) => void,
): Promise<string> {
  const sources = ["Reference.java", "ReferencePath.java"].map((file) =>
    path.join(folder, "reference", file),
  );
  const content = await Promise.all(sources.map((source) => readFile(source)));
  const fingerprint = createHash("sha256").update(Buffer.concat(content)).digest("hex").slice(0, 12);
  const target = path.join(labDirectories.cache, `bench-reference-${fingerprint}`);
  if (existsSync(target)) return target;
  onProgress("compiling the Java references");
  const jars = (await readdir(libraries)).filter((file) => file.endsWith(".jar"));
  const compiler = jars.find((file) => file.startsWith("ecj-")) ?? "ecj.jar";
  const partial = `${target}.partial-${process.pid}`;
  const running = await registry.start(
    "compile-reference",
    "java",
    [
      "-jar",
      path.join(libraries, compiler),
      "-17",
      "-nowarn",
      "-cp",
      jars.map((jar) => path.join(libraries, jar)).join(":"),
      "-d",
      partial,
      ...sources,
    ],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  await outputOf(running, new AbortController().signal);
  await rename(partial, target).catch((error: unknown) => {
    if (!existsSync(target)) throw error; // otherwise another run was faster
  });
  return target;
}
