/** What one measurement in a process of its own is asked to do, and what it answers. */

interface OnKafka {
  brokers: readonly string[];
  /** Topic that is written to or read from. */
  topic: string;
  /** How many events. */
  count: number;
}

/** Write 300-byte events with the batching producer; at `rate` events a second, where that is given. */
export type ProduceOptions = OnKafka & { mode: "produce"; rate?: number };

/** Read with the consumer loop; with `decode`, parse and validate every event, as services do. */
export type ConsumeOptions = OnKafka & { mode: "consume"; decode: boolean };

/** Read, validate, encode, write; offsets committed afterwards (`stage`) or in the same transaction (`eos`). */
export type StageOptions = OnKafka & { mode: "stage" | "eos"; output: string };

/** From before `send` to the handler's hands, at a steady rate. */
export interface LatencyOptions extends Omit<OnKafka, "count"> {
  mode: "latency";
  /** Records a second. */
  rate: number;
  seconds: number;
  /** Not measured, before that. */
  warmupSeconds: number;
}

/** What our code costs for one event, without Kafka. */
export interface EventsOptions {
  mode: "events";
  /** How long each function is measured, in milliseconds. */
  milliseconds: number;
}

/** Restore one topic of a sealed archive; where that is stands in the environment, as its keys do. */
export interface RestoreOptions extends Omit<OnKafka, "count"> {
  mode: "restore";
  /** The name of the topic in Kafka. */
  target: string;
}

/** One measurement. */
export type WorkerOptions =
  ProduceOptions | ConsumeOptions | StageOptions | LatencyOptions | EventsOptions | RestoreOptions;

/** What came of a throughput measurement. */
export interface Throughput {
  records: number;
  /** From the first record (sent or read) to the last one (acknowledged or safe). */
  seconds: number;
  /** Processor time of the process over the same span, in seconds. */
  cpuSeconds?: number;
}

/** What came of a restore. */
export interface RestoreTime {
  records: number;
  /** From the beginning to everything acknowledged, topic made and objects checked on the way. */
  writtenSeconds: number;
  /** … and to everything read back from the target and compared with the archive. */
  provenSeconds: number;
  peakRssMiB: number;
}

/** Latency in milliseconds. */
export interface Latency {
  samples: number;
  p50: number;
  p99: number;
  max: number;
}

/** Microseconds an event, by function and event type. */
export type EventCosts = readonly { name: string; microseconds: number; bytes: number }[];
