import assert from "node:assert/strict";
import { test } from "node:test";
import { type CountedRecord, countDay, percentile } from "./counts.ts";

const ingested_at = new Date(1_000).toISOString();

function chain(n: number, status = "FILLED"): CountedRecord[] {
  return [
    { topic: "raw.near-intents.quote", timestamp: 1_000, value: { event_id: `raw-${n}` } },
    {
      topic: "norm.swap_demand",
      timestamp: 1_010,
      value: { event_id: `norm-${n}`, causation_id: `raw-${n}` },
    },
    {
      topic: "cmd.execute_trade",
      timestamp: 1_020,
      value: { event_id: `cmd-${n}`, payload: { command_id: `c-${n}` } },
    },
    {
      topic: "exec.trade_result",
      timestamp: 1_000 + n,
      value: { event_id: `result-${n}`, ingested_at, payload: { command_id: `c-${n}`, status } },
    },
  ];
}

async function* each(records: CountedRecord[]) {
  yield* records;
}

test("a whole day has no duplicates and no losses", async () => {
  const stock: CountedRecord = {
    topic: "stock-stream-2025-10-14",
    timestamp: 5,
    value: { event_id: "stock-1" },
  };
  const counts = await countDay(each([...chain(1), ...chain(2, "REJECTED"), stock]), 3);
  assert.deepEqual(counts.events, { ingested: 3, normalized: 2, commands: 2, results: 2 });
  assert.deepEqual([counts.duplicates, counts.lost], [0, 0]);
  assert.deepEqual(counts.latencies, [1, 2]);
  assert.deepEqual(counts.resultsByStatus, { FILLED: 1, REJECTED: 1 });
});

test("each kind of loss counts once", async () => {
  assert.equal((await countDay(each(chain(1)), 2)).lost, 1);
  assert.equal((await countDay(each(chain(1).filter((r) => r.topic !== "exec.trade_result")), 1)).lost, 1);
  assert.equal((await countDay(each(chain(1).slice(0, 1)), 1)).lost, 1);
});

test("a second result for a command and a second copy of a raw event are duplicates", async () => {
  const [raw, , , result] = chain(1);
  assert.ok(raw && result);
  const again = { ...result, value: { ...(result.value as object), event_id: "result-other" } };
  assert.equal((await countDay(each([...chain(1), again, raw]), 1)).duplicates, 2);
});

test("percentiles are nearest rank, and null of nothing", () => {
  assert.equal(percentile([], 0.5), null);
  assert.equal(percentile([7], 0.99), 7);
  assert.equal(percentile([1, 2, 3, 4], 0.5), 2);
  assert.equal(percentile([1, 2, 3, 4], 0.99), 4);
});
