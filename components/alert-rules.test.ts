import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { ruleGroups } from "./alert-rules.ts";
import { marketHours } from "./market-hours.ts";

const rules = ruleGroups("2025-10-14").flatMap((group) => group.rules);
const alerts = rules.flatMap((rule) => ("alert" in rule ? [rule] : []));
const expression = (name: string) => {
  const found = alerts.find((rule) => rule.alert === name);
  assert.ok(found !== undefined, name);
  return found.expr;
};

test("what seed 000 and DESIGN 3 want watched is watched", () => {
  assert.deepEqual(alerts.map((rule) => rule.alert).sort(), [
    "BrokerThroughput",
    "ConsumerLag",
    "PodRestarts",
    "SilentNearFeed",
    "SilentStockFeed",
    "TradeLatencyP95",
    "UnderReplicatedPartitions",
  ]);
  assert.match(expression("TradeLatencyP95"), /^histogram_quantile\(0\.95, /);
  assert.match(expression("PodRestarts"), /kube_pod_container_status_restarts_total/);
  assert.match(expression("ConsumerLag"), /kafka_consumergroup_lag/);
});

test("the stock feed may be silent when the market is closed, the NEAR relay never", () => {
  const { opensAt, closesAt } = marketHours("2025-10-14");
  assert.ok(expression("SilentStockFeed").includes(`(time() >= ${opensAt}) and (time() < ${closesAt})`));
  assert.ok(!expression("SilentNearFeed").includes("time()"));
});

test("every metric of ours that a rule names is one that the services have", () => {
  const source = readFileSync(new URL("../services/core/metrics.ts", import.meta.url), "utf8");
  const used = new Set(
    rules
      .flatMap((rule) => rule.expr.match(/\btrading_[a-z0-9_]+/g) ?? [])
      .map((name) => name.replace(/_bucket$/, "")),
  );
  assert.ok(used.size >= 2);
  for (const name of used) assert.ok(source.includes(`"${name}"`), name);
});
