/** What our code costs for one event, on one thread, without Kafka. */
import { nearAssets } from "../../lab/session/index.ts";
import { partitionOfKey } from "../../services/bus/partition-of-key.ts";
import { topics } from "../../services/bus/topics.ts";
import { encodeEvent } from "../../services/core/envelope.ts";
import { decodeEvent } from "../../services/core/events.ts";
import { uuidV5 } from "../../services/core/ids.ts";
import { dummyStrategy } from "../../services/strategies/dummy.ts";
import { Reactor } from "../../services/strategies/reactor.ts";
import { demandRecord, normalizeQuote } from "../../services/venues/near-intents/normalize.ts";
import { rawQuote, sampleEvents } from "../samples.ts";
import { median } from "../statistics.ts";
import type { EventCosts, EventsOptions } from "../worker-options.ts";

/** Calls between two looks at the clock, and before the first: V8 compiles well what ran often enough. */
const burst = 50;
const warmupCalls = 20_000;
/** Fewest bursts, however long a busy machine makes them. */
const fewestBursts = 200;

/** Microseconds a call: the median of many bursts, so that what interrupted some of them does not count. */
function cost(work: () => unknown, milliseconds: number): number {
  let kept: unknown;
  for (let call = 0; call < warmupCalls; call++) kept = work();
  const bursts: number[] = [];
  for (
    const end = performance.now() + milliseconds;
    performance.now() < end || bursts.length < fewestBursts;
  ) {
    const start = performance.now();
    for (let call = 0; call < burst; call++) kept = work();
    bursts.push(performance.now() - start);
  }
  // Used, so that the calls cannot be optimised away.
  if (kept === undefined) throw new Error("the measured function returned nothing");
  return (median(bursts) * 1_000) / burst;
}

/** Measures what stands between two topics, then parsing alone, decoding with validation, and encoding. */
export function measureEvents({ milliseconds }: EventsOptions): EventCosts {
  const costs: { name: string; microseconds: number; bytes: number }[] = [];
  const add = (name: string, bytes: number, work: () => unknown): void => {
    costs.push({ name, microseconds: cost(work, milliseconds), bytes });
  };
  const samples = sampleEvents();
  // First, because a service that normalizes or reacts sees few kinds of events, and V8 compiles for those.
  const raw = rawQuote();
  add("normalize a NEAR quote, encode", encodeEvent(raw).length, () => demandRecord(normalizeQuote(raw)));
  const demand = samples.find(({ type }) => type === "norm.swap_demand")?.event;
  if (demand === undefined) throw new Error("there is no sample of norm.swap_demand");
  for (const percent of [0, 100]) {
    const react = reaction(encodeEvent(demand), percent);
    add(
      `strategy-dummy: decode, react${percent === 0 ? ", no command" : ", one command encoded"}`,
      encodeEvent(demand).length,
      react,
    );
  }
  add("partition of a pair's key", Buffer.byteLength(pairKey), () => partitionOfKey(pairKey, 3));
  add("derive an event id", 36, () => uuidV5(raw.event_id));
  for (const { type, event } of samples) {
    const value = encodeEvent(event);
    add(`JSON.parse ${type}`, value.length, () => JSON.parse(value.toString("utf8")) as unknown);
    add(`decode + validate ${type}`, value.length, () => decodeEvent(type, value));
    add(`encode ${type}`, value.length, () => encodeEvent(event));
  }
  return costs;
}

const pairKey = nearAssets
  .slice(2, 4)
  .map(({ id }) => id)
  .join("|");

/** Takes the same demand again and again, each time at the next offset. */
function reaction(value: Buffer, percent: number): () => unknown {
  const topic = topics.swapDemand.name;
  const reactor = new Reactor(dummyStrategy({ percent, moveBasisPoints: 20 }), topic);
  const record = {
    topic,
    partition: 0,
    timestamp: Date.now(),
    key: Buffer.from(pairKey),
    value,
    headers: {},
  };
  let offset = 0;
  return () => reactor.take({ ...record, offset: String(offset++) });
}
