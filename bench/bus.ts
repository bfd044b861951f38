/** The bus against Kafka's Java clients: on the same brokers, in turns, so that a busy machine slows both. */
import { busTargets, type Target } from "./targets.ts";
import { median, spread } from "./statistics.ts";
import type { Latency, Throughput } from "./worker-options.ts";
import type { BenchWorld } from "./world.ts";

/** How much is measured. */
export interface Amounts {
  /** Pairs of measurements. */
  rounds: number;
  /** Events a throughput measurement, of Java's and of ours. */
  javaRecords: number;
  ourRecords: number;
  /** Length of a latency measurement in seconds, without warm-up. */
  latencySeconds: number;
}

/** The size of a full run, and of a run that only shows that everything works. */
export const amounts = {
  full: { rounds: 3, javaRecords: 1_000_000, ourRecords: 300_000, latencySeconds: 6 },
  quick: { rounds: 1, javaRecords: 200_000, ourRecords: 60_000, latencySeconds: 2 },
} as const satisfies Record<string, Amounts>;

/** A pair of figures with its target. */
export interface Comparison {
  name: string;
  unit: "events/s" | "ms";
  /** Median of the rounds. */
  ours: number;
  java: number;
  /** Median of the rounds' own ratios: each pair met the same load. */
  ratio: number;
  /** (largest − smallest ratio) / median. */
  ratioSpread: number;
  target: Target | undefined;
  /** What stands behind Java's figure. */
  reference: string;
  /** Every round's figures. */
  rounds: readonly { java: number; ours: number }[];
}

interface Pair {
  name: string;
  unit: Comparison["unit"];
  target?: Target;
  reference: string;
  java(): Promise<number>;
  ours(): Promise<number>;
}

const perSecond = ({ records, seconds }: Throughput): number => records / seconds;

async function compare(pair: Pair, rounds: number, onProgress: (line: string) => void): Promise<Comparison> {
  const measured: { java: number; ours: number }[] = [];
  for (let round = 1; round <= rounds; round++) {
    const java = await pair.java();
    const ours = await pair.ours();
    measured.push({ java, ours });
    onProgress(
      `${pair.name}, round ${round} of ${rounds}: Java ${show(java, pair.unit)}, ours ${show(ours, pair.unit)}`,
    );
  }
  const ratios = measured.map(({ java, ours }) => ours / java);
  return {
    name: pair.name,
    unit: pair.unit,
    ours: median(measured.map(({ ours }) => ours)),
    java: median(measured.map(({ java }) => java)),
    ratio: median(ratios),
    ratioSpread: spread(ratios),
    target: pair.target,
    reference: pair.reference,
    rounds: measured,
  };
}

const show = (value: number, unit: Comparison["unit"]): string =>
  unit === "ms" ? `${value.toFixed(2)} ms` : `${Math.round(value / 1_000)} k/s`;

/** Settings of Java's producers: the pipeline's guarantees, otherwise Kafka's defaults. */
const producerProperties = ["acks=all", "compression.type=lz4"];

/** What can be measured of the bus. */
export const busBenchmarks = ["produce", "consume", "stage", "eos", "latency"] as const;
export type BusBenchmark = (typeof busBenchmarks)[number];

/** Measures one of {@link busBenchmarks}. */
export async function measureBus(
  name: BusBenchmark,
  world: BenchWorld,
  size: Amounts,
  onProgress: (line: string) => void,
): Promise<Comparison[]> {
  const run = (pair: Pair) => compare(pair, size.rounds, onProgress);
  switch (name) {
    case "produce":
      return [await run(producePair(world, size))];
    case "consume": {
      const topic = await filledTopic(world, size);
      const comparisons = [
        await run(consumePair(world, size, topic, true)),
        await run(consumePair(world, size, topic, false)),
      ];
      await world.dropTopics(topic);
      return comparisons;
    }
    case "stage":
    case "eos": {
      const topic = await filledTopic(world, size);
      const comparison = await run(stagePair(world, size, topic, name));
      await world.dropTopics(topic);
      return [comparison];
    }
    case "latency":
      return [
        ...(await latencyPairs(world, size, 1_000, onProgress)),
        ...(await latencyPairs(world, size, 10_000, onProgress)),
      ];
  }
}

function producePair(world: BenchWorld, size: Amounts): Pair {
  const { brokers } = world.kafka;
  return {
    name: "produce",
    unit: "events/s",
    target: busTargets.produce,
    reference: "ProducerPerformance",
    java: async () => {
      const topic = await world.newTopic("produce-java");
      const printed = await world.java("org.apache.kafka.tools.ProducerPerformance", [
        "--topic",
        topic,
        "--num-records",
        String(size.javaRecords),
        "--throughput",
        "-1",
        "--payload-file",
        world.payload,
        "--bootstrap-server",
        brokers.join(","),
        "--command-property",
        ...producerProperties,
      ]);
      await world.dropTopics(topic);
      return readProducerPerformance(printed);
    },
    ours: async () => {
      const topic = await world.newTopic("produce");
      const result = await world.worker<Throughput>({
        mode: "produce",
        brokers,
        topic,
        count: size.ourRecords,
      });
      await world.dropTopics(topic);
      return perSecond(result);
    },
  };
}

