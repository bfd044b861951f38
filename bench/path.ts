/**
 * The whole path: the lab's relay sends quotes at a rate; ingest, normalize, strategy and executor run as processes;
 * the executor trades with the same relay. Latencies come from the events' own times and the records' timestamps.
 */
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { generateNearQuotes, type NearQuote } from "../lab/session/index.ts";
import type { LabProcess } from "../lab/processes.ts";
import { startNear } from "../lab/venues/near/index.ts";
import { topicOffsets } from "../services/bus/topic-offsets.ts";
import { topics } from "../services/bus/topics.ts";
import type { JournalEntry, TradeResult } from "../services/core/trading.ts";
import { startNearTap, type NearTap } from "./near-tap.ts";
import { listen, readAll, type Seen } from "./path-events.ts";
import { startServices } from "./path-services.ts";
import { MeasurementError, measurementDeadlineMs } from "./process-output.ts";
import { usageOf, type Usage } from "./process-usage.ts";
import { summarize } from "./statistics.ts";
import type { Latency } from "./worker-options.ts";
import type { BenchWorld } from "./world.ts";

/** Latencies from the receipt of the quote. */
export interface StageLatency extends Latency {
  name: string;
  /** Whether the whole path's targets are meant for it. */
  targets: boolean;
}

/** What one run of the path found. */
export interface PathResult {
  /** Quotes a second that were to be sent. */
  rate: number;
  /** Commands a second that were to come of them. */
  commandsPerSecond: number;
  /** Raw events a second that were written. */
  sustained: number;
  stages: StageLatency[];
  /** The same hops with Kafka's Java clients, right before; empty where that was not measured. */
  reference: readonly (Latency & { name: string })[];
  /** Mean use of one core, and the most memory, while quotes came. */
  services: { name: string; cpu: number; rssMiB: number }[];
  /** Commands' results by status. */
  results: Record<string, number>;
  /** The venue's own time. */
  venue: Latency;
  /** Raw events that the normalizer had not written on yet, at most. */
  largestBacklog: number;
  /** From the last quote to no lag anywhere and a result for every command, in seconds. */
  settledAfterSeconds: number;
}

/** Arguments of {@link measurePath}. */
export interface PathArguments {
  /** Quotes a second. */
  rate: number;
  /** How many of them are answered: at least one of a hundred. */
  commandsPerSecond: number;
  /** Measured; {@link warmupSeconds} come before. */
  seconds: number;
  /** Whether the same is measured with Kafka's Java clients first. */
  withReference: boolean;
  onProgress: (line: string) => void;
}

/** Services start cold; the first seconds measure V8's compiler. */
const warmupSeconds = 5;
/**
 * What is measured. What is answered is the strategy's choice, not the feed's: ten commands a second are what a venue
 * allows somebody (Alpaca: 200 requests a minute), a hundred fill the executor's pipeline.
 */
export const pathLoads = [
  { rate: 1_000, commandsPerSecond: 10, withReference: true },
  { rate: 1_000, commandsPerSecond: 100, withReference: false },
  { rate: 10_000, commandsPerSecond: 100, withReference: false },
] as const;

/** Longest wait for the lag to return to zero. */
const settleDeadlineMs = 60_000;
/** From acceptance to settlement at the relay; it is subtracted, so it only has to be short. */
const settlementMs = 2;

