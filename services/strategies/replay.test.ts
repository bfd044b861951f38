/** Replay equals live: whatever is killed, rebuilt or delivered again, the same commands come, in the same order. */
import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { test } from "node:test";
import fc from "fast-check";
import { deadLetterHeaders } from "../bus/dead-letters.ts";
import type { OutgoingRecord, ReceivedRecord } from "../bus/record.ts";
import { encodeEvent } from "../core/envelope.ts";
import { newEvent } from "../core/events.ts";
import { testContext } from "../core/testing.ts";
import { StrategyPartitions } from "./partitions.ts";
import type { Strategy } from "./strategy.ts";
import { inputEvent, recordOf } from "./testing.ts";

const here = { topic: "norm.stock_trade", partition: 0 };

/** Its commands name everything it has seen, so that an event applied twice, or not at all, shows in their bytes. */
const witness: Strategy<"norm.stock_trade" | "norm.stock_trade_cancel", readonly string[]> = {
  name: "witness",
  inputs: ["norm.stock_trade", "norm.stock_trade_cancel"],
  initial: [],
  keyOf: (event) => event.payload.exchange ?? "",
  react: (seen, event) => {
    const { price, symbol } = event.payload;
    if (price === "13") throw new RangeError("thirteen");
    const state = [...seen, price];
    const decision = {
      action: `${symbol} ${state.join(",")}`.slice(-150),
      venue: "alpaca",
      deadline: event.ingested_at,
      limits: { max_notional: price },
      instruction: {
        kind: "place_order",
        symbol,
        side: "buy",
        quantity: String(state.length),
        // The schema refuses an order of nothing: then the event has not been seen either.
        limit_price: price,
        order_type: "limit",
        time_in_force: "day",
      },
    } as const;
    return { state, decisions: Number(price) % 3 === 0 ? [decision, { ...decision, action: "twin" }] : [] };
  },
};

const event = fc.record({
  kind: fc.constantFrom("trade", "trade", "trade", "cancel", "canary", "correction", "poison", "no key"),
  symbol: fc.constantFrom("A", "B"),
  exchange: fc.constantFrom("X", undefined),
  price: fc.constantFrom("0", "1", "3", "6", "13"),
  /** Offsets may leave gaps, as transactions do. */
  gap: fc.constantFrom(1, 1, 1, 2, 5),
});

/** A log of one partition. */
function logOf(
  events: readonly (typeof event extends fc.Arbitrary<infer E> ? E : never)[],
): ReceivedRecord[] {
  let offset = -1;
  return events.map(({ kind, symbol, exchange, price, gap }, index) => {
    offset += gap;
    const fields = { symbol, ...(exchange === undefined ? {} : { exchange }) };
    const details = { trade_id: String(index), price, size: "1" };
    const id = String(index);
    const trade = inputEvent("norm.stock_trade", id, { ...fields, ...details, conditions: [] });
    const record = recordOf(trade, offset);
    switch (kind) {
      case "cancel":
        return recordOf(
          inputEvent("norm.stock_trade_cancel", id, { ...fields, ...details, action: "canceled" }),
          offset,
        );
      case "correction": {
        const original = { ...details, conditions: [] };
        return recordOf(
          inputEvent("norm.stock_trade_correction", id, { ...fields, original, corrected: original }),
          offset,
        );
      }
      case "canary": {
        const payload = { canary_id: trade.event_id, sent_at: trade.ingested_at };
        return { ...record, value: encodeEvent(newEvent("norm.canary", { ...trade, payload })) };
      }
      case "poison":
        return { ...record, value: Buffer.from(`{${price}`) };
      case "no key":
        return { ...record, key: null };
      default:
        return record;
    }
  });
}

/** A producer whose acknowledgements come when the test says so. */
class SlowProducer {
  /** What the brokers have, in order. */
  readonly written: OutgoingRecord[] = [];
  #waiting: { record: OutgoingRecord; resolve: () => void }[] = [];

