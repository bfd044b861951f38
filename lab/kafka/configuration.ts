/** What the lab's brokers are told: Kafka properties as the cluster's (DESIGN §3), sized for one small machine. */

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
  /** Properties that win over the defaults here, for example those of the stack's `Kafka` object. */
  configuration: Readonly<Record<string, string>>;
}

const loopback = "127.0.0.1";

/**
 * The properties of one node.
 * @returns a `server.properties` file's content.
 */
export function serverProperties({ node, ports, dataDirectory, configuration }: NodeArguments): string {
  const own = ports[node];
  if (own === undefined) throw new RangeError(`there is no node ${node} among ${ports.length}`);
  const replicas = String(Math.min(3, ports.length));
  const inSync = String(Math.min(2, ports.length));

  const defaults = {
    "default.replication.factor": replicas,
    "min.insync.replicas": inSync,
    "offsets.topic.replication.factor": replicas,
    "transaction.state.log.replication.factor": replicas,
    "transaction.state.log.min.isr": inSync,
    "share.coordinator.state.topic.replication.factor": replicas,
    "share.coordinator.state.topic.min.isr": inSync,
    "log.retention.hours": "72",
    "auto.create.topics.enable": "true",
  };
  // Only here: the real brokers keep Kafka's own values (50 partitions for internal topics, a 3 s wait before the
  // first rebalance, a 128 MB buffer for the cleaner). Sized for three brokers that share two cores.
  const small = {
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
  };
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
  const all = { ...defaults, ...small, ...configuration, ...identity };
  return Object.entries(all)
    .map(([key, value]) => `${key}=${value.replaceAll("\\", "\\\\")}\n`)
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