/** A topic with enough events for Java's readers and ours, written by our producer in its batches. */
async function filledTopic(world: BenchWorld, size: Amounts): Promise<string> {
  const topic = await world.newTopic("events");
  await world.worker<Throughput>({
    mode: "produce",
    brokers: world.kafka.brokers,
    topic,
    count: size.javaRecords,
  });
  return topic;
}

function consumePair(world: BenchWorld, size: Amounts, topic: string, decode: boolean): Pair {
  const { brokers } = world.kafka;
  return {
    name: decode ? "consume, parse and validate" : "consume, bytes only",
    unit: "events/s",
    ...(decode ? { target: busTargets.consume } : {}),
    reference: "ConsumerPerformance (bytes only)",
    java: async () =>
      readConsumerPerformance(
        await world.java("org.apache.kafka.tools.ConsumerPerformance", [
          "--topic",
          topic,
          "--num-records",
          String(size.javaRecords),
          "--bootstrap-server",
          brokers.join(","),
          "--hide-header",
        ]),
      ),
    ours: async () =>
      perSecond(
        await world.worker<Throughput>({ mode: "consume", brokers, topic, count: size.ourRecords, decode }),
      ),
  };
}

function stagePair(world: BenchWorld, size: Amounts, topic: string, mode: "stage" | "eos"): Pair {
  const { brokers } = world.kafka;
  const measure = async (who: (output: string) => Promise<Throughput>): Promise<number> => {
    const output = await world.newTopic(mode);
    const result = await who(output);
    await world.dropTopics(output);
    return perSecond(result);
  };
  return {
    name: mode === "stage" ? "stage, at least once" : "stage, exactly once",
    unit: "events/s",
    target: busTargets[mode],
    reference: "Java clients: parse, serialize (bench/reference)",
    java: () =>
      measure(async (output) => {
        const args = [mode, brokers.join(","), topic, output, String(Math.round(size.javaRecords / 2))];
        return JSON.parse(await world.java("Reference", args)) as Throughput;
      }),
    ours: () =>
      measure((output) => world.worker<Throughput>({ mode, brokers, topic, output, count: size.ourRecords })),
  };
}

/** Median and 99th percentile at a rate; both come from the same measurements. */
async function latencyPairs(
  world: BenchWorld,
  size: Amounts,
  rate: number,
  onProgress: (line: string) => void,
): Promise<Comparison[]> {
  const { brokers } = world.kafka;
  const warmupSeconds = 2;
  const measured: { java: Latency; ours: Latency }[] = [];
  for (let round = 1; round <= size.rounds; round++) {
    const topic = await world.newTopic("latency-java");
    const args = [rate, size.latencySeconds, warmupSeconds, 300].map(String);
    const java = JSON.parse(
      await world.java("Reference", ["latency", brokers.join(","), topic, ...args]),
    ) as Latency;
    const own = await world.newTopic("latency");
    const ours = await world.worker<Latency>({
      mode: "latency",
      brokers,
      topic: own,
      rate,
      seconds: size.latencySeconds,
      warmupSeconds,
    });
    await world.dropTopics(topic, own);
    measured.push({ java, ours });
    onProgress(
      `latency at ${rate}/s, round ${round} of ${size.rounds}: ` +
        `p99 Java ${show(java.p99, "ms")}, ours ${show(ours.p99, "ms")}`,
    );
  }
  return (["p50", "p99"] as const).map((name): Comparison => {
    const rounds = measured.map(({ java, ours }) => ({ java: java[name], ours: ours[name] }));
    const ratios = rounds.map(({ java, ours }) => ours / java);
    return {
      name: `hand-over to handler at ${rate.toLocaleString("en")}/s, ${name}`,
      unit: "ms",
      ours: median(rounds.map(({ ours }) => ours)),
      java: median(rounds.map(({ java }) => java)),
      ratio: median(ratios),
      ratioSpread: spread(ratios),
      target: name === "p99" ? busTargets.latency : undefined,
      reference: "Java clients, same pace (bench/reference)",
      rounds,
    };
  });
}

/**
 * The mean rate from ProducerPerformance's last line.
 * @throws Error when its words have changed.
 */
export function readProducerPerformance(printed: string): number {
  const last = printed.trim().split("\n").at(-1) ?? "";
  const rate = /records sent, ([\d.]+) records\/sec/.exec(last)?.[1];
  if (rate === undefined) throw new Error(`ProducerPerformance printed no rate: ${last}`);
  return Number(rate);
}

/**
 * The rate without the time to join, from ConsumerPerformance's line: start, end, MB, MB/s, records, records/s,
 * rebalance ms, fetch ms, fetch MB/s, fetch records/s.
 * @throws Error when its columns have changed.
 */
export function readConsumerPerformance(printed: string): number {
  const last = printed.trim().split("\n").at(-1) ?? "";
  const rate = Number(last.split(",")[9]);
  if (!(rate > 0)) throw new Error(`ConsumerPerformance printed no rate: ${last}`);
  return rate;
}