/** Measures the path once. @throws MeasurementError when a service fails or the lag does not return to zero. */
export async function measurePath(world: BenchWorld, args: PathArguments): Promise<PathResult> {
  const { rate, commandsPerSecond, seconds, onProgress } = args;
  const reference = args.withReference ? await measureReference(world, args) : [];
  const near = await startNear({ market: "replay", settlementMs });
  const tap = await startNearTap(near);
  const commands: Seen[] = [];
  const journal: Seen[] = [];
  const results: Seen[] = [];
  const byTopic: Record<string, Seen[]> = {
    [topics.executeTrade.name]: commands,
    [topics.journal.name]: journal,
    [topics.tradeResult.name]: results,
  };
  const startedAt = Date.now();
  let services: LabProcess[] = [];
  const listener = await listen(world, Object.keys(byTopic), (topic, seen) => {
    // Other runs' events stand on the topics, too.
    if (seen.ingestedAt >= startedAt) byTopic[topic]?.push(seen);
  });
  try {
    const percent = Math.max(1, Math.round((commandsPerSecond / rate) * 100));
    services = await startServices({ world, near, tap, percent, label: `${rate}-${commandsPerSecond}` });
    const late = delay(measurementDeadlineMs, undefined, { ref: false }).then(() => {
      throw new MeasurementError(`not done after ${measurementDeadlineMs / 1_000} s`);
    });
    const failed = Promise.race([
      late,
      ...services.map(({ name, exited }) =>
        exited.then((code) => {
          throw new MeasurementError(`${name} ended with ${String(code)} while quotes came`);
        }),
      ),
    ]);
    failed.catch(() => undefined);
    // A seed of its own: a command with the idempotency key of an earlier run's would be denied.
    const quotes = take(generateNearQuotes(rate + commandsPerSecond), rate * (warmupSeconds + seconds));
    const watch = watchUse(world, services, warmupSeconds * 1_000);
    const playing = near.play(quotes, { ratePerSecond: rate, signal: world.signal });
    const measureFrom = Date.now() + warmupSeconds * 1_000;
    await Promise.race([playing, failed]);
    const lastQuote = performance.now();
    const use = await watch.stop();
    onProgress(
      `path at ${rate}/s, ${commandsPerSecond} commands/s: quotes sent, waiting for the lag to return to zero`,
    );
    const settled = settle(world, services, () => results.length - commands.length);
    await Promise.race([settled, failed]);
    const settledAfterSeconds = (performance.now() - lastQuote) / 1_000;
    const collecting = collect(world, { commands, journal, results }, measureFrom, tap);
    const latencies = await Promise.race([collecting, failed]);
    return { rate, commandsPerSecond, reference, ...latencies, ...use, settledAfterSeconds };
  } finally {
    await Promise.all(services.map((service) => service.stop(20_000)));
    await listener.stop();
    await tap.close();
    await near.close();
  }
}

/**
 * What the hops alone take on these brokers with Kafka's own clients: one process instead of five, nothing parsed, nothing
 * validated, no venue. For few commands: one after the other has its two transactions in each partition.
 */
async function measureReference(
  world: BenchWorld,
  { rate, commandsPerSecond, seconds, onProgress }: PathArguments,
): Promise<PathResult["reference"]> {
  const hops: string[] = [];
  for (const name of ["raw", "norm", "cmd", "journal", "result"])
    hops.push(await world.newTopic(`path-${name}`));
  const loads = [rate, commandsPerSecond, seconds, warmupSeconds].map(String);
  const printed = await world.java("ReferencePath", [world.kafka.brokers.join(","), ...hops, ...loads]);
  await world.dropTopics(...hops);
  // A client's complaint may stand before it.
  const stages = JSON.parse(printed.trim().split("\n").at(-1) ?? "[]") as PathResult["reference"];
  const last = stages.at(-1);
  onProgress(
    `path at ${rate}/s, ${commandsPerSecond} commands/s, the hops alone with Java's clients: ` +
      `p50 ${last?.p50.toFixed(1)} ms, p99 ${last?.p99.toFixed(1)} ms`,
  );
  return stages;
}

function take(quotes: Iterator<NearQuote, never>, count: number): NearQuote[] {
  return Array.from({ length: count }, () => quotes.next().value);
}

/** Looks at processor, memory and backlog once a second, from `afterMs` on. */
function watchUse(world: BenchWorld, services: readonly LabProcess[], afterMs: number) {
  const watched = [
    ...services.map(({ name, pid }) => ({ name, pid })),
    ...world.kafka.pids.map((pid, id) => ({ name: `Kafka broker ${id}`, pid })),
    { name: "bench (relay, tap, listener)", pid: process.pid },
  ];
  const stop = new AbortController();
  const stopped = once(stop.signal, "abort");
  const peaks = new Map<string, number>();
  let largestBacklog = 0;
  const looking = (async () => {
    let first: { at: number; usage: Usage[] } | undefined;
    await delay(afterMs, undefined, { signal: stop.signal });
    for (;;) {
      const usage = watched.map(({ pid }) => usageOf(pid));
      watched.forEach(({ name }, index) =>
        peaks.set(name, Math.max(peaks.get(name) ?? 0, usage[index]?.rssMiB ?? 0)),
      );
      const at = performance.now();
      first ??= { at, usage };
      const seconds = (at - first.at) / 1_000;
      if (stop.signal.aborted) {
        return watched.map(({ name }, index) => ({
          name,
          cpu: ((usage[index]?.cpuSeconds ?? 0) - (first?.usage[index]?.cpuSeconds ?? 0)) / seconds,
          rssMiB: peaks.get(name) ?? 0,
        }));
      }
      const backlog =
        (await length(world, topics.rawNearIntentsQuote.name)) -
        (await length(world, topics.swapDemand.name));
      largestBacklog = Math.max(largestBacklog, backlog);
      await Promise.race([delay(1_000), stopped]);
    }
  })();
  looking.catch(() => undefined);
  return {
    stop: async () => {
      stop.abort();
      return { services: await looking, largestBacklog };
    },
  };
}

