/** What our code costs for one event, on one thread, without Kafka. */
import { encodeEvent } from "../../services/core/envelope.ts";
import { decodeEvent } from "../../services/core/events.ts";
import { uuidV5 } from "../../services/core/ids.ts";
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

/** Measures parsing alone, decoding with validation, encoding, and what stands between two topics. */
export function measureEvents(options: EventsOptions): EventCosts {
  const { milliseconds } = options;
  const costs: { name: string; microseconds: number; bytes: number }[] = [];
  for (const { type, event } of sampleEvents()) {
    const value = encodeEvent(event);
    const add = (name: string, work: () => unknown): void => {
      costs.push({ name: `${name} ${type}`, microseconds: cost(work, milliseconds), bytes: value.length });
    };
    add("JSON.parse", () => JSON.parse(value.toString("utf8")) as unknown);
    add("decode + validate", () => decodeEvent(type, value));
    add("encode", () => encodeEvent(event));
  }
  const raw = rawQuote();
  const { length: bytes } = encodeEvent(raw);
  costs.push({
    name: "normalize + encode near-intents quote",
    microseconds: cost(() => demandRecord(normalizeQuote(raw)), milliseconds),
    bytes,
  });
  costs.push({
    name: "derive an event id",
    microseconds: cost(() => uuidV5(raw.event_id), milliseconds),
    bytes: 36,
  });
  return costs;
}
