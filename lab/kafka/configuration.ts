/** What the lab's brokers are told: what the cluster's `Kafka` object asks for, and what fits one small machine. */
import { brokerConfiguration } from "../../components/kafka-configuration.ts";
import type { Replication } from "../../components/kafka-facts.ts";

/** The ports of one node; each is both broker and KRaft controller. */
export interface NodePorts {
  client: number;
  controller: number;
}

/** What differs between the nodes. */
export interface NodeArguments {
  /** Index of the node in `ports`, also its `node.id`. */
  node: number;
  /** The ports of all nodes of the cluster. */
  ports: readonly NodePorts[];
  /** Folder for the node's logs in Kafka's sense: its data. */
  dataDirectory: string;
  /** As the stack's `Kafka` object is told. */
  replication: Replication;
  /** Properties that win over the cluster's and the lab's. */
  configuration: Readonly<Record<string, string>>;
}

const loopback = "127.0.0.1";

/**
 * What differs from the cluster: there brokers keep Kafka's own values (50 partitions for internal topics, a 3 s wait
 * before the first rebalance, a 128 MB buffer for the cleaner). Sized for three brokers that share two cores.
 */
export const small = {
  "group.initial.rebalance.delay.ms": "0",
  "offsets.topic.num.partitions": "6",
  "transaction.state.log.num.partitions": "6",
  "share.coordinator.state.topic.num.partitions": "1",
  "log.cleaner.dedupe.buffer.size": "8388608",
  "num.network.threads": "2",
  "num.io.threads": "4",
  "num.recovery.threads.per.data.dir": "1",
  // Brokers that stop together would else wait for a quorum that is gone.
  "controlled.shutdown.max.retries": "1",
} as const;

/**
 * The properties of one node.
 * @returns a `server.properties` file's content.
 */
export function serverProperties({
  node,
  ports,
  dataDirectory,
  replication,
  configuration,
}: NodeArguments): string {
  const own = ports[node];
  if (own === undefined) throw new RangeError(`there is no node ${node} among ${ports.length}`);
  // What makes it this node of this cluster can't be overridden.
  const identity = {
    "process.roles": "broker,controller",
    "node.id": String(node),
    "controller.quorum.voters": ports
      .map(({ controller }, id) => `${id}@${loopback}:${controller}`)
      .join(","),
    listeners: `PLAINTEXT://${loopback}:${own.client},CONTROLLER://${loopback}:${own.controller}`,
    "advertised.listeners": `PLAINTEXT://${loopback}:${own.client}`,
    "inter.broker.listener.name": "PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "log.dirs": dataDirectory,
  };
  const all = { ...brokerConfiguration(replication), ...small, ...configuration, ...identity };
  return Object.entries(all)
    .map(([key, value]) => `${key}=${String(value).replaceAll("\\", "\\\\")}\n`)
    .join("");
}

/** Brokers log to standard output, which the lab directs to a file. */
export const log4jProperties = `rootLogger.level = INFO
rootLogger.appenderRef.stdout.ref = stdout
appender.stdout.type = Console
appender.stdout.name = stdout
appender.stdout.layout.type = PatternLayout
appender.stdout.layout.pattern = %d{ISO8601} %p %m (%c{1})%n
`;

/** Flags of the Java machine: small heap, the collector and compiler that start fastest. */
export const javaFlags = [
  "-Xms384m",
  "-Xmx384m",
  "-XX:+UseSerialGC",
  "-XX:TieredStopAtLevel=1",
  "-XX:+ExitOnOutOfMemoryError",
  "-Djava.awt.headless=true",
] as const;
