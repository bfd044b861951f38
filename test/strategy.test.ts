/**
 * A strategy on a real Kafka: its state moves with the partitions, and canaries pass from the monitor through
 * every stage and back.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { readControl } from "../services/bus/control.ts";
import { behindEnd } from "../services/bus/log-end.ts";
import { decodeEvent } from "../services/core/events.ts";
import { inputEvent, recordOf } from "../services/strategies/testing.ts";
import { PipelineWorld } from "./pipeline-world.ts";
import { until } from "./until.ts";

let world: PipelineWorld;
before(async () => {
  world = await PipelineWorld.start("c3RyYXRlZ3ktdGVzdC0wMQ");
});
after(() => world.stop());

/** Enough that every partition has some. */
const symbols = Array.from({ length: 12 }, (_, index) => `S${index}`);
const group = "strategy-dummy";

/** A trade of every symbol at a price, consumed to the end. */
async function trade(price: string): Promise<void> {
  await world.producer.sendAll(
    symbols.map((symbol) => {
      const payload = { symbol, trade_id: price, price, size: "1", conditions: [] };
      const { topic, key, value } = recordOf(inputEvent("norm.stock_trade", `${symbol} ${price}`, payload));
      if (key === null || value === null) throw new Error("a record without key or value");
      return { topic, key, value };
    }),
  );
  await until(
    `all consumed at ${price}`,
    async () => (await behindEnd(world.admin, group, ["norm.stock_trade"])).length === 0,
  );
}

/** What was ordered of each symbol: the reference prices, in order. */
async function ordered(): Promise<Record<string, string[]>> {
  const orders: Record<string, string[]> = {};
  for (const { value } of await world.read("cmd.execute_trade")) {
    const { instruction } = decodeEvent("cmd.execute_trade", value).payload;
    if (instruction.kind !== "place_order") continue;
    (orders[instruction.symbol] ??= []).push(instruction.reference_price ?? "");
  }
  return orders;
}

const all = (...prices: string[]) => Object.fromEntries(symbols.map((symbol) => [symbol, prices]));

test("each decision is made once, on the right state, although the partitions move from process to process", async () => {
  const first = await world.startService(group);
  await trade("100");
  await world.startService(group);
  await until("both share the partitions", async () => {
    const { groups } = await world.admin.describeGroups([group]);
    return groups[0]?.state === "Stable" && groups[0].members.length === 2;
  });
  await trade("99.8");
  assert.deepEqual(await ordered(), all("99.8"));
  await first.stop();
  await trade("99.79");
  await trade("99.6");
  assert.deepEqual(await ordered(), all("99.8", "99.6"));
});

test("canaries come back from every partition: trading is ready, and no trade was made of them", async () => {
  await world.startService("normalize-near-intents");
  await world.startService("executor-near-intents");
  const monitor = await world.startService("result-monitor", {
    CANARY_VENUES: "near-intents",
    MONITORED_GROUPS: `${group}:norm.swap_demand+norm.stock_trade,result-monitor:exec.trade_result`,
  });
  const said = await until("trading ready", async () =>
    (await world.read("control")).map(readControl).find(({ type }) => type === "trading_ready"),
  );
  assert.ok(said.type === "trading_ready" && said.canaries.length === 3);
  assert.deepEqual(said.accounts, [], "no venue with an account takes part");
  const metrics = await until("the lag", async () => {
    const shown = await monitor.context.metrics.registry.metrics();
    return shown.includes('group="result-monitor"') ? shown : undefined;
  });
  assert.match(metrics, /^trading_ready{[^}]*} 1$/m);
  assert.match(
    metrics,
    /^trading_group_lag_records{group="strategy-dummy",topic="norm.stock_trade"[^}]*} 0$/m,
  );
  assert.doesNotMatch(metrics, /^trading_trade_results_total/m);
  assert.equal(world.near.book().settled.length, 0);
  const canaries = (await world.read("exec.trade_result")).map(({ value, partition }) => ({
    partition,
    ...decodeEvent("exec.trade_result", value).payload,
  }));
  assert.ok(canaries.every(({ reason, status }) => status === "DENIED" && reason?.code === "canary"));
  assert.equal(
    (await world.read("exec.journal")).some(({ value }) => value?.includes('"INTENT"')),
    false,
  );
});