  send(record: OutgoingRecord): Promise<void> {
    return new Promise((resolve) => this.#waiting.push({ record, resolve }));
  }

  async sendAll(records: readonly OutgoingRecord[]): Promise<void> {
    await Promise.all(records.map((record) => this.send(record)));
  }

  acknowledge(count: number): void {
    for (const { record, resolve } of this.#waiting.splice(0, count)) {
      this.written.push(record);
      resolve();
    }
  }

  /** The process dies: the first `count` records reach the brokers, whose answer is not heard; the rest is lost. */
  die(count: number): void {
    this.written.push(...this.#waiting.splice(0, count).map(({ record }) => record));
    this.#waiting = [];
  }
}

const context = testContext();

/** The group's and the process's side of one partition. */
class World {
  readonly producer = new SlowProducer();
  readonly #log: readonly ReceivedRecord[];
  #partitions = this.#start();
  /** Index in the log of the next record to deliver, and of the first one that is not committed. */
  #next = 0;
  #committed = 0;
  /** Deliveries of this membership: index behind them, and whether they are safe. */
  #deliveries: { end: number; safe: boolean }[] = [];

  constructor(log: readonly ReceivedRecord[]) {
    this.#log = log;
  }

  get isDone(): boolean {
    return this.#committed === this.#log.length;
  }

  #start() {
    return new StrategyPartitions({
      strategy: witness,
      producer: this.producer,
      context,
      read: (_partition, end, onRecord) => {
        for (const record of this.#log) if (BigInt(record.offset) < end) onRecord(record);
        return Promise.resolve();
      },
    });
  }

  #commitOffset(): string | undefined {
    if (this.#committed === 0) return undefined;
    return (BigInt(this.#log[this.#committed - 1]?.offset ?? -1) + 1n).toString();
  }

  async join(): Promise<void> {
    await this.#partitions.assigned({ ...here, committed: this.#commitOffset() });
  }

  deliver(count: number): void {
    const records = this.#log.slice(this.#next, this.#next + count);
    if (records.length === 0) return;
    this.#next += records.length;
    const delivery = { end: this.#next, safe: false };
    this.#deliveries.push(delivery);
    void this.#partitions.handle(records).then(() => {
      delivery.safe = true;
    });
  }

  async commit(): Promise<void> {
    await turn();
    for (let first = this.#deliveries[0]; first?.safe === true; first = this.#deliveries[0]) {
      this.#committed = Math.max(this.#committed, first.end);
      this.#deliveries.shift();
    }
  }

  /** A rebalance in which the partition stays with us: it is read again from what was committed. */
  deliverAgain(): void {
    this.#deliveries = [];
    this.#next = this.#committed;
  }

  /** The partition goes to a process that was not there, or comes back to this one after a break. */
  async moveOut(isKilled: boolean, lost: number): Promise<void> {
    if (isKilled) {
      this.producer.die(lost);
      this.#partitions = this.#start();
    } else this.#partitions.revoked(here);
    this.deliverAgain();
    await this.join();
  }
}

/** What was written, each record once; a repetition has to have the same bytes. */
function once(written: readonly OutgoingRecord[]): string[] {
  const records = new Map<string, string>();
  for (const { topic, key, value, partition, headers } of written) {
    const text = value.toString("latin1");
    const id =
      topic === "dead-letter"
        ? `dead letter ${String(headers?.[deadLetterHeaders.offset])}`
        : (JSON.parse(text) as { event_id: string }).event_id;
    const bytes = `${topic} ${String(partition)} ${String(key)} ${text}`;
    assert.equal(records.get(id) ?? bytes, bytes);
    records.set(id, bytes);
  }
  return [...records.values()];
}

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ type: fc.constant("deliver"), count: fc.integer({ min: 1, max: 4 }) }),
  },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("acknowledge"), count: fc.nat(8) }) },
  { weight: 4, arbitrary: fc.record({ type: fc.constant("commit"), count: fc.constant(0) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("again"), count: fc.constant(0) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("kill"), count: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant("revoke"), count: fc.constant(0) }) },
);

async function run(log: readonly ReceivedRecord[], steps: readonly { type: string; count: number }[]) {
  const world = new World(log);
  await world.join();
  for (const { type, count } of steps) {
    if (type === "deliver") world.deliver(count);
    else if (type === "acknowledge") world.producer.acknowledge(count);
    else if (type === "commit") await world.commit();
    else if (type === "again") world.deliverAgain();
    else await world.moveOut(type === "kill", count);
  }
  for (let rounds = 0; !world.isDone; rounds += 1) {
    assert.ok(rounds < 1_000, "everything is committed in the end");
    world.deliver(10);
    world.producer.acknowledge(100);
    await world.commit();
  }
  return once(world.producer.written);
}

test("killed, rebuilt, redelivered at random: the same commands and dead letters, byte by byte, in order", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(event, { minLength: 5, maxLength: 30, size: "max" }),
      fc.array(step, { minLength: 10, maxLength: 60, size: "max" }),
      async (events, steps) => {
        const log = logOf(events);
        assert.deepEqual(await run(log, steps), await run(log, []));
      },
    ),
    { numRuns: 150 },
  );
});