/** Records on a topic without transactions. */
async function length(world: BenchWorld, topic: string): Promise<number> {
  const offsets = await topicOffsets(world.admin, topic);
  return offsets.reduce((sum, { high }) => sum + Number(high), 0);
}

/** Waits until each stage has committed all of its input and every command has its result. */
async function settle(
  world: BenchWorld,
  services: readonly LabProcess[],
  missingResults: () => number,
): Promise<void> {
  const end = Date.now() + settleDeadlineMs;
  const inputs = {
    "normalize-near-intents": topics.rawNearIntentsQuote.name,
    "strategy-dummy": topics.swapDemand.name,
  };
  for (;;) {
    const lags: string[] = [];
    for (const [groupId, topic] of Object.entries(inputs)) {
      const [committed] = await world.admin.fetchOffsets({ groupId, topics: [topic] });
      const done =
        committed?.partitions.reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0) ?? 0;
      const lag = (await length(world, topic)) - done;
      if (lag > 0) lags.push(`${groupId} lags by ${lag} records`);
    }
    if (missingResults() !== 0) lags.push(`${-missingResults()} commands have no result`);
    if (lags.length === 0) return;
    if (Date.now() > end) {
      throw new MeasurementError(
        `after ${settleDeadlineMs / 1_000} s: ${lags.join(", ")} (${services.length} services run)`,
      );
    }
    await delay(50);
  }
}

/** Everything seen of the trades of one run. */
interface Trades {
  commands: readonly Seen[];
  journal: readonly Seen[];
  results: readonly Seen[];
}

async function collect(world: BenchWorld, trades: Trades, measureFrom: number, tap: NearTap) {
  const counts = (seen: Seen): boolean => seen.ingestedAt >= measureFrom;
  const written = (events: readonly Seen[]): number[] =>
    events.filter(counts).map(({ writtenAt, ingestedAt }) => writtenAt - ingestedAt);
  const read = async (topic: string): Promise<Seen[]> => {
    const seen: Seen[] = [];
    await readAll(world, topic, (one) => {
      if (counts(one)) seen.push(one);
    });
    return seen;
  };
  const raw = await read(topics.rawNearIntentsQuote.name);
  const norm = await read(topics.swapDemand.name);
  const intents = trades.journal.filter(({ event }) => (event.payload as JournalEntry).state === "INTENT");
  const results = trades.results.filter(counts);
  const atVenue: number[] = [];
  const settled: number[] = [];
  const venueMs: number[] = [];
  const own: number[] = [];
  const statuses: Record<string, number> = {};
  for (const { event, takenAt, ingestedAt } of results) {
    const { status, reference } = event.payload as TradeResult;
    statuses[status] = (statuses[status] ?? 0) + 1;
    const passage = tap.passage(reference);
    if (passage === undefined) continue;
    atVenue.push(passage.answeredAt - ingestedAt);
    if (passage.settledAt !== undefined) settled.push(passage.settledAt - ingestedAt);
    venueMs.push(passage.venueMs);
    own.push(takenAt - ingestedAt - passage.venueMs);
  }
  const stage = (name: string, milliseconds: number[], targets = false): StageLatency => ({
    name,
    targets,
    ...summarize(milliseconds),
  });
  const lastRaw = raw.reduce((last, { ingestedAt }) => Math.max(last, ingestedAt), measureFrom);
  return {
    sustained: (raw.length / Math.max(1, lastRaw - measureFrom)) * 1_000,
    stages: [
      stage("raw written", written(raw)),
      stage("norm written", written(norm)),
      stage("cmd written", written(trades.commands)),
      stage("INTENT written", written(intents)),
      stage("answer at the venue", atVenue),
      stage("settlement known, with the venue's time", settled),
      stage("result written, with the venue's time", written(results)),
      stage("result in a consumer's hands, without the venue's time", own, true),
    ],
    results: statuses,
    venue: summarize(venueMs),
  };
}
