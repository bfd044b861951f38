import assert from "node:assert/strict";
import { test } from "node:test";
import { testContext } from "../core/testing.ts";
import { StrategyPartitions, type ReadUpTo } from "./partitions.ts";
import type { Strategy } from "./strategy.ts";
import { inputEvent, recordOf } from "./testing.ts";

const here = { topic: "norm.stock_trade", partition: 0 };
const passive: Strategy<"norm.stock_trade", null> = {
  name: "passive",
  inputs: ["norm.stock_trade"],
  initial: null,
  react: (state) => ({ state, decisions: [] }),
};

function start(read: ReadUpTo) {
  const context = testContext();
  const partitions = new StrategyPartitions({
    strategy: passive,
    producer: { send: () => Promise.resolve(), sendAll: () => Promise.resolve() },
    read,
    context,
  });
  return { partitions };
}

const record = recordOf(
  inputEvent("norm.stock_trade", "1", { symbol: "A", trade_id: "1", price: "1", size: "1", conditions: [] }),
);

test("records of a partition that was not assigned, or was given up, are not handled", async () => {
  const { partitions } = start(() => assert.fail("nothing is committed"));
  await assert.rejects(partitions.handle([record]), /without an assignment/);
  await partitions.assigned({ ...here, committed: undefined });
  await partitions.handle([record]);
  partitions.revoked(here);
  await assert.rejects(partitions.handle([record]), /without an assignment/);
});

test("a rebuild reads up to the committed offset; given up meanwhile it ends without an error", async () => {
  let asked: bigint | undefined;
  const { partitions } = start((partition, end, _onRecord, signal) => {
    assert.deepEqual([partition.topic, partition.partition], [here.topic, here.partition]);
    asked = end;
    return new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason as Error));
    });
  });
  const assigned = partitions.assigned({ ...here, committed: "42" });
  assert.equal(asked, 42n);
  partitions.revoked(here);
  await assigned;
});

test("a rebuild that fails is told", async () => {
  const { partitions } = start(() => Promise.reject(new Error("the log is gone")));
  await assert.rejects(partitions.assigned({ ...here, committed: "42" }), /the log is gone/);
});

test("a rebuild tells of its progress, so that a long one does not look like a stop", async () => {
  const { partitions } = start((_partition, _end, onRecord) => {
    for (const offset of ["0", "1", "2"]) onRecord({ ...record, offset });
    return Promise.resolve();
  });
  let progress = 0;
  await partitions.assigned({ ...here, committed: "3" }, () => (progress += 1));
  assert.equal(progress, 3);
});
