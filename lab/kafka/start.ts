/**
 * A real Apache Kafka on this machine: combined KRaft nodes (broker and controller in one process), on loopback only.
 * Not Strimzi: who creates the brokers differs, the brokers are the same.
 */
import { closeSync, existsSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { defaultReplication, type Replication } from "../../components/kafka-facts.ts";
import { kafka as versions } from "../../components/versions.ts";
import { type LabProcess, ProcessRegistry } from "../processes.ts";
import { javaFlags, log4jProperties, type NodePorts, serverProperties } from "./configuration.ts";
import { KafkaPortInUseError, KafkaStartError } from "./errors.ts";
import { installKafka } from "./install.ts";
import { findFreePorts, isFree } from "./ports.ts";
import { seesCluster } from "./readiness.ts";

/** Under load a start took up to 40 s. */
const readyDeadlineMs = 90_000;
/** How long brokers may take to stop by themselves. */
const stopGraceMs = 8_000;

/** How the lab's Kafka is to be started. */
export interface KafkaArguments {
  /** Folder for data, properties and logs. May hold an earlier start's data of the same cluster id. */
  directory: string;
  /** Where the libraries are kept; default `.lab/cache` below the working directory. */
  cacheDirectory?: string;
  /** Who ends the brokers if the lab is killed; default: one of its own below `directory`. */
  registry?: ProcessRegistry;
  /** Canonical Kafka id: 22 characters, URL-safe base64 of 16 bytes. Storage is formatted with it. */
  clusterId: string;
  /** Client ports are this and the next ones; default: consecutive free ports. */
  firstPort?: number;
  /** Number of brokers; default 3. With 1 nothing is replicated. */
  brokers?: 3 | 1;
  /** Copies of topics. Default: those of the profile with as many brokers. */
  replication?: Replication;
  /** Broker properties that win over the cluster's and the lab's (not over identity and listeners). */
  configuration?: Readonly<Record<string, string>>;
  /** Told what is being done, one short line at a time. */
  onProgress?: (line: string) => void;
  /** Aborted: whatever was started is ended and the start rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Told when a broker ends that nobody stopped. `code` is null when a signal ended it. */
  onBrokerExit?: (broker: number, code: number | null) => void;
}

/** The running brokers. */
export interface LabKafka {
  /** Client addresses, "127.0.0.1:port", by node id. */
  readonly brokers: readonly string[];
  /** Process ids of the brokers that run now, by node id. */
  readonly pids: readonly number[];
  /** Log files by node id. */
  readonly logFiles: readonly string[];
  /**
   * Ends one broker.
   * @param broker node id.
   * @param options `kill: true` ends it at once, as a power cut would; default: gracefully within 8 s.
   */
  stopBroker(broker: number, options?: { kill?: boolean }): Promise<void>;
  /** Starts a stopped broker again on its data; resolves when it answers and sees all that run. */
  startBroker(broker: number): Promise<void>;
  /** Ends all brokers, gracefully within 8 s, else by force. */
  stop(): Promise<void>;
}

interface Node {
  id: number;
  ports: NodePorts;
  address: string;
  properties: string;
  dataDirectory: string;
  logFile: string;
  process: LabProcess | undefined;
  /** True while the lab itself ends it, so that its exit is no news. */
  stopping: boolean;
}

/**
 * Starts the brokers, all at once, and resolves when each of them answers and sees all others.
 * @throws KafkaInstallError, KafkaPortInUseError, KafkaStartError; nothing is left running then.
 */
export async function startKafka(args: KafkaArguments): Promise<LabKafka> {
  const { clusterId, onProgress = () => undefined, brokers: count = 3 } = args;
  if (!/^[A-Za-z0-9_-]{22}$/.test(clusterId)) {
    throw new TypeError(
      `clusterId "${clusterId}": expected a Kafka cluster id, 22 characters of URL-safe base64`,
    );
  }
  const directory = path.resolve(args.directory);
  const registry = args.registry ?? new ProcessRegistry(path.join(directory, "processes"));
  const libraries = await installKafka(args.cacheDirectory ?? ".lab/cache", onProgress, registry);
  const ports = await choosePorts(count, args.firstPort);
  mkdirSync(directory, { recursive: true });
  const log4j = path.join(directory, "log4j2.properties");
  writeFileSync(log4j, log4jProperties);

  const nodes = ports.map((own, id): Node => {
    const properties = path.join(directory, `broker-${id}.properties`);
    const dataDirectory = path.join(directory, `broker-${id}`);
    writeFileSync(
      properties,
      serverProperties({
        node: id,
        ports,
        dataDirectory,
        replication: args.replication ?? defaultReplication[count === 3 ? "cluster" : "single-node"],
        configuration: args.configuration ?? {},
      }),
    );
    const logFile = path.join(directory, `broker-${id}.log`);
    const address = `127.0.0.1:${own.client}`;
    return {
      id,
      ports: own,
      address,
      properties,
      dataDirectory,
      logFile,
      process: undefined,
      stopping: false,
    };
  });

  const java = async (node: Node, name: string, mainClass: string, rest: readonly string[]) => {
    const log = openSync(node.logFile, "a");
    try {
      return await registry.start(
        name,
        "java",
        [
          ...javaFlags,
          `-Dlog4j2.configurationFile=${log4j}`,
          "-cp",
          path.join(libraries, "*"),
          mainClass,
          ...rest,
        ],
        { cwd: directory, stdio: ["ignore", log, log] },
      );
    } catch (error) {
      throw new KafkaStartError(
        `Kafka needs Java 17 or newer, which cannot be started (${String(error)}). Install it (Debian: apt-get install openjdk-17-jre-headless).`,
        node.logFile,
        [],
      );
    } finally {
      closeSync(log);
    }
  };

  const format = async (node: Node) => {
    const tool = await java(node, `kafka-format-${node.id}`, "kafka.tools.StorageTool", [
      "format",
      "--ignore-formatted",
      "-t",
      clusterId,
      "-c",
      node.properties,
      "--release-version",
      versions.metadataVersion,
    ]);
    const code = await tool.exited;
    if (code !== 0) await fail(node, `could not be given its storage (exit code ${code}).`);
  };

  const launch = async (node: Node) => {
    node.stopping = false;
    const started = await java(node, `kafka-${node.id}`, "kafka.Kafka", [node.properties]);
    node.process = started;
    void started.exited.then((code) => {
      if (node.process === started) node.process = undefined;
      if (!node.stopping && ready) args.onBrokerExit?.(node.id, code);
    });
  };

  const waitReady = async (node: Node, expected: number) => {
    const deadline = Date.now() + readyDeadlineMs;
    while (!(await seesCluster(node.ports.client, expected))) {
      args.signal?.throwIfAborted();
      if (node.process === undefined) await fail(node, "ended while starting.");
      if (Date.now() > deadline) {
        await fail(node, `did not answer on ${node.address} within ${readyDeadlineMs / 1_000} s.`);
      }
      await delay(50);
    }
  };

  const end = async (node: Node, graceMs: number) => {
    node.stopping = true;
    await node.process?.stop(graceMs);
    node.process = undefined;
  };
  const stop = async () => {
    const running = new Set(nodes.filter((node) => node.process !== undefined));
    const ended = [...running].map((node) => end(node, stopGraceMs).finally(() => running.delete(node)));
    // The last controller waits 5 s for a successor that no longer exists. Once its data is closed cleanly there is
    // nothing left that it could do.
    while (running.size > 0) {
      await delay(50);
      const [last] = running;
      if (running.size === 1 && last?.process !== undefined && isClosedCleanly(last)) {
        process.kill(last.process.pid, "SIGKILL");
        break;
      }
    }
    await Promise.all(ended);
  };

  let ready = false;
  let abandoned = false;
  onProgress(`starting ${count} Kafka broker${count === 1 ? "" : "s"}`);
  const starting = nodes.map(async (node) => {
    await format(node);
    if (abandoned || args.signal?.aborted === true) return;
    await launch(node);
    await waitReady(node, nodes.length);
  });
  try {
    await Promise.all(starting);
    args.signal?.throwIfAborted();
    ready = true;
  } catch (error) {
    abandoned = true;
    await Promise.all(nodes.map((node) => end(node, 1_000)));
    // A node that was just being formatted notices only now; nothing may come up after this function is left.
    await Promise.allSettled(starting);
    throw error;
  }

  const nodeOf = (broker: number): Node => {
    const node = nodes[broker];
    if (node === undefined) throw new RangeError(`there is no broker ${broker}: they are 0 to ${count - 1}`);
    return node;
  };
  return {
    brokers: nodes.map((node) => node.address),
    logFiles: nodes.map((node) => node.logFile),
    get pids() {
      return nodes.flatMap((node) => node.process?.pid ?? []);
    },
    stopBroker: async (broker, { kill = false } = {}) => {
      const node = nodeOf(broker);
      if (kill && node.process !== undefined) {
        node.stopping = true;
        process.kill(node.process.pid, "SIGKILL");
        await node.process.exited;
      }
      await end(node, stopGraceMs);
    },
    startBroker: async (broker) => {
      const node = nodeOf(broker);
      if (node.process !== undefined) return;
      await launch(node);
      await waitReady(node, nodes.filter((other) => other.process !== undefined).length);
    },
    stop,
  };
}

async function choosePorts(count: number, firstPort: number | undefined): Promise<NodePorts[]> {
  const clients =
    firstPort === undefined
      ? await findFreePorts(count)
      : Array.from({ length: count }, (_, index) => firstPort + index);
  const free = await Promise.all(clients.map(isFree));
  const taken = clients.filter((_, index) => !free[index]);
  if (taken.length > 0) throw new KafkaPortInUseError(taken);
  const controllers = await findFreePorts(count, clients);
  return clients.map((client, index) => ({ client, controller: controllers[index] ?? 0 }));
}

/** Whether Kafka left its mark of a clean shutdown beside the data. */
function isClosedCleanly(node: Node): boolean {
  return existsSync(path.join(node.dataDirectory, ".kafka_cleanshutdown"));
}

/** Throws what the broker's log tells. */
async function fail(node: Node, what: string): Promise<never> {
  const log = await readFile(node.logFile, "utf8").catch(() => "");
  const lines = log.trimEnd().split("\n").slice(-15).filter(Boolean);
  if (/Address already in use|BindException/.test(lines.join("\n"))) {
    throw new KafkaPortInUseError(
      [node.ports.client],
      ` (or its controller's port ${node.ports.controller})`,
    );
  }
  throw new KafkaStartError(`Kafka broker ${node.id} ${what}`, node.logFile, lines);
}
