import assert from "node:assert/strict";
import { test } from "node:test";
import { type CountedRecord, countDay, percentile } from "./counts.ts";

const ingested_at = new Date(1_000).toISOString();

interface Trade {
  venue?: "near-intents" | "alpaca";
  status?: string;
}

/** What one quote or trade leaves on the topics when it is answered with a command. */
function chain(n: number, { venue = "near-intents", status = "FILLED" }: Trade = {}): CountedRecord[] {
  const isStock = venue === "alpaca";
  const command_id = `c-${n}`;
  const filled = isStock ? { quantity: "2" } : { amount_in: "5", amount_out: "4" };
  return [
    {
      topic: isStock ? "stock-stream-2025-10-14" : "raw.near-intents.quote",
      timestamp: 1_000,
      position: `${n} 1_000`,
      event: { event_id: `raw-${n}`, venue, payload: { message_type: isStock ? "t" : "quote" } },
    },
    {
      topic: isStock ? "norm.stock_trade" : "norm.swap_demand",
      timestamp: 1_010,
      position: `${n} 1_010`,
      event: { event_id: `norm-${n}`, venue, causation_id: `raw-${n}` },
    },
    {
      topic: "cmd.execute_trade",
      timestamp: 1_020,
      position: `${n} 1_020`,
      event: { event_id: `cmd-${n}`, venue, payload: { command_id, instruction: { kind: "any" } } },
    },
    {
      topic: "exec.trade_result",
      timestamp: 1_000 + n,
      position: `${n} 1_000 + n`,
      event: {
        event_id: `result-${n}`,
        venue,
        ingested_at,
        payload: {
          command_id,
          status,
          filled: status === "FILLED" ? filled : { amount_in: "0", amount_out: "0" },
          reference: { [isStock ? "client_order_id" : "quote_hash"]: `order-${n}` },
        },
      },
    },
  ];
}

/** A canary's way through the same topics. */
const canaries: CountedRecord[] = [
  {
    topic: "raw.near-intents.quote",
    timestamp: 1,
    position: "other 1",
    event: { event_id: "k1", payload: { message_type: "canary" } },
  },
  {
    topic: "norm.swap_demand",
    timestamp: 2,
    position: "other 2",
    event: { event_id: "k2", event_type: "norm.canary", causation_id: "k1" },
  },
  {
    topic: "cmd.execute_trade",
    timestamp: 3,
    position: "other 3",
    event: { event_id: "k3", payload: { command_id: "k3", instruction: { kind: "canary" } } },
  },
  {
    topic: "exec.trade_result",
    timestamp: 4,
    position: "other 4",
    event: { event_id: "k4", payload: { command_id: "k3", status: "DENIED", reason: { code: "canary" } } },
  },
];

async function* each(records: CountedRecord[]) {
  yield* records;
}

const count = (records: CountedRecord[], sent: number) => countDay(each(records), sent);

test("a whole day has no duplicates and no losses; canaries are no part of it", async () => {
  const status: CountedRecord = {
    topic: "stock-stream-2025-10-14",
    timestamp: 5,
    position: "other 5",
    event: { event_id: "status-1", venue: "alpaca", payload: { message_type: "s" } },
  };
  const stocks = chain(3, { venue: "alpaca" });
  const counts = await count(
    [...chain(1), ...canaries, ...chain(2, { status: "REJECTED" }), ...stocks, status, ...canaries],
    4,
  );
  assert.deepEqual(counts.events, { ingested: 4, normalized: 3, commands: 3, results: 3 });
  assert.deepEqual([counts.duplicates, counts.lost, counts.deadLetters], [0, 0, 0]);
  assert.deepEqual(counts.latencies, [1, 2, 3]);
  assert.deepEqual(counts.venues, {
    "near-intents": { commands: 2, results: { FILLED: 1, REJECTED: 1 }, latencies: [1, 2] },
    alpaca: { commands: 1, results: { FILLED: 1 }, latencies: [3] },
  });
  assert.deepEqual(counts.reported, [
    { venue: "near-intents", order: "order-1", amount: "5 for 4", command: "c-1", status: "FILLED" },
    { venue: "alpaca", order: "order-3", amount: "2", command: "c-3", status: "FILLED" },
  ]);
});

test("each kind of loss counts once", async () => {
  for (const venue of ["near-intents", "alpaca"] as const) {
    const whole = chain(1, { venue });
    assert.equal((await count(whole, 2)).lost, 1);
    assert.equal((await count(whole.slice(0, 3), 1)).lost, 1);
    assert.equal((await count(whole.slice(0, 1), 1)).lost, 1);
  }
});

test("what was put aside is not lost, and is counted", async () => {
  const [raw] = chain(1);
  assert.ok(raw);
  // Only the place that it came from counts: what is put aside may be no event at all.
  const aside = (position: string): CountedRecord => ({
    topic: "dead-letter",
    timestamp: 3,
    position,
    event: undefined,
  });
  const told = await count([raw, aside(raw.position), aside("another 0 7")], 1);
  assert.deepEqual([told.lost, told.deadLetters], [0, 2]);
  assert.equal((await count([raw, aside("another 0 7")], 1)).lost, 1);
});

test("a second result for a command and a second copy of a raw event are duplicates", async () => {
  const [raw, , , result] = chain(1);
  assert.ok(raw && result);
  const again = { ...result, event: { ...result.event, event_id: "result-other" } };
  assert.equal((await count([...chain(1), again, raw], 1)).duplicates, 2);
});

test("percentiles are nearest rank, and null of nothing", () => {
  assert.equal(percentile([], 0.5), null);
  assert.equal(percentile([7], 0.99), 7);
  assert.equal(percentile([1, 2, 3, 4], 0.5), 2);
  assert.equal(percentile([1, 2, 3, 4], 0.99), 4);
});
